"""A user's order of a benchmark, carried out: what can be refused is refused before a model is started."""

import math
from pathlib import Path
from typing import NamedTuple

from configs.schema import Resources, Sampler
from engine.benchmark.package import BenchmarkError
from engine.benchmark.results import Measured
from engine.benchmark.run import behind, folders_for, length_for, measure, on_ray
from engine.benchmark.served import Api, Card, find
from engine.benchmark.tasks import Chosen, open_tasks
from engine.disk.home import LocateError, new_run_id, ratchet_home
from engine.gate.compare import require_share
from engine.models.check import check_model
from engine.models.identity import Model
from engine.plan.needs import Connects
from engine.plan.plan import plan_sampling
from engine.plan.precision import settle
from engine.registry.locate import model_dir_of


class Order(NamedTuple):
    """What is asked for, wherever the models are."""

    names: tuple[str, ...]
    chosen: Chosen
    max_model_len: int | None = None
    """None for the usual length."""
    out: Path | None = None
    """None for a new directory in RATCHET_HOME."""
    again: bool = False


class Terms(NamedTuple):
    """How the later models are compared with the first one."""

    alpha: float
    """Chance that any verdict is wrong."""
    margin: float | None = None
    """Whether they are no worse by more than this; None asks whether they are better."""
    metric: str = ""
    """Empty for the first that a task names."""


class Done(NamedTuple):
    """What came of an order."""

    out: Path
    measured: list[Measured]


def require_sound(order: Order, terms: Terms, tokenizer: str) -> None:
    """Refuse an order that makes no sense. Raises BenchmarkError, or engine.gate.outcomes.CompareError.

    `tokenizer` is the one that was named for models that have their own.
    """
    require_share(terms.alpha, "--alpha")
    if not order.names:
        raise BenchmarkError("name at least one model: `embedded`, a directory, a model id or a line")
    for option, value in {"--margin": terms.margin, "--metric": terms.metric or None}.items():
        if value is not None and len(order.names) < 2:
            raise BenchmarkError(f"{option} is for comparing models: name two or more")
    if terms.margin is not None:
        _require_margin(terms.margin, order.chosen, terms.metric)
    if tokenizer:
        raise BenchmarkError(f"--tokenizer {tokenizer} is for --url: a model that runs here has its own")


def _require_margin(margin: float, chosen: Chosen, metric: str) -> None:
    """Refuse a margin that no comparison could be made with. Raises BenchmarkError."""
    if not 0 < margin < math.inf:
        raise BenchmarkError(f"--margin must be above 0, got {margin:g}; 0.02 is a drop of 2 points")
    # Documents have perplexities, and a metric that is named may be in a unit of its own.
    if margin >= 1 and chosen.tasks and not metric:
        raise BenchmarkError(
            f"--margin must be a share below 1, got {margin:g}; 0.02 is a drop of 2 points, and a metric in "
            "another unit is named by --metric"
        )


def here(order: Order, cluster: Connects) -> Done:
    """Measure models of this RATCHET_HOME, one after the other, as samplers on Ray.

    Raises what `measure` raises, and engine.plan.needs.PlanError.
    """
    home, out = ratchet_home(), _out(order)
    folders = folders_for(out, order.names)
    paths = {name: model_dir_of(home, name) for name in order.names}
    for path in paths.values():
        check_model(path)
    lengths = {name: length_for(path, order.max_model_len) for name, path in paths.items()}
    tasks, machine = open_tasks(order.chosen), cluster.machine(home)
    settings = {name: settle(Sampler(max_model_len=length), machine) for name, length in lengths.items()}
    plans = {
        name: plan_sampling(settings[name], Resources(), str(path), machine, home)
        for name, path in paths.items()
    }
    cluster.connect(plans[order.names[0]])
    done = Done(out, [])
    for name, path in paths.items():
        with on_ray(name, Model.of(path), settings[name], plans[name], order.chosen.seed) as subject:
            done.measured.append(
                measure(subject, order.chosen, tasks, home=home, folder=folders[name], again=order.again)
            )
    return done


def there(order: Order, api: Api, tokenizer: str) -> Done:
    """Measure models behind an API, one after the other; `tokenizer` names a model that has theirs.

    Raises what `measure` raises.
    """
    home, out = ratchet_home(), _out(order)
    folders = folders_for(out, order.names)
    cards = {name: find(api, name) for name in order.names}
    places = {name: _tokenizer_of(home, tokenizer, card) for name, card in cards.items()}
    tasks = open_tasks(order.chosen)
    done = Done(out, [])
    for name, card in cards.items():
        length = order.max_model_len or card.max_length or length_for(places[name], None)
        with behind(name, api, card, places[name], length, order.chosen.seed) as subject:
            done.measured.append(
                measure(subject, order.chosen, tasks, home=home, folder=folders[name], again=order.again)
            )
    return done


def _out(order: Order) -> Path:
    return order.out or ratchet_home() / "benchmarks" / new_run_id("benchmark")


def _tokenizer_of(home: Path, named: str, card: Card) -> Path:
    """The directory of a served model's tokenizer: the one that is named, or that of the same model here."""
    try:
        path = model_dir_of(home, named or (card.id if card.pinned else ""))
    except LocateError:
        if named:
            raise
        raise BenchmarkError(
            f"the tokenizer of the served model {card.name} is not here: --tokenizer names a model that has "
            "the same one"
        ) from None
    check_model(path)
    return path

"""What `ratchet eval` does: models side by side on the same problems, greedy, judged as at the gate.

    ratchet eval embedded prontoqa/smollm2-135m --task prontoqa --data dev-100.json --skip 10

A reading of a file is kept in ``readings/`` from before its first answer: records that are read again and
again are tuned on, meant or not, so the number of earlier readings, and of the models that they measured,
stands beside the figures. Fresh problems are others each time; ``--seed`` asks those of another time again.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from configs.schema import Config, Task
from engine.disk.files import make_dirs, replace_file
from engine.measure.bench import open_benches
from engine.measure.evaluate import answer, measure
from engine.plan.plan import Plan
from engine.records import Evaluation, Interval, Problem, from_json, to_json
from engine.sample.protocol import Sampling
from engine.tasks import DataError, Suite, load_task
from engine.terminal import printable

NUM_PROBLEMS = 100
"""Where none is asked for; of a file that has fewer records left, those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The problems of a reading, and where they are from."""

    problems: tuple[Problem, ...]
    data: str = ""
    """The file; empty for fresh problems."""
    seed: int | None = None
    """Of fresh problems; None for those of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Some problems and what each model made of them."""

    at: str
    """When it began, UTC."""
    data: str
    """The file; empty for fresh problems, whose readings are not kept."""
    seed: int | None = None
    """That draws the same fresh problems again; None for those of a file."""
    problems: tuple[str, ...]
    """Ids, in order."""
    num_earlier: int
    """Kept readings of any of these problems besides this one, when it began."""
    num_earlier_models: int = 0
    """Models that those measured: a reading may be of several, and one that was broken off of none."""
    evaluations: dict[str, Evaluation]
    """By the model's name as it was asked for; none as long as the reading is not ended."""


def settings_for(task: str, model: Path) -> Config:
    """What one model is asked with: the defaults of a config."""
    return Config(name="eval", line="eval/eval", base=str(model), warm_start=None, task=Task(name=task))


def problems_for(
    home: Path,
    task: str,
    data: Path | None,
    *,
    skip: int = 0,
    num: int | None = None,
    seed: int | None = None,
) -> Asked:
    """`num` fresh problems, of a new seed where none is given, or records of a file after the first `skip`.

    Raises engine.tasks.DataError for an unknown task, a broken file, a file without that many records, and
    kept readings that cannot be counted.
    """
    if data is None:
        if skip:
            raise DataError(f"--skip is for --data: without a file problems are fresh, got --skip {skip}")
        seed = secrets.randbits(32) if seed is None else seed
        drawn = Suite(task).draw(NUM_PROBLEMS if num is None else num, split="eval", seed=seed)
        return Asked(problems=tuple(drawn), seed=seed)
    if seed is not None:
        raise DataError(f"--seed is for fresh problems: a file is read in its order, got --seed {seed}")
    records: list[Problem] = load_task(task).read(data)
    if skip >= len(records):
        raise DataError(f"{data} has {len(records)} records: --skip must be less, got {skip}")
    left = records[skip:]
    if num is not None and num > len(left):
        after = f" after the first {skip}" if skip else ""
        raise DataError(f"{data} has {len(left)} records{after}: -n must be at most that, got {num}")
    # Looked at here already, so that nothing is started for a reading that could not be counted.
    kept_readings(home)
    return Asked(problems=tuple(left[: NUM_PROBLEMS if num is None else num]), data=str(data.resolve()))


def evaluate_models(
    home: Path, settings: Mapping[str, Config], plans: Mapping[str, Plan], asked: Asked
) -> Reading:
    """Each model of `settings` (by name, with its plan) on the same problems; a reading of a file is kept.

    Raises engine.measure.evaluate.Unjudged, engine.sample.protocol.SamplerError, engine.tasks.DataError.
    """
    reading = _begin(home, asked)
    evaluations = {}
    for name, config in settings.items():
        suite, model = Suite(config.task.name, config.task.slices), Path(str(config.base))
        with open_benches(config, plans[name], suite, model) as benches:
            sampling = Sampling(max_new_tokens=config.sampler.max_new_tokens)
            answers = answer(benches.gate, model, asked.problems, sampling)
            evaluations[name] = measure(asked.problems, answers)
    reading = replace(reading, evaluations=evaluations)
    if reading.data:
        _keep(home, reading)
    return reading


def _begin(home: Path, asked: Asked) -> Reading:
    """The reading without its figures: where it is of a file kept, and the others of its records counted."""
    reading = Reading(
        at=datetime.now(UTC).isoformat(timespec="microseconds"),
        data=asked.data,
        seed=asked.seed,
        problems=tuple(problem.id for problem in asked.problems),
        num_earlier=0,
        evaluations={},
    )
    if not reading.data:
        return reading
    # Kept before the others are counted: of two that begin at once, neither then misses the other.
    _keep(home, reading)
    own = set(reading.problems)
    others = [
        past for past in kept_readings(home) if past.at != reading.at and not own.isdisjoint(past.problems)
    ]
    num_models = sum(len(past.evaluations) for past in others)
    reading = replace(reading, num_earlier=len(others), num_earlier_models=num_models)
    _keep(home, reading)
    return reading


def kept_readings(home: Path) -> list[Reading]:
    """Those of files, the oldest first, also such as were broken off. Raises DataError for a damaged one."""
    return [_kept(path) for path in sorted((home / "readings").glob("*.json"))]


def _kept(path: Path) -> Reading:
    try:
        return from_json(Reading, path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        raise DataError(
            f"{path} is no reading as they are kept: {where}: {first['msg']}; restore it, or remove it and "
            "it no longer counts"
        ) from None


def _keep(home: Path, reading: Reading) -> None:
    make_dirs(home / "readings")
    replace_file(home / "readings" / f"{reading.at}.json", to_json(reading).encode())


def print_reading(reading: Reading) -> None:
    """A column a model, for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for head in ("", *reading.evaluations):
        table.add_column(Text(printable(head)), overflow="fold")
    rows = {
        "model": lambda e: e.model_id,
        "accuracy": lambda e: _percent(e.accuracy),
        "strict": lambda e: _percent(e.strict),
        "valid steps": lambda e: f"{100 * e.step_validity:.1f} %",
        "undecided": lambda e: str(e.num_undecided),
        "tokens, mean": lambda e: f"{e.mean_tokens:.0f}",
    }
    for head, cell in rows.items():
        table.add_row(head, *(cell(evaluation) for evaluation in reading.evaluations.values()))
    for name in dict.fromkeys(s.slice for e in reading.evaluations.values() for s in e.slices):
        found = (next(s for s in e.slices if s.slice == name) for e in reading.evaluations.values())
        table.add_row(Text(f"strict, {printable(name)}"), *(_percent(each.strict) for each in found))
    Console().print(table)
    print(printable(_whence(reading)))


def _whence(reading: Reading) -> str:
    """Where the problems are from, and for a file how often they were read, and with how many models."""
    num = len(reading.problems)
    if not reading.data:
        return f"{num} fresh problems; --seed {reading.seed} asks them again"
    times = {0: "never", 1: "once"}.get(reading.num_earlier, f"{reading.num_earlier} times")
    earlier = f" ({_models(reading.num_earlier_models)} measured)" if reading.num_earlier else ""
    now = f"{_models(len(reading.evaluations))} measured now"
    return f"{num} records of {reading.data}, read {times} before{earlier}; {now}"


def _models(num: int) -> str:
    return "1 model" if num == 1 else f"{num} models"


def _percent(share: Interval) -> str:
    low, high = 100 * share.low, 100 * share.high
    return f"{100 * share.rate:.1f} % ({low:.1f} to {high:.1f}) of {share.num}"

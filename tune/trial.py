"""One trial: a challenger made with some values, and measured on the selection split after each rung.

It runs in a process of Tune's. All it makes is in a run directory of its own, so a trial that was interrupted
goes on, and one that had ended only says again what it came to. What trials have in common, because nothing
that differs between them has a part in it, is made once, in a run directory that they share.
"""

import atexit
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from configs.load import config_hash
from configs.schema import Config, Train
from configs.sweep import Campaign, Sweep
from engine.curate.rehearse import num_rows
from engine.disk.steps import Run, RunHeld
from engine.measure.bench import Benches, open_benches
from engine.measure.evaluate import answer, measure
from engine.models.base import resolve_base
from engine.models.identity import Contestant, model_id
from engine.plan.plan import Plan
from engine.records import Challenger, Evaluation, Problem, Start, TrainFailure, TrainingSet
from engine.registry.registry import Registry
from engine.sample.protocol import Sampling
from engine.tasks import Suite, suite_of
from engine.train.driver import Stretch, train
from loops import LOOPS
from loops.context import Context
from loops.loop import Proposal
from loops.material import rehearsed
from loops.warm_start import gold_proofs
from tune.outcome import stage, trained
from tune.space import METRIC, Values

_LEARNING = ("train.", "warm_start.train.")
"""Keys that say how something is learnt, and not what."""
_WAIT = 2.0
"""Seconds between two looks at whether another trial has made what this one needs as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sweep is, and what all its trials are told."""

    home: Path
    run_id: str
    sweep: Sweep
    campaign: Campaign
    plan: Plan
    """Of one trial."""
    start: Start

    @property
    def round(self) -> int:
        """That a trial plays: 0 is the warm start."""
        return 0 if self.campaign.config.start == "base" else 1

    def trial(self, number: int) -> str:
        """Run id of a trial."""
        return f"{self.run_id}/trials/{number:03d}"

    def selection(self, suite: Suite) -> list[Problem]:
        """The problems on which trials are measured; the same for all."""
        config = self.campaign.config
        return suite.draw(self.sweep.num_problems, split="selection", seed=config.seed)

    def parent(self) -> Contestant:
        """What trials train."""
        base = resolve_base(self.campaign.config.base, self.home)
        if self.start.champion == model_id(base):
            return Contestant(id=self.start.champion, path=base)
        return Contestant(id=self.start.champion, path=Registry(self.home).path(self.start.champion))


class Made(NamedTuple):
    """What a challenger is trained on, and the problems that it has to do with."""

    data: TrainingSet
    proposal: Proposal | None
    seen: frozenset[str]


def play(setting: dict[str, Any], place: Place) -> None:
    """Tune's function: report the metric after each rung; 0 where training has failed."""
    from ray import tune

    last = place.sweep.rungs - 1
    for rung, evaluation in measured(place, setting["number"], setting["values"]):
        strict = evaluation.strict.rate if evaluation else 0.0
        tune.report({METRIC: strict, "resource": place.sweep.keep**rung, "over": rung == last})


def measured(place: Place, number: int, values: Values) -> Iterator[tuple[int, Evaluation | None]]:
    """A trial's rungs with its evaluations; None where its training has failed.

    Training that has failed, or was stopped early, has come as far as it will: it stands at the last rung.
    """
    config, last = place.campaign.varied(values), place.sweep.rungs - 1
    with closing(opened(place, config, place.trial(number))) as run:
        for rung in range(place.sweep.rungs):
            outcome = trained(run.read, rung) or _train(place, run, values, rung)
            if isinstance(outcome, TrainFailure):
                yield last, None
                return
            evaluation = run.read(stage(rung, "select"), Evaluation)
            if evaluation is None:
                evaluation = _select(place, run, rung, outcome)
            if rung:
                # Neither its model nor its state is needed any more.
                shutil.rmtree(run.path / stage(rung - 1, "training"), ignore_errors=True)
            yield last if outcome.stopped_early else rung, evaluation
            if outcome.stopped_early:
                return


def made(place: Place, values: Values, context_of: Callable[[Config, Run], Context]) -> Made:
    """What a trial with `values` learns from, made by the first that needs it."""
    what = {key: value for key, value in values.items() if not _says_how(key)}
    config = place.campaign.varied(what)
    name = f"{place.run_id}/material/{config_hash(config)[:12]}"
    with closing(opened(place, config, name)) as run:
        context = context_of(config, run)
        selection = frozenset(problem.id for problem in place.selection(context.suite))
        parent = place.parent()
        proposal = None
        if place.round:
            proposal = LOOPS[config.loop](context, parent.path, place.round, selection)
            data, seen = proposal.data, proposal.seen
        else:
            assert config.warm_start is not None
            data, seen = gold_proofs(context, config.warm_start, selection)
        how = _training(place, place.campaign.varied(values))
        num = num_rows(round(len(data.rows) * how.epochs), how.rehearsal_share)
        # By its number of rows, which is all that trials differ in.
        data = rehearsed(context, f"rehearse-{num}", place.round, how, data)
    return Made(data, proposal, seen | selection)


def _says_how(key: str) -> bool:
    return key.startswith(_LEARNING) and not key.endswith(".method")


def opened(place: Place, config: Config, name: str) -> Run:
    """A run of the sweep by its id, begun where it is not, as soon as no other process holds it."""
    while True:
        try:
            return Run.create(place.home, config, name)
        except RunHeld:
            time.sleep(_WAIT)


def _training(place: Place, config: Config) -> Train:
    if place.round:
        return config.train
    assert config.warm_start is not None
    return config.warm_start.train


def _train(place: Place, run: Run, values: Values, rung: int) -> Challenger | TrainFailure:
    config = run.config
    material = made(place, values, lambda config, run: _context(place, config, run))
    workers = place.plan.train if place.round else place.plan.warm_start
    assert workers is not None
    out = run.path / stage(rung, "training")
    state = run.path / stage(rung - 1, "training") / "state" if rung else None

    def make() -> Challenger | TrainFailure:
        _benches(place).labels.sampler.sleep()
        return train(
            _training(place, config),
            material.data,
            parent=place.parent().path,
            out=out,
            workers=workers,
            seed=config.seed + place.round,
            on_metrics=lambda entries: run.metrics([{"round": rung, "stage": "train", **e} for e in entries]),
            stretch=Stretch(until=place.sweep.share(rung), state=state),
        )

    return run.step(stage(rung, "train"), Challenger | TrainFailure, make)  # type: ignore[arg-type]


def _select(place: Place, run: Run, rung: int, challenger: Challenger) -> Evaluation:
    config = run.config
    problems = place.selection(suite_of(config))

    def make() -> Evaluation:
        sampling = Sampling(max_new_tokens=config.sampler.max_new_tokens)
        return measure(problems, answer(_benches(place).gate, Path(challenger.path), problems, sampling))

    return run.step(stage(rung, "select"), Evaluation, make)


def _context(place: Place, config: Config, run: Run) -> Context:
    benches = _benches(place)
    return Context(
        run=run,
        start=place.parent(),
        epoch=place.start.epoch,
        config=config,
        plan=place.plan,
        suite=suite_of(config),
        bench=benches.labels,
        judges=benches.gate,
        registry=Registry(place.home),
        base=resolve_base(config.base, place.home),
    )


_open: list[Benches] = []
_until_exit = ExitStack()
atexit.register(_until_exit.close)


def _benches(place: Place) -> Benches:
    """Of this process, which plays one trial after the other: samplers take most of a minute to start."""
    if not _open:
        config = place.campaign.config
        opening = open_benches(config, place.plan, suite_of(config), place.parent().path)
        _open.append(_until_exit.enter_context(opening))
    return _open[0]

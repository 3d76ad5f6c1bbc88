"""The records of a campaign on a finite set: none that its line has used, and each kept as it is drawn.

A task that makes its problems has no end, and its suite is left as it is.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from configs.schema import Config
from engine.disk.steps import Run
from engine.records import Problem, from_json
from engine.registry.spent import keep_spent
from engine.registry.used import spent_before
from engine.tasks import suite_of
from engine.tasks.fixed import ONCE, Fixed, Record, part_of
from engine.tasks.lines import SENTINEL
from engine.tasks.suite import DataError, Suite, Task

STAGE = "spent"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentBefore:
    """What the line, and those before it, had used when a run began: the run agrees when it is resumed."""

    digest: str
    """A hash of all records: a file that changes under a run would change its draws."""
    problems: dict[str, tuple[str, ...]]
    """Ids by part."""


class Kept:
    """A finite suite whose draws are kept with the line."""

    def __init__(self, suite: Fixed, home: Path, line: str, run_id: str) -> None:
        self.task: Task = suite.task
        self.per_test = suite.per_test
        self.is_finite = True
        self.sentinels = suite.sentinels
        self._suite, self._home, self._line, self._run_id = suite, home, line, run_id

    @property
    def slices(self) -> list[str]:
        return self._suite.slices

    @property
    def sizes(self) -> dict[str, int]:
        """How many problems each part can give one draw: see `Fixed.sizes`."""
        return self._suite.sizes

    def records(self, part: str) -> Sequence[Record]:
        """All records of a part, of which none counts as used by being looked at."""
        return self._suite.records(part)

    def draw(
        self,
        num: int,
        *,
        split: str,
        seed: int,
        start: int = 0,
        exclude: Set[str] = frozenset(),
        weights: Mapping[str, float] | None = None,
        questions: int = 1,
    ) -> list[Problem]:
        """Draw as `Fixed` does. The problems are kept before they are asked or learnt."""
        problems = self._suite.draw(
            num,
            split=split,
            seed=seed,
            start=start,
            exclude=exclude,
            weights=weights,
            questions=questions,
        )
        part = part_of(split)
        keep_spent(
            self._home,
            self._line,
            run_id=self._run_id,
            part=part,
            problems=[problem.id for problem in problems],
            once=part in ONCE and not self.per_test,
        )
        return problems


def suite_for(config: Config, run: Run) -> Suite:
    """The suite of a campaign or a sweep, of which `run` is the run. Raises DataError, RegistryError."""
    suite = suite_of(config)
    if not isinstance(suite, Fixed):
        return suite

    def look() -> SpentBefore:
        before = spent_before(run.home, config, apart_from=run.id)
        return SpentBefore(
            digest=suite.digest, problems={part: tuple(sorted(each)) for part, each in before.items()}
        )

    return _kept(suite, run.step(STAGE, SpentBefore, look), config, run.home, run.id)


def suite_in_sweep(config: Config, home: Path, sweep_id: str) -> Suite:
    """The suite of a trial: the sweep's own, which `suite_for` has begun. Raises DataError, RegistryError."""
    suite = suite_of(config)
    if not isinstance(suite, Fixed):
        return suite
    before = from_json(SpentBefore, (home / "runs" / sweep_id / f"{STAGE}.json").read_bytes())
    return _kept(suite, before, config, home, sweep_id)


def _kept(suite: Fixed, before: SpentBefore, config: Config, home: Path, run_id: str) -> Suite:
    if suite.digest != before.digest:
        raise DataError(
            f"the records have changed since run {run_id} began, so it cannot go on: restore the file, or "
            "start a new run"
        )
    left = suite.without({part: frozenset(each) for part, each in before.problems.items()})
    if kept := [problem.id for problem in left.sentinels]:
        # All of them are asked in every round, so they are kept at once.
        keep_spent(home, config.line, run_id=run_id, part=SENTINEL, problems=kept)
    return Kept(left, home, config.line, run_id)

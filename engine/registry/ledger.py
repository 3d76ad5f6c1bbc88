"""The error budget of a line: its planned tests, and the level of the next one."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.registry.store import RegistryError


class LedgerUsedUp(RegistryError):
    """No planned test is left. A new ledger is a new error budget, and opening one takes ``budget: new``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedTest:
    """A gate test as it was fixed before its first problem was drawn."""

    ledger: int
    """Number of the ledger that pays for the test."""
    run_id: str
    round: int
    challenger_id: str
    level: float
    entropy: int
    """Seed of the gate's problems."""
    rejected_null: bool | None = None
    """Whether superiority was shown. None until the test is settled, and then it counts as not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """An error budget: the chance of any false acceptance over all its tests is at most `alpha`."""

    number: int
    """Counts the ledgers of the line, from 1."""
    alpha: float
    planned_tests: int
    runs: tuple[str, ...]
    """The runs that spend from this ledger; the first one opened it."""
    tests: tuple[CommittedTest, ...] = ()

    @property
    def num_left(self) -> int:
        """The number of planned tests that are not spent yet."""
        return self.planned_tests - len(self.tests)


def committed_in(ledger: Ledger, run_id: str, round: int) -> CommittedTest:
    """Return the test of a run's round. Raises RegistryError if none was committed."""
    for test in ledger.tests:
        if (test.run_id, test.round) == (run_id, round):
            return test
    raise RegistryError(f"no test is committed for round {round} of run {run_id}")


def require_left(line: str, ledger: Ledger) -> None:
    """Raise LedgerUsedUp if every planned test is spent."""
    if not ledger.num_left:
        raise LedgerUsedUp(
            f"the error ledger of line {line} is used up: all {ledger.planned_tests} planned gate tests are "
            f"spent; open a new one with budget=new"
        )


def next_level(alpha: float, planned_tests: int, past: Sequence[tuple[float, bool | None]]) -> float:
    """Compute the level of a ledger's next test: its share of `alpha`, plus the last test's if that rejected.

    `past` holds (level, null rejected) for each test so far. None marks a test that was committed and never
    settled, which counts as spent. The chance of any false rejection over the ledger is at most `alpha`.
    Raises LedgerUsedUp if no planned test is left. Source: fallback procedure, Wiens 2003.
    """
    if len(past) >= planned_tests:
        raise LedgerUsedUp(f"all {planned_tests} planned tests of the error ledger are spent")
    passed_on = past[-1][0] if past and past[-1][1] else 0.0
    return alpha / planned_tests + passed_on

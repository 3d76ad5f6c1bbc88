"""The error budget of a line: its planned tests, and the level of the next one."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.registry.store import RegistryError


class LedgerUsedUp(RegistryError):
    """No planned test is left; a new ledger is a new error budget and has to be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedTest:
    """A gate test, fixed before its first problem is drawn."""

    ledger: int
    """Number of the ledger that pays for it."""
    run_id: str
    round: int
    challenger_id: str
    level: float
    entropy: int
    """Seed of the gate's problems."""
    rejected_null: bool | None = None
    """Whether superiority was shown; None until settled, which counts as not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """An error budget: over all its tests, a false acceptance has at most chance `alpha`."""

    number: int
    """1 for the first ledger of the line."""
    alpha: float
    planned_tests: int
    runs: tuple[str, ...]
    """Runs that spend from it; the first opened it."""
    tests: tuple[CommittedTest, ...] = ()

    @property
    def num_left(self) -> int:
        return self.planned_tests - len(self.tests)


def committed_in(ledger: Ledger, run_id: str, round: int) -> CommittedTest:
    """The test of a run's round. Raises RegistryError where none was committed."""
    for test in ledger.tests:
        if (test.run_id, test.round) == (run_id, round):
            return test
    raise RegistryError(f"no test is committed for round {round} of run {run_id}")


def require_left(line: str, ledger: Ledger) -> None:
    """Raises LedgerUsedUp where every planned test is spent."""
    if not ledger.num_left:
        raise LedgerUsedUp(
            f"the error ledger of line {line} is used up: all {ledger.planned_tests} planned gate tests are "
            f"spent; open a new one with budget=new"
        )


def next_level(alpha: float, planned_tests: int, past: Sequence[tuple[float, bool | None]]) -> float:
    """Level of the next test of a ledger: its own share of `alpha`, and the last test's if that rejected.

    `past` holds (level, null rejected) of the tests so far; None, a test that was committed and never
    settled, counts as spent. The chance of any false rejection over the ledger is at most `alpha`.
    Raises LedgerUsedUp where no planned test is left. Source: fallback procedure, Wiens 2003.
    """
    if len(past) >= planned_tests:
        raise LedgerUsedUp(f"all {planned_tests} planned tests of the error ledger are spent")
    passed_on = past[-1][0] if past and past[-1][1] else 0.0
    return alpha / planned_tests + passed_on

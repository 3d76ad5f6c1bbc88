"""Spending a line's error budget: what opening a ledger, and fixing or settling a test, does to its state.

Pure functions. `registry.py` makes each change under its lock and commits it with its event.
"""

from dataclasses import replace
from secrets import randbits

from engine.registry.ledger import CommittedTest, Ledger, committed_in, next_level, require_left
from engine.registry.lines import Event, EventKind, State
from engine.registry.store import RegistryError


def with_ledger(state: State, ledger: Ledger) -> State:
    """Return the state with a ledger in the place of its number, or added after all others."""
    ledgers = list(state.ledgers)
    ledgers[ledger.number - 1 : ledger.number] = [ledger]
    return replace(state, ledgers=tuple(ledgers))


def ledger_of(line: str, state: State, run_id: str) -> Ledger:
    """Return the ledger that a run spends from. Raises RegistryError if it has opened or joined none."""
    for ledger in state.ledgers:
        if run_id in ledger.runs:
            return ledger
    raise RegistryError(f"run {run_id} has no ledger in line {line}: open_ledger comes first")


def ledger_for(
    line: str, state: State, *, alpha: float, planned_tests: int, run_id: str, fresh: bool
) -> tuple[Ledger, EventKind | None]:
    """Return the ledger that a run should spend from, and the change this makes: None if it has it already.

    Raises LedgerUsedUp if the newest ledger has no test left, RegistryError if it was planned differently.
    """
    for ledger in state.ledgers:
        if run_id in ledger.runs:
            return ledger, None
    newest = state.ledgers[-1] if state.ledgers else None
    if fresh or newest is None:
        number = len(state.ledgers) + 1
        ledger = Ledger(number=number, alpha=alpha, planned_tests=planned_tests, runs=(run_id,))
        return ledger, EventKind.LEDGER_OPENED
    if (newest.alpha, newest.planned_tests) != (alpha, planned_tests):
        raise RegistryError(
            f"the ledger of line {line} has alpha {newest.alpha} over {newest.planned_tests} tests, "
            f"got {alpha} over {planned_tests}: set these alike, or budget=new"
        )
    require_left(line, newest)
    return replace(newest, runs=(*newest.runs, run_id)), EventKind.LEDGER_JOINED


def require_shown(line: str, state: State, event: Event, round: int) -> None:
    """Refuse a champion that no baseline precedes or no test supports: the ledger rules it out."""
    if not state.reigns:
        raise RegistryError(f"line {line} has no baseline yet: its first promotion must be one")
    test = committed_in(ledger_of(line, state, event.run_id), event.run_id, round)
    if test.challenger_id != event.model_id or not test.rejected_null:
        raise RegistryError(
            f"model {event.model_id} cannot be promoted: the test of round {round} did not show it better"
        )


def committed(
    line: str, state: State, *, run_id: str, round: int, challenger_id: str, entropy: int | None
) -> tuple[CommittedTest, State]:
    """The test of a run's round, and the state with it: unchanged where it was committed before.

    Raises LedgerUsedUp if no test is left, RegistryError if the run has no ledger or the round was committed
    to another challenger.
    """
    ledger = ledger_of(line, state, run_id)
    for test in ledger.tests:
        if (test.run_id, test.round) == (run_id, round):
            if test.challenger_id != challenger_id:
                raise RegistryError(
                    f"round {round} of run {run_id} is committed to challenger {test.challenger_id}, "
                    f"got {challenger_id}"
                )
            return test, state
    require_left(line, ledger)
    past = [(test.level, test.rejected_null) for test in ledger.tests]
    test = CommittedTest(
        ledger=ledger.number,
        run_id=run_id,
        round=round,
        challenger_id=challenger_id,
        level=next_level(ledger.alpha, ledger.planned_tests, past),
        entropy=randbits(63) if entropy is None else entropy,
    )
    return test, with_ledger(state, replace(ledger, tests=(*ledger.tests, test)))


def settled(line: str, state: State, *, run_id: str, round: int, rejected_null: bool) -> tuple[Ledger, State]:
    """The ledger with the outcome of a test, and the state with it: unchanged where it was settled before.

    Raises RegistryError if no such test was committed, or if it was settled the other way.
    """
    ledger = ledger_of(line, state, run_id)
    test = committed_in(ledger, run_id, round)
    if test.rejected_null is rejected_null:
        return ledger, state
    if test.rejected_null is not None:
        raise RegistryError(f"the test of round {round} of run {run_id} is settled the other way")
    outcome = replace(test, rejected_null=rejected_null)
    ledger = replace(ledger, tests=tuple(outcome if each is test else each for each in ledger.tests))
    return ledger, with_ledger(state, ledger)

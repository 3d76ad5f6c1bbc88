"""A ledger of comparisons: the error budget of a keep/discard loop that is no campaign.

The chance of any false claim over a ledger is at most its alpha. A call is committed, with the hashes of both
results, before it is answered; the same call again gives the same answer and spends nothing. One lock
serialises the calls. The rules of two pawls are those of a campaign (`engine/gate/carry.py`).
"""

from dataclasses import dataclass, replace
from pathlib import Path

from configs.schema import Gate
from engine.disk.files import locked
from engine.disk.interruption import fault_point
from engine.gate.arithmetic import GateError, Outcome, Pair, SequentialTest
from engine.gate.carry import MOST_REFUSALS, looks_better
from engine.gate.compare import Answer, Comparison, compare
from engine.gate.loop_calls import Call, commit, committed, opened, require_sense
from engine.gate.loop_state import SHOWN, Asked, Entry, LoopLedger, folder_of, load, save, touched_by
from engine.gate.outcomes import Outcomes
from engine.gate.side_by_side import SideBySide
from engine.records import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The answer to a call."""

    answer: Answer
    asked: Asked
    ledger: str
    candidate: str
    repeated: bool
    """Whether the call was answered before."""
    test: int
    """Number of the test; 0 where the call spends none."""
    planned_tests: int
    num_left: int
    """Tests that are left now."""
    level: float
    """The test's share of the error budget; 0 where nothing is claimed."""
    num_undecided: int
    """Items of the call that either model has no result of; they count against the new model."""
    num_seen: int
    """Items of the call that earlier calls have seen."""
    comparison: Comparison | None
    """None for a look of a sequential test."""
    look: Look | None
    """The sequential test so far."""
    num_looks: int
    trial_due: bool
    """Whether it is time to compare the working model with the champion on fresh items."""


def judge(home: Path, call: Call, old: Outcomes, new: Outcomes) -> Judged:
    """Put a call to a ledger under `home`, which `call.tests` opens. Raises CompareError for a refusal.

    For a test `old` is what the loop keeps now and `new` its candidate; for a decision to carry `old` is the
    working model; for a trial `old` is the champion and `new` the working model.
    """
    folder = folder_of(home, call.ledger)
    both = SideBySide.of(old, new)
    require_sense(call, both)
    opened(load(folder), call)  # refused before the lock leaves a directory behind
    with locked(folder):
        ledger, digests = opened(load(folder), call), (old.digest(), new.digest())
        known = committed(ledger, call, digests)
        ledger, (number, look) = (ledger, known) if known else commit(ledger, call, both, digests)
        repeated = ledger.entries[number].brought[look].won is not None
        entry = _counted(ledger.entries[number], look, both)
        comparison = None
        if not entry.plan:
            comparison = compare(
                old, new, alpha=ledger.alpha, level=entry.level or ledger.alpha, margin=entry.margin
            )
        # Before anything is kept, so that what cannot be answered spends nothing.
        answer, looked = _answer(ledger, number, entry, look, comparison)
        if repeated:
            answer = _given(ledger.entries[number], look, entry, answer, call.ledger)
        if not known:
            fault_point("compare", "before")
            save(folder, ledger)
            fault_point("compare", "inside")
        if not repeated:
            ledger = ledger.with_entry(number, replace(entry, answer=answer))
            save(folder, ledger)
            fault_point("compare", "after")
    seen = ledger.seen(ledger.entries[:number])
    before = ledger.entries[: number + 1]
    return Judged(
        answer=answer,
        asked=call.asked,
        ledger=call.ledger,
        candidate=entry.candidate,
        repeated=repeated,
        test=sum(each.spends for each in before) if entry.spends else 0,
        planned_tests=ledger.planned_tests,
        num_left=ledger.num_left,
        level=entry.level,
        num_undecided=both.num_undecided,
        num_seen=sum(each in seen for each in touched_by(both, stories=False)),
        comparison=comparison,
        look=looked,
        num_looks=look + 1 if entry.plan else 0,
        trial_due=call.asked is Asked.CARRY and _is_trial_due(before, call.prove_every),
    )


def _counted(entry: Entry, look: int, both: SideBySide) -> Entry:
    """The entry with what a look's items said."""
    brought = list(entry.brought)
    brought[look] = replace(brought[look], won=both.signs.count(1), lost=both.signs.count(-1))
    return replace(entry, brought=tuple(brought))


def _given(kept: Entry, look: int, now: Entry, answer: Answer, ledger: str) -> Answer:
    """The answer that the call of a look was given before. Raises GateError where its results say another."""
    given = kept.answer if look == len(kept.brought) - 1 else Answer.CONTINUE
    # Which of these a trial comes to depends on the trials before it, and those may be answered after it.
    not_shown = (Answer.CARRIED, Answer.DROPPED)
    is_trial = kept.asked is Asked.PROVE
    same = given is answer or (is_trial and given in not_shown and answer in not_shown)
    if now != kept or not given or not same:
        raise GateError(f"ledger {ledger} has answered {given}, now the same call gives {answer}")
    return given


def _answer(
    ledger: LoopLedger, number: int, entry: Entry, look: int, comparison: Comparison | None
) -> tuple[Answer, Look | None]:
    """The answer to a call, as of one of its looks, and the sequential test so far."""
    won, lost = (sum(each.won or 0 for each in entry.brought), sum(each.lost or 0 for each in entry.brought))
    if entry.asked is Asked.CARRY:
        better = looks_better(_pairs(won, lost, won + lost)).passed
        return Answer.CARRIED if better else Answer.DROPPED, None
    looked = None
    if entry.plan:
        looked, outcome = _sequential(entry, look)
        if outcome is Outcome.CONTINUE:
            return Answer.CONTINUE, looked
        shown = outcome is Outcome.BETTER
        answer = Answer.ACCEPT if shown else Answer.REFUSE
    else:
        assert comparison is not None
        shown, answer = comparison.verdict in SHOWN, comparison.verdict
    if entry.asked is Asked.PROVE:
        given_up = lost > won or _refusals(ledger.entries[:number]) + 1 >= MOST_REFUSALS
        answer = Answer.PROVEN if shown else Answer.DROPPED if given_up else Answer.CARRIED
    return answer, looked


def _sequential(entry: Entry, look: int) -> tuple[Look, Outcome]:
    """The gate's sequential test, replayed up to a look: its state is a function of what was won and lost."""
    assert entry.plan
    settings = Gate(looks=entry.plan.looks, look_size=entry.plan.look_size)
    test = SequentialTest.of(settings, entry.level)
    for brought in entry.brought[: look + 1]:
        looked, outcome = test.look(_pairs(brought.won or 0, brought.lost or 0, entry.plan.look_size))
    return looked, outcome


def _pairs(won: int, lost: int, num: int) -> list[Pair]:
    return [(False, True)] * won + [(True, False)] * lost + [(True, True)] * (num - won - lost)


def _refusals(before: tuple[Entry, ...]) -> int:
    """Trials that have refused the present working model and did not make the loop go back.

    A trial that was left before it ended, or never answered, has shown nothing either.
    """
    answers = [entry.answer for entry in before if entry.asked is Asked.PROVE]
    settled = [number for number, answer in enumerate(answers) if answer in (Answer.PROVEN, Answer.DROPPED)]
    return len(answers) - (settled[-1] + 1 if settled else 0)


def _is_trial_due(before: tuple[Entry, ...], every: int) -> bool:
    """Whether a model is carried, and so many candidates have been seen since the last trial."""
    trials = [number for number, entry in enumerate(before) if entry.asked is Asked.PROVE]
    settled = [number for number in trials if before[number].answer in (Answer.PROVEN, Answer.DROPPED)]
    working = before[settled[-1] + 1 if settled else 0 :]
    # Also by a trial, of a candidate that was tried at once.
    if not any(entry.answer is Answer.CARRIED for entry in working):
        return False
    since = before[trials[-1] + 1 if trials else 0 :]
    return sum(entry.asked is Asked.CARRY for entry in since) >= every

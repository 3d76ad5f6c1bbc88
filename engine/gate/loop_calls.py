"""Calls of a ledger of comparisons: what may be asked, and how it is committed before it is answered.

Pure functions over the ledger's state; `engine/gate/loop_ledger.py` keeps it on disk.
"""

from dataclasses import dataclass, replace

from pydantic import ValidationError

from configs.schema import Carry, Gate
from engine.gate.compare import require_alpha, require_margin
from engine.gate.loop_state import Asked, Brought, Entry, LoopLedger, Plan, touched_by
from engine.gate.outcomes import CompareError, Kind, named
from engine.gate.side_by_side import SideBySide
from engine.records import fault_in
from engine.terminal import counted

PROVE_EVERY = Carry().prove_every
"""Candidates between two trials, as in a campaign."""
MOST_TESTS = 100_000
"""More would have levels that no results could reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked of a ledger."""

    ledger: str
    asked: Asked = Asked.TEST
    candidate: str = ""
    """Name of the candidate; needed where results arrive in looks."""
    tests: int | None = None
    """Planned tests; needed where the ledger is opened by the call, else it must agree."""
    alpha: float | None = None
    """Chance of any false claim; None: 0.05, or what the ledger was opened with."""
    margin: float | None = None
    plan: Plan | None = None
    """The looks of a sequential test; None where all results are here."""
    prove_every: int = PROVE_EVERY


def require_sense(call: Call, both: SideBySide) -> None:
    """Refuse what no ledger answers. Raises CompareError."""
    if len(call.candidate) > 200 or not call.candidate.isprintable():
        raise CompareError("the name of a candidate is one line of at most 200 characters")
    if call.margin is not None:
        require_margin(call.margin, both.kind)
        if call.plan or call.asked is not Asked.TEST:
            raise CompareError(
                "a margin goes with a test of all its items at once: without looks or carrying"
            )
        if both.kind is not Kind.PASS or both.clustered:
            raise CompareError("a ledger takes a margin only for items that pass or fail and have no stories")
    if not call.plan:
        return
    if call.asked is Asked.CARRY:
        raise CompareError("what is carried is decided at once: a sequential test is for claims")
    try:
        Gate(looks=call.plan.looks, look_size=call.plan.look_size)
    except ValidationError as error:
        raise CompareError(f"{fault_in(error)}, got {error.errors()[0]['input']}") from None
    if not call.candidate:
        raise CompareError("results that arrive in looks need --candidate NAME, to know whose they are")
    if len(both.names) != call.plan.look_size:
        size = counted(call.plan.look_size, "item")
        raise CompareError(f"a look takes {size} (--look-size), got {len(both.names)}")
    if both.clustered:
        raise CompareError("a sequential test takes one item of a story: its looks must be independent")


def opened(ledger: LoopLedger | None, call: Call) -> LoopLedger:
    """The ledger that a call is put to, or a new one. Raises CompareError where it was opened differently."""
    if ledger is None:
        if call.tests is None:
            raise CompareError(f"there is no ledger {call.ledger} yet: --tests N opens it, for so many tests")
        if not 1 <= call.tests <= MOST_TESTS:
            raise CompareError(f"a ledger plans 1 to {MOST_TESTS:,} tests, got {call.tests}")
        alpha = Gate().alpha if call.alpha is None else call.alpha
        require_alpha(alpha)
        return LoopLedger(alpha=alpha, planned_tests=call.tests)
    tests = ledger.planned_tests if call.tests is None else call.tests
    alpha = ledger.alpha if call.alpha is None else call.alpha
    if (tests, alpha) != (ledger.planned_tests, ledger.alpha):
        raise CompareError(
            f"ledger {call.ledger} has alpha {ledger.alpha:g} over {counted(ledger.planned_tests, 'test')}, "
            f"got {alpha:g} over {tests}: what it promises is fixed when it is opened"
        )
    return ledger


def committed(ledger: LoopLedger, call: Call, digests: tuple[str, str]) -> tuple[int, int] | None:
    """The numbers of the entry and of its look that a call repeats; None where it is a new one.

    Raises CompareError where results are brought that a committed call rules out.
    """
    for number, entry in enumerate(ledger.entries):
        if entry.asked is call.asked and entry.plan and not call.plan and call.candidate == entry.candidate:
            raise CompareError(
                f"the test of candidate {call.candidate} takes its results in looks: add --sequential, or "
                f"give a further test another name"
            )
        if (entry.asked, bool(entry.plan)) != (call.asked, bool(call.plan)):
            continue
        mine = call.candidate and entry.candidate == call.candidate
        for look, brought in enumerate(entry.brought):
            same = (brought.old, brought.new) == digests and entry.margin == call.margin
            # What is carried is known by its name: the next candidate may answer all as the one before did.
            named_alike = call.candidate == entry.candidate
            if same and (named_alike or not (call.plan or call.asked is Asked.CARRY)):
                return number, look
        if mine and not call.plan:
            raise CompareError(
                f"candidate {call.candidate} has been judged by other results, or another margin: a further "
                f"test of it needs another name"
            )
    return None


def _running(ledger: LoopLedger, call: Call) -> int | None:
    """The number of the sequential test that a new look belongs to; None where it begins one.

    Raises CompareError where the candidate's test cannot take it.
    """
    for number, entry in enumerate(ledger.entries):
        if not (entry.plan and entry.asked is call.asked and entry.candidate == call.candidate):
            continue
        who = f"the test of candidate {call.candidate}"
        if entry.plan != call.plan and call.plan:
            raise CompareError(
                f"{who} was begun with --looks {entry.plan.looks} --look-size {entry.plan.look_size}, got "
                f"{call.plan.looks} and {call.plan.look_size}: name the same at each look"
            )
        if entry.ended:
            raise CompareError(f"{who} has ended: {entry.answer}")
        if any(later.spends for later in ledger.entries[number + 1 :]):
            raise CompareError(f"{who} was left for another one before it ended, and counts as not shown")
        if entry.brought[-1].won is None:
            raise CompareError(
                f"look {len(entry.brought)} of candidate {call.candidate} was committed with other results, "
                f"and not answered: bring those again"
            )
        return number
    return None


def commit(
    ledger: LoopLedger, call: Call, both: SideBySide, digests: tuple[str, str]
) -> tuple[LoopLedger, tuple[int, int]]:
    """The ledger with a new call in it, and the numbers of its entry and look. Raises CompareError."""
    number = _running(ledger, call) if call.plan else None
    touched = touched_by(both)
    if call.asked is Asked.PROVE:
        others = tuple(entry for at, entry in enumerate(ledger.entries) if at != number)
        _require_untouched(ledger, others, touched, f"earlier calls of ledger {call.ledger} have", "a trial")
    if number is not None:
        own = (ledger.entries[number],)
        _require_untouched(
            ledger, own, touched, f"earlier looks of candidate {call.candidate} have", "a look"
        )
    if number is None and call.asked is not Asked.CARRY and not ledger.num_left:
        spent = counted(ledger.planned_tests, "planned test")
        raise CompareError(
            f"ledger {call.ledger} is used up: {spent}, all spent; a ledger by another name is another error "
            f"budget, with a chance of a false claim of its own"
        )
    ledger, items = ledger.with_items(touched)
    brought = Brought(old=digests[0], new=digests[1], items=items)
    if number is not None:
        entry = ledger.entries[number]
        entry = replace(entry, brought=(*entry.brought, brought))
        return ledger.with_entry(number, entry), (number, len(entry.brought) - 1)
    entry = Entry(
        asked=call.asked,
        candidate=call.candidate,
        level=0.0 if call.asked is Asked.CARRY else ledger.next_level(),
        margin=call.margin,
        plan=call.plan,
        brought=(brought,),
    )
    return ledger.with_entry(len(ledger.entries), entry), (len(ledger.entries), 0)


def _require_untouched(
    ledger: LoopLedger, by: tuple[Entry, ...], touched: dict[str, str], who: str, what: str
) -> None:
    seen = ledger.seen(by)
    if again := [name for each, name in touched.items() if each in seen]:
        raise CompareError(f"{who} seen {named(again)}: {what} takes items, and stories, that are new to it")

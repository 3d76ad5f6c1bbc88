"""What `ratchet compare --ledger` prints for people: a ledger's answer, and what is left of its budget."""

from engine.gate import compare_text
from engine.gate.compare import Answer
from engine.gate.compare_text import Row, counts
from engine.gate.loop_ledger import Judged
from engine.gate.loop_state import Asked
from engine.terminal import counted

_AFTER_TRIAL = {
    Answer.PROVEN: "; it is the champion now",
    Answer.CARRIED: "; not shown, and carried on as the working model",
    Answer.DROPPED: "; not shown, and it is given up: go on from the champion",
}


def sentence(judged: Judged) -> str:
    """A ledger's answer in one line."""
    begin, look = str(judged.answer), judged.look
    if look:
        so_far = f"{look.wins} won, {look.losses} lost of {counted(look.num_problems, 'item')}"
        more = "; bring the next look" if judged.answer is Answer.CONTINUE else ""
        return f"{begin}: look {judged.num_looks}, {so_far}{more or _AFTER_TRIAL.get(judged.answer, '')}"
    assert judged.comparison
    if judged.asked is Asked.PROVE:
        return compare_text.sentence(judged.comparison, judged.answer) + _AFTER_TRIAL[judged.answer]
    if judged.asked is Asked.CARRY:
        looks = (
            "looks better, which is not proven" if judged.answer is Answer.CARRIED else "does not look better"
        )
        return f"{begin}: {counts(judged.comparison)}; {looks}"
    return compare_text.sentence(judged.comparison, judged.answer)


def rows(judged: Judged) -> list[Row]:
    """The figures behind a ledger's answer, and what is left of its budget."""
    found: list[Row] = []
    if judged.comparison:
        found += compare_text.rows(judged.comparison, claims=judged.asked is not Asked.CARRY)
    if judged.look:
        boundary = judged.look.boundary
        needed = "no number of wins" if boundary is None else counted(boundary, "win")
        if judged.num_undecided:
            found.append(("undecided", f"{judged.num_undecided} of this look, counted against the new model"))
        found.append(("boundary", f"{needed} at this look"))
        found.append(("chance to show it", f"{judged.look.conditional_power:.1%}, if it is as planned"))
    left = f"{counted(judged.num_left, 'test')} of {judged.planned_tests} left"
    if judged.test:
        left = f"test {judged.test} of {judged.planned_tests}, at level {judged.level:.4g}; {left}"
    found.append((f"ledger {judged.ledger}", left))
    if judged.repeated:
        found.append(("", "answered before: nothing was spent"))
    if judged.num_seen and judged.test:
        found.append(("seen before", _seen(judged)))
    if judged.trial_due:
        found.append(
            ("trial due", "compare champion and working model on fresh items, with --ledger and --prove")
        )
    return found


def _seen(judged: Judged) -> str:
    items = counted(judged.num_seen, "item")
    return f"{items}: the level holds if the candidate was not chosen or trained by its results on them"

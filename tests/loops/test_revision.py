"""What self-critique shows: both ways to ask side by side, and their difference on the same answers."""

from dataclasses import replace

from engine.records import Answer, Problem
from engine.verify import rules
from loops.revision import panel_of
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem

ASKED = replace(problem(CHAIN, "Max is sour.", "False", notation="english"), turns=("Is Max sour?",))


def judged(text: str, asked: Problem = ASKED) -> Answer:
    given = attempt(text, problem_id=asked.id)
    return Answer(attempt=given, verdict=rules.verify(asked, given))


GOOD, BAD = judged(PROOF), judged(PROOF.replace("Answer: False", "Answer: True"))


def test_the_figures_stand_side_by_side() -> None:
    panel = panel_of([GOOD, GOOD, BAD, BAD], [GOOD, BAD, BAD, BAD])
    assert panel.rows[1:] == (("wrong, and why", "4", "2", "50.0%"), ("nothing", "4", "1", "25.0%"))
    assert "1 were mended only when told, 0 only when not: a difference of +25.0%" in panel.note
    for untold in (None, []):
        assert "difference" not in panel_of([], untold).note
    assert len(panel_of([], None).rows) == 2


def test_the_difference_is_of_pairs() -> None:
    """Six of eight against six of eight may hide that none was mended by both."""
    told, untold = [GOOD] * 6 + [BAD] * 14, [BAD] * 6 + [GOOD] + [BAD] * 13
    note = panel_of(told, untold).note
    assert "6 were mended only when told, 1 only when not: a difference of +25.0%, 95 % interval " in note
    assert note.endswith("p = 0.062."), note
    low, high = note.partition("interval ")[2].partition(",")[0].split(" to ")
    assert -0.05 < float(low.rstrip("%")) / 100 < 0.05 and 0.4 < float(high.rstrip("%")) / 100 < 0.55
    # Nothing told them apart, and the other way round is the other way round.
    assert "+0.0%" in panel_of(told, told).note and "p = 1." in panel_of(told, told).note
    assert "a difference of -25.0%" in panel_of(untold, told).note

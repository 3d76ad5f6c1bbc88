"""The truth of a question by Z3: proved, refuted, or why there is none."""

import pytest

from engine.logic.english import English
from engine.logic.entailment import Entailment
from engine.logic.labels import Unlabelled, label

RULES = ("Each wumpus is a tumpus.", "Tumpuses are not sour.", "Every tumpus is red.", "Each rompus is blue.")


def found(*facts: str, asked: str) -> bool:
    notation = English((*RULES, *facts))
    return label(notation.premises, notation.parse(asked))


def test_what_the_premises_decide_is_labelled() -> None:
    assert found("Max is a wumpus.", asked="Max is red.")
    assert not found("Max is a wumpus.", asked="Max is not red.")
    assert found("Max is a wumpus.", asked="Max is not sour.")
    assert not found("Max is a wumpus.", asked="Max is sour.")
    assert not found("Max is sour.", asked="Max is a wumpus."), "also where no chain of rules leads there"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (("Max is a wumpus.",), "open"),
        (("Max is a wumpus.", "Max is sour."), "contradictory"),
        (("Max is a wumpus.", "Max is not a tumpus."), "contradictory"),
    ],
)
def test_what_they_do_not_decide_says_why(facts: tuple[str, ...], why: str) -> None:
    with pytest.raises(Unlabelled, match=f"^{why}$"):
        found(*facts, asked="Max is blue.")


def test_a_solver_that_gives_up_labels_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Entailment, "follows", lambda *_: None)
    with pytest.raises(Unlabelled, match="^undecided$"):
        found("Max is a wumpus.", asked="Max is red.")

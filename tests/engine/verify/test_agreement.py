"""Both checkers on problems as people bring them: they read alike, and what the rules pass Z3 passes."""

import pytest

from engine.logic.faults import ProofFault
from engine.logic.proof_check import prune
from engine.records import Status
from engine.verify import load_verifier, rules, sealed
from tests.support.proof_helpers import attempt, problem


def judged(
    premises: list[str], question: str, text: str, gold: str = "True", *, notation: str = "fol"
) -> tuple[Status, Status]:
    """What the rules say, and what Z3 says. Fails where the rules alone pass."""
    asked, given = problem(premises, question, gold, notation=notation), attempt(text)
    first, second = rules.verify(asked, given), sealed.verify(asked, given)
    assert first.status is not Status.PASS or second.status is Status.PASS, second.reason
    assert load_verifier("rules + z3")(asked, given).status is first.status
    return first.status, second.status


BOTH = Status.PASS, Status.PASS
NONE = Status.FAIL, Status.FAIL
UNREAD = Status.UNDECIDED, Status.UNDECIDED


@pytest.mark.parametrize(
    ("premises", "question", "lines"),
    [
        (
            ["Foxes are horses.", "Horses are fast.", "Max is a fox."],
            "Max is fast.",
            "Max is a horse. [1 3 mp] [4]\nMax is fast. [2 4 mp] [5]",
        ),
        (
            ["Foxes are horses.", "Horses are fast.", "Max is a fox."],
            "Each fox is fast.",
            "Each fox is fast. [1 2 hs] [4]",
        ),
        (["Max is a butterfly.", "Butterflies are small."], "Max is small.", "Max is small. [2 1 mp] [3]"),
        (["Max is a cat.", "Cats are movies."], "Max is a movie.", "Max is a movie. [2 1 mp] [3]"),
        (["Max is a cat.", "Cats are movies."], "Max is a movy.", "Max is a movie. [2 1 mp] [3]"),
        (["Max is a wolf.", "Wolves are wild."], "Max is wild.", "Max is wild. [2 1 mp] [3]"),
        (["Max is a dove.", "Doves are wild."], "Max is wild.", "Max is wild. [2 1 mp] [3]"),
        (["Max is a house.", "Houses are old."], "Max is old.", "Max is old. [2 1 mp] [3]"),
        (["Max is an axe.", "Axes are sharp."], "Max is sharp.", "Max is sharp. [2 1 mp] [3]"),
        (["Max is a quiz.", "Quizzes are hard."], "Max is hard.", "Max is hard. [2 1 mp] [3]"),
        (["Max is a hero.", "Heroes are bold."], "Max is bold.", "Max is bold. [2 1 mp] [3]"),
        (["Max is a cat.", "Cats are mammals."], "Max is a mammal.", "Max is a mammal. [2 1 mp] [3]"),
        (["Max is a cat.", "Cats are nervous."], "Max is nervous.", "Max is nervous. [2 1 mp] [3]"),
        (["Max is a wumpus.", "Wumpuses are rompuses."], "Max is a rompus.", "Max is a rompus. [2 1 mp] [3]"),
    ],
)
def test_plurals_name_the_kind_that_is_meant(premises: list[str], question: str, lines: str) -> None:
    assert judged(premises, question, f"{lines}\nAnswer: True", notation="english") == BOTH


def test_two_names_of_one_kind_are_one_claim() -> None:
    premises = ["Foxes are horses.", "Horses are fast.", "Max is a fox."]
    lines = (
        "Max is a horse. [1 3 mp] [4]\nMax is a hors. [1 3 mp] [5]\nMax is fast. [2 4 mp] [6]\nAnswer: True"
    )
    assert judged(premises, "Max is fast.", lines, notation="english") == (Status.FAIL, Status.PASS)
    short = "Max is a hors. [1 3 mp] [4]\nMax is fast. [2 4 mp] [5]\nAnswer: True"
    assert judged(premises, "Max is fast.", short, notation="english") == BOTH
    asked = problem(premises, "Max is fast.", notation="english")
    assert prune(asked, attempt(short)) == (short.replace("hors.", "horse."),)


@pytest.mark.parametrize(
    ("premises", "reason"),
    [
        (["Glass are blue.", "Each glass is red.", "Max is a glass."], "'glass' is a kind in the singular"),
        (["Wumpus are blue.", "Max is a wumpus."], "'wumpus' is a kind in the singular"),
        (["Men are mortal.", "Max is a man."], "'men' is not a plural"),
        (["Max is an ax.", "Tom is an axe.", "Axes are red."], "'ax' and 'axe' have one plural, 'axes'"),
        (["Quizes are hard.", "Quizzes are fun.", "Max is a man."], "'quiz' may be the singular of"),
    ],
)
def test_a_plural_that_is_only_guessed_is_refused(premises: list[str], reason: str) -> None:
    asked = problem(premises, premises[-1], notation="english")
    for checker in (rules, sealed):
        verdict = checker.verify(asked, attempt("Answer: True"))
        assert (verdict.status, verdict.fault) == (Status.UNDECIDED, ProofFault.UNREADABLE)
        assert verdict.reason.startswith("the problem cannot be read: ") and not verdict.right
    assert reason in rules.verify(asked, attempt("Answer: True")).reason


def test_no_claim_uses_a_word_that_no_premise_has() -> None:
    premises = ["Glasses are blue.", "Each glass is red.", "Max is a glass."]
    assumed = "Max is a glas. [assume] [4]\nMax is blue. [1 3 mp] [5]\nAnswer: True"
    assert judged(premises, "Max is blue.", assumed, notation="english") == NONE
    assert judged(premises, "Max is a glas.", "Answer: Unknown", "Unknown", notation="english") == UNREAD


@pytest.mark.parametrize(
    ("premises", "question", "text", "gold", "found"),
    [
        (["P"], "P", "Answer: True", "True", BOTH),
        (["P"], "P", "Answer: True", "", BOTH),
        (["P"], "-P", "Answer: False", "False", BOTH),
        (["-P"], "P", "Answer: False", "False", BOTH),
        (["all x P(x)", "Q(a)"], "all x P(x)", "Answer: True", "True", BOTH),
        (["P"], "P", "Answer: False", "False", NONE),
        (["P"], "-P", "Answer: True", "True", NONE),
        (["P", "Q -> Q"], "Q", "Answer: True", "True", NONE),
        (["P"], "P", "Answer: True", "False", NONE),
        # Lines that come back to it claim nothing new.
        (["P"], "P", "--P [1 dn] [2]\nP [2 dn] [3]\nAnswer: True", "True", (Status.FAIL, Status.PASS)),
        (["P"], "-P", "--P [1 dn] [2]\nAnswer: False", "False", NONE),
        (["--P"], "P", "P [1 dn] [2]\nAnswer: True", "True", BOTH),
    ],
)
def test_what_is_given_needs_no_proof(
    premises: list[str], question: str, text: str, gold: str, found: tuple[Status, Status]
) -> None:
    assert judged(premises, question, text, gold) == found


def test_an_answer_that_is_given_is_pruned_to_itself() -> None:
    assert prune(problem(["P"], "P"), attempt("Answer: True")) == ("Answer: True",)
    with pytest.raises(ValueError, match="there is no proof of the answer True"):
        prune(problem(["P", "Q -> Q"], "Q"), attempt("Answer: True"))


def test_a_line_fills_one_place_but_where_nothing_else_could() -> None:
    assert judged(["P", "P & P -> R"], "R", "R [2 1 1 mp] [3]\nAnswer: True") == BOTH
    assert judged(["P", "P & P -> R"], "R", "R [2 1 mp] [3]\nAnswer: True") == (Status.FAIL, Status.PASS)
    assert judged(["A -> B"], "A -> A", "A [assume] [2]\nA -> A [2 2 cp] [3]\nAnswer: True") == BOTH
    twice = judged(["P"], "P & P", "P & P [1 1 and_i] [2]\nAnswer: True")
    assert twice == (Status.FAIL, Status.PASS)


def test_a_tautology_that_cites_nothing_is_several_steps_in_one() -> None:
    assert judged(["P"], "P | -P", "P | -P [mp] [2]\nAnswer: True") == (Status.FAIL, Status.PASS)

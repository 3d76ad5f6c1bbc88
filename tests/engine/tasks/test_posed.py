"""Questions that people pose: the prompt is the task's own, and what is not read is named with its place."""

from collections.abc import Sequence

import pytest

from engine.logic.first_order.folio import write_folio
from engine.logic.first_order.notation import parse
from engine.records import Problem
from engine.tasks import load_task
from engine.tasks.suite import NotPosed
from tests.support.proof_helpers import theory
from tests.support.suites import suite


def pose(task: str, premises: Sequence[str], question: str) -> Problem:
    read = load_task(task).pose
    assert read is not None
    return read(premises, question)


def refused(task: str, premises: Sequence[str], question: str) -> NotPosed:
    with pytest.raises(NotPosed) as caught:
        pose(task, premises, question)
    return caught.value


@pytest.mark.parametrize(
    ("task", "slices"),
    [
        ("prontoqa", None),
        ("proofwriter", None),
        ("proofwriter", {"world": ["closed"]}),
        ("formal", None),
    ],
)
def test_a_posed_question_is_the_tasks_own_prompt(
    task: str, slices: dict[str, list[int | bool | str]] | None
) -> None:
    for problem in suite(task, slices).draw(25, split="posed", seed=0):
        given = theory(problem)
        posed = pose(task, [f"  {each} " for each in given.premises], f" {given.question}")
        assert posed.turns == problem.turns
        assert theory(posed).answer == "" and not posed.gold
        assert (theory(posed).premises, theory(posed).question) == (given.premises, given.question)
        assert theory(posed).notation == given.notation and posed.task == task


def test_sentences_stand_before_their_formulas() -> None:
    """As in a prompt; folio's are nobody's templates."""
    premises = ["Rina drinks.", "Drinks(rina)", "all x (Drinks(x) -> Jokes(x))"]
    posed = pose("folio", premises, "Rina jokes.\n Jokes(rina)")
    assert posed.turns == (
        "Rina drinks.\nDrinks(rina) [1]\nall x (Drinks(x) -> Jokes(x)) [2]\n"
        "True, false or unknown: Rina jokes.\nJokes(rina)",
    )
    alone = pose("folio", premises[1:], "Jokes(rina)")
    assert alone.turns[0].endswith("[2]\nTrue, false or unknown:\nJokes(rina)")


def test_folios_notation_becomes_the_notation_of_answers() -> None:
    posed = pose("folio", ["∀x (Cold(x) ∧ Świątek(x) → gpt-3(x))", "Cold(Świątek)"], "¬gpt-3(Świątek)")
    assert theory(posed).notation == "first_order"
    assert theory(posed).premises == ("all x (Cold(x) & Swiatek(x) -> Gpt_3(x))", "Cold(swiatek)")
    assert theory(posed).question == "-Gpt_3(swiatek)"


def test_a_quantifier_reaches_as_far_as_its_notation_says() -> None:
    """A name that is bound and free at once is none of `first_order`, so FOLIO's reading is the one."""
    for premise, read in (
        ("all x P(x) -> Q(a)", "all x P(x) -> Q(a)"),
        ("∀x P(x) → Q(a)", "all x (P(x) -> Q(a))"),
        ("all x P(x) -> Q(x)", "all x (P(x) -> Q(x))"),
        ("(all x P(x)) -> Q(a)", "all x P(x) -> Q(a)"),
    ):
        assert theory(pose("folio", [premise], "Q(a)")).premises == (read,)


def test_both_notations_of_formulas_make_the_same_problem() -> None:
    for problem in suite("formal").draw(25, split="posed", seed=1):
        given = theory(problem)
        *premises, question = (write_folio(parse(each)) for each in (*given.premises, given.question))
        assert pose("formal", premises, question).turns == problem.turns


@pytest.mark.parametrize("blank", ["\u2003", "\u2028", "\u00a0", "\x0b", "\x1f", "\t", "\n"])
def test_any_blank_is_one(blank: str) -> None:
    premises = ["Student(a) -> Reads(a)", "Student(a)"]
    plain = pose("formal", premises, "Reads(a) | Student(a)")
    spaced = [each.replace(" ", blank) for each in premises]
    question = "Reads(a) | Student(a)" if blank == "\n" else f"Reads(a){blank}|{blank}Student(a)"
    assert pose("formal", spaced, question).turns == plain.turns
    assert refused("formal", [f"Student(a){blank}->{blank}Reads("], "Student(a)").column == 21


@pytest.mark.parametrize(
    ("task", "premises", "question", "number", "column", "reason"),
    [
        ("prontoqa", ["Max is a cat.", "Max purrs."], "Max is a cat.", 1, 0, "not a statement: 'Max purrs.'"),
        ("prontoqa", ["Max is a cat."], "Max is a dog.", 1, 0, "'dog' takes no article"),
        ("prontoqa", ["Max is a cat.", "Cats are ill.", "Cat are ill."], "Max is ill.", 2, 0, "singular"),
        ("proofwriter", ["Anne is red.", "It is red."], "Anne is red.", 1, 0, "'it' is no word"),
        ("proofwriter", ["Anne is red.", "Nothing else is true."], "Red.", 2, 0, "not a statement"),
        ("proofwriter", ["Nothing else is true.", "Anne is red."], "Anne is red.", 0, 0, "only be the last"),
        ("formal", ["P(a)", "P(b) & Q("], "P(a)", 1, 10, "a constant or variable"),
        ("formal", ["It is.", "P(a) ->"], "P(a)", 1, 8, "a predicate in capitals expected"),
        ("formal", ["P(a)", "And that is all."], "P(a)", 1, 5, "the formula ends before 'that'"),
        ("formal", ["all x (P(x) -> Q(x)", "P(a)"], "Q(a)", 0, 20, "')' expected"),
        ("folio", ["∀x (P(x) → Q(x)", "P(a)"], "Q(a)", 0, 16, "')' expected"),
        ("formal", ["not Q(a", "R(a)"], "R(a)", 0, 8, "expected"),
        ("formal", ["P(a)"], "Q(b)\nP(a)", 1, 0, "the question is one formula"),
        ("formal", ["P(a)"], "P(a) &\nQ(a)", 1, 0, "the question is one formula"),
        ("folio", ["∀x P(x"], "P(a)", 0, 7, "')' expected, got 'the end'"),
        ("folio", ["P(a)"], "¬P(y)", 1, 4, "no quantifier binds the variable 'y'"),
        ("folio", ["P(a)"], "No formula.", 1, 4, "the formula ends before 'formula'"),
        (
            "formal",
            ["all x (P(x) → R(x))", "all x P(x) -> Q(a)"],
            "Q(a)",
            1,
            0,
            "∀x (P(x) → Q(a)) or otherwise",
        ),
    ],
)
def test_what_is_not_read_is_named_with_its_place(
    task: str, premises: list[str], question: str, number: int, column: int, reason: str
) -> None:
    found = refused(task, premises, question)
    assert (found.number, found.column) == (number, column), found.reason
    assert reason in found.reason


def test_reading_a_long_text_with_a_fault_is_quick() -> None:
    premises = [f"Name{chr(97 + i % 26)} is w{'o' * (i % 30)}rd." for i in range(256)]
    found = refused("proofwriter", [*premises[:200], "?", *premises[200:]], "Namea is red.")
    assert found.number == 200

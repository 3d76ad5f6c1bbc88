"""Which task reads a question: exactly one problem must come of it, or the sentence says why not."""

from pathlib import Path

import pytest

from configs.load import load
from engine.prove.question import AskedError, question_in
from engine.prove.styles import Posed, names_of, pose, posed_in, posing_tasks, tasks_for
from engine.tasks.suite import DataError
from tests.support.suites import suite

OWN = """
from engine.records import Problem, Theory

NAME, VERIFIERS = "own", ("rules",)
DIMENSIONS, DEFAULT_SLICES = {"size": (1,)}, {"size": [1]}
STYLE = "A thing."


def make(settings, rng, **where): ...


def pose(premises, question):
    return BODY
"""
GOOD = """Problem(id="1", task=NAME, slice="", turns=("so?",), gold=(), split="", origin="",
                   truth=Theory(premises=tuple(premises), question=question, notation="fol", answer=""))"""


def posed(text: str, *tasks: str) -> Posed:
    named = [task for name in tasks for task in tasks_for(name)]
    return pose(question_in(text), named or posing_tasks())


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("Each cat is a pet.\nMax is a cat.\nMax is a pet.", ["prontoqa"]),
        ("If someone is cold then they are red.\nAnne is cold.\nAnne is red.", ["proofwriter"]),
        ("Anne is red.\nNothing else is true.\nAnne is red.", ["proofwriter"]),
        ("∀x (P(x) → Q(x))\nP(a)\nQ(a)", ["formal", "folio"]),
        ("all x (P(x) -> Q(x))\nP(a)\nQ(a)", ["formal", "folio"]),
    ],
)
def test_the_style_says_which_tasks_read_it(text: str, tasks: list[str]) -> None:
    assert [task.name for task in posed(text).tasks] == tasks


def test_the_prompt_of_a_task_is_read_by_that_task() -> None:
    for name in ("prontoqa", "proofwriter", "formal"):
        for problem in suite(name).draw(20, split="posed", seed=2):
            found = posed(problem.turns[0])
            assert name in [task.name for task in found.tasks]
            assert found.problem.turns == problem.turns


def test_what_two_tasks_read_differently_needs_the_name_of_one() -> None:
    text = "Anne is red.\nBob is not big.\nBob is red."
    with pytest.raises(AskedError, match="ends in line 3 can be read as prontoqa and as proofwriter: --task"):
        posed(text)
    assert posed(text, "prontoqa").problem.turns[0].endswith("True or false: Bob is red.")
    assert posed(text, "proofwriter").problem.turns[0].endswith("unknown: Bob is red.")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "Each cat is a pet.\nMax purrs.\nMax is a pet.",
            ["line 2: no task reads 'Max purrs.' (prontoqa: not a statement: 'Max purrs.'); what is read: "],
        ),
        (
            "P(a)\nQuestion:  P(a) & ",
            ["line 2: no task reads 'P(a) &' (formal and folio: column 18: a predicate in capitals expected"],
        ),
        (
            "What?\nSo.",
            ["line 1", "(prontoqa and proofwriter: not a statement: 'What?'; formal and folio: column 5: "],
        ),
        ("∀x P(x)\nall x P(x) -> Q(a)\nQ(a)", ["line 2", "(formal and folio: it can be", "set brackets)"]),
    ],
)
def test_the_statement_that_no_task_reads_is_named(text: str, parts: list[str]) -> None:
    with pytest.raises(AskedError) as caught:
        posed(text)
    for part in (
        *parts,
        "prontoqa (Each wumpus is a tumpus.); proofwriter (If someone is cold then they are",
    ):
        assert part in str(caught.value)
    assert "formal and folio (∀x (Student(x) → Reads(x)), or all x" in str(caught.value)


def test_a_task_is_named_or_those_of_a_campaign_are_meant(tmp_path: Path) -> None:
    assert [task.name for task in posing_tasks()] == ["prontoqa", "proofwriter", "formal", "folio"]
    assert [task.name for task in tasks_for("folio")] == ["folio"]
    config = load("configs/transfer.yaml")
    assert [task.name for task in tasks_for("configs/transfer.yaml", config)] == ["prontoqa", "formal"]
    english = load("configs/folio.yaml", ["task.form=english"])
    assert names_of(english.task) == []
    for name, campaign in (("gym", None), ("folio.yaml", english)):
        with pytest.raises(AskedError, match=f"--task {name} reads no questions; what is read: prontoqa"):
            tasks_for(name, campaign)
    with pytest.raises(DataError, match="task 'nonsense' is neither"):
        tasks_for("nonsense")


def test_a_users_own_task_reads_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN.replace("BODY", GOOD))
    assert posed("A\nB", str(file)).problem.turns == ("so?",)
    for body, reason in (("3", "a function that returns a Problem with a Theory, got 3"), ("1 / 0", "Zero")):
        file.write_text(OWN.replace("BODY", body))
        with pytest.raises(Exception, match=reason) as caught:
            posed("A\nB", str(file))
        assert "\n" not in str(caught.value)
    file.write_text(OWN.replace("STYLE", "OTHER").replace("BODY", GOOD))
    with pytest.raises(DataError, match="STYLE must be text"):
        posed("A\nB", str(file))


def test_a_mistake_names_its_file(tmp_path: Path) -> None:
    file = tmp_path / "asked.json"
    file.write_text(
        '[{"premises": ["P(a)"], "question": "P(a)"}, {"premises": ["P(a)", "P("], "question": "Q"}]'
    )
    with pytest.raises(AskedError, match=f"{file}: record 2, premise 2: no task reads 'P\\('"):
        posed_in(file, posing_tasks())

"""What people write: texts and prompts, JSON of one or several, and what is wrong with either."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.prove.question import MOST_STATEMENTS, Asked, AskedError, question_in, read_questions
from tests.support.suites import suite


def texts(asked: Asked) -> tuple[list[str], str]:
    return [premise.text for premise in asked.premises], asked.question.text


@pytest.mark.parametrize(
    "question",
    [
        "Max is red.",
        "Question: Max is red.",
        "QUESTION :   Max is red.",
        "True or false: Max is red.",
        "True, false or unknown: Max is red.",
        "Is the following statement true or false? Max is red.",
        "Based on the above information, is the following statement true, false, or unknown? Max is red.",
    ],
)
def test_a_text_has_a_premise_a_line_and_then_its_question(question: str) -> None:
    asked = question_in(f"\n Max is a cat. \r\n\nCats are red.\n{question}\n\n")
    assert texts(asked) == (["Max is a cat.", "Cats are red."], "Max is red.")
    assert [each.place for each in (*asked.premises, asked.question)] == ["line 2", "line 4", "line 5"]
    assert asked.premises[0].indent == 1
    assert asked.question.indent == len(question) - len("Max is red.")
    assert asked.id == 1


def test_a_prompt_is_such_a_text() -> None:
    for task in ("prontoqa", "proofwriter", "formal"):
        for problem in suite(task).draw(5, split="posed", seed=0):
            premises, question = texts(question_in(problem.turns[0]))
            assert not any("[" in each for each in premises)
            assert problem.turns[0].endswith(question)


def test_a_list_with_dashes_is_not_read_as_denials() -> None:
    for text in ("- P(a)\n- Q(a)\nR(a)", "  - all x P(x)\n\n  - Q(a)\nQuestion:\n- R(a)"):
        with pytest.raises(AskedError, match="are a list with dashes.*as -P"):
            question_in(text)
    assert texts(question_in("- P(a)\nQ(a)"))[0] == ["- P(a)"]
    assert texts(question_in("-P(a)\n-Q(a)\n- R(a)"))[0] == ["-P(a)", "-Q(a)"]


def test_only_numbers_that_count_the_lines_are_left_out() -> None:
    assert texts(question_in("P(a) [1]\nP(b) [3]\nP(c)\nP(d) [2]\nP(a)"))[0] == [
        "P(a)",
        "P(b) [3]",
        "P(c)",
        "P(d)",
    ]


def test_a_question_may_have_a_sentence_before_its_formula() -> None:
    asked = question_in("P(a)\nTrue, false or unknown: It rains.\n  Rain [x]")
    assert texts(asked) == (["P(a)"], "It rains.\nRain [x]")
    assert (asked.question.place, asked.question.indent) == ("line 3", 2)
    asked = question_in("P(a)\nTrue, false or unknown:\nRain")
    assert texts(asked) == (["P(a)"], "Rain")


def file_of(folder: Path, content: str | bytes) -> Path:
    file = folder / "asked"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


ONE = {"premises": ["Max is a cat."], "question": "Max is a cat."}


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (json.dumps(ONE), [1]),
        (json.dumps([ONE, {**ONE, "id": "cats"}]), [1, "cats"]),
        ("\n".join(json.dumps(each) for each in ({**ONE, "id": 7}, ONE)), [7, 2]),
    ],
)
def test_json_has_one_problem_or_several(tmp_path: Path, content: str, ids: list[str | int]) -> None:
    found = read_questions(file_of(tmp_path, content))
    assert [asked.id for asked in found] == ids
    assert all(texts(asked) == (ONE["premises"], ONE["question"]) for asked in found)


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO("\ufeffMax is a cat.\nMax is red.".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    (asked,) = read_questions(Path("-"))
    assert texts(asked) == (["Max is a cat."], "Max is red.")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "got 0 lines of text"),
        ("Max is red.", "it must hold premises, one a line, and below them the question, got 1 line of text"),
        ("Question: Max is red.", "got 1 line of text"),
        (b"\xff\xfe", "it is not text in UTF-8, at byte 1"),
        ("{", "it is neither text nor JSON"),
        ("[]", "it holds no record"),
        ('{"premises": [], "question": "A"}', "the record: premises: "),
        ('{"premises": "A", "question": "A"}', "the record: premises: "),
        ('{"premises": ["A"]}', "the record: question: Field required"),
        ('[{"premises": ["A"], "question": "A"}, 3]', "record 2: top level: "),
        ('{"premises": ["A"], "question": "A", "gold": "B"}', "the record: gold: Extra inputs"),
        ('{"premises": ["\\ud800"], "question": "A"}', r"the character '\ud800', which is no text"),
        ("A.\n" * (MOST_STATEMENTS + 1), "at most 256 statements and 32,768 characters, got 257"),
        ("A" * 40_000 + "\nB", "got 2 and 40,001"),
    ],
)
def test_what_holds_no_question_is_one_sentence(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(AskedError) as caught:
        read_questions(file_of(tmp_path, content))
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(AskedError, match="it cannot be read: No such file"):
        read_questions(tmp_path / "none")

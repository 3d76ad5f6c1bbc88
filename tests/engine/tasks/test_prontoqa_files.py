"""The layouts of PrOntoQA's public files: all give the same problems, and a file in another names them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.records import Problem, Status
from engine.tasks import prontoqa
from engine.tasks.suite import DataError
from engine.verify import rules
from tests.support.proof_helpers import attempt, theory
from tests.support.suites import suite

DRAWN = suite().draw(6, split="public", seed=3)
LAYOUTS = (
    "; the layouts that are read are the authors' examples (question, query, answer; alone or as "
    "test_example) and Logic-LM's records (id, context, question, answer), as JSON or JSON lines"
)


def repacked(problem: Problem, number: int) -> dict[str, Any]:
    return {
        "id": f"ProntoQA_{number}",
        "context": " ".join(theory(problem).premises),
        "question": f"Is the following statement true or false? {theory(problem).question}",
        "options": ["A) True", "B) False"],
        "answer": "A" if theory(problem).answer == "True" else "B",
        "explanation": ["Max is a wumpus."],
    }


def example(problem: Problem) -> dict[str, Any]:
    """As the authors' generator writes one."""
    return {
        "question": " ".join(theory(problem).premises),
        "query": f"True or false: {theory(problem).question}",
        "chain_of_thought": ["Max is a wumpus."],
        "answer": theory(problem).answer,
    }


REPACK = [repacked(problem, i) for i, problem in enumerate(DRAWN, 1)]
SHOWN = {f"in_context_example{i}": example(DRAWN[0]) for i in range(3)}
EXAMPLES = [{**SHOWN, "test_example": example(problem)} for problem in DRAWN]
AUTHORS = {f"example{i}": each for i, each in enumerate(EXAMPLES, 1)}
BARE = [each["test_example"] for each in EXAMPLES]


def lines(records: list[Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (json.dumps(REPACK, indent=1), "ProntoQA_2"),
        (json.dumps([{**record, "id": i} for i, record in enumerate(REPACK)]), "1"),
        (lines(REPACK), "ProntoQA_2"),
        ("\ufeff\r\n" + lines(REPACK).replace("\n", "\r\n\r\n").rstrip(), "ProntoQA_2"),
        (json.dumps(AUTHORS), "example2"),
        (json.dumps(AUTHORS, indent=2), "example2"),
        (json.dumps(EXAMPLES), "2"),
        (lines(EXAMPLES), "2"),
        (lines(BARE), "2"),
        (lines([REPACK[0], *BARE[1:]]), "2"),
    ],
)
def test_every_layout_gives_the_same_problems(tmp_path: Path, text: str, name: str) -> None:
    file = tmp_path / "data.json"
    file.write_text(text, encoding="utf-8")
    problems = prontoqa.read(file)
    assert [problem.id for problem in problems] == [problem.id for problem in DRAWN]
    assert [problem.truth for problem in problems] == [problem.truth for problem in DRAWN]
    assert problems[1].origin == f"data.json#{name}"
    for problem in problems:
        assert rules.verify(problem, attempt(problem.gold[0])).status is Status.PASS


@pytest.mark.parametrize("record", [REPACK[0], BARE[0], EXAMPLES[0]])
def test_a_file_of_one_line_is_one_record(tmp_path: Path, record: dict[str, Any]) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(lines([record]))
    assert [problem.truth for problem in prontoqa.read(file)] == [DRAWN[0].truth]


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda record: {name: value for name, value in record.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("answer"), "'answer' must be text, got nothing"),
        (without("question"), "'question' must be text, got nothing"),
        (lambda record: record | {"answer": "A"}, "'answer' must be True or False, got A"),
        (lambda record: record | {"query": 3}, "'query' must be text, got 3"),
        (
            lambda record: record | {"query": "Max is red."},
            "'query' must be a question and, after its ':', the statement asked about",
        ),
        (without("query"), "'id' must be text or a whole number, got nothing"),
        (
            lambda record: {"premises": [], "conclusion": "", "label": 0},
            "its keys are premises, conclusion, label",
        ),
        (lambda record: {}, "its keys are none"),
        (lambda record: ["Max"], "expected an object, got ['Max']"),
    ],
)
def test_an_example_in_another_layout_names_those_that_are_read(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(lines([EXAMPLES[0], change(BARE[1])]))
    with pytest.raises(DataError) as caught:
        prontoqa.read(file)
    assert str(caught.value) == f"{file}: record 2: {message}{LAYOUTS}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("premises,label\n", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        (json.dumps(AUTHORS)[:-1], "not JSON: Expecting ',' delimiter: line 1 column "),
        (json.dumps(AUTHORS, indent=1)[:-9], "not JSON: "),
        (lines(BARE)[:-9], "not JSON: line 6: "),
        ("3", "expected a list of records, got 3"),
        ("{}", "expected a list of records, got {}"),
        ("", "not JSON: Expecting value"),
        ('{"data": [1]}', "record 1: its keys are data"),
        ('{"train": {}, "test": {}}', "record 1: its keys are none"),
        ("[" * 100_000, "not JSON: "),
        (f'{{"a": {json.dumps(AUTHORS)}, "a": {{}}}}', "not JSON: the key 'a' is given twice"),
        (f'{json.dumps(BARE[0])}\n{{"id": 1, "id": 2}}', "not JSON: the key 'id' is given twice"),
    ],
)
def test_a_file_that_is_none_of_them_names_them(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "data.json"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        prontoqa.read(file)
    assert str(caught.value).startswith(f"{file}: {message}") and str(caught.value).endswith(LAYOUTS)
    assert "\n" not in str(caught.value)


def test_what_a_record_says_is_checked_in_every_layout(tmp_path: Path) -> None:
    file, turned = tmp_path / "data.json", {"True": "False", "False": "True"}
    wrong = BARE[1] | {"answer": turned[BARE[1]["answer"]]}
    for records, message in (
        ([BARE[0], wrong], f"record 2: labelled {wrong['answer']}, but its premises prove "),
        ([REPACK[0], BARE[0]], "record 2: repeats data.json#ProntoQA_1"),
    ):
        file.write_text(json.dumps(records))
        with pytest.raises(DataError, match=message):
            prontoqa.read(file)


def test_another_set_in_the_layout_of_the_repack_is_told_by_its_statements(tmp_path: Path) -> None:
    """ProverQA's records look so, with numbers for ids and a third answer."""
    record = {
        "id": 0,
        "options": ["A) True", "B) False", "C) Uncertain"],
        "answer": "B",
        "question": "Is the following statement true, false, or uncertain? Mira repairs clocks.",
        "context": "Oleg reads maps. Anyone who repairs clocks sails at night. Mira reads maps.",
        "nl2fol": {"Oleg reads maps.": "reads_maps(Oleg)"},
        "conclusion_fol": "repairs_clocks(Mira)",
    }
    file = tmp_path / "proverqa.json"
    file.write_text(json.dumps([record]))
    with pytest.raises(DataError, match="record 1: not a statement: 'Oleg reads maps.'"):
        prontoqa.read(file)

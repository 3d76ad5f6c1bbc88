"""What a model answered, in files: a row a problem, and files that are refused before anything starts."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.measure.outcomes import faults_in, files_for, row_of, write_rows
from engine.records import Answer, Attempt, Fault, Finish, Likelihood, Problem, Reference, Status, Verdict
from engine.tasks.suite import DataError
from tests.support.cli import cli


def problem(name: str, *turns: str) -> Problem:
    return Problem(
        id=name,
        task="sums",
        slice="digits=2",
        turns=turns or ("What is 1 + 1?",),
        truth=Reference(accepted=("2",)),
        gold=("2",),
        split="eval",
        origin=f"sums.json#{name}",
        story="s",
    )


def answer(name: str, status: Status, fault: str, *replies: str, grade: float | None = None) -> Answer:
    attempt = Attempt(
        problem_id=name,
        model_id="91f2b6ce07d84a3d",
        sample=0,
        replies=replies or ("3",),
        num_prompt_tokens=9,
        num_tokens=1,
        finish=Finish.STOP,
    )
    verdict = Verdict(
        problem_id=name,
        sample=0,
        status=status,
        right=status is Status.PASS,
        answer=attempt.text,
        fault=fault,
        verifier="sums",
        reason="" if status is Status.PASS else "the sum is 2",
        grade=grade,
    )
    return Answer(attempt=attempt, verdict=verdict)


def test_a_row_has_the_problem_the_reply_and_the_verdict(tmp_path: Path) -> None:
    problems = [problem("p"), problem("q"), problem("r", "Hello.", "What is 1 + 1?")]
    given = [
        answer("p", Status.PASS, Fault.NONE, "2"),
        answer("q", Status.FAIL, "no_number", "\x1b[2J\ud800"),
        answer("r", Status.UNDECIDED, Fault.VERIFIER_LIMIT, "Hi.", "2"),
    ]
    file = tmp_path / "out.jsonl"
    write_rows(file, "sums/tiny", problems, given)
    assert "\x1b" not in file.read_text() and [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    passed, failed, undecided = map(json.loads, file.read_text().splitlines())
    assert passed == {
        "id": "p",
        "model": "sums/tiny",
        "model_id": "91f2b6ce07d84a3d",
        "task": "sums",
        "slice": "digits=2",
        "story": "s",
        "origin": "sums.json#p",
        "turns": ["What is 1 + 1?"],
        "pass": True,
        "right": True,
        "fault": "none",
        "reason": "",
        "answer": "2",
        "reply": "2",
    }
    assert failed["pass"] is False and failed["reply"] == "\x1b[2J\ud800"
    assert (failed["fault"], failed["reason"]) == ("no_number", "the sum is 2")
    assert undecided["pass"] is None and undecided["fault"] == "verifier_limit"
    assert undecided["replies"] == ["Hi.", "2"] and "reply" not in undecided


@pytest.mark.parametrize(("grade", "scored"), [(0.25, {"score": 0.25}), (None, {}), (math.nan, {})])
def test_a_grade_is_the_score(grade: float | None, scored: Mapping[str, float]) -> None:
    row = row_of("m", problem("p"), answer("p", Status.FAIL, Fault.WRONG_ANSWER, grade=grade))
    assert {key: row[key] for key in row if key == "score"} == scored


def test_where_answers_are_graded_each_row_has_a_score(tmp_path: Path) -> None:
    given = [
        answer("p", Status.PASS, Fault.NONE, grade=0.75),
        answer("q", Status.UNDECIDED, Fault.VERIFIER_LIMIT),
    ]
    write_rows(tmp_path / "out.jsonl", "m", [problem("p"), problem("q")], given)
    rows = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert [(row["score"], row["pass"]) for row in rows] == [(0.75, True), (None, None)]


@pytest.mark.parametrize(("nll", "written"), [(12.5, 12.5), (math.inf, None), (math.nan, None)])
def test_a_passage_has_its_likelihood_and_no_verdict(tmp_path: Path, nll: float, written: Any) -> None:
    given = Likelihood(problem_id="p", model_id="m0", nll=nll, num_tokens=7)
    write_rows(tmp_path / "out.jsonl", "m", [problem("p")], [given])
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert (row["nll"], row["num_tokens"], row["model_id"]) == (written, 7, "m0")
    assert not {"pass", "score", "reply"} & row.keys()


def test_faults_are_counted_the_most_frequent_first() -> None:
    kinds = ["no_number", Fault.WRONG_ANSWER, Fault.WRONG_ANSWER]
    given = [answer("p", Status.FAIL, fault) for fault in kinds]
    given += [
        answer("p", Status.UNDECIDED, Fault.VERIFIER_LIMIT),
        *(answer("p", Status.PASS, Fault.NONE) for _ in range(5)),
    ]
    counted = faults_in(given)
    assert list(counted.items()) == [("wrong_answer", 2), ("no_number", 1), ("verifier_limit", 1)]
    assert faults_in([Likelihood(problem_id="p", model_id="m", nll=1.0, num_tokens=1)]) == {}


def test_each_of_several_models_has_a_file_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    assert files_for(None, ["embedded"]) == {}
    assert files_for(out, ["embedded", "embedded"]) == {"embedded": out}
    assert files_for(out, ["embedded", "a/b", "../models/m.1/"]) == {
        "embedded": tmp_path / "answers.embedded.jsonl",
        "a/b": tmp_path / "answers.a-b.jsonl",
        "../models/m.1/": tmp_path / "answers.models-m.1.jsonl",
    }
    assert files_for(tmp_path / "answers", ["a", "b"])["b"] == tmp_path / "answers.b"
    assert list(tmp_path.iterdir()) == [], "something was written before there was an answer"
    with pytest.raises(DataError, match="a/b and a-b would both be written to .*answers.a-b.jsonl"):
        files_for(out, ["a/b", "a-b"])


def test_a_file_that_exists_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "answers.b.jsonl").write_text("mine")
    with pytest.raises(DataError, match="never overwrites, but .*answers.b.jsonl exists: name another"):
        files_for(tmp_path / "answers.jsonl", ["a", "b"])
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for taken in (tmp_path, tmp_path / "link"):
        with pytest.raises(DataError, match="exists"):
            files_for(taken, ["a"])
    assert (tmp_path / "answers.b.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere/answers.jsonl", "No such file or directory"),
        ("file/answers.jsonl", "Not a directory"),
        ("a" * 254, "File name too long"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_starts(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").write_text("")
    home = tmp_path / "home"
    done = cli(home, "eval", "embedded", "--task", "prontoqa", "--out", str(tmp_path / name))
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == f"ratchet: --out {tmp_path / name} cannot be written: {reason}\n"
    assert not home.exists() and [path.name for path in tmp_path.iterdir()] == ["file"]

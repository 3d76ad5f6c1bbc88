"""What a model answered, in files: a row a problem, and files that are refused before anything starts."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.gate.compare import compare
from engine.gate.outcome_files import read_pair
from engine.measure.outcomes import faults_in, files_for, row_of, write_rows
from engine.records import Answer, Attempt, Fault, Finish, Likelihood, Problem, Reference, Status, Verdict
from engine.tasks import domain, folio, proofwriter, records, text
from engine.tasks.suite import DataError
from tests.support.cli import cli
from tests.support.domain_files import questions
from tests.support.domain_files import settings_of as domain_settings
from tests.support.records_files import settings_of as records_settings
from tests.support.records_files import write_rows as write_lines
from tests.support.text_files import text_settings


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


RULED = {"premises": ["All poets write.", "Ann is a poet."]}
RULED["premises-FOL"] = ["∀x (Poet(x) → Write(x))", "Poet(ann)"]
STORIED: dict[str, tuple[Sequence[Mapping[str, Any]], Callable[[Path], Sequence[Problem]]]] = {
    "records": (
        [{"prompt": f"q{at}?", "answer": at, "story": f"s{at % 2}"} for at in range(4)],
        lambda file: records.problems_in(records_settings(file)),
    ),
    "text": (
        [
            {
                "text": "\n\n".join(
                    f"In its part {at} the book {word} tells of old hills at night." for at in "ab"
                )
            }
            for word in "xy"
        ],
        lambda file: text.problems_in(text_settings(file, words=20)),
    ),
    "domain": (
        [*questions(2, story="s"), *questions(2, 2, story="t")],
        lambda file: domain.problems_in(domain_settings(file.parent), file),
    ),
    "folio": (
        [
            {**RULED, "conclusion": said, "conclusion-FOL": formula, "label": "True"}
            for said, formula in (("Ann writes.", "Write(ann)"), ("A poet writes.", "Write(ann) ∧ Poet(ann)"))
        ]
        + [
            {
                "premises": ["Bob is red."],
                "premises-FOL": ["Red(bob)"],
                "conclusion": "Bob is not red.",
                "conclusion-FOL": "¬Red(bob)",
                "label": "False",
            }
        ],
        folio.read,
    ),
    "proofwriter": (
        [
            {
                "id": f"AttNeg-OWA-D3-{name}",
                "theory": f"{name} is kind. All kind people are red.",
                "questions": {
                    "Q1": {"question": f"{name} is red.", "answer": True},
                    "Q2": {"question": f"{name} is big.", "answer": "Unknown"},
                },
            }
            for name in ("Anne", "Bob")
        ],
        proofwriter.read,
    ),
}


@pytest.mark.parametrize("task", STORIED)
def test_what_belongs_together_in_a_file_belongs_together_in_a_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """Items of one story that were compared as if they stood alone would be shown to differ by chance."""
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path / "home"))
    rows, read_problems = STORIED[task]
    problems = read_problems(write_lines(tmp_path / "my.jsonl", rows))
    assert len(problems) > 2
    files = [tmp_path / name for name in ("old.jsonl", "new.jsonl")]
    for file in files:
        write_rows(file, "m", problems, [answer(each.id, Status.PASS, Fault.NONE) for each in problems])
    assert compare(*read_pair(*files)).num_stories == 2


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

"""Task `proofwriter`: problems are as their slices say, gold passes both checkers, files are read."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.logic.formulas import And, Not, negate, parts, predicates_of
from engine.logic.proofwriter import CLOSED, ProofWriter
from engine.records import Problem, Status
from engine.tasks import proofwriter
from engine.tasks.rulebase import Rulebase
from engine.tasks.suite import DataError
from engine.verify import rules, sealed
from tests.support.proof_helpers import attempt, theory
from tests.support.suites import suite

PUBLIC = Path(__file__).parents[4] / "shared" / "data" / "proofwriter"
WIDE: dict[str, list[int | bool | str]] = {
    "depth": [0, 1, 2, 3, 5],
    "negation": [False, True],
    "relations": [False, True],
    "facts": [6, 12],
}
CLOSED_WORLD: dict[str, list[int | bool | str]] = {"depth": [0, 1, 2, 3], "world": ["closed"], "facts": [8]}


def rulebase_of(problem: Problem) -> tuple[Rulebase, ProofWriter]:
    notation = ProofWriter(theory(problem).premises)
    asked = notation.read_question(theory(problem).question)
    return Rulebase(notation.premises, asked), notation


def passes(problem: Problem, text: str) -> tuple[bool, bool]:
    """Whether the rules and the sealed checker pass a completion."""
    given = attempt(text, problem_id=problem.id)
    return tuple(verify(problem, given).status is Status.PASS for verify in (rules.verify, sealed.verify))  # type: ignore[return-value]


def corrupted(problem: Problem) -> list[str]:
    """The gold completion with the other answers, without its first line, and with another citation."""
    (text,), answer = problem.gold, theory(problem).answer
    texts = [
        text.replace(f"Answer: {answer}", f"Answer: {other}")
        for other in ("True", "False", "Unknown")
        if other != answer
    ]
    rows = text.splitlines()
    if len(rows) > 1 and answer != "Unknown":
        texts.append("\n".join(rows[1:]))
        rule = re.search(r"\[(\d+)", rows[-2])
        assert rule
        another = next(i for i in range(1, len(theory(problem).premises)) if i != int(rule[1]))
        texts.append(text.replace(rows[-2], rows[-2].replace(rule[0], f"[{another}", 1)))
    return texts


@pytest.mark.slow
@pytest.mark.parametrize("slices", [WIDE, CLOSED_WORLD])
def test_gold_passes_both_checkers_and_corrupted_gold_fails_both(
    slices: dict[str, list[int | bool | str]],
) -> None:
    for problem in suite("proofwriter", slices).draw(120, split="gate", seed=3):
        assert passes(problem, problem.gold[0]) == (True, True), problem
        for text in corrupted(problem):
            assert passes(problem, text) == (False, False), (problem, text)


@pytest.mark.slow
@pytest.mark.parametrize("slices", [WIDE, CLOSED_WORLD])
def test_every_slice_is_what_it_says(slices: dict[str, list[int | bool | str]]) -> None:
    drawn = suite("proofwriter", slices)
    seen: Counter[str] = Counter()
    for problem in drawn.draw(200, split="gate", seed=0):
        said = dict(pair.split("=") for pair in problem.slice.split())
        rulebase, notation = rulebase_of(problem)
        asked = notation.parse(theory(problem).question)
        premises = [each for each in notation.premises if not isinstance(each, And)]
        assert len(rulebase.facts) == int(said["facts"])
        assert any(arity == 2 for each in premises for _, arity in predicates_of(each)) == (
            said["relations"] == "yes"
        )
        if said["negation"] == "no":
            assert not any(isinstance(part, Not) for each in premises for part, _ in parts(each))
        deepest = max(rulebase.depths.values())
        if theory(problem).answer != "Unknown":
            proved = negate(asked) if theory(problem).answer == "False" else asked
            assert rulebase.depths[proved] == int(said["depth"])
            assert (len(problem.gold[0].splitlines()) == 1) == (said["depth"] == "0")
        assert int(said["depth"]) <= deepest
        if said.get("world") == "closed":
            assert theory(problem).premises[-1] == CLOSED
            assert problem.turns[0].splitlines()[-1].startswith("True or false: ")
        else:
            assert deepest <= max(3, int(said["depth"]))
            assert problem.turns[0].splitlines()[-1].startswith("True, false or unknown: ")
        seen[problem.slice] += 1
    assert set(seen) == set(drawn.slices)


@pytest.mark.slow
def test_answers_are_balanced_and_logic_agrees_with_them() -> None:
    """The premises can be true together, and decide the question as labelled also where rules lead back."""
    problems = suite("proofwriter", WIDE).draw(300, split="gate", seed=1)
    counts = Counter(theory(problem).answer for problem in problems)
    assert all(70 < counts[answer] < 130 for answer in ("True", "False", "Unknown")), counts
    for problem in problems:
        rulebase, notation = rulebase_of(problem)
        asked = notation.parse(theory(problem).question)
        assert rulebase.is_possible()
        sides = rulebase.is_possible(asked), rulebase.is_possible(negate(asked))
        assert (
            sides
            == {"True": (True, False), "False": (False, True), "Unknown": (True, True)}[
                theory(problem).answer
            ]
        )
    closed = suite("proofwriter", CLOSED_WORLD).draw(200, split="gate", seed=1)
    counts = Counter(theory(problem).answer for problem in closed)
    assert set(counts) == {"True", "False"} and min(counts.values()) > 70


@pytest.mark.slow
def test_several_questions_are_asked_about_one_theory() -> None:
    drawn = suite("proofwriter", {"depth": [1, 2], "facts": [10]})
    problems = drawn.draw(120, split="warm-start", seed=0, questions=3)
    assert len({problem.id for problem in problems}) == 120
    stories: dict[str, list[Problem]] = {}
    for problem in problems:
        stories.setdefault(problem.story or problem.id, []).append(problem)
        assert passes(problem, problem.gold[0]) == (True, True)
    assert len(stories) < 80
    for first, *others in stories.values():
        for other in others:
            assert theory(other).premises == theory(first).premises and other.slice == first.slice
    assert {theory(problem).answer for problem in problems} == {"True", "False", "Unknown"}


@pytest.mark.slow
def test_the_hardest_slices_have_problems() -> None:
    for slices in (
        {"depth": [6], "facts": [16], "relations": [False], "negation": [True]},
        {"depth": [6], "facts": [4], "relations": [True], "negation": [True]},
        {"depth": [0], "facts": [16], "relations": [False], "negation": [False]},
        {"depth": [4], "facts": [12], "world": ["closed"]},
    ):
        for problem in suite("proofwriter", slices).draw(4, split="gate", seed=0):
            assert passes(problem, problem.gold[0]) == (True, True)


@pytest.mark.skipif(not PUBLIC.exists(), reason="the public problems are not here")
@pytest.mark.parametrize(("name", "num"), [("dev-200.json", 200), ("train-300.json", 300)])
def test_every_public_label_is_found_and_its_gold_passes_both_checkers(name: str, num: int) -> None:
    problems = proofwriter.read(PUBLIC / name)
    labels = {"A": "True", "B": "False", "C": "Unknown"}
    raw = json.loads((PUBLIC / name).read_text())
    assert [theory(problem).answer for problem in problems] == [labels[each["answer"]] for each in raw]
    assert len(problems) == num
    for problem in problems:
        assert passes(problem, problem.gold[0]) == (True, True), problem
        assert re.fullmatch(r"depth=([0-5]|none) negation=(yes|no) relations=(yes|no)", problem.slice)
    assert {problem.slice.split()[0] for problem in problems} == {f"depth={n}" for n in [*range(6), "none"]}


@pytest.mark.skipif(not PUBLIC.exists(), reason="the public problems are not here")
def test_generated_theories_look_like_the_public_ones() -> None:
    """Lengths and forms of sentences, of those of the training file: the other one stays unseen."""
    public = proofwriter.read(PUBLIC / "train-300.json")
    facts: dict[str, list[int | bool | str]] = {"depth": [3, 5], "facts": [7, 10, 11, 12, 14]}
    made = suite("proofwriter", facts).draw(200, split="gate", seed=0)

    def shape(problems: list[Problem]) -> dict[str, float]:
        texts = [text for problem in problems for text in theory(problem).premises]
        marks = {"rules": "If |All | are ", "if": "^If ", "all": "^All ", "comma": ",", "two": " and |,"}
        found = {key: sum(bool(re.search(mark, text)) for text in texts) for key, mark in marks.items()}
        return {key: num / len(texts) for key, num in found.items()} | {"num": len(texts) / len(problems)}

    one, other = shape(public), shape(made)
    assert abs(one.pop("num") - other.pop("num")) < 3
    for key, share in one.items():
        assert abs(share - other[key]) < 0.12, (key, one, other)


RECORD = {
    "id": "ProofWriter_AttNeg-OWA-D5-1_Q1",
    "context": "Anne is kind. All kind people are red. If someone is red then they are not big.",
    "question": "Is the following statement true, false, or unknown? Anne is big.",
    "options": ["A) True", "B) False", "C) Unknown"],
    "answer": "B",
}
THEORY = {
    "id": "AttNeg-OWA-D3-7",
    "theory": "Anne is kind. All kind people are red.",
    "questions": {
        "Q1": {"question": "Anne is red.", "answer": True, "QDep": 1},
        "Q2": {"question": "Anne is not kind.", "answer": False},
        "Q3": {"question": "Anne is big.", "answer": "Unknown"},
    },
}


def read(tmp_path: Path, *records: Any) -> list[Problem]:
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return proofwriter.read(file)


def test_both_layouts_are_read(tmp_path: Path) -> None:
    problems = read(tmp_path, RECORD, THEORY)
    assert [(p.origin, theory(p).answer, p.slice.split()[0]) for p in problems] == [
        ("data.jsonl#ProofWriter_AttNeg-OWA-D5-1_Q1", "False", "depth=2"),
        ("data.jsonl#AttNeg-OWA-D3-7/Q1", "True", "depth=1"),
        ("data.jsonl#AttNeg-OWA-D3-7/Q2", "False", "depth=0"),
        ("data.jsonl#AttNeg-OWA-D3-7/Q3", "Unknown", "depth=none"),
    ]
    assert problems[0].gold == ("Anne is red. [2 1 mp] [4]\nAnne is not big. [3 4 mp] [5]\nAnswer: False",)


def test_a_closed_world_is_told_by_the_id_and_read_with_its_last_premise(tmp_path: Path) -> None:
    closed = {
        **THEORY,
        "id": "AttNeg-CWA-D3-7",
        "questions": {"Q1": {"question": "Bob is red.", "answer": False}},
    }
    closed["theory"] = "Anne is kind. Bob is big. All kind people are red."
    (problem,) = read(tmp_path, closed)
    assert theory(problem).premises[-1] == CLOSED
    assert problem.gold == ("Bob is not red. [4 and_e] [5]\nAnswer: False",)
    assert passes(problem, problem.gold[0]) == (True, True)
    assert passes(problem, "Answer: False") == (False, False)
    assert passes(problem, problem.gold[0].replace("Bob", "Anne").replace("False", "True")) == (False, False)


def change(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda record: {**record, **fields}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({**RECORD, "answer": "A"}, "_Q1: labelled True, but the solver finds False"),
        ({**RECORD, "answer": "D"}, r"'answer' must be A \(true\), B \(false\) or C \(unknown\), got D"),
        ({**RECORD, "context": None}, "record 2: 'context' must be text, got None"),
        ({**RECORD, "context": "Anne barks."}, "_Q1: not a statement: 'Anne barks'"),
        ({**RECORD, "question": "Anne is big."}, "'question' must be a question and, after its"),
        ({**RECORD, "id": None}, "'id' must be text or a whole number"),
        ({**RECORD, "id": "x", "options": ["A) True", "B) False"]}, "'id' must have OWA or CWA in it"),
        ({**RECORD, "options": "A"}, "'options' must be a list of two or three"),
        ({**RECORD, "context": "Anne is big. Anne is not big."}, "the statement and its opposite"),
        ({**THEORY, "questions": []}, "'questions' must be an object of objects"),
        ({**THEORY, "questions": {"Q1": {"question": "Anne is red.", "answer": 1}}}, "'answer' must be true"),
        ({"label": 1}, "its keys are label; the layouts that are read are the authors' theories"),
        ([], "expected an object"),
    ],
)
def test_a_record_that_cannot_be_used_is_named(tmp_path: Path, record: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, THEORY, record)
    assert re.search(r"data.jsonl: (record 2|ProofWriter\S*): ", str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_repeated_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="OWA-2: repeats data.jsonl#ProofWriter_AttNeg-OWA-D5-1_Q1"):
        read(tmp_path, RECORD, {**RECORD, "id": "OWA-2"})

"""Tasks: problems are new, deterministic, as their slice says, decided by logic, and their proofs pass."""

import itertools
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.load import ConfigError, from_tree
from configs.tasks import Task
from engine.logic.english import English
from engine.logic.entailment import Entailment
from engine.logic.formulas import Atom, ForAll, negate
from engine.records import Problem, Recall, Status
from engine.tasks import TASKS, load_task, prontoqa
from engine.tasks.prontoqa_words import KINDS
from engine.tasks.suite import DataError
from engine.verify import AND, load_verifier, rules
from tests.support.proof_helpers import attempt, theory
from tests.support.suites import suite

PUBLIC = Path(__file__).parents[4] / "shared" / "data" / "prontoqa" / "dev-100.json"
WIDE: dict[str, list[int | bool | str]] = {
    "hops": list(range(1, 9)),
    "negation": [False, True],
    "irrelevant": [0, 3],
    "distractors": [0, 4],
}
ONTOLOGY: dict[str, list[int | bool | str]] = {
    "hops": list(range(1, 9)),
    "distractors": [0, 1, 4],
    "layout": ["ontology"],
}


def corrupted(problem: Problem) -> list[str]:
    """The gold completion with the other answer, without a line, and with another citation."""
    (text,), gold = problem.gold, theory(problem)
    turned = {"True": "False", "False": "True"}[gold.answer]
    lines = text.splitlines()
    numbers = re.search(r"\[(\d+) (\d+) mp\]", lines[-2])
    assert numbers
    fact = len(gold.premises)
    wrong_rule = next(i for i in range(1, fact + 1) if i != int(numbers[1]))
    return [
        text.replace(f"Answer: {gold.answer}", f"Answer: {turned}"),
        "\n".join(lines[1:]),
        text.replace(numbers[0], f"[{wrong_rule} {numbers[2]} mp]"),
    ]


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    first = suite().draw(30, split="gate", seed=7)
    assert first == suite().draw(30, split="gate", seed=7)
    assert not {p.id for p in first} & {p.id for p in suite().draw(30, split="gate", seed=8)}


def test_a_draw_in_parts_is_the_draw_at_once() -> None:
    drawn = suite()
    whole = drawn.draw(40, split="gate", seed=1)
    parts = [drawn.draw(10, split="gate", seed=1, start=i) for i in range(0, 40, 10)]
    assert [p for part in parts for p in part] == whole


def test_no_two_problems_are_equal_even_where_a_slice_is_small() -> None:
    small = suite("prontoqa", {"hops": [1], "irrelevant": [0], "distractors": [0]})
    problems = small.draw(3000, split="propose", seed=0)
    assert (
        len({p.id for p in problems})
        == len({(theory(p).premises, theory(p).question) for p in problems})
        == 3000
    )


def test_splits_share_no_problem() -> None:
    splits = [suite().draw(200, split=s, seed=0) for s in ("warm-start", "probe-1", "propose-1", "gate")]
    assert len({p.id for problems in splits for p in problems}) == 800


def test_several_problems_of_one_story_begin_alike_and_are_what_they_say() -> None:
    drawn = suite("prontoqa", {**ONTOLOGY, "hops": [5], "distractors": [1]})
    problems = drawn.draw(201, split="warm-start", seed=0, questions=4)
    assert len(problems) == len({p.id for p in problems}) == 201
    stories = [list(group) for _, group in itertools.groupby(problems, lambda p: p.story or p.id)]
    assert {len(story) for story in stories} <= {1, 2, 3, 4} and len(stories) < 80
    for first, *others in stories:
        assert first.story == ""
        for problem in others:
            premises, of_first = theory(problem).premises, theory(first).premises
            assert premises[:-1] == of_first[:-1] and premises != of_first
    for problem in problems:
        steps = problem.gold[0].splitlines()[:-1]
        assert len(steps) == 5
        assert (" is not " in steps[-1]) == ("negation=yes" in problem.slice)
        assert rules.verify(problem, attempt(problem.gold[0])).status is Status.PASS
    assert {p.slice for p in problems} == set(drawn.slices)
    assert 70 < sum(theory(p).answer == "True" for p in problems) < 131
    assert drawn.draw(201, split="warm-start", seed=0, questions=4) == problems


def test_a_task_of_one_question_a_story_is_not_asked_for_more() -> None:
    with pytest.raises(DataError, match="toy asks one question a story: questions must be 1, got 3"):
        suite("tests/support/toy_task.py").draw(6, split="warm-start", seed=0, questions=3)


def test_excluded_problems_are_not_drawn_again() -> None:
    drawn = suite("prontoqa", {"hops": [1], "irrelevant": [0], "distractors": [0]})
    first = drawn.draw(300, split="probe", seed=0)
    again = drawn.draw(300, split="probe", seed=0, exclude={p.id for p in first})
    assert not {p.id for p in first} & {p.id for p in again}


def test_every_slice_is_what_it_says() -> None:
    drawn = suite("prontoqa", WIDE)
    assert len(drawn.slices) == 64
    seen = set()
    for problem in drawn.draw(600, split="gate", seed=0):
        settings = dict(pair.split("=") for pair in problem.slice.split())
        seen.add(problem.slice)
        steps = problem.gold[0].splitlines()[:-1]
        assert len(steps) == int(settings["hops"])
        assert (" is not " in steps[-1]) == (settings["negation"] == "yes")
        extra = int(settings["irrelevant"]) + int(settings["distractors"])
        assert len(theory(problem).premises) == int(settings["hops"]) + extra + 1
    assert seen == set(drawn.slices)


@pytest.mark.parametrize("layout", ["shuffled", "ontology"])
def test_slices_may_say_whether_what_is_asked_is_negated(layout: str) -> None:
    signs: dict[str, list[str | int | bool]] = {"negation": [False, True], "question": ["plain", "negated"]}
    slices = {**ONTOLOGY, **signs, "hops": [3], "distractors": [1], "layout": [layout]}
    drawn = suite("prontoqa", slices)
    problems = drawn.draw(200, split="gate", seed=0, questions=2)
    assert {problem.slice for problem in problems} == set(drawn.slices) and len(drawn.slices) == 4
    for problem in problems:
        asks_negated, proves_negated = "question=negated" in problem.slice, "negation=yes" in problem.slice
        assert (" not " in theory(problem).question) == asks_negated
        assert (theory(problem).answer == "True") == (asks_negated == proves_negated)


def test_both_answers_are_equally_frequent_in_every_slice() -> None:
    for negation in (False, True):
        problems = suite("prontoqa", {"negation": [negation]}).draw(400, split="gate", seed=0)
        assert 150 < sum(theory(p).answer == "True" for p in problems) < 250


def test_weights_steer_the_draw() -> None:
    drawn = suite()
    wanted = drawn.slices[2]
    problems = drawn.draw(50, split="propose", seed=0, weights={wanted: 1.0})
    assert {p.slice for p in problems} == {wanted}


def test_a_mixture_makes_slices_rare() -> None:
    slices: dict[str, list[int | bool | str]] = {"hops": [1, 2], "negation": [False, True]}
    weights = {"hops=2": 0.5, "hops=2 negation=yes": 0.2}
    rare = load_task("prontoqa").open(Task(slices=slices, weights=weights))
    counts = Counter(problem.slice.partition(" irr")[0] for problem in rare.draw(1000, split="gate", seed=0))
    for name, weight in {
        "hops=1 negation=no": 1,
        "hops=2 negation=no": 0.5,
        "hops=2 negation=yes": 0.1,
    }.items():
        share = weight / 2.6
        assert abs(counts[name] / 1000 - share) < 4 * (share * (1 - share) / 1000) ** 0.5
    wanted = rare.slices[3]
    aimed = rare.draw(20, split="gate", seed=0, weights={wanted: 1.0})
    assert {problem.slice for problem in aimed} == {wanted}, "a draw's own weights come first"
    even = load_task("prontoqa").open(Task(slices=slices))
    same = load_task("prontoqa").open(Task(slices=slices, weights={}))
    assert even.draw(20, split="gate", seed=0) == same.draw(20, split="gate", seed=0)


def test_a_weight_that_no_slice_has_the_values_of_is_named() -> None:
    with pytest.raises(
        DataError, match="task.weights: no slice has the values 'hops=9'; a slice is called 'hops=1"
    ):
        load_task("prontoqa").open(Task(weights={"hops=9": 0.5}))
    with pytest.raises(ConfigError, match=r"task.weights.hops=1 must be greater than 0, got 0"):
        from_tree({"name": "a", "line": "a/b", "task": {"weights": {"hops=1": 0}}}, "test")


@pytest.mark.slow
def test_gold_proofs_of_1000_problems_pass_and_corrupted_ones_fail() -> None:
    drawn = suite("prontoqa", WIDE).draw(1000, split="gate", seed=3)
    for problem in [*drawn, *suite("prontoqa", ONTOLOGY).draw(200, split="gate", seed=3)]:
        assert rules.verify(problem, attempt(problem.gold[0])).status is Status.PASS
        for text in corrupted(problem):
            assert rules.verify(problem, attempt(text)).status is Status.FAIL, text


def spoilt(problem: Problem) -> str:
    """The gold reply with a character less: of a sentence the last one of the value that it must hold."""
    (gold,) = problem.gold
    if isinstance(problem.truth, Recall):
        value = problem.truth.expected[0][0]
        return gold.replace(value, value[:-1])
    return gold[:-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*TASKS} - {"records", "text", "domain", "folio"}))
def test_every_task_checks_itself(name: str) -> None:
    """Its verifiers accept the gold answer and refuse the gold text of another problem.

    Records and curated examples have scorers, which `tests/engine/verify/scorers` checks; of texts nothing is
    asked; FOLIO has no problems without a file, and `test_folio.py` checks them.
    """
    drawn = suite(name)
    verify = load_verifier(AND.join(drawn.task.verifiers))
    problems = drawn.draw(40, split="self-check", seed=0)
    for problem, other in zip(problems, problems[1:] + problems[:1], strict=True):
        assert verify(problem, attempt(problem.gold[0])).status is Status.PASS
        may_hold = isinstance(problem.truth, Recall) and problem.truth.expected[0][0] in other.gold[0]
        both_open = other.gold == ("Answer: Unknown",) and problem.gold[0].endswith(other.gold[0])
        if not may_hold and not both_open and other.gold != problem.gold:
            assert verify(problem, attempt(other.gold[0])).status is Status.FAIL
        assert verify(problem, attempt(spoilt(problem))).status is Status.FAIL


@pytest.mark.slow
@pytest.mark.parametrize("slices", [WIDE, ONTOLOGY])
def test_premises_are_consistent_and_decide_exactly_the_gold_side(
    slices: dict[str, list[int | bool | str]],
) -> None:
    problems = suite("prontoqa", slices).draw(120, split="gate", seed=5)
    assert {p.slice.split()[0] for p in problems} == {f"hops={n}" for n in range(1, 9)}
    for problem in problems:
        notation = English(theory(problem).premises)
        question = notation.parse(theory(problem).question)
        gold = question if theory(problem).answer == "True" else negate(question)
        follows = Entailment().follows
        assert follows(notation.premises, gold) is True
        assert follows(notation.premises, negate(gold)) is False


def test_the_ontology_layout_is_that_of_the_public_records() -> None:
    """The first ten public records, which are for building the reader, show it where they are at hand."""
    public = prontoqa.read(PUBLIC)[:10] if PUBLIC.exists() else []
    drawn = suite("prontoqa", {**ONTOLOGY, "hops": [5], "distractors": [1]}).draw(50, split="gate", seed=1)
    for problem in [*public, *drawn]:
        premises = theory(problem).premises
        assert len(premises) == 18
        rules = [rule for rule in English(premises).premises if isinstance(rule, ForAll)]
        kinds = [rule.body.left.predicate for rule in rules]  # type: ignore[union-attr]
        # Apart from a distractor all rules of a kind stand together, and each kind's link names the next.
        links = [
            (kind, rule.body.right.predicate)  # type: ignore[union-attr]
            for kind, rule in zip(kinds, rules, strict=True)
            if isinstance(rule.body.right, Atom) and rule.body.right.predicate in KINDS  # type: ignore[union-attr]
        ]
        assert len(links) == 8
        assert all(one[1] == other[0] for one, other in itertools.pairwise(links))


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ({"hop": [1]}, "task.slices: 'hop' is no dimension of prontoqa; it has hops, negation"),
        ({"hops": [0]}, r"task.slices.hops: got \[0\], allowed are one or more of \[1, 2, 3"),
        ({"hops": [9, 1]}, r"task.slices.hops: got \[9, 1\]"),
        ({"hops": []}, r"task.slices.hops: got \[\]"),
        ({"hops": [True]}, r"task.slices.hops: got \[True\]"),
        ({"negation": [0, 1]}, r"task.slices.negation: got \[0, 1\]"),
        ({"negation": ["yes"]}, r"task.slices.negation: got \['yes'\]"),
    ],
)
def test_a_wrong_slice_is_named(slices: dict[str, list[int | bool | str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        suite("prontoqa", slices)


def test_a_slice_that_is_used_up_says_so(tmp_path: Path) -> None:
    file = tmp_path / "tiny.py"
    file.write_text(
        "from engine.tasks.prontoqa import build, read, target\n"
        "NAME, VERIFIERS, DIMENSIONS, DEFAULT_SLICES = 'tiny', ('rules',), {'size': (1,)}, {'size': [1]}\n"
        "def make(settings, rng, *, split, slice_name, origin):\n"
        "    name = rng.choice(['Max', 'Sam'])\n"
        "    premises = ['Each wumpus is red.', f'{name} is a wumpus.']\n"
        "    return build(premises, f'{name} is red.', split=split, slice_name=slice_name, origin=origin)\n"
    )
    small = suite(str(file))
    assert small.slices == ["size=1"]
    both = small.draw(2, split="gate", seed=0)
    assert {theory(p).question for p in both} == {"Max is red.", "Sam is red."}
    assert all(rules.verify(p, attempt(p.gold[0])).status is Status.PASS for p in both)
    with pytest.raises(DataError, match="gate: slice 'size=1' has too few different problems"):
        small.draw(3, split="gate", seed=0)


@pytest.mark.skipif(not PUBLIC.exists(), reason="the public problems are not here")
def test_public_problems_are_read_and_their_labels_proved() -> None:
    problems = prontoqa.read(PUBLIC)
    labels = {"A": "True", "B": "False"}
    assert [theory(p).answer for p in problems] == [
        labels[r["answer"]] for r in json.loads(PUBLIC.read_text())
    ]
    assert len(problems) == 100 and problems[0].origin == "dev-100.json#ProntoQA_1"
    for problem in problems:
        assert rules.verify(problem, attempt(problem.gold[0])).status is Status.PASS
        assert re.fullmatch(r"hops=[1-8] negation=(yes|no)", problem.slice)


GOOD = {
    "id": "one",
    "context": "Each wumpus is a tumpus. Tumpuses are not red. Max is a wumpus.",
    "question": "Is the following statement true or false? Max is red.",
    "answer": "B",
}


def test_a_small_public_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps([GOOD]))
    (problem,) = prontoqa.read(file)
    read = theory(problem)
    assert (read.question, read.answer, problem.split) == ("Max is red.", "False", "public")
    assert read.premises == ("Each wumpus is a tumpus.", "Tumpuses are not red.", "Max is a wumpus.")


def test_blanks_are_no_part_of_a_public_record(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps([GOOD]))
    (problem,) = prontoqa.read(file)
    spread = {**GOOD, "context": " Each  wumpus is a tumpus.\nTumpuses are not red.  Max is a wumpus. "}
    spread["question"] = "Is the following statement true or false?\tMax is  red. "
    file.write_text(json.dumps([spread]))
    assert prontoqa.read(file) == [problem]
    file.write_text(json.dumps([GOOD, spread]))
    with pytest.raises(DataError, match="record 2: repeats data.json#one"):
        prontoqa.read(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": None}, "'context' must be text, got nothing"),
        ({"question": 3}, "'question' must be text, got 3"),
        ({"id": None}, "'id' must be text"),
        ({"answer": None}, "'answer' must be text"),
        ({"answer": "C"}, r"'answer' must be A \(true\) or B \(false\), got C"),
        ({"answer": "A"}, "labelled True, but its premises prove False"),
        ({"question": "Max is red."}, "'question' must be a question and"),
        ({"question": "True or false? Max is a red."}, "'red' takes no article"),
        ({"question": "True or false? Sam is red."}, "'Sam' is not a name of this problem"),
        ({"context": "Each wumpus is red. Max likes tea."}, "not a statement: 'Max likes tea.'"),
        ({"context": "Each wumpus is red. Max is blue."}, "the premises do not decide the question"),
        ({"context": "Max is red. Each wumpus is blue."}, "a premise answers the question"),
        ({"context": ""}, "not a statement"),
    ],
)
def test_a_broken_public_record_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    file = tmp_path / "data.json"
    record = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    file.write_text(json.dumps([GOOD, record]))
    with pytest.raises(DataError, match=f"{file}: record 2: {message}"):
        prontoqa.read(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[{", "not JSON"),
        (b"\xff\xfe[]", "not JSON"),
        (b"{}", "expected a list of records, got {}"),
        (b"[]", r"expected a list of records, got \[\]"),
        (b"[3]", "record 1: expected an object, got 3"),
        (json.dumps([GOOD, GOOD]).encode(), "record 2: repeats data.json#one"),
    ],
)
def test_a_broken_public_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "data.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"{file}: {message}"):
        prontoqa.read(file)


def test_a_missing_public_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none.json: cannot be read: No such file"):
        prontoqa.read(tmp_path / "none.json")


def test_the_shortest_proof_is_given_whatever_stands_first() -> None:
    premises = [
        "Max is a wumpus.",
        "Each wumpus is a tumpus.",
        "Each tumpus is a vumpus.",
        "Each vumpus is red.",
        "Each tumpus is red.",
    ]
    problem = prontoqa.build(premises, "Max is red.", split="", slice_name="", origin="")
    assert problem.gold[0] == "Max is a tumpus. [2 1 mp] [6]\nMax is red. [5 6 mp] [7]\nAnswer: True"
    assert problem.slice == "hops=2 negation=no"
    assert rules.verify(problem, attempt(problem.gold[0])).status is Status.PASS
    other = replace(problem, truth=replace(theory(problem), answer="False"))
    assert rules.verify(other, attempt(problem.gold[0])).status is Status.FAIL

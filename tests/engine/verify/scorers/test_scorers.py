"""The scorers of records: what each lets pass, and that each accepts gold and refuses what is not."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.load import validate
from configs.tasks import RecordsTask
from engine.answers import are_one
from engine.records import Attempt, Fault, Finish, Problem, Status, Verdict
from engine.tasks.records import problems_in
from engine.tasks.suite import DataError
from engine.verify import VERIFIERS, faults_of, least_mib, load_verifier
from engine.verify.pool import VerifierPool
from engine.verify.scorers.choice import chosen_in

SCORERS = ("exact", "numeric", "choice", "regex", "contains", "json", "python")
"""All that need no model; `semantic` is in a slow test."""
OWN = """
def grade(reply, answers):
    if reply == "odd":
        return 3
    if reply == "long":
        return "it is too long"
    return reply in answers
"""


def problem(
    folder: Path, answer: Any, scorer: Any, *, others: Sequence[Any] = (), reply: str | None = None
) -> Problem:
    """A record of a file, as a task reads it; `others` are answers of further records."""
    rows = [
        {"prompt": f"question {i}", "answer": each, "reply": reply}
        for i, each in enumerate([answer, *others])
    ]
    file = folder / "records.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = {"name": "records", "file": str(file), "scorer": scorer}
    settings = validate(RecordsTask, tree | ({"reply": "reply"} if reply else {}), "test")
    return problems_in(settings)[0]


def attempt(text: str, finish: Finish = Finish.STOP) -> Attempt:
    return Attempt(
        problem_id="p",
        model_id="",
        sample=0,
        replies=(text,),
        num_prompt_tokens=0,
        num_tokens=0,
        finish=finish,
    )


def judge(asked: Problem, text: str, finish: Finish = Finish.STOP) -> Verdict:
    settings = json.loads(asked.truth.extra["settings"])  # type: ignore[union-attr]
    return load_verifier(settings["name"])(asked, attempt(text, finish))


def passes(asked: Problem, *texts: str) -> list[bool]:
    return [judge(asked, text).status is Status.PASS for text in texts]


def scorer_of(name: str, folder: Path) -> tuple[Any, Any, str | None, list[str]]:
    """Scorer, answer, gold reply where it is not the answer, and replies that are wrong."""
    (folder / "own.py").write_text(OWN)
    return {
        "exact": ("exact", "Paris", None, ["London", "Paris, France", ""]),
        "numeric": ("numeric", "42", None, ["41", "not 42", ""]),
        "choice": ("choice", "B", None, ["A", "A or B", ""]),
        "regex": ("regex", "colou?r", "color", ["colors", "a color", ""]),
        "contains": ("contains", "Paris", None, ["London", "Parisian", ""]),
        "json": ("json", {"a": [1, 2]}, None, ['{"a": [2, 1]}', "{a: 1}", ""]),
        "python": (f"{folder / 'own.py'}:grade", "yes", None, ["no", "long", ""]),
    }[name]


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_accepts_gold_and_refuses_what_is_not(name: str, tmp_path: Path) -> None:
    scorer, answer, reply, wrong = scorer_of(name, tmp_path)
    asked = problem(tmp_path, answer, scorer, others=["A"] if name == "choice" else (), reply=reply)
    faults = {*Fault, *faults_of(name)}
    good = judge(asked, asked.gold[0])
    assert (good.status, good.right, good.fault, good.reason) == (Status.PASS, True, Fault.NONE, "")
    assert good.verifier == name
    for text in wrong:
        bad = judge(asked, text)
        assert bad.status is Status.FAIL and bad.reason, text
        assert bad.fault in faults - {Fault.NONE}, text


@pytest.mark.parametrize(
    ("scorer", "answer", "reply", "fault"),
    [
        ("numeric", "4", "The answer is 4", Fault.TOO_LONG),  # it could have become 42
        ("numeric", "4", "The answer is 5. And", Fault.TOO_LONG),
        ("numeric", "4", "The answer is 4. I checked it by", Fault.NONE),
        ("contains", "4", "The answer is 4", Fault.TOO_LONG),
        ("contains", "4", "The answer is 4, because", Fault.NONE),
        ("exact", "New York", "New York", Fault.TOO_LONG),
        ("choice", "B", "The answer is", Fault.TOO_LONG),
        ("choice", "B", "The answer is B", Fault.TOO_LONG),
        ("choice", "B", "B) because it", Fault.NONE),
    ],
)
def test_a_reply_that_was_cut_off_passes_only_where_its_answer_could_not_go_on(
    tmp_path: Path, scorer: str, answer: str, reply: str, fault: Fault
) -> None:
    asked = problem(tmp_path, answer, scorer, others=["A"] if scorer == "choice" else ())
    verdict = judge(asked, reply, Finish.LENGTH)
    assert (verdict.fault, verdict.right) == (fault, fault is Fault.NONE)
    assert verdict.reason.startswith("the reply was cut off: ") is not verdict.right


@pytest.mark.parametrize(
    ("scorer", "one", "other"),
    [
        ("exact", "Paris", " paris."),
        ("exact", "a b", "A  b"),
        ({"name": "exact", "case": True}, "Paris", '"Paris"'),
        ("contains", "New York", "new  york"),
        ("choice", "B", "b."),
        ("numeric", "42", "42.0"),
        ("numeric", "1,234.50", "1234.5"),
        ("numeric", "-0.5", "-1/2"),
        ("json", '{"a": 1, "b": [2]}', '{"b": [2.0], "a": 1}'),
    ],
)
def test_answers_that_are_one_pass_for_each_other(tmp_path: Path, scorer: Any, one: str, other: str) -> None:
    for answer, reply in ((one, other), (other, one)):
        asked = problem(tmp_path, answer, scorer, others=["A"] if scorer == "choice" else ())
        assert passes(asked, reply) == [True]
        settings = validate(RecordsTask, {"name": "records", "file": "f", "scorer": scorer}, "test").scorer
        assert are_one(settings, answer, reply)


@pytest.mark.parametrize(
    ("scorer", "one", "other"),
    [
        ("exact", "Paris", "Lyon"),
        ("exact", "?", "!"),
        ("exact", ".5", "5"),
        ("exact", "5!", "5"),
        ("exact", "A*", "A"),
        ("exact", "__init__", "init"),
        ("exact", "**kwargs", "*kwargs"),
        ("exact", "[1]", "1"),
        ("contains", "!x", "x"),
        ("json", "1e400", "1e500"),
        ({"name": "exact", "case": True}, "Paris", "paris"),
        ({"name": "contains", "case": True}, "Paris", "paris"),
        ("contains", "Paris, France", "Paris"),
        ("choice", "A", "B"),
        ("numeric", "42", "42.1"),
        ("numeric", "7", "7 apples"),  # the scorer takes them for one: nothing is run to tell
        ("json", "1", "true"),
        ("json", "{", "{ "),
        ("regex", "a+", "a +"),
        ("own.py:grade", "yes", "Yes"),
    ],
)
def test_answers_that_are_not_one(scorer: Any, one: str, other: str) -> None:
    settings = validate(RecordsTask, {"name": "records", "file": "f", "scorer": scorer}, "test").scorer
    assert not are_one(settings, one, other) and not are_one(settings, other, one)
    assert are_one(settings, one, one)


def test_every_scorer_is_a_verifier_of_the_pool() -> None:
    assert {*SCORERS, "semantic"} == set(VERIFIERS) - {
        "rules",
        "z3",
        "unlabelled",
        "gym",
        "recall",
        "replied",
    }
    assert least_mib("rules + z3") == 0 < least_mib("semantic")


def test_exact_forgives_blanks_capitals_and_points(tmp_path: Path) -> None:
    asked = problem(tmp_path, ["New York", "NYC"], "exact")
    forgiven = [
        "new  york.",
        "**New York**",
        '"NYC"',
        "NYC\n",
        "**NYC.**",
        "“NYC”.",
        "*NYC*",
        "NYC!",
        ": NYC",
    ]
    assert passes(asked, *forgiven) == [True] * 9
    number = problem(tmp_path, ["5", "**kwargs"], "exact")
    assert passes(number, ".5", "5!", "[5]", "*kwargs", "5.", "**kwargs") == [False] * 4 + [True] * 2
    assert passes(asked, "York", "New York City", "It is NYC") == [False] * 3
    strict = problem(tmp_path, "New York", {"name": "exact", "case": True})
    assert passes(strict, "New York.", "new york") == [True, False]


def test_the_answer_is_found_where_the_scorer_says(tmp_path: Path) -> None:
    marked = problem(
        tmp_path, "Paris", {"name": "exact", "find": {"after": "Answer:"}}, reply="Answer: Paris"
    )
    assert passes(marked, "I think.\nANSWER: Paris\nBye", "Paris", "Answer: Rome\nParis") == [
        True,
        False,
        False,
    ]
    assert passes(marked, "Answer: Rome\nAnswer: Paris", "Answer: Paris\nAnswer: Rome") == [True, False]
    last = problem(tmp_path, "Paris", {"name": "exact", "find": "last_line"})
    assert passes(last, "It is\nParis\n\n", "Paris\nit is") == [True, False]
    boxed = problem(tmp_path, "{x}", {"name": "exact", "find": "boxed"}, reply="\\boxed{{x}}")
    assert passes(boxed, "so \\boxed{1} and \\boxed{{x}}", "\\boxed{{x}", "{x}") == [True, False, False]
    verdict = judge(marked, "Paris")
    assert verdict.fault == Fault.NO_ANSWER
    assert verdict.reason == "no answer was found (what follows the last 'Answer:' in its line)"


def test_contains_takes_whole_words_only(tmp_path: Path) -> None:
    asked = problem(tmp_path, "4", "contains")
    assert passes(asked, "it is 4.", "(4)", "4 or 5", "Answer:4", "a 4-year-old", "$4") == [True] * 6
    assert passes(asked, "42", "4.5", "1,4", "-4", "x4", "14") == [False] * 6
    others = ["4/5", "1/4", "3:4", "2^4", "4%", "4 %", "4-5", "minus 4", "- 4", "–4", "1 4"]
    assert passes(asked, *others) == [False] * len(others)
    factors = ["4 million", "4 Hundred", "4 dozen", "4 x 10", "4*2", "4 × 10", "10 x 4", "10*4", "10 × 4"]
    assert passes(asked, *factors) == [False] * len(factors)
    assert passes(asked, "it is **4**", "4 xylophones", "Level x 4") == [True] * 3
    assert passes(problem(tmp_path, "4 million", "contains"), "4 million", "4") == [True, False]
    assert passes(problem(tmp_path, "C", "contains"), "in C, say", "C++", "C#") == [True, False, False]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("B", ["B"]),
        ("(b)", ["B"]),
        ("\\boxed{B}", ["B"]),
        ("**B**", ["B"]),
        ("B?", []),
        ("(B)?", []),
        ("B) because it is", ["B"]),
        ("The answer is B because A is not", []),
        ("The answer is (B).", ["B"]),
        ("Answer: B", ["B"]),
        ("I choose option D", ["D"]),
        ("A dog", []),
        ("The answer is a dog", []),
        ("The answer is A or B", []),
        ("The answer is not B", []),
        ("I do not think the answer is B", []),
        ("The answer is B. No, wait, it is C.", []),
        ("A) one\nB) two", ["A", "B"]),
        ("A) a dog", ["A"]),
        ("The answer is B, as I think", ["B"]),
        ("Answer: B\nThe sky is blue.", ["B"]),
        *(
            (text, [])
            for text in (
                "Answer: A, B",
                "Answer: A,B,C,D",
                "Answer: A B",
                "Answer: A; B",
                "Answer: A|B",
                "Answer: A vs B",
                "Answer: A to D",
                "Answer: A\nB",
                "(A) (B)",
                "A) B)",
                "A. B",
                "Answer: B. A is right",
                "Answer: A. Final: B",
                "Option A is the trap; it is B",
                "Option A is a distractor",
                "Answer A can be ruled out",
                "Eliminate option A",
            )
        ),
        ("", []),
    ],
)
def test_a_choice_is_one_label_that_is_said_clearly(text: str, chosen: list[str]) -> None:
    assert chosen_in(text, ["A", "B", "C", "D"]) == chosen


def test_labels_may_be_words_and_are_those_of_the_file(tmp_path: Path) -> None:
    asked = problem(tmp_path, "yes", "choice", others=["no", "unknown"])
    assert passes(asked, "Yes", "yes, because", "The answer is yes.") == [True] * 3
    assert passes(asked, "no", "yes or no", "Not yes", "maybe") == [False] * 4
    assert passes(asked, "yes, no, unknown", "yes. no.", "answer: yes unknown") == [False] * 3


def test_json_is_compared_by_value(tmp_path: Path) -> None:
    asked = problem(tmp_path, {"n": 1, "ok": True}, "json")
    assert passes(asked, '{"ok": true, "n": 1.0}', '```json\n{"n": 1, "ok": true}\n```') == [True, True]
    wrong = ['{"n": 1, "ok": 1}', '{"n": true, "ok": true}', '{"n": 1}', '{"n": 1, "ok": true} ok']
    assert passes(asked, *wrong, '{"n": 1, "n": 1, "ok": true}', '{"n": NaN, "ok": true}') == [False] * 6
    for broken in ("NaN", '{"a": 1, "a": 2}', "1e400"):
        with pytest.raises(DataError, match="the answer is not valid JSON"):
            problem(tmp_path, broken, "json")


def test_json_fits_its_schema_and_fetches_nothing(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "object", "required": ["name"]}))
    any_name = {"name": "json", "schema_file": str(schema), "equal": False}
    asked = problem(tmp_path, {"name": "x"}, any_name)
    assert passes(asked, '{"name": "y"}', '{"title": "y"}', "3") == [True, False, False]
    assert judge(asked, "3").fault == "not_in_schema"
    schema.write_text(json.dumps({"$ref": "http://127.0.0.1:9/schema.json"}))
    elsewhere = problem(tmp_path, {"name": "x"}, any_name)
    with pytest.raises(Exception, match="Unresolvable"):
        judge(elsewhere, "{}")


def test_a_function_of_ones_own_may_say_why_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    asked = problem(tmp_path, "yes", {"python": f"{tmp_path / 'own.py'}:grade"})
    assert judge(asked, "long").reason == "it is too long"
    with pytest.raises(TypeError, match="must return True, False or a sentence, got 3"):
        judge(asked, "odd")


@pytest.mark.slow
def test_a_pattern_that_never_ends_costs_one_answer(tmp_path: Path) -> None:
    asked = problem(tmp_path, "(a+)+b", "regex", reply="aab")
    with VerifierPool("regex", num_processes=1, seconds=1.0, memory_mib=512) as pool:
        hung, good = pool.verify(
            (asked, replace(attempt(text), problem_id=asked.id)) for text in ("a" * 40 + "c", "aab")
        )
    assert (hung.status, hung.fault) == (Status.UNDECIDED, Fault.VERIFIER_LIMIT)
    assert good.status is Status.PASS


@pytest.mark.slow
def test_semantic_grades_by_nearness_within_the_limits_of_the_pool(tmp_path: Path) -> None:
    asked = problem(tmp_path, "The cat sleeps on the sofa.", "semantic")
    texts = ("A cat is sleeping on the couch.", "Interest rates rose again.", "")
    with VerifierPool("semantic", num_processes=1, seconds=20.0, memory_mib=1024) as pool:
        near, far, none = pool.verify((asked, replace(attempt(text), problem_id=asked.id)) for text in texts)
    assert near.grade and far.grade and near.grade > 0.6 > 0.3 > far.grade
    assert (near.status, far.status) == (Status.PASS, Status.FAIL)
    assert none.fault == Fault.NO_ANSWER

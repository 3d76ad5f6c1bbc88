"""The task `domain`: what of curated sets is learnt, what is asked, and what nobody can be asked."""

from pathlib import Path
from typing import Any

import pytest

from configs.load import ConfigError, from_tree
from engine.records import Problem, Reference, Status
from engine.tasks import load_task, read_file
from engine.tasks.domain import CHATS, EXAMPLES, PAIRS, examples_of
from engine.tasks.fixed import Fixed
from engine.tasks.suite import DataError, notes_of
from engine.verify import load_verifier
from tests.support.domain_files import chat, curated, pairs, questions, settings_of, suite_of_sets
from tests.support.proof_helpers import attempt


def problems(suite: Fixed, part: str) -> list[Problem]:
    return [record.problem for record in suite.records(part)]


def accepted(problem: Problem) -> tuple[str, ...]:
    assert isinstance(problem.truth, Reference)
    return problem.truth.accepted


def test_sets_become_parts_and_the_test_set_is_divided_once(tmp_path: Path) -> None:
    folder = curated(tmp_path / "data", questions(20), questions(10, 100), questions(60, 200))
    suite = suite_of_sets(folder)
    sizes = suite.sizes
    assert (sizes["train"], sizes["probe"], sizes["gate"] + sizes["sealed"]) == (20, 10, 60)
    assert 0 < sizes["sealed"] < sizes["gate"]
    other = suite_of_sets(folder, sealed=0.9).sizes
    assert other["sealed"] > other["gate"]
    drawn = {each.id for each in suite.draw(sizes["gate"], split="gate", seed=1)}
    assert drawn == {each.id for each in problems(suite, "gate")}
    with pytest.raises(
        DataError, match=r"the draw 'sealed' needs 61 examples .*: task\.curation\.shares\.test and"
    ):
        suite.draw(61, split="sealed", seed=1)
    with pytest.raises(
        DataError, match=r"share: task\.curation\.shares\.validation with another task\.direc"
    ):
        suite.without({}).draw(61, split="eval", seed=1)


def test_the_config_says_who_judges_and_by_which_exam(tmp_path: Path) -> None:
    folder = curated(tmp_path / "data", questions(2), test=questions(9, 10))
    suite = suite_of_sets(folder, exam="preference", scorer="contains")
    assert (suite.task.exam, suite.task.verifiers, suite.task.name) == ("preference", ("contains",), "domain")
    task = load_task("domain")
    assert (task.exam, task.verifiers) == ("verdicts", ("semantic",)), "another suite changes nothing"
    assert suite_of_sets(folder).task.exam == "verdicts"
    assert suite.without({}).task.exam == "preference"


def test_replies_to_one_chat_are_one_problem_and_each_is_accepted(tmp_path: Path) -> None:
    rows = [
        {"prompt": "What  is it?", "response": "A gadget.", "id": "a"},
        {"prompt": " What is it? ", "response": "A device."},
        {"prompt": "What is it?", "response": "A gadget."},
    ]
    folder = curated(tmp_path / "data", rows, test=questions(9))
    (problem,) = problems(suite_of_sets(folder), "train")
    assert accepted(problem) == ("A gadget.", "A device.") and problem.gold == ("A gadget.",)
    assert (problem.slice, problem.origin) == (EXAMPLES, "train.jsonl#a")
    (examples,) = examples_of(settings_of(folder)).values()
    assert [each.chosen for each in examples] == ["A gadget.", "A device.", "A gadget."]


def test_an_example_and_a_pair_with_one_question_are_asked_once(tmp_path: Path) -> None:
    rows = questions(12)
    same = [{"prompt": row["prompt"], "chosen": row["response"], "rejected": "No."} for row in rows]
    folder = curated(tmp_path / "data", questions(1, 50), test=[*rows, *same])
    suite = suite_of_sets(folder)
    assert sum(len(suite.records(part)) for part in ("gate", "sealed")) == 24
    assert suite.sizes["gate"] + suite.sizes["sealed"] == 12
    told = [
        each.turns
        for part in ("gate", "sealed")
        for each in suite.draw(suite.sizes[part], split=part, seed=3)
    ]
    assert len(set(told)) == 12


def test_a_reply_of_an_example_is_accepted_where_a_pair_asks_the_same(tmp_path: Path) -> None:
    replies = {"response": "Paris."}, {"chosen": "It is Paris, on the Seine.", "rejected": "Rome."}
    rows = [{"prompt": "What is the capital?"} | each for each in replies]
    folder = curated(tmp_path / "data", questions(1, 50), test=[*rows, *questions(9)])
    told = [problem for part in ("gate", "sealed") for problem in problems(suite_of_sets(folder), part)]
    told += read_file(settings_of(folder), folder / "test.jsonl")
    found = [accepted(each) for each in told if each.turns == ("What is the capital?",)]
    assert found == [("Paris.", "It is Paris, on the Seine.")] * 4


def test_what_shares_a_story_is_on_one_side_of_every_draw(tmp_path: Path) -> None:
    rows = [row | {"story": f"s{at // 3}"} for at, row in enumerate(questions(30))]
    # A pair with a question of a story belongs to it, whether or not it says so.
    more = [{"prompt": row["prompt"], "chosen": "Yes.", "rejected": "No."} for row in rows[::3]]
    suite = suite_of_sets(curated(tmp_path / "data", questions(1, 50), test=[*rows, *more]))
    stories = [{record.story for record in suite.records(part)} for part in ("gate", "sealed")]
    assert not stories[0] & stories[1] and stories[0] | stories[1] == {f"s{at}" for at in range(10)}


def test_near_twins_are_on_one_side_of_every_draw(tmp_path: Path) -> None:
    rows = questions(30)
    twins = [row | {"prompt": f"Tell me: {row['prompt']}", "id": f"t{at}"} for at, row in enumerate(rows)]
    rows = [row | {"cluster": f"{at % 30:016x}"} for at, row in enumerate([*rows, *twins])]
    suite = suite_of_sets(curated(tmp_path / "data", questions(1, 50), test=rows), sealed=0.5)
    stories = [{record.story for record in suite.records(part)} for part in ("gate", "sealed")]
    assert all(stories) and not stories[0] & stories[1] and len(stories[0] | stories[1]) == 30
    assert suite.sizes["gate"] + suite.sizes["sealed"] == 30


def test_what_goes_on_with_a_chat_is_learnt_and_never_asked(tmp_path: Path) -> None:
    told = chat("Hello.", "Hi.", "And you?", "Fine.")
    spoken = chat("Who?", "Me.") | {"system": "Be brief."}
    folder = curated(
        tmp_path / "data", [*questions(3), told, spoken], questions(4, 20), [*questions(9, 40), told]
    )
    suite = suite_of_sets(folder)
    slices = {each.turns[0]: each.slice for each in problems(suite, "train")}
    assert slices["And you?"] == slices["Who?"] == CHATS and slices["What is thing 0?"] == EXAMPLES
    assert [each.turns[0] for each in problems(suite, "train") if not each.gold] == ["And you?", "Who?"]
    assert suite.sizes["gate"] + suite.sizes["sealed"] == 9
    (note,) = notes_of(suite)
    assert note.startswith("1 example of validation and test cannot be asked: they go on with a chat, or")


def test_the_system_message_of_most_questions_is_that_of_the_suite(tmp_path: Path) -> None:
    spoken = [row | {"system": "Be brief."} for row in questions(12)]
    suite = suite_of_sets(
        curated(tmp_path / "data", spoken[:4], spoken[4:6], [*spoken[6:], *questions(2, 40)])
    )
    assert suite.task.system == "Be brief." and len(notes_of(suite)) == 1
    assert {each.slice for each in problems(suite, "train")} == {EXAMPLES}
    asked = {each.turns for part in ("gate", "sealed") for each in problems(suite, part)}
    assert asked == {(row["prompt"],) for row in spoken[6:]}


def test_pairs_are_a_slice_of_their_own_and_the_preferred_side_is_right(tmp_path: Path) -> None:
    suite = suite_of_sets(curated(tmp_path / "data", [*questions(3), *pairs(2)], test=pairs(9, 20)))
    assert suite.slices == [EXAMPLES, PAIRS]
    verify = load_verifier("exact")
    judged = [each for part in ("gate", "sealed") for each in problems(suite, part)]
    for problem, other in zip(judged, judged[1:] + judged[:1], strict=True):
        assert verify(problem, attempt(problem.gold[0])).status is Status.PASS
        assert verify(problem, attempt(other.gold[0])).status is Status.FAIL


def test_what_a_line_has_learnt_is_not_judged_on_in_another_directory(tmp_path: Path) -> None:
    rows = questions(40)
    learnt = {
        each.id
        for each in problems(suite_of_sets(curated(tmp_path / "a", rows, test=questions(9, 90))), "train")
    }
    moved = suite_of_sets(curated(tmp_path / "b", rows[:10], test=rows[10:]))
    assert moved.sizes["gate"] > 0
    left = moved.without({"train": frozenset(learnt)})
    assert left.sizes["gate"] == left.sizes["sealed"] == 0 and left.sizes["train"] == 10


def test_a_directory_that_is_curated_anew_is_read_anew(tmp_path: Path) -> None:
    folder = curated(tmp_path / "data", questions(2), test=questions(9, 10))
    before = suite_of_sets(folder)
    curated(folder, questions(3), test=questions(9, 10))
    after = suite_of_sets(folder)
    assert (before.sizes["train"], after.sizes["train"]) == (2, 3) and before.digest != after.digest


@pytest.mark.parametrize(
    ("keys", "rows", "sentence"),
    [
        (
            {"directory": "no/where"},
            [],
            "no/where is no curated directory: it has no train.jsonl; `ratchet cur",
        ),
        (
            {"directory": "no/where", "files": ["a.jsonl"]},
            [],
            "`ratchet doctor` and `ratchet run` make it of",
        ),
        ({}, [], "holds no example that can be asked in test.jsonl"),
        (
            {},
            [chat("Hello.", "Hi.", "And you?", "Fine.")],
            "holds no example that can be asked in test.jsonl",
        ),
        (
            {"scorer": {"name": "choice", "labels": ["yes", "no"]}},
            [{"prompt": "Is it?", "response": "Perhaps."}],
            "test.jsonl, line 1: the answer 'Perhaps.' is none of task.scorer.labels: yes, no",
        ),
        ({}, [{"prompt": "Is it?"}], "test.jsonl, line 1: is in no layout that is read"),
    ],
)
def test_sets_that_cannot_be_used_are_refused_in_a_sentence(
    tmp_path: Path, keys: dict[str, Any], rows: list[dict[str, Any]], sentence: str
) -> None:
    folder = curated(tmp_path / "data", [{"prompt": "Is it so?", "response": "yes"}], test=rows)
    with pytest.raises(DataError) as error:
        suite_of_sets(folder, **keys)
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_a_scorer_need_not_judge_what_is_never_asked(tmp_path: Path) -> None:
    told = chat("Hello.", "Hi.", "And you?", "Fine, as ever.")
    yes = [{"prompt": f"Is it {i}?", "response": "yes"} for i in range(9)]
    scorer = {"name": "choice", "labels": ["yes", "no"]}
    assert suite_of_sets(curated(tmp_path / "data", [told], test=yes), scorer=scorer).sizes["train"] == 1


def test_a_public_file_is_read_as_the_config_says(tmp_path: Path) -> None:
    folder = curated(tmp_path / "data", questions(1), test=questions(9, 10))
    told = chat("Hello.", "Hi.", "And you?", "Fine.")
    curated(tmp_path / "more", [*questions(3, 70), told])
    read = read_file(settings_of(folder), tmp_path / "more" / "train.jsonl")
    assert [(each.split, each.gold) for each in read] == [
        ("public", (f"It is a gadget {i}.",)) for i in range(70, 73)
    ]
    assert load_verifier("exact")(read[0], attempt("it is a gadget 70")).status is Status.PASS
    curated(tmp_path / "chats", [told])
    with pytest.raises(DataError, match="train.jsonl holds no example that can be asked"):
        load_task("domain").read(tmp_path / "chats" / "train.jsonl")


def test_mistakes_in_the_settings_are_one_sentence() -> None:
    for task, sentence in (
        ({"name": "domain"}, "key task.directory is missing"),
        ({"name": "domain", "directory": "data", "exam": "likelihood"}, "task.exam"),
        ({"name": "domain", "directory": "data", "sealed": 1.0}, "task.sealed must be less than 1"),
        ({"name": "domain", "directory": "data", "curation": {"sead": 1}}, "unknown key task.curation.sead"),
    ):
        with pytest.raises(ConfigError) as error:
            from_tree({"name": "mine", "line": "a/b", "task": task}, "test")
        assert sentence in str(error.value) and "\n" not in str(error.value)

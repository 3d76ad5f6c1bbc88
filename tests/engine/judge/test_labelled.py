"""Pairs whose better side is known, and what a judge's answers to them say of it."""

from pathlib import Path
from typing import Any

import pytest

from engine.judge.completions import JudgeError
from engine.judge.labelled import errors_of, read_labelled
from engine.judge.pairwise import Contest
from tests.support.judge_server import better_by_number, mistaken, serving
from tests.support.outcomes import write_rows

PAIRS = [{"prompt": f"q{number}", "chosen": "2", "rejected": "1"} for number in range(20)]


def test_preference_pairs_say_nothing_of_old_and_new_so_they_alternate(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "pairs.jsonl", [{**PAIRS[0], "id": 7, "story": "s"}, *PAIRS[1:]])
    first, second, *others = read_labelled(file)
    assert first.contest == Contest(id="7", asked="q0", old="1", new="2", story="s") and first.new_is_better
    assert second.contest == Contest(id="line 2", asked="q1", old="2", new="1") and not second.new_is_better
    assert len(others) == 18


def test_pairs_of_the_models_themselves_say_which_is_which(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"q{number}", "old": "a", "new": "b", "better": "old" if number < 5 else "new"}
        for number in range(20)
    ]
    found = read_labelled(write_rows(tmp_path / "pairs.jsonl", rows))
    assert [each.new_is_better for each in found] == [False] * 5 + [True] * 15
    assert {(each.contest.old, each.contest.new) for each in found} == {("a", "b")}


def test_an_empty_reply_is_one_that_people_may_have_rated(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "old": "", "new": "b", "better": "new"}, *PAIRS]
    first, *_ = read_labelled(write_rows(tmp_path / "pairs.jsonl", rows))
    assert (first.contest.old, first.contest.new, first.new_is_better) == ("", "b", True)


def test_messages_are_shown_with_their_roles(tmp_path: Path) -> None:
    alone = {"chosen": "2", "rejected": "1", "messages": [{"role": "user", "content": "Hello."}]}
    talk = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello."},
    ]
    rows = [alone, {**alone, "messages": talk}, *PAIRS]
    first, second, *_ = read_labelled(write_rows(tmp_path / "pairs.jsonl", rows))
    assert first.contest.asked == "Hello."
    assert second.contest.asked == "system:\nBe kind.\n\nuser:\nHello."


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "q", "chosen": "1"}, "line 21: `rejected` must be text, got 'None'"),
        ({"chosen": "1", "rejected": "2"}, "`prompt` must be text, got 'None'"),
        ({"chosen": "1", "rejected": "2", "messages": []}, "`messages` must be a list"),
        ({"chosen": "1", "rejected": "2", "messages": [{"role": "user"}]}, "`messages`: `content` must be"),
        (
            {"prompt": "q", "old": "1", "new": "2", "better": "both"},
            "`better` must be old or new, got 'both'",
        ),
        ({"prompt": "q", "chosen": 1, "rejected": "2"}, "`chosen` must be text, got '1'"),
    ],
)
def test_a_row_that_is_no_pair_is_named(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "pairs.jsonl", [*PAIRS, row])
    with pytest.raises(JudgeError, match=message):
        read_labelled(file)


def test_too_few_pairs_tell_nothing(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="has 19 pairs; to tell a judge's errors 20 are needed"):
        read_labelled(write_rows(tmp_path / "pairs.jsonl", PAIRS[1:]))


def test_a_judges_errors_are_counted_by_side(tmp_path: Path) -> None:
    labelled = read_labelled(write_rows(tmp_path / "pairs.jsonl", PAIRS * 2))
    with serving() as server, server.judge(tmp_path / "a.jsonl") as judge:
        errors = errors_of(judge, labelled)
        assert (errors.better, errors.worse, errors.num) == ((20, 0, 20), (0, 0, 20), 40)
    with serving(mistaken(better_by_number, 1.0)) as server, server.judge(tmp_path / "b.jsonl") as judge:
        errors = errors_of(judge, labelled)
        assert (errors.better, errors.worse) == ((0, 0, 20), (20, 0, 20))

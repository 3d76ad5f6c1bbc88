"""Suites over a finite set: parts, what a draw may take from them, and what happens when they are used up."""

from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.tasks.fixed import Fixed, part_of
from engine.tasks.lines import PARTS
from engine.tasks.suite import DataError
from tests.support.records_files import suite_of_rows, sums

EQUAL = {"train": 0.25, "probe": 0.25, "gate": 0.25, "sealed": 0.25}


def ids(suite: Fixed, part: str) -> set[str]:
    return {record.problem.id for record in suite.records(part)}


def drawn(suite: Fixed, num: int, **options: Any) -> list[str]:
    return [problem.id for problem in suite.draw(num, **({"seed": 3} | options))]


@pytest.fixture
def suite(tmp_path: Path) -> Fixed:
    return suite_of_rows(tmp_path / "my.jsonl", sums(400))


def test_no_record_is_in_two_parts_and_shares_are_kept(suite: Fixed) -> None:
    for one, other in combinations(PARTS, 2):
        assert not ids(suite, one) & ids(suite, other)
    sizes = suite.sizes
    assert sum(sizes.values()) == 400
    for part, share in {"train": 0.4, "probe": 0.15, "gate": 0.35, "sealed": 0.1}.items():
        assert abs(sizes[part] - 400 * share) < 30, part


def test_parts_follow_neither_order_nor_growth_of_the_file(tmp_path: Path, suite: Fixed) -> None:
    rows = sums(500)
    Random(1).shuffle(rows)
    grown = suite_of_rows(tmp_path / "grown.jsonl", rows)
    for part in PARTS:
        assert ids(suite, part) <= ids(grown, part)
    again = suite_of_rows(tmp_path / "again.jsonl", sums(400)[::-1])
    assert again.digest == suite.digest != grown.digest
    assert drawn(again, 20, split="gate") == drawn(suite, 20, split="gate")


def test_sentinels_are_kept_apart_from_every_draw(tmp_path: Path) -> None:
    rows = [row | ({"split": "sentinel"} if i % 4 == 0 else {}) for i, row in enumerate(sums(200))]
    suite = suite_of_rows(tmp_path / "my.jsonl", rows)
    kept = {problem.id for problem in suite.sentinels}
    assert len(kept) == suite.sizes["sentinel"] == 50
    assert {problem.split for problem in suite.sentinels} == {"sentinel"}
    assert sum(suite.sizes[part] for part in PARTS) == 150
    for part, split in {
        "train": "warm-start",
        "probe": "probe-1",
        "gate": "gate",
        "sealed": "sealed",
    }.items():
        assert not kept & set(drawn(suite, suite.sizes[part], split=split))
    changed = [row | {"split": "sentinel"} if i == 1 else row for i, row in enumerate(rows)]
    assert suite_of_rows(tmp_path / "other.jsonl", changed).digest != suite.digest
    backwards = suite_of_rows(tmp_path / "back.jsonl", rows[::-1])
    assert [each.id for each in backwards.sentinels] == [each.id for each in suite.sentinels]
    told = [row | ({"story": f"s{i // 8}"} if row.get("split") else {}) for i, row in enumerate(rows)]
    of_stories = suite_of_rows(tmp_path / "told.jsonl", told)
    assert len(of_stories.sentinels) == of_stories.sizes["sentinel"] == 25  # one of each story
    assert [each.id for each in of_stories.sentinels] == sorted(each.id for each in of_stories.sentinels)


def test_what_was_learnt_is_no_sentinel_and_what_was_one_is_not_fresh(tmp_path: Path) -> None:
    rows = [row | ({"split": "sentinel"} if i < 40 else {}) for i, row in enumerate(sums(200))]
    suite = suite_of_rows(tmp_path / "my.jsonl", rows)
    first, second = (problem.id for problem in suite.sentinels[:2])
    left = suite.without({"train": {first}, "gate": {second}, "probe": {second}})
    assert {problem.id for problem in suite.sentinels} - {problem.id for problem in left.sentinels} == {first}
    # A later file may give them to another part: there they have been judged on.
    free = suite_of_rows(tmp_path / "free.jsonl", sums(200))
    left = free.without({"sentinel": {problem.id for problem in suite.sentinels}})
    used = {problem.id for problem in suite.sentinels}
    assert not used & (ids(left, "gate") | ids(left, "sealed"))
    assert used & ids(left, "train") and ids(left, "probe") == ids(free, "probe")


def test_a_story_never_crosses_parts_and_is_asked_once_where_it_judges(tmp_path: Path) -> None:
    rows = [row | {"story": f"s{i // 5}"} for i, row in enumerate(sums(400))]
    suite = suite_of_rows(tmp_path / "my.jsonl", rows, shares=EQUAL)
    stories = {record.problem.id: record.story for part in PARTS for record in suite.records(part)}
    where = {part: {record.story for record in suite.records(part)} for part in PARTS}
    for one, other in combinations(PARTS, 2):
        assert not where[one] & where[other]
    assert suite.sizes["gate"] == len(where["gate"]) < len(ids(suite, "gate"))
    asked = drawn(suite, suite.sizes["gate"], split="gate")
    assert len({stories[each] for each in asked}) == len(asked)
    first = drawn(suite, 5, split="gate")
    later = drawn(suite, suite.sizes["gate"] - 5, split="gate", start=5, exclude=set(first))
    assert not {stories[each] for each in first} & {stories[each] for each in later}
    # What is learnt may hold several questions of a story.
    assert len(drawn(suite, suite.sizes["train"], split="warm-start")) == len(ids(suite, "train"))


def test_a_split_of_its_own_decides(tmp_path: Path) -> None:
    rows = sums(100, split="train") + [
        {"prompt": f"test {i}", "answer": i, "split": "test"} for i in range(300)
    ]
    suite = suite_of_rows(tmp_path / "my.jsonl", rows)
    assert suite.sizes["train"] == 100
    assert all(suite.sizes[part] > 20 for part in ("probe", "gate", "sealed"))
    assert all(record.split == "test" for record in suite.records("gate"))


@pytest.mark.parametrize(
    ("split", "part"),
    [
        ("warm-start", "train"),
        ("propose-3", "train"),
        ("shots", "train"),
        ("example", "train"),
        ("ask-1", "train"),
        ("probe-2", "probe"),
        ("carry-2", "probe"),
        ("carry-pass-at-k", "probe"),
        ("baseline", "probe"),
        ("select-1", "probe"),
        ("selection", "probe"),
        ("eval", "probe"),
        ("gate", "gate"),
        ("pass-at-k", "gate"),
        ("sealed", "sealed"),
    ],
)
def test_every_draw_of_a_campaign_has_its_part(suite: Fixed, split: str, part: str) -> None:
    assert part_of(split) == part
    assert set(drawn(suite, 10, split=split)) <= ids(suite, part)


def test_a_draw_is_repeatable_and_its_places_fit_together(suite: Fixed) -> None:
    whole = drawn(suite, 40, split="gate")
    assert whole == drawn(suite, 40, split="gate") != drawn(suite, 40, split="gate", seed=4)
    assert [
        each for start in range(0, 40, 10) for each in drawn(suite, 10, split="gate", start=start)
    ] == whole
    assert drawn(suite, 10, split="warm-start") != drawn(suite, 10, split="propose-1")


def test_looks_take_the_whole_part_whatever_is_excluded(suite: Fixed) -> None:
    """What an earlier test used lies anywhere in the order: no record is lost by that, none comes twice."""
    size = suite.sizes["gate"]
    before = set(drawn(suite, 30, split="gate", seed=9))
    seen, looks = set(before), 0
    while size - len(seen) >= 10:
        look = drawn(suite, 10, split="gate", start=10 * looks, exclude=seen)
        assert len(set(look)) == 10 and not seen & set(look)
        seen |= set(look)
        looks += 1
    assert looks == (size - 30) // 10


def test_a_used_up_part_refuses_and_one_that_is_not_begins_again(suite: Fixed) -> None:
    gate = ids(suite, "gate")
    with pytest.raises(DataError) as error:
        drawn(suite, 20, split="gate", exclude=set(list(gate)[5:]))
    assert str(error.value) == (
        "the draw 'gate' needs 20 records of the gate part that nothing has used, but 5 are left; a larger "
        "share: task.shares.gate"
    )
    probe = ids(suite, "probe")
    fresh = set(list(probe)[:7])
    asked = drawn(suite, 20, split="probe-1", exclude=probe - fresh)
    assert set(asked[:7]) == fresh and len(set(asked)) == 20
    with pytest.raises(
        DataError, match=f"needs {len(probe) + 1} records of the probe part, but {len(probe)}"
    ):
        drawn(suite, len(probe) + 1, split="probe-1")


def test_several_questions_a_story_are_refused(suite: Fixed) -> None:
    with pytest.raises(DataError, match="asks one question a story: questions must be 1, got 2"):
        suite.draw(0, split="plan", seed=0, questions=2)


def test_a_plan_may_see_a_text_twice(suite: Fixed) -> None:
    assert len(drawn(suite, 1_000, split="plan")) == 1_000


def test_weights_choose_slices(tmp_path: Path) -> None:
    rows = [row | {"slice": "rare" if i % 10 == 0 else "common"} for i, row in enumerate(sums(1_000))]
    suite = suite_of_rows(tmp_path / "my.jsonl", rows)
    assert suite.slices == ["common", "rare"]
    weighted = suite.draw(20, split="propose-1", seed=0, weights={"rare": 0.9, "common": 0.1})
    plain = suite.draw(20, split="propose-1", seed=0)
    assert sum(problem.slice == "rare" for problem in weighted) > 12
    assert sum(problem.slice == "rare" for problem in plain) < 8
    only = suite.draw(5, split="propose-1", seed=0, weights={"rare": 1.0})
    assert {problem.slice for problem in only} == {"rare"}


def test_what_a_line_has_used_is_left_out(suite: Fixed) -> None:
    some = {part: set(sorted(ids(suite, part))[:10]) for part in PARTS}
    left = suite.without({"gate": some["gate"], "sealed": some["sealed"], "probe": some["probe"]})
    assert ids(left, "gate") == ids(suite, "gate") - some["gate"]
    assert ids(left, "sealed") == ids(suite, "sealed") - some["sealed"]
    assert ids(left, "probe") == ids(suite, "probe") and ids(left, "train") == ids(suite, "train")
    # Other shares than before: what was learnt is now in a part that judges.
    moved = suite.without({"train": some["gate"] | some["probe"]})
    assert ids(moved, "gate") == ids(suite, "gate") - some["gate"]
    assert ids(moved, "probe") == ids(suite, "probe") - some["probe"]


def test_tests_that_share_records_draw_from_all_of_them(tmp_path: Path) -> None:
    suite = suite_of_rows(tmp_path / "my.jsonl", sums(400), per_test=True)
    gate = ids(suite, "gate")
    left = suite.without({"gate": gate})
    assert ids(left, "gate") == gate
    seen: set[str] = set()
    for start in (0, 20, 40):
        look = set(drawn(left, 20, split="gate", start=start, exclude=gate))
        assert not look & seen
        seen |= look
    sampled = set(drawn(left, len(gate) - 60, split="pass-at-k", exclude=gate))
    assert sampled == gate - seen
    learnt = suite.without({"train": seen})
    assert ids(learnt, "gate") == gate - seen

"""Ratings read back: each counts once, and two models that are alike are not told apart."""

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.gate.compare import Answer
from engine.judge import looks
from engine.judge.labelled import read_labelled
from engine.judge.looks import spend
from engine.judge.rating import Key, Pair, RatingError
from engine.judge.ratings import Vote, rated, read_key, read_votes, write_labelled
from engine.measure.paired import binomial
from engine.measure.stats import interval, sign_test
from engine.records import to_json

ANNA, BEN = "a" * 16, "b" * 16


def pair(name: str, side: Any = "left", story: str = "", same: bool = False) -> Pair:
    return Pair(id=name, story=story, asked="q", old="old", new="old" if same else "new", new_side=side)


KEY = Key(
    salt="s",
    seed=1,
    names=("zebra", "giraffe"),
    pairs=(pair("p0"), pair("same", same=True), pair("p1", "right"), pair("p2")),
)
"""On its page the pairs 0, 1 and 2 are p0, p1 and p2; the new reply stands left, right, left."""


def ratings(folder: Path, name: str, rater: str, given: dict[str, str], seal: str = "") -> Path:
    file = folder / name
    file.write_text(json.dumps({"seal": seal or KEY.seal, "rater": rater, "ratings": given}))
    return file


def votes(signs: Sequence[int]) -> tuple[Key, list[Vote]]:
    """One rater's votes on as many pairs."""
    pairs = tuple(pair(f"p{number}") for number in range(len(signs)))
    key = Key(salt="s", seed=1, names=("old", "new"), pairs=pairs)
    return key, [Vote(each, ANNA, sign) for each, sign in zip(pairs, signs, strict=True)]


def test_sides_become_models_again(tmp_path: Path) -> None:
    file = ratings(tmp_path, "r.json", ANNA, {"0": "left", "1": "left", "2": "equal"})
    found = read_votes(KEY, [file])
    assert [(vote.pair.id, vote.sign) for vote in found] == [("p0", 1), ("same", 0), ("p1", -1), ("p2", 0)]
    part = read_votes(KEY, [ratings(tmp_path, "p.json", ANNA, {"1": "right"})])
    assert [(vote.pair.id, vote.sign) for vote in part] == [("same", 0), ("p1", 1)], (
        "what is not rated is no tie"
    )


def test_a_rater_counts_once_however_often_a_file_is_sent(tmp_path: Path) -> None:
    early = ratings(tmp_path, "early.json", ANNA, {"0": "left"})
    late = ratings(tmp_path, "late.json", ANNA, {"0": "left", "1": "right"})
    other = ratings(tmp_path, "other.json", BEN, {"0": "right"})
    assert read_votes(KEY, [early, late, late]) == read_votes(KEY, [late])
    assert len(read_votes(KEY, [late, other])) == 3 + 2
    changed = ratings(tmp_path, "changed.json", ANNA, {"0": "right"})
    with pytest.raises(
        RatingError, match="early.json and .*changed.json are of one rater, but differ on pair 0"
    ):
        read_votes(KEY, [early, changed])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"seal": "x", "rater": ANNA, "ratings": {"0": "left"}}, "holds ratings of another page"),
        ({"rater": ANNA, "ratings": {"3": "left"}}, "rates pair 3, and the page has 3, from 0"),
        ({"rater": ANNA, "ratings": {"01": "left"}}, "'01' is no number of a pair"),
        ({"rater": ANNA, "ratings": {"-1": "left"}}, "'-1' is no number of a pair"),
        ({"rater": ANNA, "ratings": {"9" * 5000: "left"}}, "is no number of a pair"),
        ({"rater": ANNA, "ratings": {"0": "up"}}, "holds no ratings of a page: ratings.0"),
        ({"rater": "<b>", "ratings": {}}, "holds no ratings of a page: rater"),
        ({"rater": ANNA, "ratings": {}, "note": 1}, "holds no ratings of a page: note"),
        ({"rater": ANNA, "ratings": {}}, "1 file of ratings, and no pair is rated"),
    ],
)
def test_what_is_no_rating_of_the_page_is_refused(
    content: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "r.json"
    file.write_text(json.dumps({"seal": KEY.seal, **content}))
    with pytest.raises(RatingError, match=message):
        read_votes(KEY, [file])


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x"
    with pytest.raises(RatingError, match="x cannot be read: No such file"):
        read_key(file)
    with pytest.raises(RatingError, match="x cannot be read: No such file"):
        read_votes(KEY, [file])
    file.write_text("{")
    with pytest.raises(RatingError, match="is no key of a page, which `ratchet rate export` writes"):
        read_key(file)
    file.write_text(to_json(KEY))
    assert read_key(file) == KEY and read_key(file).seal == KEY.seal
    with pytest.raises(RatingError, match="holds no ratings of a page"):
        read_votes(KEY, [file])


def test_a_key_that_was_changed_is_not_that_of_the_page(tmp_path: Path) -> None:
    file = ratings(tmp_path, "r.json", ANNA, {"0": "left"})
    swapped = Key(salt=KEY.salt, seed=KEY.seed, names=KEY.names[::-1], pairs=KEY.pairs)
    with pytest.raises(RatingError, match="another page"):
        read_votes(swapped, [file])


def test_one_raters_votes_are_tested_as_the_gate_tests_items() -> None:
    found = rated(*votes([1] * 31 + [-1] * 11 + [0] * 158))
    comparison = found.comparison
    assert (found.won, found.lost, found.tied, found.num_pairs, found.num_raters) == (31, 11, 158, 200, 1)
    assert (comparison.won, comparison.lost, comparison.num_items, comparison.num_stories) == (
        31,
        11,
        200,
        None,
    )
    assert comparison.p == sign_test(31, 11) and comparison.verdict is Answer.BETTER
    assert found.win_rate.rate == pytest.approx(0.55) and found.win_rate.num == 200
    # The win rate is half of the gain above a half, and so is its interval.
    assert comparison.low is not None and found.win_rate.low == pytest.approx((1 + comparison.low) / 2)
    assert found.left.rate == pytest.approx(31 / 42) and found.agreement is None


def test_looks_share_one_level_and_the_same_ratings_are_one_look(tmp_path: Path) -> None:
    file = tmp_path / "page.key"
    key, first = votes([1] * 6 + [-1] * 4)
    for number, seen in enumerate((first[:3], first[:6], first), start=1):
        assert spend(file, key, seen, 0.05) == (number, 0.05 / 2**number)
    assert spend(file, key, first[:6][::-1], 0.05) == (2, 0.0125)
    assert spend(tmp_path / "other.key", key, first, 0.05) == (1, 0.025)
    assert sum(spend(file, key, first[:num], 0.05).level for num in range(1, 11)) < 0.05
    with pytest.raises(RatingError, match="--alpha must stay 0.05, as at the first look .*, got 0.1"):
        spend(file, key, first, 0.1)
    with pytest.raises(RatingError, match="page.looks counts the looks at another page"):
        spend(file, KEY, first, 0.05)
    (tmp_path / "page.looks").write_text("{}")
    with pytest.raises(RatingError, match="page.looks holds no looks at a page: "):
        spend(file, key, first, 0.05)


def test_two_imports_at_once_are_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, all_votes = votes([1] * 6 + [-1] * 4)
    both, read = threading.Barrier(2), looks._read

    def slow(*args: Any) -> Any:
        found = read(*args)
        with suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.5)  # for the other one to read as well
        return found

    monkeypatch.setattr(looks, "_read", slow)
    with ThreadPoolExecutor(2) as pool:
        spent = pool.map(lambda num: spend(tmp_path / "page.key", key, all_votes[:num], 0.05), (3, 6))
        assert sorted(each.number for each in spent) == [1, 2]


def test_several_raters_of_one_pair_are_no_independent_evidence() -> None:
    pairs = [pair(f"p{number}") for number in range(10)]
    key = Key(salt="s", seed=1, names=("old", "new"), pairs=tuple(pairs))
    raters = [letter * 16 for letter in "abcdef"]
    together = [
        Vote(each, rater, 1 if number < 8 else -1) for number, each in enumerate(pairs) for rater in raters
    ]
    found = rated(key, together)
    assert (found.num_raters, found.num_pairs, found.won, found.lost) == (6, 10, 48, 12)
    assert found.comparison.num_stories == 10 and found.agreement == pytest.approx(1.0)
    assert found.comparison.p == pytest.approx(sign_test(8, 2)), "ten pairs speak, and not sixty votes"
    assert found.left.low < interval(8, 10).low and found.left.high > interval(8, 10).high
    assert found.comparison.verdict is Answer.NOT_SHOWN


def test_raters_who_disagree_have_no_agreement() -> None:
    pairs = [pair(f"p{number}") for number in range(20)]
    key = Key(salt="s", seed=1, names=("old", "new"), pairs=tuple(pairs))
    found = rated(key, [Vote(each, rater, sign) for each in pairs for rater, sign in ((ANNA, 1), (BEN, -1))])
    assert found.agreement is not None and found.agreement < 0 and found.win_rate.rate == 0.5


def test_equal_replies_are_ties_that_agree_with_nobody(tmp_path: Path) -> None:
    files = [
        ratings(tmp_path, f"{rater[0]}.json", rater, {"0": "left", "1": side, "2": "left"})
        for rater, side in ((ANNA, "left"), (BEN, "right"))
    ]
    found = rated(KEY, read_votes(KEY, files))
    assert (found.won, found.lost, found.tied) == (5, 1, 2)
    alone = rated(KEY, [vote for vote in read_votes(KEY, files) if vote.pair.is_shown])
    assert found.agreement == alone.agreement


@settings(max_examples=40)
@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=40))
def test_the_verdict_follows_from_the_counts_alone(signs: list[int]) -> None:
    found = rated(*votes(signs)).comparison
    won, lost = signs.count(1), signs.count(-1)
    assert (found.won, found.lost, found.num_undecided) == (won, lost, 0)
    assert (found.verdict is Answer.BETTER) == (sign_test(won, lost) <= 0.025)
    assert (found.verdict is Answer.WORSE) == (sign_test(lost, won) <= 0.025)


@pytest.mark.parametrize("tied", [0, 60, 140])
def test_two_equal_models_are_not_told_apart(tied: int) -> None:
    """Over 200 blind comparisons, exactly: the chance of a verdict either way is at most 5 of 100."""
    speaking = 200 - tied
    wrong = sum(
        float(binomial(speaking, 0.5)[won])
        for won in range(speaking + 1)
        if min(sign_test(won, speaking - won), sign_test(speaking - won, won)) <= 0.025
    )
    assert 0.02 < wrong <= 0.05


def test_what_people_prefer_measures_a_judge(tmp_path: Path) -> None:
    pairs = [pair(f"p{number}", story="s" if number else "") for number in range(24)]
    signs = [[1, 1], [1, 0], [-1, 0], [1, -1], [0, 0]] + [[1, 1]] * 19
    found = [
        Vote(each, rater, sign)
        for each, pair_signs in zip(pairs, signs, strict=True)
        for rater, sign in zip((ANNA, BEN), pair_signs, strict=True)
    ]
    file = tmp_path / "labelled.jsonl"
    assert write_labelled(file, found) == 22
    labelled = read_labelled(file)
    assert [each.contest.id for each in labelled[:4]] == ["p0", "p1", "p2", "p5"]
    assert [each.new_is_better for each in labelled[:4]] == [True, True, False, True]
    assert (labelled[0].contest.asked, labelled[0].contest.old, labelled[0].contest.new) == (
        "q",
        "old",
        "new",
    )
    assert (labelled[0].contest.story, labelled[1].contest.story) == ("", "s")
    with pytest.raises(RatingError, match="--labelled never overwrites"):
        write_labelled(file, found)
    with pytest.raises(RatingError, match="on no pair do most raters prefer one side"):
        write_labelled(tmp_path / "none.jsonl", found[6:10])

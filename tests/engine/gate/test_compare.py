"""`compare` against scipy and brute force, and its verdicts on hand-made outcomes."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from engine.gate.compare import Answer, compare
from engine.gate.compare_text import layout, rows, sentence
from engine.gate.outcomes import CompareError, Item, Kind, Outcomes
from engine.measure import paired
from tests.support.outcomes import of_counts, of_pairs


def scores(values: list[float | None], stories: list[str] | None = None, **more) -> Outcomes:
    stories = stories or [""] * len(values)
    items = {f"q{at}": Item(value, story=stories[at]) for at, value in enumerate(values)}
    return Outcomes(**{"source": "file", "measure": "score", "kind": Kind.SCORE, "items": items} | more)


def of_slice(name: str) -> Outcomes:
    items = {f"q{at}": Item(1.0, slice=name) for at in range(2)}
    return Outcomes(source="file", measure="pass", kind=Kind.PASS, items=items)


def passes(values: list[bool | None], stories: list[str]) -> Outcomes:
    numbers = [None if value is None else float(value) for value in values]
    return scores(numbers, stories, measure="pass", kind=Kind.PASS)


@pytest.mark.slow
def test_p_equals_the_exact_test_of_scipy_on_a_thousand_random_tables() -> None:
    rng = np.random.default_rng(0)
    for _ in range(1000):
        num = int(rng.integers(1, 400))
        won, lost, _ = rng.multinomial(num, rng.dirichlet([1, 1, 3])).tolist()
        got = compare(*of_counts(won, lost, num))
        speaking = max(won + lost, 1)  # scipy refuses a table without a discordant pair, whose p is 1
        for p, count in ((got.p, won), (got.p_worse, lost)):
            exact = binomtest(count, speaking, alternative="greater").pvalue if won + lost else 1.0
            assert p == pytest.approx(exact, rel=1e-12)
        both = binomtest(won, speaking).pvalue if won + lost else 1.0
        assert (got.verdict is Answer.NOT_SHOWN) == (both > 0.05 * (1 + 1e-12))


def test_the_three_verdicts_and_their_sentences() -> None:
    better, worse = compare(*of_counts(31, 11, 200)), compare(*of_counts(11, 31, 200))
    assert (
        sentence(better)
        == "better: 31 won, 11 lost of 200 items (p = 0.0014; +10.0 points, 95% interval 3.8 to 16.5)"
    )
    assert (
        sentence(worse)
        == "worse: 11 won, 31 lost of 200 items (p = 0.0014; -10.0 points, 95% interval -16.5 to -3.8)"
    )
    open_ = compare(*of_counts(20, 15, 200))
    assert sentence(open_).startswith(
        "not shown: 20 won, 15 lost of 200 items (p = 0.25; +2.5 points, 95% interval -3.4 to 8.5)"
    )
    assert "a gain of 10.1 points would have been detected with 80 % power" in sentence(open_)
    assert (better.old, better.new) == pytest.approx((0.845, 0.945))
    assert better.items_won[:2] == ("q0", "q1") and len(better.items_lost) == 11


@pytest.mark.slow
def test_what_would_have_been_detected_is_detected_as_often_as_said() -> None:
    rng, shown = np.random.default_rng(1), 0
    seen = compare(*of_counts(20, 20, 400))
    assert seen.detectable
    for _ in range(400):
        won, lost, _ = rng.multinomial(400, [0.05 + seen.detectable, 0.05, 0.9 - seen.detectable]).tolist()
        shown += compare(*of_counts(won, lost, 400)).verdict is Answer.BETTER
    assert 0.74 < shown / 400 < 0.86


def test_levels_are_shared_between_both_ways_only_where_both_are_asked() -> None:
    outcomes = of_counts(10, 3, 50)  # p = 0.046
    assert compare(*outcomes).verdict is Answer.NOT_SHOWN
    assert compare(*outcomes, level=0.05).verdict is Answer.BETTER
    assert compare(*of_counts(3, 20, 50), level=0.05).verdict is Answer.NOT_SHOWN
    assert compare(*outcomes, alpha=0.2).confidence == pytest.approx(0.8)
    assert not compare(*of_counts(0, 0, 5)).items_won
    assert compare(*of_counts(0, 0, 5)).p == 1.0


def test_undecided_counts_against_the_model_that_is_to_be_shown_better() -> None:
    old = {"a": True, "b": False, "c": None, "d": None, "e": True}
    new = {"a": None, "b": None, "c": True, "d": False, "e": True}
    got = compare(old, new)
    # Of the new model as not passed, of the old one as passed.
    assert (got.won, got.lost, got.num_undecided) == (0, 2, 4)
    assert got.items_lost == ("a", "d")
    # The shares are of what passed; the gain is the least that it can be.
    assert (got.old, got.new, got.gain) == (0.4, 0.4, pytest.approx(-0.4))
    assert got.undecided == (2, 2)
    nulls = {f"q{at}": None for at in range(40)}
    passed = dict.fromkeys(nulls, True)
    lost = compare(passed, nulls)
    assert (lost.lost, lost.verdict) == (40, Answer.NOT_SHOWN)  # nor is worse shown by it
    assert compare(nulls, passed).verdict is Answer.NOT_SHOWN


def test_results_compared_with_themselves_have_equal_shares_and_say_what_undecided_does() -> None:
    results = {f"q{at}": [True, False, None][at % 3] for at in range(30)}
    got = compare(results, results)
    shown = "\n".join(layout(rows(got)))
    assert "33.3% -> 33.3%" in shown
    assert (
        "undecided  10 -> 10, not passed in these shares; the test and the gain count them against" in shown
    )
    assert sentence(got).startswith(
        "not shown: 0 won, 10 lost of 30 items, 10 of them undecided and counted against the new model "
        "(p = 1; at least -33.3 points"
    )
    decided = compare(*of_counts(3, 4, 50))
    assert "undecided" not in sentence(decided) + "\n".join(layout(rows(decided)))
    assert sentence(decided).startswith("not shown: 3 won, 4 lost of 50 items (p = 0.77; -2.0 points")


def test_worse_is_shown_with_what_is_undecided_counted_for_the_new_model() -> None:
    old = {f"q{at}": at < 90 or None for at in range(100)}
    got = compare(old, {name: name != "q0" and (int(name[1:]) < 50 or False) for name in old})
    assert got.verdict is Answer.WORSE and got.p_worse < got.level
    assert "10 of them undecided and counted against the new model (p = " in sentence(got)
    assert ", with them counted for it; at least " in sentence(got)


def test_means_of_scores_leave_undecided_out_and_say_so() -> None:
    got = compare(scores([0.1, 0.5, None]), scores([None, 0.7, 0.9]))
    shown = "\n".join(layout(rows(got)))
    assert "1 -> 1, left out of these means and the gain; the test counts them against the new model" in shown
    assert "at least" not in sentence(got)


def test_a_score_speaks_by_the_sign_of_its_change() -> None:
    rng = np.random.default_rng(2)
    before = rng.normal(size=80)
    after = before + rng.normal(0.3, 0.6, size=80)
    after[:5] = before[:5]
    got = compare(scores(before.tolist()), scores(after.tolist()))
    change = after - before
    assert (got.won, got.lost) == (int((change > 0).sum()), int((change < 0).sum()))
    assert got.gain == pytest.approx(change.mean())
    assert got.low is not None and got.high is not None
    half = 1.96 * change.std() / math.sqrt(80)
    assert (got.low, got.high) == pytest.approx((change.mean() - half, change.mean() + half), abs=0.03)
    assert got.items_won[0] == f"q{int(change.argmax())}"
    assert got.kind is Kind.SCORE and got.detectable and 0.5 < got.detectable < 0.8


def test_a_score_that_is_not_finite_loses_where_it_is_new_and_lets_nobody_win_where_it_is_old() -> None:
    got = compare(scores([0.1, 0.5, None, None]), scores([None, 0.7, 0.9, None]))
    assert (got.won, got.lost, got.num_undecided) == (1, 2, 3)
    assert (got.old, got.new) == (0.5, 0.7)
    assert compare({"a": 10**400}, {"a": 0.5}).num_undecided == 1
    diverged = compare(scores([0.1] * 30), scores([None] * 30))
    assert (diverged.verdict, diverged.new, diverged.gain) == (Answer.NOT_SHOWN, None, None)
    assert "undecided -> undecided" in "\n".join(layout(rows(diverged)))


def test_scores_of_zero_and_one_are_passes() -> None:
    got = compare(scores([0.0, 1.0, 1.0]), scores([1.0, 1.0, 0.0]))
    assert got.kind is Kind.PASS


def likelihoods(nats: list[float], tokens: list[int]) -> Outcomes:
    items = {f"q{at}": Item(-each, size=tokens[at]) for at, each in enumerate(nats)}
    return Outcomes(source="file", measure="nll", kind=Kind.LIKELIHOOD, items=items, falls=True, unit="token")


def test_a_likelihood_is_compared_by_item_and_shown_by_token() -> None:
    rng = np.random.default_rng(3)
    tokens = rng.integers(20, 200, size=60)
    before = tokens * rng.normal(2.5, 0.3, size=60)
    after = before - tokens * rng.normal(0.05, 0.1, size=60)
    old, new = (likelihoods(each.tolist(), tokens.tolist()) for each in (before, after))
    got = compare(old, new)
    change = paired.nll_change(before.tolist(), after.tolist(), tokens.tolist(), level=0.025)
    assert got.gain == pytest.approx(-change.mean)
    assert got.low == pytest.approx(-change.upper)
    assert (got.old, got.new) == pytest.approx((before.sum() / tokens.sum(), after.sum() / tokens.sum()))
    assert "nll, nats a token" in "\n".join(layout(rows(got)))
    # Tokens of another tokenizer are another unit.
    other = likelihoods(after.tolist(), (tokens + 1).tolist())
    assert compare(old, other).gain == pytest.approx((before - after).mean())
    assert "nats an item" in "\n".join(layout(rows(compare(old, other))))


@pytest.mark.parametrize("sums", [[3, -1, 2, 0, 1, -2], [5], [0, 0], [1, 1, 1, 1], [-4, 2, 2]])
def test_the_test_by_story_equals_turning_every_story_round(sums: list[int]) -> None:
    seen = sum(sums)
    ways = product((1, -1), repeat=len(sums))
    turned = [sum(sign * each for sign, each in zip(way, sums, strict=True)) for way in ways]
    exact = sum(each >= seen for each in turned) / len(turned)
    assert paired.sign_flip_test(sums) == pytest.approx(exact)


def test_items_of_one_story_do_not_speak_twice() -> None:
    stories = [f"s{at // 10}" for at in range(200)]
    won = [at < 40 for at in range(200)]  # all items of four stories
    old, new = passes([False] * 200, stories), passes(won, stories)
    got, apart = compare(old, new), compare(passes([False] * 200, [""] * 200), passes(won, [""] * 200))
    assert (got.num_stories, apart.num_stories) == (20, None)
    assert got.p == pytest.approx(2**-4) and got.verdict is Answer.NOT_SHOWN
    assert apart.verdict is Answer.BETTER
    assert got.low is not None and apart.low is not None and got.low < apart.low
    assert "200, in 20 stories, which are what is tested" in "\n".join(layout(rows(got)))
    (one,) = {
        text
        for name, text in rows(compare(passes([True] * 2, ["s"] * 2), passes([True] * 2, [""] * 2)))
        if name == "items"
    }
    assert one == "2, in 1 story, which is what is tested"
    # One item a story is the same as no stories.
    single = compare(passes([False] * 200, [str(at) for at in range(200)]), passes(won, [""] * 200))
    assert (single.p, single.low, single.num_stories) == (apart.p, apart.low, None)


@pytest.mark.slow
def test_the_interval_by_story_covers_the_truth() -> None:
    """Stories of five items whose outcomes go together: an interval that takes items apart is too short."""
    rng, covered, apart = np.random.default_rng(4), 0, 0
    for _ in range(300):
        means = rng.choice([-0.6, 0.0, 0.6], size=40)
        changes = [int(rng.random() < abs(mean)) * int(np.sign(mean)) for mean in means for _ in range(5)]
        stories = [f"s{at // 5}" for at in range(200)]
        old = [change < 0 for change in changes]
        new = [change > 0 for change in changes]
        for names, count in ((stories, "story"), ([""] * 200, "item")):
            got = compare(passes(old, names), passes(new, names))
            assert got.low is not None and got.high is not None
            if got.low <= 0 <= got.high:
                covered, apart = covered + (count == "story"), apart + (count == "item")
    assert covered / 300 > 0.92 > 0.85 > apart / 300


def test_a_margin_asks_whether_it_is_no_worse() -> None:
    outcomes = of_counts(10, 12, 1000)
    got = compare(*outcomes, margin=0.02)
    assert got.verdict is Answer.NO_WORSE
    assert got.bound == pytest.approx(paired.paired_drop_bound(12, 10, 1000))
    assert sentence(got) == (
        "no worse: 10 won, 12 lost of 1,000 items; "
        "a drop of less than 1.0 points (95 % sure), margin 2.0 points"
    )
    few = compare(*of_counts(10, 12, 100), margin=0.02)
    assert few.verdict is Answer.NOT_SHOWN
    assert few.chance == pytest.approx(paired.paired_drop_power(100, 0.02, 0.22))
    assert "where nothing has changed the chance to show it is 11%" in sentence(few)
    assert "a gain of more than" in sentence(compare(*of_counts(100, 12, 1000), margin=0.02))
    change = compare(
        scores([0.1 * at for at in range(20)]),
        scores([0.1 * at + 0.01 * (at % 3) for at in range(20)]),
        margin=0.05,
    )
    assert change.verdict is Answer.NO_WORSE and change.chance is None


@pytest.mark.parametrize(
    ("margin", "old", "new", "sentence"),
    [
        (
            1.5,
            scores([1.0]),
            scores([0.0]),
            "a margin, which is a share of items, must lie between 0 and 1, got 1.5",
        ),
        (-1.0, scores([0.5]), scores([0.7]), "a margin, in the measure's own unit, must be above 0, got -1"),
        (0.1, scores([0.5] * 9), scores([0.7] * 8 + [None]), "got 8, and 1 item undecided"),
        (0.1, scores([0.5] * 5), scores([0.7] * 5), "a margin of means needs at least 8 items or stories"),
        (0.1, scores([1.0] * 9, ["s"] * 9), scores([1.0] * 9), "a margin needs at least 8 stories, got 1"),
    ],
)
def test_margins_that_make_no_sense_are_refused(
    margin: float, old: Outcomes, new: Outcomes, sentence: str
) -> None:
    with pytest.raises(CompareError, match=sentence):
        compare(old, new, margin=margin)


def test_what_is_not_of_the_same_items_is_refused_by_name() -> None:
    with pytest.raises(CompareError, match="new lacks 2 items of the 3 in old: b, c"):
        compare({"a": True, "b": True, "c": False}, {"a": True})
    with pytest.raises(
        CompareError, match="old lacks 7 items of the 8 in new: q1, q2, q3, q4, q5 and 2 more"
    ):
        compare({"q0": True}, {f"q{at}": True for at in range(8)})
    with pytest.raises(CompareError, match="old holds no item"):
        compare({}, {})
    for share in ({"alpha": 5.0}, {"level": 2.0}, {"level": 0.0}):
        name, value = next(iter(share.items()))
        with pytest.raises(CompareError, match=f"{name} must lie between 0 and 1, got {value:g}"):
            compare({"a": True}, {"a": True}, **share)
    with pytest.raises(CompareError, match="alpha must be at least 1e-12, got 1e-1"):
        compare({"a": True}, {"a": True}, alpha=1e-100, margin=0.02)
    assert compare({"a": True}, {"a": True}, level=1e-300, margin=0.02).verdict is Answer.NOT_SHOWN
    with pytest.raises(
        CompareError, match='item q0 has the story "s" in file and "t" in file: both files must'
    ):
        compare(scores([1.0], ["s"]), scores([1.0], ["t"]))
    with pytest.raises(
        CompareError, match=r'item q0 has the slice "easy" in file and "hard" in file \(and 1 item more\)'
    ):
        compare(of_slice("easy"), of_slice("hard"))
    assert compare(of_slice("easy"), of_slice("")).num_items == 2  # one file may leave it to the other
    twice = {7: True, "7": False, "8": True}
    with pytest.raises(CompareError, match="old: an id is there twice, as a number and as a text: 7$"):
        compare(twice, {"7": True, "8": True})
    with pytest.raises(CompareError, match='old, a: must be a number, true, false or null, got "yes"'):
        compare({"a": "yes"}, {"a": True})
    with pytest.raises(CompareError, match="is measured by score, file by f1: choose one that both have"):
        compare(scores([0.5]), scores([0.5], measure="f1"))


def test_few_or_equal_scores_have_no_interval() -> None:
    assert compare(scores([0.1] * 5), scores([0.3, 0.2, 0.1, 0.4, 0.5])).low is None
    assert compare(scores([0.25] * 20), scores([0.5] * 20)).low is None
    assert (
        compare(passes([True] * 9, ["s", "t", "u"] * 3), passes([False] * 9, ["s", "t", "u"] * 3)).low is None
    )


def test_stories_of_items_that_all_differ_are_counted_without_an_error_of_rounding() -> None:
    """The counts that tell as much as independent items would are quotients, each rounded by itself."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        stories = [f"s{at}" for at in range(rng.integers(1, 14)) for _ in range(rng.integers(1, 7))]
        changes = rng.normal(size=len(stories)) + rng.normal(size=14)[[int(each[1:]) for each in stories]]
        old = scores([0.0] * len(stories), stories)
        passed = (changes > 0).tolist()
        for got in (
            compare(old, scores(changes.tolist(), stories)),
            compare(passes([not each for each in passed], stories), passes(passed, stories)),
        ):
            assert (got.won, got.lost) == (sum(passed), len(passed) - sum(passed))


def test_the_largest_numbers_are_compared_without_an_interval() -> None:
    large = scores([1.7e308] * 9), scores([1.7e308, *[-1.7e308] * 8])
    got = compare(*large)
    assert (got.verdict, got.lost, got.gain, got.low) == (Answer.WORSE, 8, None, None)
    assert got.old == pytest.approx(1.7e308) and "nan" not in sentence(got)
    with pytest.raises(
        CompareError, match=r"results that differ by at most 1e\+140: where there is no result"
    ):
        compare(*large, margin=0.1)


def test_mappings_of_python_and_numpy() -> None:
    """1 is true beside true, as it is in Python; a score beside it is none."""
    flags = [(True, 1), (1, True), (np.bool_(True), True), (np.int64(1), np.bool_(True)), (None, 1)]
    for old, new in flags:
        got = compare({"a": old, "b": False}, {"a": new, "b": False})
        assert got.kind is Kind.PASS and got.new == 0.5
    assert compare({np.int64(7): np.float32(0.5)}, {"7": 0.25}).lost == 1
    with pytest.raises(CompareError, match="old is measured by score, new by pass: choose one that both"):
        compare({"a": 0.5}, {"a": True})


def test_where_no_item_has_a_result_of_both_it_is_said() -> None:
    nothing = compare({"a": None, "b": True}, {"a": True, "b": None})
    assert "no item has a result of both models" in nothing.notes[0]
    assert compare({"a": None, "b": True}, {"a": True, "b": True}).notes == ()


@pytest.mark.slow
def test_many_items_take_no_time() -> None:
    rng = np.random.default_rng(5)
    won, lost, _ = rng.multinomial(30_000, [0.12, 0.11, 0.77]).tolist()
    got = compare(*of_counts(won, lost, 30_000))
    assert got.p == pytest.approx(binomtest(won, won + lost, alternative="greater").pvalue)
    many = compare(scores(rng.normal(size=30_000).tolist()), scores(rng.normal(size=30_000).tolist()))
    assert many.low is not None


def test_text_of_a_file_cannot_forge_lines() -> None:
    old = {"a\nbetter: 9 won": True, "b\x1b[2J": True, "x" * 500: True}
    shown = "\n".join(layout(rows(compare(old, dict.fromkeys(old, False)))))
    assert "\nbetter" not in shown and "x" * 100 not in shown


def test_pairs_of_the_gate_say_the_same() -> None:
    pairs = [(False, True)] * 9 + [(True, False)] * 2 + [(True, True)] * 4
    assert compare(*of_pairs(pairs)).won == 9

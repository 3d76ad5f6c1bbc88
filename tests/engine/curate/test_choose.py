"""Choosing: every way takes what it is named for, budgets hold, the placebo is wrong, weights mean 1."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from engine.curate.candidates import Candidate
from engine.curate.choose import deranged, farthest_first, in_order, uncertainty_weights, within
from engine.records import Passage, Problem, Reference


def candidate(number: int, reply: str = "", **known: float | None) -> Candidate:
    asked = Problem(
        id=f"p{number}",
        task="t",
        slice="all",
        turns=(f"question {number}",),
        truth=Reference(accepted=("yes",)),
        gold=(),
        split="",
        origin="",
    )
    return Candidate(problem=asked, replies=(reply or f"reply {number}",), **known)  # type: ignore[arg-type]


def ids(candidates: list[Candidate]) -> list[str]:
    return [each.problem.id for each in candidates]


MANY = [candidate(i) for i in range(40)]


def test_at_random_nothing_is_lost_and_the_seed_decides() -> None:
    first = in_order(MANY, "random", seed=1)
    assert sorted(ids(first)) == sorted(ids(MANY)) and ids(first) != ids(MANY)
    assert first == in_order(MANY, "random", seed=1) != in_order(MANY, "random", seed=2)
    assert in_order(MANY, "placebo", seed=1) == first, "the placebo differs in its replies alone"


def test_losses_pass_rates_and_lengths_rank() -> None:
    rng = random.Random(0)
    some = [
        candidate(i, "x" * rng.randrange(1, 30), loss=rng.random(), pass_rate=rng.randrange(5) / 4)
        for i in range(40)
    ]
    losses = [each.loss for each in in_order(some, "high_loss", seed=0)]
    assert losses == sorted(losses, reverse=True)
    lengths = [len(each.replies[0]) for each in in_order(some, "longest", seed=0)]
    assert lengths == sorted(lengths, reverse=True)
    some.append(candidate(40, pass_rate=None))
    rates = [each.pass_rate for each in in_order(some, "pass_rate", seed=0)]
    assert rates[-1] is None and rates[0] == 0.5
    from_half = [abs(rate - 0.5) for rate in rates[:-1] if rate is not None]
    assert from_half == sorted(from_half)
    tied = [[each.problem.id for each in in_order(some, "pass_rate", seed=seed)][:5] for seed in (1, 2)]
    assert tied[0] != tied[1], "the seed decides among equals"


def test_a_passage_is_as_long_as_its_text() -> None:
    def passage(number: int, text: str) -> Candidate:
        asked = replace(candidate(number).problem, turns=(), truth=Passage(text=text))
        return Candidate(problem=asked, replies=())

    ordered = in_order([passage(0, "one two"), passage(1, "one two three")], "longest", seed=0)
    assert ids(ordered) == ["p1", "p0"]


def test_aimed_candidates_and_others_are_taken_in_turn_while_both_last() -> None:
    aimed = {f"p{i}" for i in range(10)}
    ordered = ids(in_order(MANY, "targeted", seed=3, aimed=aimed))
    for size in range(21):
        own = sum(name in aimed for name in ordered[:size])
        assert own == math.ceil(size / 2)
    assert not aimed & set(ordered[20:]) and len(ordered) == 40
    assert ids(in_order(MANY, "targeted", seed=3)) == ids(in_order(MANY, "random", seed=3))


def test_the_farthest_first_order_covers_within_twice_the_smallest_radius() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(60, 3)) * 0.05 + np.repeat(np.eye(3), 20, axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    texts = [str(i) for i in range(60)]

    def embed(some):  # type: ignore[no-untyped-def]
        return rows[[int(text) for text in some]]

    order = farthest_first(texts, embed)
    assert sorted(order) == list(range(60)) and order[0] == 0
    assert {place // 20 for place in order[:3]} == {0, 1, 2}, "one of each bunch first"
    radii = [(1 - rows @ rows[order[:k]].T).min(axis=1).max() for k in range(1, 60)]
    assert radii == sorted(radii, reverse=True)
    chosen = in_order(MANY, "diverse", seed=0, embed=lambda some: embed([str(i) for i, _ in enumerate(some)]))
    assert sorted(ids(chosen)) == sorted(ids(MANY))
    assert farthest_first([], embed) == []


def test_the_budget_takes_whole_candidates_that_fit() -> None:
    assert within([5, 4, 3, 2], 9) == [0, 1]
    assert within([5, 8, 3, 2], 10) == [0, 2, 3], "one that does not fit is passed over"
    assert within([5, 0, 3], None) == [0, 2], "what cannot be learnt is left out"
    assert within([7], 6) == []


def test_every_problem_of_the_placebo_has_the_reply_to_another() -> None:
    for seed in range(20):
        placebo = deranged(MANY, seed)
        assert ids(placebo) == ids(MANY)
        assert sorted(each.replies for each in placebo) == sorted(each.replies for each in MANY)
        assert not any(one.replies == other.replies for one, other in zip(placebo, MANY, strict=True))
    assert deranged(MANY, 1) == deranged(MANY, 1) != deranged(MANY, 2)


@pytest.mark.parametrize(("num_yes", "most_kept"), [(20, 0), (10, 0), (30, 20), (40, 40)])
def test_equal_replies_are_dealt_to_problems_with_others(num_yes: int, most_kept: int) -> None:
    some = [candidate(i, "yes" if i < num_yes else f"no {i}") for i in range(40)]
    placebo = deranged(some, 4)
    kept = sum(one.replies == other.replies for one, other in zip(placebo, some, strict=True))
    assert kept == most_kept


def test_replies_go_to_problems_with_as_many_turns() -> None:
    talks = [replace(candidate(i), replies=("a", f"b {i}")) for i in range(40, 45)]
    placebo = deranged([*MANY, *talks], 0)
    assert [len(each.replies) for each in placebo] == [1] * 40 + [2] * 5
    assert deranged([], 0) == [] and deranged(MANY[:1], 0) == MANY[:1]


def test_uncertain_rows_weigh_more_and_the_mean_stays() -> None:
    losses = [0.0, 0.5, math.log(50), math.log(99), 10.0, 2000.0]
    weights = uncertainty_weights(losses)
    assert sum(weights) / len(weights) == pytest.approx(1)
    raw = [math.log(math.exp(min(loss, 5)) + 1) / math.log(100) for loss in losses]
    assert weights[1] / weights[0] == pytest.approx(raw[1] / raw[0])
    assert weights[2] / weights[0] == pytest.approx(math.log(51) / math.log(2))
    assert weights[3] == pytest.approx(weights[4]) == weights[5], "a perplexity of 99 and more is the most"
    assert uncertainty_weights([]) == []

"""Mining by simulation: problems of forty slices or topics, of which a few are planted to be weak.

Every problem of the weak ones fails with one chance, every other with another. Mining is run as a round runs
it, and what it reports is held against what was planted.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import mean
from typing import NamedTuple

import numpy as np
from scipy.stats import beta

from engine.embeddings import Embed
from engine.measure.clusters import Clusters
from engine.measure.mine import mine
from engine.records import Answer, Fault, Status, Verdict
from tests.support.proof_helpers import attempt, problem
from tests.support.topics import questions

SLICES, PROBLEMS, WEAK = 40, 400, 3
RARE, MOST_PROBLEMS = 12, 480
"""Slices of which three come up seldom, and the most problems that are drawn of them."""
ELSEWHERE = 0.2
"""Chance of a failure outside the weak slices, where a simulation says no other."""
FALSE_DISCOVERY = 0.1
_DIMENSIONS = 32
_SPREAD = 0.8
"""Length of a synthetic text's distance from its topic's direction, which has length 1."""


class Drawn(NamedTuple):
    """Problems before anything has answered them."""

    texts: list[str]
    topics: list[str]
    """One for each text."""
    slices: list[str]
    """The topics themselves where the task names them, else the clusters that were found."""


Draw = Callable[[int], Drawn]
"""Draws problems by a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """One simulated round."""

    recall: float
    """Share of the weak topics of which at least half of the problems are in reported slices."""
    num_reported: int
    num_false: int
    """Reported slices whose problems fail no more often than the others, by the chances that were planted."""
    num_mixed: int
    """Reported slices of which less than half of the problems are from weak topics."""


def simulate(
    draw: Draw, num: int, *, weak_rate: float, seed: int, elsewhere: float = ELSEWHERE, num_faults: int = 1
) -> list[Mined]:
    """`num` rounds, each with problems, weak topics and failures of its own, of so many kinds by chance."""
    rngs = (np.random.default_rng([seed, number]) for number in range(num))
    return [_one(draw, rng, weak_rate, elsewhere, num_faults) for rng in rngs]


def _one(draw: Draw, rng: np.random.Generator, weak_rate: float, elsewhere: float, num_faults: int) -> Mined:
    texts, topics, slices = draw(int(rng.integers(2**31)))
    weak = (
        set(rng.choice(sorted(set(topics)), WEAK, replace=False).tolist()) if weak_rate > elsewhere else set()
    )
    rates = [weak_rate if topic in weak else elsewhere for topic in topics]
    failed = (rng.random(len(texts)) < rates).tolist()
    kinds = rng.integers(num_faults, size=len(texts)).tolist() if num_faults > 1 else [0] * len(texts)
    problems = [replace(_BASE, id=str(place), slice=name) for place, name in enumerate(slices)]
    answers = [
        (_FAILED[kind] if fails else _PASSED)[place]
        for place, (fails, kind) in enumerate(zip(failed, kinds, strict=True))
    ]
    reported = {
        each.slice for each in mine(problems, answers, false_discovery=FALSE_DISCOVERY, num_problems=0)
    }
    covered = Counter(topic for topic, name in zip(topics, slices, strict=True) if name in reported)
    totals = Counter(topics)
    num_false = num_mixed = 0
    for name in reported:
        here = [rate for rate, own in zip(rates, slices, strict=True) if own == name]
        there = [rate for rate, own in zip(rates, slices, strict=True) if own != name]
        num_false += mean(here) <= mean(there)
        num_mixed += sum(rate > elsewhere for rate in here) < len(here) / 2
    return Mined(
        recall=mean(covered[topic] >= totals[topic] / 2 for topic in weak) if weak else 0.0,
        num_reported=len(reported),
        num_false=num_false,
        num_mixed=num_mixed,
    )


def false_shares(rounds: Sequence[Mined], *, mixed: bool = False) -> list[float]:
    """The share of each round's reported slices that is false; 0 where none was reported."""
    return [
        (each.num_mixed if mixed else each.num_false) / each.num_reported if each.num_reported else 0.0
        for each in rounds
    ]


def exact_bounds(shares: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Exact one-sided 99 % bounds, below and above, of the expected share.

    Each share becomes a coin that falls with this chance: the number of heads is then binomial, whatever the
    distribution of the shares. Source: Clopper and Pearson 1934.
    """
    num, coins = len(shares), np.random.default_rng(seed).random(len(shares))
    heads = int((coins < np.asarray(shares)).sum())
    low = float(beta.ppf(0.01, heads, num - heads + 1)) if heads else 0.0
    return low, float(beta.ppf(0.99, heads + 1, num - heads)) if heads < num else 1.0


def known_slices(seed: int) -> Drawn:
    """Problems whose topics are the slices of their task."""
    topics = [f"topic {topic}" for topic in np.random.default_rng(seed).integers(SLICES, size=PROBLEMS)]
    return Drawn([""] * PROBLEMS, topics, topics)


def rare_slices(num: int) -> Draw:
    """`num` problems of twelve slices, of which three come up a sixth as often as the others."""
    weights = np.array([1.0] * (RARE - 3) + [1 / 6] * 3)

    def draw(seed: int) -> Drawn:
        chosen = np.random.default_rng(seed).choice(RARE, size=num, p=weights / weights.sum())
        topics = [f"topic {topic}" for topic in chosen]
        return Drawn([""] * num, topics, topics)

    return draw


def synthetic_topics(num: int) -> Draw:
    """Topics as random directions, texts spread around them, and `num` clusters found among the texts."""

    def draw(seed: int) -> Drawn:
        rng = np.random.default_rng(seed)
        directions = rng.normal(size=(SLICES, _DIMENSIONS)) / np.sqrt(_DIMENSIONS)
        topics = rng.integers(SLICES, size=PROBLEMS)
        rows = directions[topics] + rng.normal(size=(PROBLEMS, _DIMENSIONS)) * _SPREAD / np.sqrt(_DIMENSIONS)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        texts = [f"{_letters(topic)} {place}" for place, topic in enumerate(topics)]
        row_of = dict(zip(texts, rows, strict=True))
        embed: Embed = lambda asked: np.array([row_of[text] for text in asked])  # noqa: E731
        slices = Clusters.of(texts, num, embed, seed).assign(texts)
        return Drawn(texts, [f"topic {topic}" for topic in topics], slices)

    return draw


def asked_topics(num: int, embed: Embed) -> Draw:
    """Questions about forty topics, and `num` clusters found among them."""

    def draw(seed: int) -> Drawn:
        texts, topics = map(list, zip(*questions(PROBLEMS, seed), strict=True))
        return Drawn(texts, topics, Clusters.of(texts, num, embed, seed).assign(texts))

    return draw


def one_of(num_draws: int, draw: Draw) -> Draw:
    """One of `num_draws` draws, where making them is dear: rounds stay independent given these."""
    drawn = cache(draw)
    return lambda seed: drawn(seed % num_draws)


def _letters(number: int) -> str:
    return "topic" + "abcdefghij"[number // 10] + "abcdefghij"[number % 10]


_BASE = problem(["A"], "A")


def _answers(status: Status, fault: Fault) -> list[Answer]:
    verdict = Verdict(
        problem_id="",
        sample=0,
        status=status,
        right=status is Status.PASS,
        answer="",
        fault=fault,
        verifier="test",
        reason="",
    )
    return [
        Answer(attempt=attempt("", problem_id=str(place)), verdict=replace(verdict, problem_id=str(place)))
        for place in range(MOST_PROBLEMS)
    ]


_PASSED = _answers(Status.PASS, Fault.NONE)
_FAILED = [_answers(Status.FAIL, fault) for fault in (Fault.WRONG_ANSWER, Fault.NO_ANSWER, Fault.UNPARSED)]

"""Keep/discard loops without models: every decision is a call of a ledger on disk, through `judge`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from configs.schema import Gate
from engine.gate.arithmetic import Pair, discordant
from engine.gate.compare import Answer
from engine.gate.loop_calls import Call
from engine.gate.loop_ledger import judge
from engine.gate.loop_state import Asked, Plan
from engine.gate.outlook import MIXTURES, Campaign, Levels
from engine.measure.stats import sign_test
from tests.support.outcomes import of_pairs

CANDIDATES = 20
NUM_ITEMS = 200
CHURNS = (0.02, 0.05, 0.15)
"""Shares of items that change sides each way between two models of equal accuracy."""


def nulls_in_a_ledger(home: Path, num: int, seed: int) -> tuple[int, int]:
    """Loops of 20 candidates, none of them better, each on fresh items.

    Returns how many loops accepted any of them by a ledger, and how many by p < 0.05 each time.
    """
    by_ledger = by_five_percent = 0
    for number in range(num):
        rng = np.random.default_rng([seed, number])
        call, accepted, lucky = Call(ledger=f"null-{number}", tests=CANDIDATES), False, False
        for candidate in range(CANDIDATES):
            churn = float(rng.choice(CHURNS))
            won, lost, alike = rng.multinomial(NUM_ITEMS, [churn, churn, 1 - 2 * churn]).tolist()
            pairs: list[Pair] = [(False, True)] * won + [(True, False)] * lost + [(True, True)] * alike
            answer = judge(home, call, *of_pairs(pairs, f"{candidate}-")).answer
            accepted, lucky = accepted or answer is Answer.BETTER, lucky or sign_test(won, lost) < 0.05
        by_ledger, by_five_percent = by_ledger + accepted, by_five_percent + lucky
    return by_ledger, by_five_percent


def nulls_on_one_set(home: Path, num: int, seed: int, best_of: int = 1) -> int:
    """Loops of 20 null candidates that all answer the same 200 items; returns those that accepted any.

    Each candidate is the best of so many equal models by its results on these very items: 1 is a loop that
    does not look at them.
    """
    false = 0
    for number in range(num):
        rng = np.random.default_rng([seed, number, best_of])
        chances = rng.beta(1, 1, NUM_ITEMS)
        call, accepted = Call(ledger=f"set-{best_of}-{number}", tests=CANDIDATES), False
        kept = rng.random(NUM_ITEMS) < chances
        for _ in range(CANDIDATES):
            tried = rng.random((best_of, NUM_ITEMS)) < chances
            new = tried[tried.sum(axis=1).argmax()]
            pairs = list(zip(kept.tolist(), new.tolist(), strict=True))
            if judge(home, call, *of_pairs(pairs)).answer is Answer.BETTER:
                kept, accepted = new, True
        false += accepted
    return false


class Row(NamedTuple):
    """One loop's end."""

    champion: float
    """True accuracy of what the loop claims to be its best."""
    working: float
    false_claims: int
    items: float
    """Items a candidate; two answers each, a third model's counts half."""


@dataclass(slots=True)
class Loop:
    """A keep/discard loop, whose candidates' true effects are drawn as a campaign's."""

    campaign: Campaign
    items: float = 0.0
    drawn: int = 0
    """Batches of items, each with ids of its own."""

    @classmethod
    def of(cls, seed: int, number: int) -> "Loop":
        rng = np.random.default_rng([seed, number])
        return cls(Campaign(rng, MIXTURES["even"], Gate(), CANDIDATES, Levels(0.05, CANDIDATES)))

    def pairs(self, difference: float, num: int) -> list[Pair]:
        self.items += num
        self.drawn += 1
        return self.campaign.compare(difference, num, 1)

    def row(self, false_claims: int) -> Row:
        campaign = self.campaign
        return Row(campaign.accuracy, campaign.working, false_claims, self.items / CANDIDATES)


def by_two_pawls(home: Path, num: int, seed: int, carry_items: int = 100) -> np.ndarray:
    """Loops that carry by `--carry` and hold a trial in looks after the 10th and the last candidate."""
    return np.array(
        [_two_pawls(home, Loop.of(seed, number), f"pawls-{number}", carry_items) for number in range(num)]
    )


def _two_pawls(home: Path, loop: Loop, name: str, carry_items: int) -> Row:
    call, campaign, false = Call(ledger=name, tests=2), loop.campaign, 0
    for number in range(1, CANDIDATES + 1):
        change = campaign.effect()
        pairs = loop.pairs(change, carry_items)
        got = judge(home, replace(call, asked=Asked.CARRY), *of_pairs(pairs, f"{loop.drawn}-"))
        if got.answer is Answer.CARRIED:
            campaign.working += change
        if number % 10 or campaign.working == campaign.accuracy:
            continue
        gained, answer = campaign.working - campaign.accuracy, Answer.CONTINUE
        trial = replace(
            call, asked=Asked.PROVE, candidate=f"trial-{number}", plan=Plan(looks=12, look_size=50)
        )
        while answer is Answer.CONTINUE:
            looked = loop.pairs(gained, 50)
            answer = judge(home, trial, *of_pairs(looked, f"{loop.drawn}-")).answer
        if answer is Answer.PROVEN:
            campaign.accuracy, false = campaign.working, false + (gained <= 0)
        elif answer is Answer.DROPPED:
            campaign.working = campaign.accuracy
    return loop.row(false)


def by_ledger(home: Path, num: int, seed: int, num_items: int) -> np.ndarray:
    """Loops that keep what a ledger of 20 tests shows to be better, one test a candidate."""

    def keeps(loop: Loop, number: int) -> Callable[[list[Pair]], bool]:
        call = Call(ledger=f"alone-{num_items}-{number}", tests=CANDIDATES)
        return lambda pairs: judge(home, call, *of_pairs(pairs, f"{loop.drawn}-")).answer is Answer.BETTER

    return _kept_by(keeps, num, seed, num_items)


def by_rule(rule: Callable[[int, int], bool], num: int, seed: int, num_items: int) -> np.ndarray:
    """Loops that keep a candidate by a rule on the items that it won and lost."""
    return _kept_by(lambda loop, number: lambda pairs: rule(*discordant(pairs)), num, seed, num_items)


def _kept_by(
    keeps: Callable[[Loop, int], Callable[[list[Pair]], bool]], num: int, seed: int, num_items: int
) -> np.ndarray:
    rows = []
    for number in range(num):
        loop, false = Loop.of(seed, number), 0
        rule = keeps(loop, number)
        for _ in range(CANDIDATES):
            change = loop.campaign.effect()
            if rule(loop.pairs(change, num_items)):
                loop.campaign.accuracy = loop.campaign.working = loop.campaign.working + change
                false += change <= 0
        rows.append(loop.row(false))
    return np.array(rows)

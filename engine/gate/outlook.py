"""What a campaign can be expected to come to, by simulation on the gate's own code.

A simulated campaign has a true accuracy, which each round's challenger changes by an effect drawn from a
mixture of gains, nulls and losses. Models are compared on fresh problems, paired: some of them change sides
each way for no reason. Three rules play the same campaigns: keep whatever scores higher, keep what is proven
(one pawl), and carry what looks better while claiming what is proven (two pawls, `engine/gate/carry.py`).
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np

from configs.schema import Carry, Gate
from engine.gate import arithmetic as gate
from engine.gate import carry
from engine.gate.arithmetic import Pair
from engine.registry.ledger import next_level

CHURN = 0.04
"""Share of problems that change sides each way between two models of equal accuracy."""

Rule = Literal["keep if higher", "one pawl", "two pawls"]


class Mixture(NamedTuple):
    """Where challengers come from: shares of gains and nulls, the rest being losses."""

    gains: float
    nulls: float
    largest: float
    """Largest effect, in points of accuracy where that is one half; the smallest is half a point."""


MIXTURES = {
    "even": Mixture(0.33, 0.34, 8),
    "good": Mixture(0.60, 0.20, 8),
    "harsh": Mixture(0.10, 0.60, 8),
    "small": Mixture(0.33, 0.34, 3),
    "nulls": Mixture(0.0, 1.0, 8),
    "small losses": Mixture(0.0, 0.5, 1),
}


class Book(Protocol):
    """What keeps levels and pointers: the registry, or `Levels` where nothing is to be kept."""

    @property
    def num_left(self) -> int:
        """Planned tests that are not spent: with none left, a campaign ends."""

    def commit(self, number: int) -> float | None:
        """Commit the test of a round and return its level; None where the error budget is used up."""

    def settle(self, number: int, better: bool) -> None:
        """Record the outcome of the round's test."""

    def carried(self, number: int) -> None:
        """The round's challenger is the working model."""

    def promoted(self, number: int) -> None:
        """The working model is the champion."""

    def returned(self, number: int) -> None:
        """The working model is given up."""


@dataclass(slots=True)
class Levels:
    """The levels of a ledger, and nothing else."""

    alpha: float
    planned: int
    past: list[tuple[float, bool | None]] = field(default_factory=list)

    @property
    def num_left(self) -> int:
        return self.planned - len(self.past)

    def commit(self, number: int) -> float | None:
        if len(self.past) >= self.planned:
            return None
        self.past.append((next_level(self.alpha, self.planned, self.past), None))
        return self.past[-1][0]

    def settle(self, number: int, better: bool) -> None:
        self.past[-1] = (self.past[-1][0], better)

    def carried(self, number: int) -> None: ...

    def promoted(self, number: int) -> None: ...

    def returned(self, number: int) -> None: ...


@dataclass(slots=True)
class Campaign:
    """A simulated campaign, and what it has come to so far."""

    rng: np.random.Generator
    mixture: Mixture
    settings: Gate
    rounds: int
    book: Book
    churn: float = CHURN
    adds_up: bool = False
    """Whether churn adds up over the steps between two models, instead of being the same for any two."""
    accuracy: float = 0.5
    """True accuracy of the champion."""
    working: float = 0.5
    """True accuracy of the model that rounds start from."""
    steps: int = 0
    """Rounds carried since the last champion."""
    refusals: int = 0
    claims: int = 0
    false_claims: int = 0
    carried: int = 0
    returns: int = 0
    lowest: float = 0.5
    """Lowest true accuracy of the working model."""
    problems: float = 0.0
    """Problems used, two answers each: a third one counts half."""
    played: int = 0

    def play(self, rule: Rule, last: bool | None = None) -> None:
        """Play the next round by a rule; `last` tells where another than the stated number of rounds ends."""
        self.played += 1
        change = self.effect()
        ends = self.played == self.rounds if last is None else last
        if rule == "two pawls":
            assert self.settings.carry is not None
            self._carry(change, self.settings.carry, ends)
        elif rule == "one pawl":
            level = self.book.commit(self.played)
            if level is not None and self._shown(level, change, 1):
                self._claim(self.accuracy + change)
        else:
            num = self.settings.looks * self.settings.look_size
            self.problems += num
            if carry.looks_better(self.compare(change, num, 1)).passed:
                self._claim(self.accuracy + change)

    def compare(self, difference: float, num: int, steps: int) -> list[Pair]:
        """Paired outcomes of fresh problems: the second model is better by `difference`."""
        churn = self.churn
        if self.adds_up:
            churn = (1 - (1 - 4 * churn) ** max(steps, 1)) / 4
        won, lost = churn + max(difference, 0), churn + max(-difference, 0)
        wins, losses, alike = self.rng.multinomial(num, [won, lost, 1 - won - lost])
        return [(False, True)] * wins + [(True, False)] * losses + [(True, True)] * alike

    def effect(self) -> float:
        """Draw what the next challenger changes in the true accuracy of the model that it starts from."""
        drawn, size = self.rng.random(), self.rng.uniform(0.5, self.mixture.largest) / 100
        room = 4 * self.working * (1 - self.working)
        if drawn < self.mixture.gains:
            return float(size * room)
        return 0.0 if drawn < self.mixture.gains + self.mixture.nulls else -float(size * max(room, 0.3))

    def _carry(self, change: float, settings: Carry, last: bool) -> None:
        self.problems += settings.problems
        if carry.looks_better(self.compare(change, settings.problems, 1)).passed:
            self.working, self.steps, self.carried = self.working + change, self.steps + 1, self.carried + 1
            self.lowest = min(self.lowest, self.working)
            self.book.carried(self.played)
        if not self.steps or not carry.due(self.played, settings.prove_every, last):
            return
        self.problems += settings.problems / 2
        gained = self.working - self.accuracy
        _, standing = carry.readiness(self.compare(gained, settings.problems, self.steps), settings.ready)
        move = carry.next_move(standing, last)
        if move is carry.Move.PROVE:
            level = self.book.commit(self.played)
            if level is not None and self._shown(level, gained, self.steps):
                self._claim(self.working)
                self.book.promoted(self.played)
                return
            self.refusals += 1
        if move is carry.Move.GO_BACK or self.refusals >= carry.MOST_REFUSALS:
            self.working, self.steps, self.refusals = self.accuracy, 0, 0
            self.returns += 1
            self.book.returned(self.played)

    def _shown(self, level: float, gained: float, steps: int) -> bool:
        """The sequential test on the real code, at the level committed."""
        test = gate.SequentialTest.of(self.settings, level)
        outcome = gate.Outcome.CONTINUE
        while outcome is gate.Outcome.CONTINUE:
            _, outcome = test.look(self.compare(gained, self.settings.look_size, steps))
            self.problems += self.settings.look_size
        better = outcome is gate.Outcome.BETTER
        self.book.settle(self.played, better)
        return better

    def _claim(self, accuracy: float) -> None:
        self.claims, self.false_claims = self.claims + 1, self.false_claims + (accuracy <= self.accuracy)
        self.accuracy = self.working = accuracy
        self.steps = self.refusals = 0


class Outlook(NamedTuple):
    """Means over simulated campaigns."""

    champion: float
    """True accuracy of the champion at the end."""
    working: float
    """True accuracy of the working model at the end."""
    claims: float
    """Champions proven better than the one before."""
    if_higher: float
    """True accuracy at the end where whatever scores higher on as many problems a round is kept."""


def expected(
    settings: Gate,
    rounds: int,
    num_tests: int,
    rule: Rule,
    mixture: Mixture,
    *,
    num: int = 100,
    seed: int = 0,
) -> Outlook:
    """The means of `num` campaigns of `rounds` each, and beside them of keeping whatever scores higher."""
    ends = []
    for number in range(num):

        def begun(terms: Gate, number: int = number) -> Campaign:
            levels = Levels(settings.alpha, num_tests)
            return Campaign(np.random.default_rng([seed, number]), mixture, terms, rounds, levels)

        played = begun(settings)
        while played.played < rounds and played.book.num_left:
            played.play(rule)
        a_round = max(1, round(played.problems / played.played))
        other = begun(settings.model_copy(update={"looks": 1, "look_size": a_round}))
        for _ in range(played.played):
            other.play("keep if higher")
        ends.append((played.accuracy, played.working, played.claims, other.accuracy))
    return Outlook(*(float(mean) for mean in np.mean(np.array(ends, float), axis=0)))

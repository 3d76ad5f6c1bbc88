"""Whole campaigns by simulation: the gate's rules and tests, and levels and pointers in a real registry."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from configs.schema import Gate
from engine.gate.outlook import CHURN, MIXTURES, Campaign, Levels, Rule
from engine.registry.ledger import LedgerUsedUp
from engine.registry.registry import Registry
from tests.support.registry import decision, store


@dataclass(slots=True)
class RegistryBook:
    """Levels and pointers of one simulated line, as a campaign keeps them."""

    registry: Registry
    line: str

    @classmethod
    def open(cls, registry: Registry, line: str, alpha: float, planned: int) -> "RegistryBook":
        registry.promote(line, "m0", run_id=line, round=0, expected_epoch=0, baseline=True)
        registry.open_ledger(line, alpha=alpha, planned_tests=planned, run_id=line, fresh=True)
        return cls(registry, line)

    @property
    def num_left(self) -> int:
        ledger = self.registry.line(self.line).ledger
        return ledger.num_left if ledger else 0

    def commit(self, number: int) -> float | None:
        try:
            test = self.registry.commit_test(
                self.line, run_id=self.line, round=number, challenger_id="m1", entropy=number
            )
        except LedgerUsedUp:
            return None
        return test.level

    def settle(self, number: int, better: bool) -> None:
        self.registry.settle_test(self.line, run_id=self.line, round=number, rejected_null=better)

    def carried(self, number: int) -> None:
        line = self.registry.carry(
            self.line,
            "m1",
            run_id=self.line,
            round=number,
            expected_epoch=self.registry.line(self.line).epoch,
            decision=decision(True),
        )
        assert line.working == "m1"

    def promoted(self, number: int) -> None:
        line = self.registry.promote(
            self.line,
            "m1",
            run_id=self.line,
            round=number,
            expected_epoch=self.registry.line(self.line).epoch,
        )
        assert line.working is None and line.champion == "m1"

    def returned(self, number: int) -> None:
        line = self.registry.give_up(
            self.line,
            "m1",
            run_id=self.line,
            round=number,
            expected_epoch=self.registry.line(self.line).epoch,
            reason="simulated",
        )
        assert line.working is None


class Row(NamedTuple):
    """One campaign's end."""

    champion: float
    working: float
    claims: int
    false_claims: int
    problems: float
    """Problems a round."""
    rounds: int
    lowest: float
    returns: int


def play_many(
    rule: Rule,
    mixture: str,
    num: int,
    settings: Gate,
    *,
    rounds: int = 20,
    planned: int = 2,
    seed: int = 0,
    home: Path | None = None,
    churn: float = CHURN,
    adds_up: bool = False,
) -> np.ndarray:
    """`num` campaigns by a rule. With a `home`, each keeps its levels and pointers in the registry there.

    Shape (num, fields of Row).
    """
    registry = Registry(home) if home else None
    if registry and home:
        for model in ("m0", "m1"):
            store(registry, home, model)
    rows = []
    for number in range(num):
        book = (
            RegistryBook.open(registry, f"{mixture.replace(' ', '-')}/{number}", settings.alpha, planned)
            if registry
            else Levels(settings.alpha, planned)
        )
        rng = np.random.default_rng([seed, number])
        campaign = Campaign(rng, MIXTURES[mixture], settings, rounds, book, churn, adds_up)
        for _ in range(rounds):
            campaign.play(rule)
        rows.append(_row(campaign))
    return np.array(rows, float)


def play_budget(
    rule: Rule,
    mixture: str,
    num: int,
    settings: Gate,
    *,
    budget: float = 6000,
    training: float = 0,
    planned: int = 2,
    seed: int = 0,
) -> np.ndarray:
    """`num` campaigns that end when `budget` problems are used, a training counting as `training` of them.

    A campaign that carries keeps enough for its last trial. Shape (num, fields of Row).
    """
    rows = []
    whole = settings.looks * settings.look_size
    for number in range(num):
        rng = np.random.default_rng([seed, number])
        campaign = Campaign(rng, MIXTURES[mixture], settings, 10**6, Levels(settings.alpha, planned))
        last = False
        while not last:
            used = campaign.problems + training * campaign.played
            if rule == "two pawls":
                assert settings.carry
                a_round = settings.carry.problems
                # This round, and after it no other one with the trial that would follow it.
                last = used + 2 * (a_round + training) + a_round / 2 + whole > budget
            else:
                last = used + 2 * (whole + training) > budget
                if rule == "one pawl" and not campaign.book.num_left:
                    break  # the error budget is used up
            campaign.play(rule, last=last)
        rows.append(_row(campaign))
    return np.array(rows, float)


def _row(campaign: Campaign) -> Row:
    return Row(
        campaign.accuracy,
        campaign.working,
        campaign.claims,
        campaign.false_claims,
        campaign.problems / campaign.played,
        campaign.played,
        campaign.lowest,
        campaign.returns,
    )

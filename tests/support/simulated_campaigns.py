"""Campaigns without models: the real gate and the real registry, with outcomes drawn from stated truths.

A *ledger* is one campaign on a line of its own. Its challengers are null (as often better as worse) or truly
better; an acceptance of a null is a false acceptance.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from engine.gate import arithmetic as gate
from engine.records import Fault, Look, Status, Verdict
from engine.registry.ledger import LedgerUsedUp
from engine.registry.registry import Registry
from tests.support.registry import store

PLANNED = 4
SETTINGS = {"looks": 12, "look_size": 50, "win_share": 2 / 3, "futility": 0.05, "spending": 2.0}


@dataclass(frozen=True, slots=True)
class Truth:
    """A challenger, by slice: the chances that it alone passes, and that the champion alone does."""

    slices: tuple[tuple[float, float], ...]
    undecided: float = 0.0
    """Chance, for each of the two models, that its answer cannot be judged."""
    gives_up_where_it_loses: bool = False
    """The challenger makes the verifier give up exactly where it would lose."""

    @property
    def is_null(self) -> bool:
        return sum(won for won, _ in self.slices) <= sum(lost for _, lost in self.slices)


NULLS = (
    Truth(((0.05, 0.05),)),
    Truth(((0.2, 0.2),)),
    Truth(((0.35, 0.05), (0.05, 0.35), (0.1, 0.1))),
    Truth(((0.1, 0.1), (0.02, 0.02)), undecided=0.1),
    Truth(((0.15, 0.15),), gives_up_where_it_loses=True),
)
"""Small and large differences; better on one slice and worse on another; undecided answers."""
GAINS = (Truth(((0.10, 0.05),)), Truth(((0.3, 0.1), (0.05, 0.05))), Truth(((0.2, 0.05),), undecided=0.02))


def draw_pairs(truth: Truth, num: int, rng: Random) -> list[gate.Pair]:
    """Paired outcomes of fresh problems, each of a slice drawn anew, through verdicts as at the gate."""
    pairs = []
    for number in range(num):
        won, lost = rng.choice(truth.slices)
        at = rng.random()
        alone = at < won, won <= at < won + lost
        both = at > (1 + won + lost) / 2
        old = Status.PASS if alone[1] or both else Status.FAIL
        new = Status.PASS if alone[0] or both else Status.FAIL
        if truth.gives_up_where_it_loses and alone[1]:
            new = Status.UNDECIDED
        old, new = (Status.UNDECIDED if rng.random() < truth.undecided else each for each in (old, new))
        pairs.append(gate.pair(verdict(old, str(number)), verdict(new, str(number))))
    return pairs


def run_test(truth: Truth, level: float, rng: Random) -> tuple[list[Look], gate.Outcome]:
    test = gate.SequentialTest(level=level, **SETTINGS)  # type: ignore[arg-type]
    looks: list[Look] = []
    while True:
        look, outcome = test.look(draw_pairs(truth, 50, rng))
        looks.append(look)
        if outcome is not gate.Outcome.CONTINUE:
            return looks, outcome


def run_ledger(registry: Registry, line: str, rng: Random) -> Counter[str]:
    """Run one campaign until its ledger is used up, and count what became of nulls and of gains."""
    found: Counter[str] = Counter()
    registry.promote(line, "m0", run_id=line, round=0, expected_epoch=0, baseline=True)
    registry.open_ledger(line, alpha=0.05, planned_tests=PLANNED, run_id=line, fresh=True)
    share_of_gains = rng.choice((0.0, 0.3, 0.6))
    for number in range(1, PLANNED + 1):
        truth = rng.choice(GAINS if rng.random() < share_of_gains else NULLS)
        test = registry.commit_test(
            line, run_id=line, round=number, challenger_id="m1", entropy=rng.getrandbits(63)
        )
        looks, outcome = run_test(truth, test.level, Random(test.entropy))
        better = outcome is gate.Outcome.BETTER
        registry.settle_test(line, run_id=line, round=number, rejected_null=better)
        decision = gate.decide(
            [gate.superiority(looks, outcome)],
            champion_id="m0",
            challenger_id="m1",
            level=test.level,
            entropy=test.entropy,
            looks=looks,
        )
        assert decision.accepted is better
        if better:
            registry.promote(
                line,
                "m1",
                run_id=line,
                round=number,
                expected_epoch=registry.line(line).epoch,
                decision=decision,
            )
        else:
            registry.refuse(line, "m1", run_id=line, round=number, decision=decision)
        found[f"{'null' if truth.is_null else 'gain'} {'accepted' if better else 'refused'}"] += 1
        found["problems"] += looks[-1].num_problems
    try:
        registry.commit_test(line, run_id=line, round=PLANNED + 1, challenger_id="m1")
    except LedgerUsedUp:
        found["refused further tests"] += 1
    return found


def run_ledgers(home: Path, num: int, seed: int) -> tuple[int, Counter[str]]:
    """Count how many of `num` ledgers accepted any null, and what became of all challengers."""
    registry = Registry(home)
    for model in ("m0", "m1"):
        store(registry, home, model)
    num_false, found = 0, Counter[str]()
    for number in range(num):
        ledger = run_ledger(registry, f"simulated/{number}", Random(f"{seed}/{number}"))
        num_false += ledger["null accepted"] > 0
        found += ledger
    return num_false, found


def verdict(status: Status, problem_id: str = "p") -> Verdict:
    return Verdict(
        problem_id=problem_id,
        sample=0,
        status=status,
        right=status is Status.PASS,
        answer="",
        fault=Fault.NONE,
        verifier="simulated",
        reason="",
    )


PLAN = {"level": 0.03, "looks": 12, "look_size": 50, "win_share": 2 / 3, "futility": 0.05, "spending": 2.0}


def one_test(rng: np.random.Generator, gained: float, lost: float, plan: dict) -> tuple[gate.Outcome, int]:
    """One sequential test at stated shares of problems gained and lost, and the problems that it used."""
    test = gate.SequentialTest(**plan)
    while True:
        draws = rng.random(plan["look_size"]).tolist()
        look, outcome = test.look([(draw < lost, lost <= draw < lost + gained) for draw in draws])
        if outcome is not gate.Outcome.CONTINUE:
            return outcome, look.num_problems


def simulate(
    gained: float, lost: float, repeats: int, *, seed: int, plan: dict = PLAN
) -> tuple[float, float]:
    """Share of tests that accept, and problems used on average."""
    rng = np.random.default_rng(seed)
    outcomes: Counter[gate.Outcome] = Counter()
    num_problems = 0
    for _ in range(repeats):
        outcome, used = one_test(rng, gained, lost, plan)
        outcomes[outcome] += 1
        num_problems += used
    return outcomes[gate.Outcome.BETTER] / repeats, num_problems / repeats

"""Sweeps without models, in which no trial is truly better than the champion.

The scheduler's rungs, the choice of a winner and the gate are the real ones.
"""

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any

from scipy.stats import binomtest

from configs.sweep import Sweep
from engine.gate import arithmetic as gate
from tests.support.simulated_campaigns import NULLS, Truth, draw_pairs, run_test
from tune.outcome import TrialRecord, best
from tune.search import SparesFirst
from tune.space import METRIC

SWEEP = Sweep(
    name="s",
    campaign="c.yaml",
    space={"loop": {"train": {"lora_rank": {"choice": [1]}}}},
    num_problems=100,
    rungs=2,
)
WORSE = Truth(((0.03, 0.1),))


def run_sweeps(num: int, seed: int) -> Counter[str]:
    """Count the winners of `num` sweeps that the gate accepts, and those that the selection split would have.

    A sweep has 4 to 24 trials, none of which is better than the champion.
    """
    rng, found = Random(seed), Counter[str]()
    for _ in range(num):
        truths = [rng.choice((*NULLS, WORSE)) for _ in range(rng.randint(4, 24))]
        trials, pairs = play(truths, rng)
        winner = best(trials)
        wins = sum(new and not old for old, new in pairs[winner.number])
        losses = sum(old and not new for old, new in pairs[winner.number])
        fooled = wins + losses and binomtest(wins, wins + losses, alternative="greater").pvalue <= 0.05
        found["by selection"] += bool(fooled)
        found["stopped"] += sum(trial.status == "stopped" for trial in trials)
        found["trials"] += len(trials)
        _, outcome = run_test(truths[winner.number], 0.05, rng)
        found["accepted"] += outcome is gate.Outcome.BETTER
    return found


def play(truths: list[Truth], rng: Random) -> tuple[list[TrialRecord], list[list[gate.Pair]]]:
    """Play trials one after another, stopped by the scheduler, and return their selection-split outcomes."""
    scheduler = SparesFirst.of(SWEEP)
    scheduler.set_search_properties(METRIC, "max")
    controller: Any = None
    trials, outcomes = [], []
    for number, truth in enumerate(truths):
        trial: Any = SimpleNamespace(trial_id=str(number), config={"number": number}, stub=False)
        scheduler.on_trial_add(controller, trial)
        # Each rung draws anew, so the scores before the end and at the end are independent.
        scores = []
        for rung in range(SWEEP.rungs):
            pairs = draw_pairs(truth, SWEEP.num_problems, rng)
            # All trials answer the same problems, of which the champion passes half.
            scores.append(SWEEP.num_problems // 2 + sum(new - old for old, new in pairs))
            result = {METRIC: scores[-1] / len(pairs), "resource": SWEEP.keep**rung, "over": rung == 1}
            decision = scheduler.on_trial_result(controller, trial, result)
            if decision == "STOP" and rung == 0:
                break
        outcomes.append(pairs)
        trials.append(
            TrialRecord(
                number=number,
                values={},
                status="finished" if len(scores) == SWEEP.rungs else "stopped",
                rungs=tuple(evaluation(score) for score in scores),
            )
        )
    return trials, outcomes


def evaluation(score: int) -> Any:
    return SimpleNamespace(score=score / SWEEP.num_problems)

"""What a change of structure must not change: draws, looks and decisions, as commit 558b134 made them.

The golden files hold records in the shape that they had then. Where a record's shape is changed on purpose,
`tests/support/golden.py` converts it back; the files themselves are never made anew.
"""

import hashlib
import json
from pathlib import Path
from random import Random

import pytest

from configs.tasks import Task
from engine.registry.registry import Registry
from engine.tasks import load_task
from tests.support.golden import old_problem
from tests.support.registry import store
from tests.support.simulated_campaigns import run_ledger

GOLDEN = Path(__file__).parent / "golden"


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def draw(number: int) -> list[dict[str, object]]:
    """One of 200 draws that together go through all values of all dimensions, and all ways to draw."""
    rng = Random(f"golden/{number}")
    slices: dict[str, list[int | bool | str]] = {
        "hops": sorted({1 + number % 8, *rng.sample(range(1, 9), 2)}),
        "negation": rng.choice(([False, True], [True], [False])),
        "irrelevant": sorted({number % 9, rng.randrange(9)}),
        "distractors": sorted({number // 9 % 9, rng.randrange(9)}),
    }
    if layout := ([], ["shuffled"], ["ontology"], ["shuffled", "ontology"])[number % 4]:
        slices["layout"] = layout
    suite = load_task("prontoqa").open(Task(slices=slices))
    weights = {name: rng.random() for name in suite.slices} if number % 3 == 0 else None
    first = suite.draw(4, split="first", seed=number)
    problems = suite.draw(
        12,
        split=rng.choice(("probe-1", "gate", "sealed", "warm-start")),
        seed=rng.getrandbits(40),
        start=rng.randrange(100),
        exclude={problem.id for problem in first},
        weights=weights,
        questions=1 + number % 4,
    )
    return [old_problem(problem) for problem in [*first, *problems]]


@pytest.mark.slow
def test_two_hundred_draws_give_the_same_problems() -> None:
    golden = json.loads((GOLDEN / "draws.json").read_text())
    assert len(golden) == 200
    for number, wanted in enumerate(golden):
        assert digest(draw(number)) == wanted, f"draw {number} gives other problems"


def ledger(home: Path, number: int) -> list[object]:
    """Every event of a simulated campaign in numbers: levels, looks, and what was decided."""
    registry, line = Registry(home), f"golden/{number}"
    run_ledger(registry, line, Random(f"golden/{number}"))
    events: list[object] = []
    for event in registry.history(line):
        told: dict[str, object] = {
            "kind": event.kind,
            "epoch": event.epoch,
            "round": event.round,
            "model": event.model_id,
        }
        if decision := event.decision:
            told |= {
                "level": round(decision.level, 12),
                "entropy": decision.entropy,
                "accepted": decision.accepted,
                "looks": [
                    [
                        look.num_problems,
                        look.wins,
                        look.losses,
                        look.boundary,
                        round(look.conditional_power, 9),
                        round(look.spent, 9),
                    ]
                    for look in decision.looks
                ],
                "passed": [check.passed for check in decision.checks],
            }
        events.append(told)
    tests = [
        [test.ledger, test.round, round(test.level, 12), test.entropy, test.rejected_null]
        for test in (registry.line(line).ledger or pytest.fail("no ledger")).tests
    ]
    return [*events, tests]


@pytest.mark.slow
def test_two_hundred_simulated_ledgers_decide_the_same(tmp_path: Path) -> None:
    golden = json.loads((GOLDEN / "ledgers.json").read_text())
    assert len(golden) == 200
    registry = Registry(tmp_path)
    for model in ("m0", "m1"):
        store(registry, tmp_path, model)
    for number, wanted in enumerate(golden):
        assert digest(ledger(tmp_path, number)) == wanted, f"ledger {number} decides otherwise"

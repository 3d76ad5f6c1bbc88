"""How many proof lines a second one core checks: by the rules, by Z3, and through the limited processes.

PrOntoQA's gold proofs, and random proofs with all rules of first-order logic.

`python -m tests.bench.bench_rules`
"""

import random
import time
from collections.abc import Callable, Sequence

from configs.schema import Verify
from engine.records import Attempt, Fault, Problem, Status
from engine.verify import Verifier, load_verifier
from engine.verify.pool import VerifierPool
from tests.bench.harness import side_by_side
from tests.support.first_order import derivations
from tests.support.proof_helpers import attempt, problem, proof
from tests.support.soundness import written
from tests.support.suites import suite

NUM_PROBLEMS = 100
SAMPLES = 5
"""Proofs of each problem in a row, as a sampler sends them: the rules read the problem once."""

Items = Sequence[tuple[Problem, Attempt]]


def gold_items() -> list[tuple[Problem, Attempt]]:
    """Gold proofs of fresh problems, hops 1 to 8 alike."""
    return [
        (asked, attempt(asked.gold[0], problem_id=asked.id, sample=sample))
        for asked in suite("prontoqa", {"hops": range(1, 9)}).draw(NUM_PROBLEMS, split="bench", seed=0)
        for sample in range(SAMPLES)
    ]


def first_order_items() -> list[tuple[Problem, Attempt]]:
    """Random valid proofs, each as it was when its last line came to rest on no assumption."""
    found: dict[tuple[str, ...], tuple[Problem, Attempt]] = {}
    for premises, lines, checker in derivations(random.Random(0), NUM_PROBLEMS, 25):
        last = checker.known[-1]
        if last.fault is Fault.NONE and not last.open:
            asked = problem(premises, lines[-1].claim, notation="first_order")
            found[tuple(premises)] = asked, attempt(written(lines))
    return list(found.values()) * SAMPLES


def alone(name: str, items: Items) -> Callable[[], float]:
    """Steps a second of this process's core."""
    verify: Verifier = load_verifier(name)

    def measure() -> float:
        began = time.process_time()
        verdicts = [verify(asked, given) for asked, given in items]
        seconds = time.process_time() - began
        assert all(verdict.status is Status.PASS for verdict in verdicts)
        return sum(len(proof(verdict).steps) for verdict in verdicts) / seconds

    return measure


def pooled(name: str, items: Items) -> Callable[[], float]:
    """Steps a second through a pool of one process, start-up apart."""

    def measure() -> float:
        limits = Verify()
        with VerifierPool(
            name, num_processes=1, seconds=limits.seconds, memory_mib=limits.memory_mib
        ) as pool:
            began = time.perf_counter()
            verdicts = pool.verify(items)
            seconds = time.perf_counter() - began
        assert all(verdict.status is Status.PASS for verdict in verdicts)
        return sum(len(proof(verdict).steps) for verdict in verdicts) / seconds

    return measure


def main() -> None:
    items, first_order = gold_items(), first_order_items()
    variants = {
        "rules": alone("rules", items),
        "z3": alone("z3", items),
        "rules in a limited process": pooled("rules", items),
        "both in a limited process": pooled("rules + z3", items),
        "first order: rules": alone("rules", first_order),
        "first order: z3": alone("z3", first_order),
    }
    side_by_side("checkers", "steps/s on a core", variants, repeats=6, least=None)


if __name__ == "__main__":
    main()

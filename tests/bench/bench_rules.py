"""How many proof lines a second one core checks: in this process, and through the pool with one child.

`python -m tests.bench.bench_rules`
"""

import time

from configs.schema import Verify
from engine.records import Attempt, Finish, Problem, Status
from engine.tasks import Suite
from engine.verifiers.rules import verify
from engine.verify import VerifierPool

NUM_PROBLEMS = 400
SAMPLES = 5
"""Proofs of each problem in a row, as a sampler sends them: the problem is read once."""


def gold_items() -> list[tuple[Problem, Attempt]]:
    """Gold proofs of fresh problems, hops 1 to 8 alike."""
    suite = Suite("prontoqa", {"hops": list(range(1, 9))})
    return [
        (problem, _attempt(problem, sample))
        for problem in suite.draw(NUM_PROBLEMS, split="bench", seed=0)
        for sample in range(SAMPLES)
    ]


def _attempt(problem: Problem, sample: int) -> Attempt:
    return Attempt(
        problem_id=problem.id,
        model_id="",
        sample=sample,
        text=problem.gold_text,
        num_prompt_tokens=0,
        num_tokens=0,
        finish=Finish.STOP,
    )


def main() -> None:
    items = gold_items()
    limits = Verify()
    began = time.process_time()
    verdicts = [verify(problem, attempt) for problem, attempt in items]
    alone = time.process_time() - began
    assert all(verdict.status is Status.PASS for verdict in verdicts)
    with VerifierPool("rules", num_processes=1, seconds=limits.seconds, memory_mib=limits.memory_mib) as pool:
        began = time.perf_counter()
        pooled_verdicts = pool.verify(items)
        pooled = time.perf_counter() - began
    assert pooled_verdicts == verdicts
    num_steps = sum(len(verdict.steps) for verdict in verdicts)
    print(f"{len(items)} proofs, {num_steps} steps")
    for name, seconds in (("rule checker, one core", alone), ("through a pool of one child", pooled)):
        rates = f"{num_steps / seconds:10,.0f} steps/s  {len(items) / seconds:8,.0f} proofs/s"
        print(f"{name:<28} {rates}")


if __name__ == "__main__":
    main()

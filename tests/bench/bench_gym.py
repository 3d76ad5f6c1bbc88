"""How many replies to reasoning-gym's datasets a second one limited process scores, and what a problem takes.

`python -m tests.bench.bench_gym`
"""

import statistics
import time
from collections.abc import Mapping, Sequence

from configs.schema import Verify
from engine.gym.served import SERVED
from engine.records import Attempt, Problem, Status
from engine.verify.pool import VerifierPool
from tests.bench.harness import Spread, keep
from tests.support.gym import gym_suite
from tests.support.proof_helpers import attempt

NUM_PROBLEMS = 10
SAMPLES = 8
"""Replies to each problem: its own answer, and in turn that of another one."""
REPEATS = 5
SHOWN = 8
"""Datasets shown whose problems take longest."""

Items = Sequence[tuple[Problem, Attempt]]


def drawn() -> tuple[Mapping[str, Sequence[Problem]], Mapping[str, float]]:
    """Problems of every dataset with its defaults, and the seconds that one took."""
    problems: dict[str, Sequence[Problem]] = {}
    seconds: dict[str, float] = {}
    for name in SERVED:
        suite = gym_suite(name)
        began = time.process_time()
        problems[name] = suite.draw(NUM_PROBLEMS, split="bench", seed=0)
        seconds[name] = (time.process_time() - began) / NUM_PROBLEMS
    return problems, seconds


def items_of(problems: Sequence[Problem]) -> Items:
    return [
        (problem, attempt(given.gold[0], problem_id=problem.id, sample=sample))
        for problem, other in zip(problems, [*problems[1:], problems[0]], strict=True)
        for sample, given in enumerate((problem, other) * (SAMPLES // 2))
    ]


def rate(pool: VerifierPool, items: Items) -> float:
    """Verdicts a second."""
    began = time.perf_counter()
    verdicts = pool.verify(items)
    seconds = time.perf_counter() - began
    assert all(verdict.status is Status.PASS for verdict in verdicts[::2])
    assert all(verdict.status is not Status.UNDECIDED for verdict in verdicts)
    return len(items) / seconds


def main() -> None:
    problems, seconds = drawn()
    slowest = sorted(seconds, key=lambda name: -seconds[name])[:SHOWN]
    print(
        f"a problem, CPU time: median of {len(SERVED)} datasets {statistics.median(seconds.values()):.2g} s"
    )
    print("\n".join(f"  {name:<28} {seconds[name]:.2g} s" for name in slowest))
    works = {
        "every dataset alike": [problem for each in problems.values() for problem in each],
        "spell_backward": problems["spell_backward"],
        "simple_integration (SymPy)": problems["simple_integration"],
    }
    limits = Verify()
    kept: dict[str, object] = {"seconds a problem": seconds}
    print("replies/s through a pool of one limited process, start-up apart")
    with VerifierPool("gym", num_processes=1, seconds=limits.seconds, memory_mib=limits.memory_mib) as pool:
        for name, work in works.items():
            items = items_of(work)
            rate(pool, items)  # the process makes each dataset once
            rates = [rate(pool, items) for _ in range(REPEATS)]
            print(f"  {name:<28} {Spread.of(rates)}", flush=True)
            kept[name] = rates
    keep("gym", kept)


if __name__ == "__main__":
    main()

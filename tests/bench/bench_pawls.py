"""What carrying is worth: final accuracy of three rules at equal problems, by simulation on the gate's code.

    python -m tests.bench.bench_pawls

A budget of 6,000 problems is played out with so many problems a round; each round's training costs as much as
0, 200 or 1,000 problems. Means over campaigns, with the standard error of the largest.
"""

import math
from itertools import product

from configs.schema import Carry, Gate
from tests.support.simulated_pawls import play_budget

BUDGET, CAMPAIGNS = 6000, 300
SIZES = (50, 100, 200, 300, 400, 600)
TRAININGS = (0, 200, 1000)
MIXTURES = ("even", "small")


def settings(rule: str, size: int, every: int = 10) -> Gate:
    """A gate whose rounds take `size` problems: for two pawls those of carrying, else those of a test."""
    if rule == "two pawls":
        return Gate(carry=Carry(problems=size, prove_every=every))
    return Gate(looks=10, look_size=max(size // 10, 1))


def planned(rule: str, size: int, training: float, every: int = 10) -> int:
    rounds = max(1, int(BUDGET / (size + training)))
    return math.ceil(rounds / every) if rule == "two pawls" else rounds


def curve(rule: str, mixture: str, training: float) -> list[str]:
    cells = []
    for size in SIZES:
        rows = play_budget(
            rule,
            mixture,
            CAMPAIGNS,
            settings(rule, size),
            budget=BUDGET,
            training=training,
            planned=planned(rule, size, training),
        )
        cells.append(f"{rows[:, 0].mean():.1%} ({rows[:, 5].mean():.0f})")
    return cells


def main() -> None:
    for mixture, training in product(MIXTURES, TRAININGS):
        print(f"\n{mixture}, a training worth {training} problems: champion at the end (rounds)")
        print("| rule | " + " | ".join(map(str, SIZES)) + " |")
        for rule in ("keep if higher", "one pawl", "two pawls"):
            print(f"| {rule} | " + " | ".join(curve(rule, mixture, training)) + " |", flush=True)
    print("\ntwo pawls by rounds between looks at the champion, even, a training worth 200 problems")
    for every, ready in product((1, 3, 5, 10, 20), (0.02, 0.05, 0.2)):
        gate = Gate(carry=Carry(prove_every=every, ready=ready))
        size = Carry().problems
        rows = play_budget(
            "two pawls",
            "even",
            CAMPAIGNS,
            gate,
            budget=BUDGET,
            training=200,
            planned=planned("two pawls", size, 200, every),
        )
        error = rows[:, 0].std() / math.sqrt(len(rows))
        print(
            f"every {every:2} ready {ready:.2f}: champion {rows[:, 0].mean():.1%} (± {error:.1%}), working "
            f"{rows[:, 1].mean():.1%}, {rows[:, 2].mean():.1f} claims, {rows[:, 5].mean():.1f} rounds",
            flush=True,
        )


if __name__ == "__main__":
    main()

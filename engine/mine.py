"""Where the champion is weak: slices in which one kind of failure is more frequent than elsewhere.

Tested, not guessed: one-sided Fisher exact for every cell (slice x fault), Benjamini-Hochberg over
all cells. A difference that chance explains is no weakness.
"""

from collections import Counter
from collections.abc import Sequence

from engine.evaluate import Answer
from engine.records import Fault, Problem, Status, Weakness
from engine.stats import benjamini_hochberg, fisher_greater, interval


def mine(
    problems: Sequence[Problem], answers: Sequence[Answer], *, false_discovery: float, num_problems: int
) -> list[Weakness]:
    """Weak cells, the largest quota first. `answers` are greedy, one to a problem.

    Half of the round's `num_problems` go to weak cells by deficit x frequency; the rest stay with the
    whole mixture, so that aiming at one slice does not forget the others.
    """
    slice_of = {problem.id: problem.slice for problem in problems}
    totals = Counter(slice_of.values())
    failures = Counter(
        (slice_of[a.verdict.problem_id], a.verdict.fault) for a in answers if a.verdict.status is Status.FAIL
    )
    faults = Counter(fault for _, fault in failures.elements())
    cells: list[tuple[str, Fault]] = sorted(failures)
    num = len(problems)
    p_values = []
    for cell in cells:
        here, there = failures[cell], faults[cell[1]] - failures[cell]
        p_values.append(fisher_greater(here, totals[cell[0]], there, num - totals[cell[0]]))
    found = []
    for cell, p in zip(cells, benjamini_hochberg(p_values), strict=True):
        name, fault = cell
        elsewhere_num = num - totals[name]
        elsewhere = (faults[fault] - failures[cell]) / elsewhere_num if elsewhere_num else 0.0
        share = interval(failures[cell], totals[name])
        if p <= false_discovery and share.rate > elsewhere:
            found.append((name, fault, share, elsewhere, p, (share.rate - elsewhere) * totals[name] / num))
    weight = sum(entry[-1] for entry in found)
    weaknesses = [
        Weakness(
            slice=name,
            fault=fault,
            rate=share.rate,
            elsewhere=elsewhere,
            low=share.low,
            high=share.high,
            p_adjusted=p,
            quota=round(num_problems / 2 * w / weight),
        )
        for name, fault, share, elsewhere, p, w in found
    ]
    return sorted(weaknesses, key=lambda weakness: -weakness.quota)


def slice_weights(
    slices: Sequence[str], weaknesses: Sequence[Weakness], num_problems: int
) -> dict[str, float]:
    """The mixture to draw a round's problems from: the quotas, and the rest evenly over all slices."""
    aimed: Counter[str] = Counter()
    for weakness in weaknesses:
        aimed[weakness.slice] += weakness.quota
    even = (num_problems - aimed.total()) / len(slices)
    return {name: aimed[name] + even for name in slices}

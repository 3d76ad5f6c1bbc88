"""Where the champion is weak, and after the gate whether the challenger still is.

Tested, not guessed: a weakness is a slice in which one kind of failure is more frequent than elsewhere
(one-sided Fisher exact for every cell of slice x fault, Benjamini-Hochberg over all cells); it closed where
the challenger fails in that way more rarely on the gate's fresh problems (exact sign test on the pairs). A
difference that chance explains is neither.
"""

from collections import Counter
from collections.abc import Sequence

from engine.measure.stats import benjamini_hochberg, fisher_greater, interval, sign_test
from engine.records import Answer, Closure, Duel, Problem, Status, Weakness

CLOSED_LEVEL = 0.05
"""Largest p at which a weakness counts as closed."""


def mine(
    problems: Sequence[Problem], answers: Sequence[Answer], *, false_discovery: float, num_problems: int
) -> list[Weakness]:
    """Weak cells, the largest quota first. `answers` are greedy, one to a problem.

    Half of the round's `num_problems` go to weak cells by deficit x frequency; the rest stay with the
    whole mixture, so that aiming at one slice does not forget the others. With 0 problems the cells are only
    reported.
    """
    slice_of = {problem.id: problem.slice for problem in problems}
    totals = Counter(slice_of.values())
    failures = Counter(
        (slice_of[a.verdict.problem_id], a.verdict.fault) for a in answers if a.verdict.status is Status.FAIL
    )
    faults = Counter(fault for _, fault in failures.elements())
    cells: list[tuple[str, str]] = sorted(failures)
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
    quotas = _apportion(num_problems // 2, [entry[-1] for entry in found])
    weaknesses = [
        Weakness(
            slice=name,
            fault=fault,
            rate=share.rate,
            elsewhere=elsewhere,
            low=share.low,
            high=share.high,
            p_adjusted=p,
            quota=quota,
            signal="failure",
        )
        for (name, fault, share, elsewhere, p, _), quota in zip(found, quotas, strict=True)
    ]
    return sorted(weaknesses, key=lambda weakness: -weakness.quota)


def _apportion(total: int, weights: Sequence[float]) -> list[int]:
    """`total` in whole parts by `weights`, none lost to rounding. Source: largest remainders (Hamilton)."""
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [int(share) for share in exact]
    by_remainder = sorted(range(len(parts)), key=lambda index: parts[index] - exact[index])
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


def closures(weaknesses: Sequence[Weakness], duels: Sequence[Duel]) -> list[Closure]:
    """Whether each weakness closed, on the gate's fresh `duels` in its slice; [] where nothing was answered.

    Only problems that exactly one of the two fails with that fault count. An UNDECIDED answer says nothing of
    its model, so as in the gate it may not help the challenger: its own counts as the fault in the test, the
    champion's as none. The p-values are one for each weakness, not corrected for their number.
    Source: McNemar 1947, in its exact one-sided form (sign test).
    """
    answered = [
        (duel.problem.slice, duel.champion.verdict, duel.challenger.verdict)
        for duel in duels
        if isinstance(duel.champion, Answer) and isinstance(duel.challenger, Answer)
    ]
    found = []
    for weakness in weaknesses if answered else ():
        here = [(old, new) for name, old, new in answered if name == weakness.slice]
        before, after, undecided, cured, caught = 0, 0, 0, 0, 0
        for old, new in here:
            had = old.status is Status.FAIL and old.fault == weakness.fault
            has = new.status is Status.FAIL and new.fault == weakness.fault
            may_have = has or new.status is Status.UNDECIDED
            before, after = before + had, after + has
            undecided += Status.UNDECIDED in (old.status, new.status)
            cured, caught = cured + (had and not may_have), caught + (may_have and not had)
        p = sign_test(cured, caught)
        found.append(
            Closure(
                slice=weakness.slice,
                fault=weakness.fault,
                num=len(here),
                before=before,
                after=after,
                num_undecided=undecided,
                cured=cured,
                caught=caught,
                p=p,
                closed=p <= CLOSED_LEVEL,
            )
        )
    return found


def slice_weights(
    slices: Sequence[str], weaknesses: Sequence[Weakness], num_problems: int
) -> dict[str, float]:
    """The weights of slices for a round's problems: the quotas, and the rest evenly over all slices."""
    aimed: Counter[str] = Counter()
    for weakness in weaknesses:
        aimed[weakness.slice] += weakness.quota
    even = (num_problems - aimed.total()) / len(slices)
    return {name: aimed[name] + even for name in slices}

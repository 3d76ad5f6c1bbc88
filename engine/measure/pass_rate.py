"""How often a model solves each problem, and which problems would teach it most."""

from collections.abc import Sequence
from random import Random

from engine.records import Answer, Problem, Status


def pass_rates(problems: Sequence[Problem], answers: Sequence[Answer], k: int) -> list[float | None]:
    """The share of each problem's `k` samples that passed, in the order of the problems.

    UNDECIDED samples are left out; the rate is None where nothing else was drawn.
    """
    decided: dict[str, list[bool]] = {problem.id: [] for problem in problems}
    assert len(answers) == k * len(decided), f"{len(answers)} answers are not {k} to each of {len(decided)}"
    for answer in answers:
        if answer.verdict.status is not Status.UNDECIDED:
            decided[answer.verdict.problem_id].append(answer.verdict.status is Status.PASS)
    return [sum(passed) / len(passed) if passed else None for passed in decided.values()]


def nearest_half(rates: Sequence[float | None], num: int, seed: int) -> list[int]:
    """Active selection: indices of up to `num` problems, those first whose pass rate is nearest one half.

    There the outcome is least certain, its variance p (1 - p) the largest; what always passes or always fails
    comes last. `seed` decides ties. A problem without a rate is never chosen.
    Source: uncertainty sampling (Lewis and Gale 1994).
    """
    known = [(abs(rate - 0.5), index) for index, rate in enumerate(rates) if rate is not None]
    Random(seed).shuffle(known)
    return [index for _, index in sorted(known, key=lambda entry: entry[0])[:num]]

"""Which problems are worth further samples: those from which most new rows are to be expected.

What is always solved teaches nothing new, and of what never is there is nothing to learn: it is between the
two that samples pay, as in uncertainty sampling (Lewis and Gale 1994). How much between depends on what a
row is.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

from configs.loops import OakDpo
from engine.records import Answer, Problem, Status


def most_worth(
    problems: Sequence[Problem],
    answers: Sequence[Answer],
    chances: Mapping[str, float],
    *,
    num: int,
    more: int,
    settings: OakDpo,
    seed: int,
) -> list[Problem]:
    """The `num` problems of which `more` further samples bring most rows, in the order of `problems`.

    `answers` are those that are there. Equals are chosen among by the seed. A problem without a chance
    counts as one of the mean chance.
    """
    mean = fmean(chances.values()) if chances else 0.5
    came = Counter((answer.attempt.problem_id, answer.verdict.status) for answer in answers)
    worth = {
        problem.id: rows_expected(
            chances.get(problem.id, mean),
            passed=came[problem.id, Status.PASS],
            failed=came[problem.id, Status.FAIL],
            more=more,
            settings=settings,
        )
        for problem in problems
    }
    shuffled = random.Random(seed).sample(problems, len(problems))
    best = {problem.id for problem in sorted(shuffled, key=lambda each: -worth[each.id])[:num]}
    return [problem for problem in problems if problem.id in best]


def rows_expected(chance: float, *, passed: int, failed: int, more: int, settings: OakDpo) -> float:
    """The rows that `more` samples add on average, where each passes with `chance` and all texts differ.

    A row is a reply that passed, up to `proofs_per_problem` of them; or, where two texts are compared, a
    failed reply beside one that passed.
    """

    def rows(passed: int, failed: int) -> int:
        if settings.train.TEXTS_A_ROW == 2:
            return failed if passed else 0
        return min(passed, settings.proofs_per_problem)

    expected = sum(
        math.comb(more, new)
        * chance**new
        * (1 - chance) ** (more - new)
        * rows(passed + new, failed + more - new)
        for new in range(more + 1)
    )
    return expected - rows(passed, failed)

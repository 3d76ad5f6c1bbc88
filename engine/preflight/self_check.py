"""The self-check of a scorer on a file of records: gold replies must pass, and replies of others must not.

It runs in the pool of verifiers with its limits, as in a campaign.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from configs.schema import Verify
from configs.scorers import AnyScorer
from engine.answers import are_one
from engine.records import Attempt, Finish, Problem, Reference, Status, Verdict
from engine.verify.pool import VerifierPool

MOST_OTHERS = 2_000
"""Records at the most that are given another reply than their own; every gold reply is checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """What a scorer said of gold replies, and of those of other records."""

    gold: tuple[tuple[Problem, Verdict], ...]
    """Each record with its own reply."""
    shuffled: tuple[tuple[Problem, Verdict], ...]
    """Each record with the reply of one that has other answers."""
    alternatives: tuple[tuple[Problem, Verdict], ...]
    """Each record with several answers, of which the first is judged by the others."""

    @property
    def refused(self) -> list[tuple[Problem, Verdict]]:
        """Gold replies that do not pass."""
        return [each for each in self.gold if each[1].status is not Status.PASS]

    @property
    def let_through(self) -> list[tuple[Problem, Verdict]]:
        """Replies of others that pass."""
        return [each for each in self.shuffled if each[1].status is Status.PASS]


def check_scorer(scorer: AnyScorer, problems: Sequence[Problem], limits: Verify) -> SelfCheck:
    """Check a scorer on records with gold replies. Raises VerifierError where it cannot be loaded."""
    asked = [problem for problem in problems if problem.gold]
    gold = [(problem, problem.gold[0]) for problem in asked]
    shuffled = [
        (problem, other.gold[0])
        for i, problem in enumerate(asked[:MOST_OTHERS])
        if (other := _other(scorer, problem, asked, i))
    ]
    several = [
        (_without_first(problem), _accepted(problem)[0])
        for problem in asked[:MOST_OTHERS]
        if _accepted(problem)[1:]
    ]
    with VerifierPool(
        scorer.name, num_processes=limits.num_processes, seconds=limits.seconds, memory_mib=limits.memory_mib
    ) as pool:
        judged = [
            list(zip([problem for problem, _ in pairs], pool.verify(map(_item, pairs)), strict=True))
            for pairs in (gold, shuffled, several)
        ]
    return SelfCheck(gold=tuple(judged[0]), shuffled=tuple(judged[1]), alternatives=tuple(judged[2]))


def _other(scorer: AnyScorer, problem: Problem, asked: Sequence[Problem], place: int) -> Problem | None:
    """A record further on that has none of the answers of `problem`."""
    num = len(asked)
    # A prime that does not divide their number: neighbours, which files often sort, are not each other's.
    stride = 7919 if num % 7919 else 7907
    for step in range(1, min(num, 50)):
        other = asked[(place + step * stride) % num]
        pairs = product(_accepted(problem), _accepted(other))
        if other.gold[0] != problem.gold[0] and not any(are_one(scorer, *pair) for pair in pairs):
            return other
    return None


def _accepted(problem: Problem) -> tuple[str, ...]:
    assert isinstance(problem.truth, Reference), "records have reference answers"
    return problem.truth.accepted


def _without_first(problem: Problem) -> Problem:
    assert isinstance(problem.truth, Reference), "records have reference answers"
    return replace(problem, truth=replace(problem.truth, accepted=problem.truth.accepted[1:]))


def _item(pair: tuple[Problem, str]) -> tuple[Problem, Attempt]:
    problem, reply = pair
    attempt = Attempt(
        problem_id=problem.id,
        model_id="",
        sample=0,
        replies=(reply,),
        num_prompt_tokens=0,
        num_tokens=0,
        finish=Finish.STOP,
    )
    return problem, attempt

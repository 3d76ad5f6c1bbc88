"""Self-critique: the model revises an answer that failed, told what the verifier found wrong with it.

A revision that passes is learnt as a reply to the problem as it was asked. A reason may name the right
answer; the revision is then the model's own way to it, as in STaR's rationalization (Zelikman et al. 2022).
The control sees the same answer and is told nothing, not even that it is wrong: it shows what it is worth to
be told both, that the answer is wrong and why.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from engine.curate.candidates import Candidate
from engine.curate.verified import Target
from engine.records import Answer, Problem, Station, Status

_TEMPLATE = (Path(__file__).parent / "critique.txt").read_text().rstrip("\n")
_REASON = "It is wrong: {reason}\n"
"""The line of the template that the control leaves out: that the answer is wrong, and the reason."""
_LONGEST_REASON = 400
"""Characters of a reason that are told."""


class Failure(NamedTuple):
    """A problem that no sample solved, and the first of its answers that failed."""

    problem: Problem
    answer: Answer


def failures_among(problems: Sequence[Problem], answers: Sequence[Answer]) -> list[Failure]:
    """The problems of one question of which some answer failed and none passed, each with its first failure.

    `answers` holds the same number for each problem in turn. What the verifier left UNDECIDED is no failure.
    """
    k = len(answers) // max(1, len(problems))
    failures = []
    for i, problem in enumerate(problems):
        group = answers[i * k : (i + 1) * k]
        failed = [answer for answer in group if answer.verdict.status is Status.FAIL]
        solved = any(answer.verdict.status is Status.PASS for answer in group)
        if failed and not solved and len(problem.turns) == 1:
            failures.append(Failure(problem, failed[0]))
    return failures


def asked_again(failure: Failure, *, told: bool) -> Problem:
    """The problem with its failed answer, to be answered anew: `told` what is wrong with it, or nothing."""
    problem, answer = failure
    template = _TEMPLATE if told else _TEMPLATE.replace(_REASON, "")
    reason = " ".join(answer.verdict.reason.split())[:_LONGEST_REASON]
    text = template.format(problem=problem.text, answer=answer.attempt.text, reason=reason)
    return replace(problem, id=f"{problem.id}-{'told' if told else 'untold'}", turns=(text,))


def mended(failures: Sequence[Failure], revisions: Sequence[Answer], target: Target) -> list[Candidate]:
    """The revisions that passed, one to a failure, as replies to the problems as they were asked."""
    return [
        Candidate(
            problem=failure.problem,
            replies=target(failure.problem, replace(revision.attempt, problem_id=failure.problem.id)),
            score=revision.verdict.grade or 0.0,
            pass_rate=0.0,
        )
        for failure, revision in zip(failures, revisions, strict=True)
        if revision.verdict.status is Status.PASS
    ]


def stations_of(num_failures: int, num_asked: int, num_mended: int) -> list[Station]:
    """The stations from failed answers to revisions that passed."""
    return [
        Station(name="revised", num_in=num_failures, num_out=num_asked, why="failures that are revised"),
        Station(name="mended", num_in=num_asked, num_out=num_mended, why="revisions that passed"),
    ]

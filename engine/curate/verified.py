"""Verified answers become candidates: distinct replies that passed, with a station for all others."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from engine.curate.candidates import Candidate
from engine.records import Answer, Attempt, Fault, Likelihood, Problem, Station, Status

Target = Callable[[Problem, Attempt], tuple[str, ...]]
"""A task's ``target``: the replies to learn from an attempt that passed."""


def passed(
    problems: Sequence[Problem],
    answers: Sequence[Answer],
    *,
    rates: Sequence[float | None],
    most: int,
    target: Target,
) -> tuple[list[Candidate], list[Station]]:
    """Up to `most` distinct replies to each problem that passed, and the stations of all its answers.

    `answers` holds the same number for each problem in turn, `rates` the share of them that passed. A
    candidate's score is the verifier's grade, 0 where it gives none.
    """
    k = len(answers) // max(1, len(problems))
    tally: Counter[str] = Counter()
    candidates: list[Candidate] = []
    for i, (problem, rate) in enumerate(zip(problems, rates, strict=True)):
        grades: dict[tuple[str, ...], float] = {}
        for answer in distinct(answers[i * k : (i + 1) * k], tally):
            if answer.verdict.status is Status.PASS:
                grades.setdefault(target(problem, answer.attempt), answer.verdict.grade or 0.0)
        candidates += [
            Candidate(problem=problem, replies=replies, score=grade, pass_rate=rate)
            for replies, grade in list(grades.items())[:most]
        ]
    stations = stations_of(len(problems), len(answers), tally)
    kept = Station(
        name="kept",
        num_in=stations[-1].num_out,
        num_out=len(candidates),
        why=f"different texts to learn, at most {most} of a problem",
    )
    return candidates, [*stations, kept]


def distinct(group: Sequence[Answer], tally: Counter[str]) -> Iterator[Answer]:
    """Answers that may be learnt from, each text once; `tally` counts every answer that goes no further."""
    seen = set()
    for answer in group:
        verdict = answer.verdict
        if verdict.status is Status.UNDECIDED:
            tally["undecided"] += 1  # a statement about the verifier only, and never a label
            continue
        if answer.attempt.replies in seen:
            tally["duplicate"] += 1
            continue
        seen.add(answer.attempt.replies)
        if verdict.status is not Status.PASS:
            tally["unparsed" if verdict.fault in (Fault.UNPARSED, Fault.NO_ANSWER) else "failed"] += 1
        yield answer


def stations_of(num_problems: int, num_answers: int, tally: Counter[str]) -> list[Station]:
    """The stations from sampled answers to those that passed; `distinct` has counted what each one drops."""
    why = "problems, and the answers sampled for them"
    stations = [Station(name="sampled", num_in=num_problems, num_out=num_answers, why=why)]
    for name, dropped, why in (
        ("not leaked", "leaked", "answers to problems that no judge has used"),
        ("decided", "undecided", "answers on which the verifier reached a verdict"),
        ("distinct", "duplicate", "each text of a problem once"),
        ("parsed", "unparsed", "texts that match the grammar and end in an answer"),
        ("passed", "failed", "texts that the verifier passed"),
    ):
        num_in = stations[-1].num_out
        stations.append(Station(name=name, num_in=num_in, num_out=num_in - tally[dropped], why=why))
    return stations


def with_losses(
    candidates: Sequence[Candidate], rows: Sequence[int], given: Sequence[Likelihood]
) -> list[Candidate]:
    """The candidates with the loss of their replies, in nats a token under the model that found `given`.

    `given` has as many likelihoods for each candidate in turn as `rows` says. Where no verifier grades
    replies, the likelier one is the better one. A loss that is not finite stays 0, as one not
    measured, and counts as the least likely.
    """
    graded = any(each.score for each in candidates)
    measured, place = [], 0
    for candidate, num in zip(candidates, rows, strict=True):
        own, place = given[place : place + num], place + num
        loss = sum(each.nll for each in own) / max(1, sum(each.num_tokens for each in own))
        is_known = math.isfinite(loss)
        likelier = -loss if is_known else -math.inf
        score = candidate.score if graded else likelier
        measured.append(replace(candidate, loss=loss if is_known else 0.0, score=score))
    return measured

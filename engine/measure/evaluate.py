"""Evaluation: a model answers problems, every answer is verified as it arrives, and counts become figures."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from engine.measure.bench import Bench
from engine.measure.stats import interval
from engine.models.prompts import messages
from engine.records import Answer, Attempt, Evaluation, Fault, Interval, Problem, SliceScore, Status, Verdict
from engine.sample.protocol import Request, Sampling
from engine.terminal import progress

_MOST_PENDING = 4096
"""Answers that wait for a verifier. With more, none is taken from the samplers until it has caught up."""


class Unjudged(RuntimeError):
    """The verifiers failed: figures mean nothing, the round stops."""


class TooManyUndecided(Unjudged):
    """More than the allowed share of answers could not be judged."""


class VerifierFault(Unjudged):
    """One verifier accepts a proof that the other refutes, so one of them is wrong."""


def answer(
    bench: Bench, model: Path, problems: Sequence[Problem], sampling: Sampling, shots: Sequence[Problem] = ()
) -> list[Answer]:
    """All of `answers`."""
    return list(answers(bench, model, problems, sampling, shots))


def answers(
    bench: Bench, model: Path, problems: Sequence[Problem], sampling: Sampling, shots: Sequence[Problem] = ()
) -> Iterator[Answer]:
    """Sample and verify; answers are verified while others are still being sampled.

    Ordered by problem, then by sample: each comes as soon as it and those before it are verified, and only
    what waits for that is held. Raises Unjudged, after the last one, and engine.sample.protocol.SamplerError.
    """
    k, index = sampling.samples, {problem.id: i for i, problem in enumerate(problems)}
    total, given = len(problems) * k, 0
    attempts: dict[int, Attempt] = {}
    judged: dict[int, Verdict] = {}
    tally = _Tally()

    def in_order(verdicts: list[Verdict]) -> Iterator[Answer]:
        nonlocal given
        for verdict in verdicts:
            tally.add(verdict)
            judged[index[verdict.problem_id] * k + verdict.sample] = verdict
        while given in judged:
            yield Answer(attempt=attempts.pop(given), verdict=judged.pop(given))
            given += 1

    with progress("answers", total) as advance:
        sampled = bench.sampler.sample(model, _Chats(bench.system, problems, shots), sampling)
        for done, attempt in enumerate(sampled, start=1):
            i = index[attempt.problem_id]
            place = i * k + attempt.sample
            assert place >= given and place not in attempts, "an answer was lost or given twice"
            attempts[place] = attempt
            bench.pool.submit(problems[i], attempt)
            yield from in_order(bench.pool.poll())
            while bench.pool.num_pending > _MOST_PENDING:
                yield from in_order(bench.pool.poll(timeout=1.0))
            advance(done)
    yield from in_order(bench.pool.drain())
    assert given == total, "an answer was lost or given twice"
    tally.require(bench.max_undecided)


class _Chats(Sequence[Request]):
    """Requests, made as they are asked for."""

    def __init__(self, system: str, problems: Sequence[Problem], shots: Sequence[Problem]) -> None:
        self._system, self._problems, self._shots = system, problems, shots

    def __len__(self) -> int:
        return len(self._problems)

    @overload
    def __getitem__(self, i: int) -> Request: ...
    @overload
    def __getitem__(self, i: slice) -> "_Chats": ...
    def __getitem__(self, i: int | slice) -> "Request | _Chats":
        if isinstance(i, slice):
            return _Chats(self._system, self._problems[i], self._shots)
        problem = self._problems[i]
        return Request(problem_id=problem.id, messages=messages(self._system, problem.prompt, self._shots))


@dataclass(slots=True)
class _Tally:
    """What makes answers worthless, counted while they come."""

    num: int = 0
    num_undecided: int = 0
    undecided: str = ""
    """Why the first was."""
    fault: str = ""

    def add(self, verdict: Verdict) -> None:
        self.num += 1
        if verdict.status is Status.UNDECIDED:
            self.num_undecided += 1
            self.undecided = self.undecided or verdict.reason
        if verdict.fault is Fault.VERIFIERS_DISAGREE:
            self.fault = self.fault or f"problem {verdict.problem_id}: {verdict.reason}"

    def require(self, max_undecided: float) -> None:
        """Raises Unjudged."""
        if self.fault:
            raise VerifierFault(self.fault)
        if self.num_undecided > max_undecided * self.num:
            raise TooManyUndecided(
                f"{self.num_undecided} of {self.num} answers could not be judged ({self.undecided}); "
                f"allowed is a share of {max_undecided}"
            )


def measure(problems: Sequence[Problem], answers: Sequence[Answer], k: int = 1) -> Evaluation:
    """The figures of one model on one draw; `answers` as `answer` gives them, `k` to a problem."""
    verdicts = [answer.verdict for answer in answers]
    groups = [answers[i : i + k] for i in range(0, len(answers), k)]
    slice_of = {problem.id: problem.slice for problem in problems}
    by_slice: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_slice[slice_of[verdict.problem_id]].append(verdict)
    num_lines = sum(len(verdict.steps) for verdict in verdicts)
    num_valid = sum(verdict.num_valid_steps for verdict in verdicts)
    num_right = sum(verdict.answer_right for verdict in verdicts)
    sampled = k > 1
    return Evaluation(
        model_id=answers[0].attempt.model_id,
        suite=suite_digest(problems),
        accuracy=_share(verdict.answer_right for verdict in verdicts),
        strict=_share(verdict.status is Status.PASS for verdict in verdicts),
        step_validity=num_valid / num_lines if num_lines else 0.0,
        step_validity_with_answer=(num_valid + num_right) / (num_lines + len(verdicts)),
        num_undecided=sum(verdict.status is Status.UNDECIDED for verdict in verdicts),
        pass_at_k=_share(any(a.verdict.status is Status.PASS for a in group) for group in groups)
        if sampled
        else None,
        k=k,
        majority=_share(_majority_right(group) for group in groups) if sampled else None,
        distinct_per_problem=sum(len({a.attempt.text for a in group}) for group in groups) / len(groups),
        mean_tokens=sum(answer.attempt.num_tokens for answer in answers) / len(answers),
        slices=tuple(
            SliceScore(
                slice=name,
                strict=_share(verdict.status is Status.PASS for verdict in group),
                accuracy=_share(verdict.answer_right for verdict in group),
            )
            for name, group in sorted(by_slice.items())
        ),
    )


def suite_digest(problems: Sequence[Problem]) -> str:
    return hashlib.sha256("\n".join(problem.id for problem in problems).encode()).hexdigest()[:16]


def _share(outcomes: Iterable[bool]) -> Interval:
    values = list(outcomes)
    return interval(sum(values), len(values))


def _majority_right(group: Sequence[Answer]) -> bool:
    """Self-consistency: whether the most frequent answer is right; the first seen wins a tie."""
    votes = Counter(answer.verdict.answer for answer in group if answer.verdict.answer)
    if not votes:
        return False
    top = votes.most_common(1)[0][0]
    return any(answer.verdict.answer_right for answer in group if answer.verdict.answer == top)

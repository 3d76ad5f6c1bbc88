"""Evaluation: a model answers problems, every answer is verified as it arrives, and counts become figures."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from engine.errors import Lost
from engine.measure.bench import Bench
from engine.measure.counts import figures_of, of_samples, of_texts
from engine.models.prompts import messages
from engine.plugins import PluginError
from engine.records import (
    Answer,
    Attempt,
    Evaluation,
    Fault,
    Interval,
    Problem,
    SliceScore,
    Status,
    Verdict,
)
from engine.sample.protocol import Request, Sampling
from engine.tasks.suite import Task
from engine.terminal import progress

_MOST_PENDING = 4096
"""Answers that may wait for a verifier; with more, sampling waits until the verifiers have caught up."""


class Unjudged(Lost):
    """The verifiers failed, so figures mean nothing and the round stops."""


class TooManyUndecided(Unjudged):
    """More than the allowed share of answers could not be judged."""


class VerifierFault(Unjudged):
    """One verifier accepts an answer that the other refutes, so one of them is wrong."""


def answer(
    bench: Bench, model: Path, problems: Sequence[Problem], sampling: Sampling, shots: Sequence[Problem] = ()
) -> list[Answer]:
    """Everything that `answers` yields, as a list."""
    return list(answers(bench, model, problems, sampling, shots))


def answers(
    bench: Bench, model: Path, problems: Sequence[Problem], sampling: Sampling, shots: Sequence[Problem] = ()
) -> Iterator[Answer]:
    """Sample and verify; answers are verified while others are still being sampled.

    They are ordered by problem, then by sample. Each is yielded as soon as it and those before it are
    verified; only those that wait for an earlier one are held. Raises Unjudged, after the last one, or
    PluginError where it is a user's own verifier that fails, and engine.sample.protocol.SamplerError.
    """
    k, index = sampling.samples, {problem.id: i for i, problem in enumerate(problems)}
    total, given = len(problems) * k, 0
    attempts: dict[int, Attempt] = {}
    judged: dict[int, Verdict] = {}
    tally, pool = _Tally(), bench.pool
    assert pool is not None, "a task whose problems are answered has a verifier"

    def in_order(verdicts: list[Verdict]) -> Iterator[Answer]:
        nonlocal given
        for verdict in verdicts:
            tally.add(verdict)
            judged[index[verdict.problem_id] * k + verdict.sample - sampling.first] = verdict
        while given in judged:
            yield Answer(attempt=attempts.pop(given), verdict=judged.pop(given))
            given += 1

    with progress("answers", k * sum(len(problem.turns) for problem in problems)) as advance:
        for attempt in _whole_attempts(bench, model, problems, sampling, shots, advance):
            i = index[attempt.problem_id]
            place = i * k + attempt.sample - sampling.first
            assert place >= given and place not in attempts, "an answer was lost or given twice"
            attempts[place] = attempt
            pool.submit(problems[i], attempt)
            yield from in_order(pool.poll())
            while pool.num_pending > _MOST_PENDING:
                yield from in_order(pool.poll(timeout=1.0))
    yield from in_order(pool.drain())
    assert given == total, "an answer was lost or given twice"
    tally.require(bench.max_undecided)


def _whole_attempts(
    bench: Bench,
    model: Path,
    problems: Sequence[Problem],
    sampling: Sampling,
    shots: Sequence[Problem],
    advance: Callable[[int], None],
) -> Iterator[Attempt]:
    """Attempts as they finish; a dialogue is asked turn by turn, each sample with its own history.

    All first turns are sampled before any second one, so that the samplers always have many requests.
    """
    index = {problem.id: i for i, problem in enumerate(problems)}
    done = 0
    unfinished: list[Attempt] = []
    for attempt in bench.sampler.sample(model, _Chats(bench.system, problems, shots), sampling):
        done += 1
        advance(done)
        if len(problems[index[attempt.problem_id]].turns) == 1:
            yield attempt
        else:
            unfinished.append(attempt)
    while unfinished:
        unfinished.sort(key=lambda attempt: (index[attempt.problem_id], attempt.sample))
        dialogues, unfinished = {_name(attempt): attempt for attempt in unfinished}, []
        requests = [
            Request(
                problem_id=name,
                messages=messages(
                    bench.system,
                    problems[index[attempt.problem_id]].turns[: len(attempt.replies) + 1],
                    replies=attempt.replies,
                    shots=shots,
                ),
            )
            for name, attempt in dialogues.items()
        ]
        for reply in bench.sampler.sample(model, requests, replace(sampling, samples=1, first=0)):
            done += 1
            advance(done)
            assert reply.problem_id in dialogues, "an answer was lost or given twice"
            attempt = _continued(dialogues.pop(reply.problem_id), reply)
            if len(attempt.replies) == len(problems[index[attempt.problem_id]].turns):
                yield attempt
            else:
                unfinished.append(attempt)
        assert not dialogues, "an answer was lost or given twice"


def _name(attempt: Attempt) -> str:
    """Id of the request for a dialogue's next turn, different for each sample, because its history is."""
    return f"{attempt.problem_id}/{attempt.sample}/{len(attempt.replies)}"


def _continued(attempt: Attempt, reply: Attempt) -> Attempt:
    """The dialogue with one more reply."""
    assert attempt.model_id == reply.model_id, "the turns of a dialogue were answered by different weights"
    return replace(
        attempt,
        replies=(*attempt.replies, *reply.replies),
        num_prompt_tokens=attempt.num_prompt_tokens + reply.num_prompt_tokens,
        num_tokens=attempt.num_tokens + reply.num_tokens,
        finish=reply.finish,
    )


class _Chats(Sequence[Request]):
    """The requests for all first turns, made as they are read."""

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
        return Request(
            problem_id=problem.id, messages=messages(self._system, problem.turns[:1], shots=self._shots)
        )


@dataclass(slots=True)
class _Tally:
    """Counts, while answers arrive, what would make them worthless."""

    num: int = 0
    num_undecided: int = 0
    num_failed: int = 0
    """Of these, those on which a user's own verifier failed."""
    undecided: str = ""
    """Reason of the first undecided one."""
    failed: str = ""
    """Reason of the first on which it failed."""
    fault: str = ""

    def add(self, verdict: Verdict) -> None:
        self.num += 1
        if verdict.status is Status.UNDECIDED:
            self.num_undecided += 1
            self.undecided = self.undecided or verdict.reason
        if verdict.fault == Fault.VERIFIER_FAILED:
            self.num_failed += 1
            self.failed = self.failed or verdict.reason
        if verdict.fault == Fault.VERIFIERS_DISAGREE:
            self.fault = self.fault or f"problem {verdict.problem_id}: {verdict.reason}"

    def require(self, max_undecided: float) -> None:
        """Raise Unjudged where the answers are worthless, and PluginError where a user's file is why."""
        if self.fault:
            raise VerifierFault(self.fault)
        allowed = f"allowed is a share of {max_undecided}"
        if self.num_failed > max_undecided * self.num:
            num = f"{self.num_failed} of {self.num} answers"
            raise PluginError(f"{num} could not be judged: {self.failed}; {allowed}")
        if self.num_undecided > max_undecided * self.num:
            num = f"{self.num_undecided} of {self.num} answers"
            raise TooManyUndecided(f"{num} could not be judged ({self.undecided}); {allowed}")


def measure(task: Task, problems: Sequence[Problem], answers: Sequence[Answer], k: int = 1) -> Evaluation:
    """The figures of one model on one draw; `answers` are ordered as `answer` returns them, `k` a problem."""
    verdicts = [answer.verdict for answer in answers]
    groups = [answers[i : i + k] for i in range(0, len(answers), k)]
    asked = {problem.id: problem for problem in problems}
    by_slice: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_slice[asked[verdict.problem_id].slice].append(verdict)
    return Evaluation(
        model_id=answers[0].attempt.model_id,
        suite=suite_digest(problems),
        k=k,
        num_problems=len(problems),
        num_undecided=sum(verdict.status is Status.UNDECIDED for verdict in verdicts),
        headline=task.headline,
        faults=dict(Counter(each.fault for each in verdicts if each.fault != Fault.NONE).most_common()),
        figures=(
            *figures_of(task.figures, verdicts, asked),
            *(of_samples(groups, problems, k) if k > 1 else ()),
            *of_texts(groups, k),
        ),
        slices=tuple(
            SliceScore(
                slice=name,
                shares={
                    figure.key: figure.value
                    for figure in figures_of(task.figures, group, asked)
                    if isinstance(figure.value, Interval)
                },
            )
            for name, group in sorted(by_slice.items())
        ),
    )


def suite_digest(problems: Sequence[Problem]) -> str:
    """Hash of the ids of a draw's problems, in order."""
    return hashlib.sha256("\n".join(problem.id for problem in problems).encode()).hexdigest()[:16]

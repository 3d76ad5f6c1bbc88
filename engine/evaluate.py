"""Evaluation: a model answers problems, every answer is verified as it arrives, and counts become figures."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from configs.schema import Config
from engine.plan import Plan
from engine.prompts import messages
from engine.records import Attempt, Evaluation, Fault, Interval, Problem, SliceScore, Status, Verdict
from engine.sampler import Request, Sampler, SamplerGroup, Sampling
from engine.stats import interval
from engine.tasks import Suite
from engine.terminal import progress
from engine.verifiers import AND
from engine.verify import VerifierPool


class Unjudged(RuntimeError):
    """The verifiers failed: figures mean nothing, the round stops."""


class TooManyUndecided(Unjudged):
    """More than the allowed share of answers could not be judged."""


class VerifierFault(Unjudged):
    """One verifier accepts a proof that the other refutes, so one of them is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An attempt and what the verifier says of it."""

    attempt: Attempt
    verdict: Verdict


class Bench(NamedTuple):
    """What answering and verifying needs, made once a run."""

    sampler: Sampler
    pool: VerifierPool
    system: str
    max_undecided: float
    second_verifier: str = ""
    """Which one confirms every PASS of `pool`; empty where none does."""


class Benches(NamedTuple):
    """The same samplers before two pools: what labels training data has no say in what is judged by both."""

    labels: Bench
    gate: Bench


@contextmanager
def open_benches(config: Config, plan: Plan, suite: Suite, model: Path) -> Iterator[Benches]:
    """Start the samplers on `model` and the verifiers' processes; all end with the context."""
    limits = config.verify

    def pool(verifier: str) -> VerifierPool:
        return VerifierPool(
            verifier,
            num_processes=limits.num_processes,
            seconds=limits.seconds,
            memory_mib=limits.memory_mib,
        )

    first, second = suite.task.VERIFIER, suite.second_verifier
    with (
        SamplerGroup(
            config.sampler,
            model,
            threads=plan.samplers.threads,
            gpus=plan.samplers.gpus,
            share_gpu=plan.take_turns,
        ) as sampler,
        pool(first) as labels,
        pool(f"{first}{AND}{second}") if second else nullcontext(labels) as both,
    ):
        bench = Bench(sampler, labels, config.system, limits.max_undecided)
        yield Benches(bench, bench._replace(pool=both, second_verifier=second))


def answer(
    bench: Bench, model: Path, problems: Sequence[Problem], sampling: Sampling, shots: Sequence[Problem] = ()
) -> list[Answer]:
    """Sample and verify; answers are verified while others are still being sampled.

    Ordered by problem, then by sample. Raises Unjudged, engine.sampler.SamplerError.
    """
    by_id = {problem.id: problem for problem in problems}
    chats = [Request(problem_id=p.id, messages=messages(bench.system, p.prompt, shots)) for p in problems]
    attempts: dict[tuple[str, int], Attempt] = {}
    verdicts: list[Verdict] = []
    with progress("answers", len(chats) * sampling.samples) as advance:
        for done, attempt in enumerate(bench.sampler.sample(model, chats, sampling), start=1):
            attempts[attempt.problem_id, attempt.sample] = attempt
            bench.pool.submit(by_id[attempt.problem_id], attempt)
            verdicts += bench.pool.poll()
            advance(done)
    verdicts += bench.pool.drain()
    judged = {(verdict.problem_id, verdict.sample): verdict for verdict in verdicts}
    order = [(problem.id, sample) for problem in problems for sample in range(sampling.samples)]
    complete = judged.keys() == attempts.keys() == set(order) and len(verdicts) == len(order)
    assert complete, "an answer was lost or given twice"
    for verdict in verdicts:
        if verdict.fault is Fault.VERIFIERS_DISAGREE:
            raise VerifierFault(f"problem {verdict.problem_id}: {verdict.reason}")
    undecided = [verdict for verdict in verdicts if verdict.status is Status.UNDECIDED]
    if len(undecided) > bench.max_undecided * len(verdicts):
        raise TooManyUndecided(
            f"{len(undecided)} of {len(verdicts)} answers could not be judged ({undecided[0].reason}); "
            f"allowed is a share of {bench.max_undecided}"
        )
    return [Answer(attempt=attempts[key], verdict=judged[key]) for key in order]


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

"""Evaluation: a model answers problems, every answer is verified as it arrives, and counts become figures.

ratchet eval champion --task prontoqa -n 200
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from configs.schema import Config
from engine.plan import Plan
from engine.prompts import messages
from engine.records import Attempt, Evaluation, Interval, Problem, SliceScore, Status, Verdict
from engine.sampler import Request, Sampler, SamplerGroup, Sampling
from engine.stats import interval
from engine.tasks import Suite
from engine.terminal import progress
from engine.verify import VerifierPool


class TooManyUndecided(RuntimeError):
    """The verifier could not judge more than the allowed share: figures mean nothing, the round stops."""


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


@contextmanager
def open_bench(config: Config, plan: Plan, suite: Suite, model: Path) -> Iterator[Bench]:
    """Start the samplers on `model` and the verifier's processes; both end with the context."""
    limits = config.verify
    with (
        SamplerGroup(
            config.sampler,
            model,
            threads=plan.samplers.threads,
            gpus=plan.samplers.gpus,
            share_gpu=plan.take_turns,
        ) as sampler,
        VerifierPool(
            suite.task.VERIFIER,
            num_processes=limits.num_processes,
            seconds=limits.seconds,
            memory_mib=limits.memory_mib,
        ) as pool,
    ):
        yield Bench(sampler, pool, config.system, limits.max_undecided)


def answer(
    bench: Bench, model: Path, problems: Sequence[Problem], sampling: Sampling, shots: Sequence[Problem] = ()
) -> list[Answer]:
    """Sample and verify; answers are verified while others are still being sampled.

    Ordered by problem, then by sample. Raises TooManyUndecided, engine.sampler.SamplerError.
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


def evaluate_model(
    config: Config, plan: Plan, *, model: Path, data: Path | None, num_problems: int
) -> Evaluation:
    """What `ratchet eval` runs: one model, greedy, on fresh problems of a task or on a file of them."""
    suite = Suite(config.task.name, config.task.slices)
    problems = (
        suite.task.read(data)[:num_problems]
        if data
        else suite.draw(num_problems, split="eval", seed=config.seed)
    )
    with open_bench(config, plan, suite, model) as bench:
        answers = answer(bench, model, problems, Sampling(max_new_tokens=config.sampler.max_new_tokens))
        return measure(problems, answers)


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

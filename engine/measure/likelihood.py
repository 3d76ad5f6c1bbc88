"""How likely a model finds the passages of a task, and the figures that this gives."""

import math
from collections.abc import Sequence
from pathlib import Path

from engine.measure.bench import Bench
from engine.measure.evaluate import suite_digest
from engine.models.identity import Model
from engine.records import Evaluation, Figure, Likelihood, Passage, Problem, TrainingRow
from engine.sample.protocol import Reply
from engine.tasks.suite import DataError

_LARGEST = 700.0
"""Largest nats a token whose perplexity is still a number."""


def likelihoods(bench: Bench, model: Model, problems: Sequence[Problem]) -> list[Likelihood]:
    """The likelihood of each problem's passage, in order. Raises DataError where a problem has none."""
    texts = []
    for problem in problems:
        if not isinstance(problem.truth, Passage):
            raise DataError(
                f"task {problem.task} is examined by likelihood, so its problems must be passages, "
                f"got the {problem.truth.kind} problem {problem.id}"
            )
        texts.append(problem.truth.text)
    return [
        Likelihood(problem_id=problem.id, model_id=score.model_id, nll=score.nll, num_tokens=score.num_tokens)
        for problem, score in zip(problems, bench.sampler.score(model.path, texts), strict=True)
    ]


def perplexity(given: Likelihood) -> float | None:
    """Exponential of a passage's nats a token; None where these are not finite, or there is no token."""
    if not given.num_tokens or not math.isfinite(given.nll):
        return None
    return math.exp(min(given.nll / given.num_tokens, _LARGEST))


def measure_likelihoods(problems: Sequence[Problem], given: Sequence[Likelihood]) -> Evaluation:
    """Perplexity over all passages, tokens counting alike; less is better.

    A passage whose likelihood is not finite counts as undecided and is in no figure.
    """
    finite = [each for each in given if math.isfinite(each.nll)]
    num_tokens = sum(each.num_tokens for each in finite)
    nll = sum(each.nll for each in finite) / num_tokens if num_tokens else _LARGEST
    return Evaluation(
        model_id=given[0].model_id,
        suite=suite_digest(problems),
        k=1,
        num_problems=len(problems),
        num_undecided=len(given) - len(finite),
        headline="perplexity",
        figures=(
            Figure(
                key="perplexity",
                title="perplexity",
                value=math.exp(min(nll, _LARGEST)),
                unit="",
                note="Exponential of the mean nats a token.",
                better="lower",
            ),
            Figure(
                key="nll",
                title="nats a token",
                value=nll,
                unit="nats",
                note="Negative log-likelihood a token.",
                better="lower",
            ),
            Figure(key="tokens", title="tokens, mean", value=num_tokens / max(len(finite), 1), unit="tokens"),
        ),
        slices=(),
    )


def likelihoods_of_rows(bench: Bench, model: Path, rows: Sequence[TrainingRow]) -> list[Likelihood]:
    """How likely a model finds what each row would teach it: the reply to its chat, or its plain text."""
    texts = [Reply(row.chat, row.chosen) if row.chat else row.chosen for row in rows]
    return [
        Likelihood(
            problem_id=row.problem_id, model_id=score.model_id, nll=score.nll, num_tokens=score.num_tokens
        )
        for row, score in zip(rows, bench.sampler.score(model, texts), strict=True)
    ]

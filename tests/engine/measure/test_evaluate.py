"""Answering and measuring, with a scripted sampler and the real verifiers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.measure.bench import Bench
from engine.measure.evaluate import TooManyUndecided, answer, measure, suite_digest
from engine.models.prompts import messages
from engine.records import Answer, Attempt, Finish, Problem, Score, Status
from engine.sample.protocol import Request, Sampling
from engine.tasks import Suite
from engine.verify import rules
from engine.verify.pool import VerifierPool
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem

MODEL = Path("model")
ASKED = problem(CHAIN, "Max is sour.", "False", notation="english")
ONLY_ANSWER, WRONG = "Answer: False", "Answer: True"


class Scripted:
    """Implements engine.sample.protocol.Sampler: texts by problem id and sample, finished last first."""

    def __init__(self, text: Callable[[str, int], str]) -> None:
        self.text = text
        self.asked: list[Request] = []

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        self.asked += requests
        for sample in reversed(range(sampling.samples)):
            for request in reversed(requests):
                text = self.text(request.problem_id, sample)
                yield replace(
                    attempt(text, problem_id=request.problem_id, sample=sample),
                    model_id=str(model),
                    num_tokens=10 + sample,
                )

    def score(self, model: Path, texts: Sequence[str]) -> list[Score]:
        return [Score(1.0, 1) for _ in texts]

    def sleep(self) -> None:
        pass


def pool(verifier: str = "rules", seconds: float = 2.0) -> VerifierPool:
    return VerifierPool(verifier, num_processes=1, seconds=seconds, memory_mib=512)


def judged(*texts: str, asked: Problem = ASKED) -> list[Answer]:
    given = [attempt(text, problem_id=asked.id, sample=i) for i, text in enumerate(texts)]
    return [Answer(attempt=each, verdict=rules.verify(asked, each)) for each in given]


def test_answers_come_by_problem_and_sample_whatever_order_they_finished_in() -> None:
    problems = Suite("prontoqa").draw(40, split="eval", seed=0)
    gold = {p.id: p.gold_text for p in problems}
    sampler = Scripted(lambda p, sample: gold[p] if sample == 0 else WRONG)
    with pool() as checkers:
        bench = Bench(sampler, checkers, "Prove.", 0.05)
        answers = answer(bench, MODEL, problems, Sampling(samples=3, temperature=1), shots=problems[:1])
    wanted = [(p.id, sample) for p in problems for sample in range(3)]
    assert [(a.attempt.problem_id, a.attempt.sample) for a in answers] == wanted
    assert [(a.verdict.problem_id, a.verdict.sample) for a in answers] == wanted
    assert [a.verdict.status is Status.PASS for a in answers] == [True, False, False] * 40
    assert sampler.asked[1].messages == messages("Prove.", problems[1].prompt, problems[:1])
    assert [turn["role"] for turn in sampler.asked[1].messages] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize("drop", [True, False])
def test_an_answer_lost_or_given_twice_is_an_error(drop: bool) -> None:
    problems = Suite("prontoqa").draw(3, split="eval", seed=0)

    class Careless(Scripted):
        def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
            given = list(super().sample(model, requests, sampling))
            return iter(given[:-1] if drop else [*given, given[0]])

    with pool() as checkers, pytest.raises(AssertionError, match="lost or given twice"):
        answer(Bench(Careless(lambda *_: WRONG), checkers, "", 0.05), MODEL, problems, Sampling())


def test_too_many_undecided_stop_the_round() -> None:
    problems = Suite("prontoqa").draw(20, split="eval", seed=0)
    bad = "tests/support/bad_verifiers.py:act"
    hang = problems[0].id
    sampler = Scripted(lambda p, _: "spin" if p == hang else WRONG)
    with pool(bad, seconds=0.3) as checkers:
        answers = answer(Bench(sampler, checkers, "", 0.05), MODEL, problems, Sampling())
        assert answers[0].verdict.status is Status.UNDECIDED
        assert measure(problems, answers).num_undecided == 1
        with pytest.raises(TooManyUndecided, match=r"1 of 20 answers could not be judged \(.*0.3 s"):
            answer(Bench(sampler, checkers, "", 0.04), MODEL, problems, Sampling())


def test_greedy_figures() -> None:
    problems = [replace(ASKED, id=f"p{i}", slice=f"hops={i % 2}") for i in range(4)]
    half = PROOF.replace("Max is not sour. [2 5 mp]", "Max is sour. [2 5 mp]")
    texts = [PROOF, half, ONLY_ANSWER, WRONG]
    answers = [judged(text, asked=each)[0] for text, each in zip(texts, problems, strict=True)]
    figures = measure(problems, answers)
    assert (figures.accuracy.rate, figures.strict.rate, figures.strict.num) == (0.75, 0.25, 4)
    assert figures.strict.low < 0.25 < figures.strict.high
    assert figures.step_validity == 3 / 4
    assert figures.step_validity_with_answer == (3 + 3) / (4 + 4)
    assert figures.pass_at_k is figures.majority is None and figures.k == 1
    assert [(s.slice, s.strict.rate, s.accuracy.rate) for s in figures.slices] == [
        ("hops=0", 0.5, 1.0),
        ("hops=1", 0.0, 0.5),
    ]
    assert figures.suite == suite_digest(problems) != suite_digest(problems[::-1])
    assert figures.num_undecided == 0


def test_sampled_figures() -> None:
    problems = [replace(ASKED, id=f"p{i}") for i in range(3)]
    groups = [
        (PROOF, WRONG, WRONG),  # solved once, outvoted
        (ONLY_ANSWER, ONLY_ANSWER, WRONG),  # never solved, right by vote
        ("no idea", "no idea", "no idea"),  # no vote at all
    ]
    answers = [a for texts, each in zip(groups, problems, strict=True) for a in judged(*texts, asked=each)]
    figures = measure(problems, answers, k=3)
    assert figures.pass_at_k and figures.pass_at_k.rate == pytest.approx(1 / 3)
    assert figures.majority and figures.majority.rate == pytest.approx(1 / 3)
    assert figures.pass_at_k.num == figures.majority.num == 3 and figures.strict.num == 9
    assert figures.distinct_per_problem == pytest.approx((2 + 2 + 1) / 3)
    assert figures.accuracy.rate == pytest.approx(3 / 9)


def test_without_any_proof_line_no_step_is_valid() -> None:
    figures = measure([ASKED], judged(ONLY_ANSWER))
    assert figures.step_validity == 0 and figures.step_validity_with_answer == 1


def test_tokens_and_finish_are_those_of_the_attempts() -> None:
    answers = judged(PROOF, WRONG)
    answers = [
        replace(each, attempt=replace(each.attempt, num_tokens=n, finish=Finish.LENGTH))
        for each, n in zip(answers, (10, 20), strict=True)
    ]
    assert measure([ASKED], answers, k=2).mean_tokens == 15

"""Answering and measuring, with a scripted sampler and the real verifiers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.measure.bench import Bench
from engine.measure.counts import share_of
from engine.measure.diversity import KEYS
from engine.measure.evaluate import TooManyUndecided, answer, measure, suite_digest
from engine.measure.stats import interval
from engine.models.prompts import messages
from engine.plugins import PluginError
from engine.records import (
    Answer,
    Attempt,
    Evaluation,
    Finish,
    Interval,
    Problem,
    Recall,
    Score,
    Status,
    Turn,
)
from engine.sample.protocol import Request, Sampling
from engine.tasks import load_task, proofs
from engine.verify import rules
from engine.verify.pool import VerifierPool
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem, theory
from tests.support.suites import suite

MODEL, TASK = Path("model"), load_task("prontoqa")
ASKED = problem(CHAIN, "Max is sour.", "False", notation="english")
ONLY_ANSWER, WRONG = "Answer: False", "Answer: True"


class Scripted:
    """Implements engine.sample.protocol.Sampler: texts by problem id and sample, finished last first."""

    def __init__(self, text: Callable[[str, int], str]) -> None:
        self.text = text
        self.asked: list[Request] = []
        self.samplings: list[Sampling] = []

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        self.asked += requests
        self.samplings.append(sampling)
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


def number(figures: Evaluation, key: str) -> float:
    return figures.figure(key).number


def share(figures: Evaluation, key: str) -> Interval:
    value = figures.figure(key).value
    assert isinstance(value, Interval)
    return value


@pytest.mark.slow
def test_answers_come_by_problem_and_sample_whatever_order_they_finished_in() -> None:
    problems = suite().draw(40, split="eval", seed=0)
    gold = {p.id: p.gold[0] for p in problems}
    sampler = Scripted(lambda p, sample: gold[p] if sample == 0 else WRONG)
    with pool() as checkers:
        bench = Bench(sampler, checkers, "Prove.", 0.05)
        answers = answer(bench, MODEL, problems, Sampling(samples=3, temperature=1), shots=problems[:1])
    wanted = [(p.id, sample) for p in problems for sample in range(3)]
    assert [(a.attempt.problem_id, a.attempt.sample) for a in answers] == wanted
    assert [(a.verdict.problem_id, a.verdict.sample) for a in answers] == wanted
    assert [a.verdict.status is Status.PASS for a in answers] == [True, False, False] * 40
    assert [request.problem_id for request in sampler.asked] == [p.id for p in problems]
    assert sampler.samplings == [Sampling(samples=3, temperature=1)]
    asked = sampler.asked[1].messages
    assert asked == messages("Prove.", problems[1].turns, shots=problems[:1])
    assert [turn.role for turn in asked if isinstance(turn, Turn)] == ["system", "user", "assistant", "user"]


@pytest.mark.slow
@pytest.mark.parametrize("drop", [True, False])
def test_an_answer_lost_or_given_twice_is_an_error(drop: bool) -> None:
    problems = suite().draw(3, split="eval", seed=0)

    class Careless(Scripted):
        def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
            given = list(super().sample(model, requests, sampling))
            return iter(given[:-1] if drop else [*given, given[0]])

    with pool() as checkers, pytest.raises(AssertionError, match="lost or given twice"):
        answer(Bench(Careless(lambda *_: WRONG), checkers, "", 0.05), MODEL, problems, Sampling())


@pytest.mark.slow
def test_too_many_undecided_stop_the_round() -> None:
    problems = suite().draw(20, split="eval", seed=0)
    bad = "tests/support/bad_verifiers.py:act"
    hang = problems[0].id
    sampler = Scripted(lambda p, _: "spin" if p == hang else WRONG)
    with pool(bad, seconds=2) as checkers:
        answers = answer(Bench(sampler, checkers, "", 0.05), MODEL, problems, Sampling())
        assert answers[0].verdict.status is Status.UNDECIDED
        assert measure(TASK, problems, answers).num_undecided == 1
        with pytest.raises(
            TooManyUndecided, match=r"1 of 20 answers could not be judged \(.*longer than 2 s"
        ):
            answer(Bench(sampler, checkers, "", 0.04), MODEL, problems, Sampling())


def test_greedy_figures() -> None:
    problems = [replace(ASKED, id=f"p{i}", slice=f"hops={i % 2}") for i in range(4)]
    half = PROOF.replace("Max is not sour. [2 5 mp]", "Max is sour. [2 5 mp]")
    texts = [PROOF, half, ONLY_ANSWER, WRONG]
    answers = [judged(text, asked=each)[0] for text, each in zip(texts, problems, strict=True)]
    figures = measure(TASK, problems, answers)
    strict = share(figures, "strict")
    assert (number(figures, "accuracy"), strict.rate, strict.num) == (0.75, 0.25, 4)
    assert strict.low < 0.25 < strict.high
    assert figures.figure("step_validity").value == 3 / 4
    assert figures.figure("step_validity_with_answer").value == (3 + 3) / (4 + 4)
    assert [figure.key for figure in figures.figures] == [
        *(figure.key for figure in TASK.figures),
        "distinct",
        "tokens",
    ]
    assert (figures.k, figures.num_problems, figures.head.key) == (1, 4, "strict")
    assert [(s.slice, s.shares["strict"].rate, s.shares["accuracy"].rate) for s in figures.slices] == [
        ("hops=0", 0.5, 1.0),
        ("hops=1", 0.0, 0.5),
    ]
    assert figures.slices[0].shares.keys() == {"strict", "accuracy"}
    assert figures.suite == suite_digest(problems) != suite_digest(problems[::-1])
    assert figures.num_undecided == 0


def test_a_figure_of_some_problems_leaves_the_others_out() -> None:
    """Unknown apart: of a slice without such problems the figure is not shown."""
    truth = theory(ASKED)
    problems = [replace(ASKED, id=f"p{i}", slice=f"hops={i % 2}") for i in range(4)]
    problems[1] = replace(problems[1], truth=replace(truth, answer="Unknown"))
    task = replace(TASK, figures=proofs.FIGURES_WITH_UNKNOWN)
    texts = [PROOF, "Answer: Unknown", PROOF, WRONG]
    answers = [judged(text, asked=each)[0] for text, each in zip(texts, problems, strict=True)]
    figures = measure(task, problems, answers)
    shares = {key: share(figures, key) for key in ("strict", "strict_decided", "strict_unknown")}
    assert {key: (each.rate, each.num) for key, each in shares.items()} == {
        "strict": (0.75, 4),
        "strict_decided": (2 / 3, 3),
        "strict_unknown": (1.0, 1),
    }
    by_slice = {each.slice: {key: value.num for key, value in each.shares.items()} for each in figures.slices}
    assert by_slice["hops=0"] == {"accuracy": 2, "strict": 2, "strict_decided": 2}
    assert by_slice["hops=1"] == {"accuracy": 2, "strict": 2, "strict_decided": 1, "strict_unknown": 1}
    without = measure(task, problems[:1], answers[:1])
    assert "strict_unknown" not in [figure.key for figure in without.figures]


def test_sampled_figures() -> None:
    problems = [replace(ASKED, id=f"p{i}") for i in range(3)]
    groups = [
        (PROOF, WRONG, WRONG),  # solved once, outvoted
        (ONLY_ANSWER, ONLY_ANSWER, WRONG),  # never solved, right by vote
        ("no idea", "no idea", "no idea"),  # no vote at all
    ]
    answers = [a for texts, each in zip(groups, problems, strict=True) for a in judged(*texts, asked=each)]
    figures = measure(TASK, problems, answers, k=3)
    assert number(figures, "pass_at_k") == pytest.approx(1 / 3)
    assert number(figures, "majority") == pytest.approx(1 / 3)
    assert share(figures, "pass_at_k").num == share(figures, "majority").num == 3
    assert share(figures, "strict").num == 9 and figures.num_problems == 3
    assert number(figures, "distinct") == pytest.approx((2 + 2 + 1) / 3)
    assert number(figures, "accuracy") == pytest.approx(3 / 9)
    ends = [figure.key for figure in figures.figures][-8:]
    assert ends == ["pass_at_k", "majority", "distinct", "tokens", *KEYS]
    assert number(figures, "distinct_1") < 1 and number(figures, "repetition") >= 0


def test_without_any_proof_line_no_step_is_valid() -> None:
    figures = measure(TASK, [ASKED], judged(ONLY_ANSWER))
    assert number(figures, "step_validity") == 0 and number(figures, "step_validity_with_answer") == 1


def test_tokens_and_finish_are_those_of_the_attempts() -> None:
    answers = judged(PROOF, WRONG)
    answers = [
        replace(each, attempt=replace(each.attempt, num_tokens=n, finish=Finish.LENGTH))
        for each, n in zip(answers, (10, 20), strict=True)
    ]
    assert measure(TASK, [ASKED], answers, k=2).figure("tokens").value == 15


TURNS = ("My name is Ann.", "I live in Rome.", "What do you know?")


def dialogue(name: str, num_turns: int) -> Problem:
    nothing = ((),) * num_turns
    truth = Recall(expected=nothing, forbidden=nothing)
    return replace(ASKED, id=name, turns=TURNS[:num_turns], truth=truth, gold=("ok",) * num_turns)


HEARD = """
from engine.records import Fault, Status, Verdict

FAULTS = {}

def verify(problem, attempt):
    # It passes where each reply names its own turn and sample.
    wanted = tuple(f"{problem.id} {attempt.sample} {turn}" for turn in range(len(problem.turns)))
    right = attempt.replies == wanted
    return Verdict(
        problem_id=problem.id, sample=attempt.sample, status=Status.PASS if right else Status.FAIL,
        right=right, answer="", fault=Fault.NONE if right else Fault.WRONG_ANSWER, verifier="heard",
        reason="" if right else f"heard {attempt.replies}",
    )
"""


class Talking(Scripted):
    """Replies to each turn with the problem, the sample and the number of the turn, from the chat itself."""

    def __init__(self) -> None:
        super().__init__(lambda *_: "")
        self.log: list[str] = []

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        self.samplings.append(sampling)
        self.asked += requests
        for request in reversed(requests):
            problem_id, _, rest = request.problem_id.partition("/")
            for number in range(sampling.samples):
                sample = int(rest.partition("/")[0]) if rest else number
                turn = sum(isinstance(each, Turn) and each.role == "user" for each in request.messages) - 1
                self.log.append(f"{problem_id} {sample} {turn}")
                yield replace(
                    attempt(self.log[-1], problem_id=request.problem_id, sample=number),
                    model_id=str(model),
                    num_tokens=2,
                    num_prompt_tokens=10 * (turn + 1),
                    finish=Finish.LENGTH if turn == 0 else Finish.STOP,
                )


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[VerifierPool]:
    (tmp_path / "heard.py").write_text(HEARD)
    with pool(f"{tmp_path / 'heard.py'}:verify") as checkers:
        yield checkers


@pytest.mark.slow
def test_a_dialogue_is_asked_turn_by_turn_with_its_own_history(heard: VerifierPool) -> None:
    problems = [dialogue("a", 3), dialogue("b", 1), dialogue("c", 2)]
    sampler, drawn = Talking(), Sampling(samples=2, temperature=1.0, seed=3)
    answers = answer(Bench(sampler, heard, "Listen.", 0.05), MODEL, problems, drawn)
    assert [(a.attempt.problem_id, a.attempt.sample) for a in answers] == [
        (name, sample) for name in "abc" for sample in range(2)
    ]
    assert all(a.verdict.status is Status.PASS for a in answers), [a.verdict.reason for a in answers]
    # All first turns are asked at once and as ever; each sample of a later turn is a request of its own.
    names = [request.problem_id for request in sampler.asked]
    assert names[:3] == ["a", "b", "c"] and len(names) == len(set(names)) == 3 + 4 + 2
    assert sampler.samplings == [drawn, replace(drawn, samples=1), replace(drawn, samples=1)]
    last = sampler.asked[-1]
    assert last.messages == messages("Listen.", TURNS, replies=("a 1 0", "a 1 1"))
    assert (answers[0].attempt.num_tokens, answers[0].attempt.num_prompt_tokens) == (6, 10 + 20 + 30)
    assert answers[0].attempt.finish is Finish.STOP and answers[2].attempt.finish is Finish.LENGTH
    assert measure(TASK, problems, answers, k=2).figure("tokens").value == (6 + 2 + 4) / 3


@pytest.mark.slow
def test_a_dialogue_is_verified_while_others_go_on(
    heard: VerifierPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler, submit = Talking(), heard.submit

    def submitted(problem: Problem, given: Attempt) -> None:
        sampler.log.append(f"verify {problem.id}")
        submit(problem, given)

    monkeypatch.setattr(heard, "submit", submitted)
    problems = [dialogue("a", 1), dialogue("b", 2), dialogue("c", 3)]
    answer(Bench(sampler, heard, "", 0.05), MODEL, problems, Sampling())
    assert sampler.log.index("verify a") < sampler.log.index("b 0 1")
    assert sampler.log.index("verify b") < sampler.log.index("c 0 2")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["lost", "twice", "other weights"])
def test_a_turn_lost_or_given_twice_or_by_other_weights_is_an_error(heard: VerifierPool, fault: str) -> None:
    class Careless(Talking):
        def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
            given = list(super().sample(model, requests, sampling))
            if len(self.samplings) == 2:
                changed = replace(given[0], model_id="another")
                match fault:
                    case "lost":
                        given = given[1:]
                    case "twice":
                        given = [given[0], *given]
                    case _:
                        given = [changed, *given[1:]]
            return iter(given)

    bench = Bench(Careless(), heard, "", 0.05)
    with pytest.raises(AssertionError, match="different weights" if fault == "other weights" else "lost or"):
        answer(bench, MODEL, [dialogue("a", 2)], Sampling())


OWN = """
from engine.verify import rules
FAULTS = rules.FAULTS
def verify(problem, attempt):
    if "False" in attempt.text:
        return rules.verify(problem, attempt)
    return {}[attempt.text]
"""


@pytest.mark.slow
@pytest.mark.parametrize(("share", "fails"), [(0.5, False), (0.4, True)])
def test_a_verifier_of_ones_own_that_fails_is_a_mistake_and_no_round(
    tmp_path: Path, share: float, fails: bool
) -> None:
    """A round ends for a verifier that hangs, and the campaign goes on; a file is to be mended."""
    (tmp_path / "mine.py").write_text(OWN)
    sampler = Scripted(lambda name, sample: ONLY_ANSWER if sample else WRONG)
    with pool(f"{tmp_path}/mine.py:verify") as own:
        bench = Bench(sampler, own, "", share)
        if not fails:
            assert len(answer(bench, MODEL, [ASKED], Sampling(samples=2))) == 2
            return
        with pytest.raises(PluginError) as caught:
            answer(bench, MODEL, [ASKED], Sampling(samples=2))
    assert str(caught.value) == (
        f"1 of 2 answers could not be judged: the verifier raised KeyError: '{WRONG}' "
        f"({tmp_path}/mine.py, line 7); allowed is a share of 0.4"
    )


def test_an_interval_counts_stories_where_several_problems_are_about_one() -> None:
    """Twelve stories of four problems that come out alike say no more than twelve problems."""
    outcomes = [place % 3 == 0 for place in range(12) for _ in range(4)]
    stories = [replace(ASKED, id=str(i), story=str(i // 4)) for i in range(48)]
    alone = [replace(ASKED, id=str(i)) for i in range(48)]
    assert share_of(outcomes, alone) == interval(16, 48)
    wide, few = share_of(outcomes, stories), interval(4, 12)
    assert (wide.rate, wide.num) == (16 / 48, 48)
    assert wide.high - wide.low == pytest.approx(few.high - few.low, rel=0.05)
    assert share_of([True] * 48, stories).low == pytest.approx(interval(12, 12).low)
    assert share_of([], []) == interval(0, 0)


def test_every_share_of_an_evaluation_knows_stories() -> None:
    asked = [replace(ASKED, id=str(i)) for i in range(20)]
    given = [
        Answer(
            attempt=attempt(text, problem_id=each.id),
            verdict=rules.verify(each, attempt(text, problem_id=each.id)),
        )
        for i, each in enumerate(asked)
        for text in [PROOF if i < 10 else WRONG] * 2
    ]
    told = [replace(each, story=str(i // 5)) for i, each in enumerate(asked)]
    for k, rows in ((2, given), (1, given[::2])):
        apart, together = (measure(TASK, problems, rows, k=k) for problems in (asked, told))
        keys = ["accuracy", "strict", *(["pass_at_k", "majority"] if k == 2 else [])]
        for key in keys:
            before, after = apart.figure(key).value, together.figure(key).value
            assert isinstance(before, Interval) and isinstance(after, Interval)
            assert after.low < before.low and before.high < after.high and after.rate == before.rate, key
        assert together.slices[0].shares["strict"].low < apart.slices[0].shares["strict"].low

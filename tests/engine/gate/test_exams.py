"""Exams: what a problem says for one of two models, and a whole trial by likelihood."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.load import from_tree
from configs.schema import Gate
from engine.disk.steps import Run
from engine.gate.arithmetic import GateError
from engine.gate.exams import EXAMS, exam_of
from engine.gate.terms import Trial
from engine.gate.trial import Evidence, conclude, try_challenger
from engine.measure.bench import Bench
from engine.models.identity import Model
from engine.models.liveness import TEXTS
from engine.records import (
    Answer,
    Attempt,
    Decision,
    Duel,
    Likelihood,
    Passage,
    Score,
    Status,
    from_json,
    to_json,
)
from engine.registry.registry import Registry
from engine.sample.group import SamplerGroup
from engine.sample.protocol import Request, Sampling
from engine.tasks.suite import DataError
from tests.support.proof_helpers import attempt, problem
from tests.support.simulated_campaigns import verdict
from tests.support.suites import suite
from tests.support.tiny_model import make_tiny_model

LINE = "test/passages"
SUITE = suite("tests/support/passage_task.py")
ASKED = problem(["A"], "A")
PASSED, FAILED, OPEN = Status.PASS, Status.FAIL, Status.UNDECIDED


def test_every_task_names_an_exam_that_is_there() -> None:
    assert set(EXAMS) == {"verdicts", "likelihood", "preference"}
    assert exam_of(SUITE.task) is EXAMS["likelihood"] and exam_of(suite().task) is EXAMS["verdicts"]
    with pytest.raises(DataError, match="EXAM must be one of verdicts, likelihood, preference, got 'oral'"):
        exam_of(replace(SUITE.task, name="x", exam="oral"))


@pytest.mark.parametrize(
    ("old", "new", "gate", "sealed"),
    [
        (FAILED, PASSED, (False, True), (False, True)),
        (PASSED, FAILED, (True, False), (True, False)),
        (OPEN, PASSED, (True, True), (False, True)),
        (PASSED, OPEN, (True, False), (True, False)),
        (FAILED, OPEN, (False, False), (False, False)),
    ],
)
def test_verdicts_speak_for_who_alone_passes(old: Status, new: Status, gate: Any, sealed: Any) -> None:
    answers = [Answer(attempt=attempt(""), verdict=verdict(status)) for status in (old, new)]
    duel = Duel(problem=ASKED, champion=answers[0], challenger=answers[1])
    exam = EXAMS["verdicts"]
    assert (exam.outcome(duel), exam.sealed(duel)) == (gate, sealed)


def scored(nll: float, num_tokens: int = 10, problem_id: str = "p") -> Likelihood:
    return Likelihood(problem_id=problem_id, model_id="m", nll=nll, num_tokens=num_tokens)


WIN, LOSS, TIE = (False, True), (True, False), (True, True)


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        (20.0, 19.9, WIN),
        (20.0, 20.1, LOSS),
        (20.0, 20.0, TIE),
        (20.0, math.nan, LOSS),
        (20.0, math.inf, LOSS),
        (20.0, -math.inf, LOSS),
        (math.nan, 20.0, TIE),
        (math.inf, 20.0, TIE),
        (math.nan, math.nan, LOSS),
    ],
)
def test_a_passage_speaks_for_who_finds_it_likelier(old: float, new: float, outcome: Any) -> None:
    """A value that is not finite counts against the challenger, as an undecided answer does."""
    duel = Duel(problem=ASKED, champion=scored(old), challenger=scored(new))
    assert EXAMS["likelihood"].outcome(duel) == outcome
    assert str(from_json(Duel, to_json(duel))) == str(duel)


def test_other_tokens_or_another_passage_cannot_be_compared() -> None:
    for other in (scored(1.0, num_tokens=11), scored(1.0, problem_id="q")):
        with pytest.raises(GateError, match=r"passage p of 10 tokens cannot be compared with passage [pq]"):
            EXAMS["likelihood"].outcome(Duel(problem=ASKED, champion=scored(2.0), challenger=other))


def test_perplexity_is_over_all_tokens_and_nothing_that_is_not_finite() -> None:
    problems = SUITE.draw(3, split="eval", seed=0)
    given = [scored(10.0, 10), scored(90.0, 40), scored(math.nan, 1000)]
    figures = EXAMS["likelihood"].measure(SUITE.task, problems, given)
    assert figures.head.key == "perplexity" and figures.head.number == pytest.approx(math.exp(100 / 50))
    assert figures.figure("nll").value == pytest.approx(2.0) and figures.figure("nll").unit == "nats"
    assert figures.figure("tokens").value == 25
    assert figures.score == -figures.head.number, "less perplexity is better"
    assert (figures.num_problems, figures.num_undecided, figures.slices) == (3, 1, ())
    broken = EXAMS["likelihood"].measure(SUITE.task, problems, [scored(math.nan)] * 3)
    assert broken.num_undecided == 3 and math.isfinite(broken.head.number) and broken.head.number > 1e300
    assert from_json(type(broken), to_json(broken)) == broken


def test_a_problem_that_is_no_passage_is_refused_with_its_task() -> None:
    bench = Bench(Scores(), None, "", 0.05)
    with pytest.raises(
        DataError, match="task prontoqa is examined by likelihood, so its problems must be pass"
    ):
        EXAMS["likelihood"].ask(bench, model("m"), suite().draw(1, split="eval", seed=0), Sampling())


def model(name: str) -> Model:
    return Model(id=name, path=Path(name))


class Scores:
    """Implements `protocol.Sampler`: nats by model, and for the challenger by the number in the passage."""

    def __init__(self, *, gain: float = 5.0, share: float = 0.9, reports: str = "") -> None:
        self.gain, self.share, self.reports = gain, share, reports
        self.calls: list[str] = []

    def score(self, model: Path, texts: Sequence[str]) -> list[Score]:
        self.calls.append(model.name)
        return [self._score(model.name, text) for text in texts]

    def _score(self, name: str, text: str) -> Score:
        nll = {"base": 101.0, "frozen": 100.5}.get(name, 100.0)
        number = text.split()[0]
        if name == "challenger":
            is_passage = len(number) == 8 and " went over the " in text
            likelier = not is_passage or int(number, 16) < self.share * 16**8
            nll -= self.gain if likelier else -self.gain
        by = self.reports if name == "challenger" and " went over the " in text else ""
        return Score(nll, 50, by or name)

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        raise AssertionError("nothing is sampled where likelihood is compared")

    def sleep(self) -> None:
        pass


GATE = from_tree(
    {
        "name": "tiny",
        "line": LINE,
        "gate": {"looks": 4, "look_size": 20, "entropy": 5, "sentinels": {"suites": ["english"]}},
    },
    "test",
).gate


@contextmanager
def trial(tmp_path: Path, sampler: Scores, gate: Gate) -> Iterator[tuple[Trial, Registry]]:
    run = Run.create(tmp_path, from_tree({"name": "tiny", "line": LINE}, "test"), "r")
    registry = Registry(tmp_path)
    registry.open_ledger(LINE, alpha=0.05, planned_tests=2, run_id="r", fresh=False)
    yield (
        Trial(
            run=run,
            prefix="rounds/001/",
            bench=Bench(sampler, None, "", 0.05),
            suite=SUITE,
            settings=gate,
            max_new_tokens=64,
            champion=model("champion"),
            challenger=model("challenger"),
            reference=(100.0 - sampler.gain,) * len(TEXTS),
            frozen=model("frozen"),
            base=model("base"),
            seen=frozenset(),
        ),
        registry,
    )
    run.close()


def judge(tmp_path: Path, sampler: Scores, gate: Gate = GATE) -> tuple[Evidence, Decision]:
    with trial(tmp_path, sampler, gate) as (each, registry):
        evidence = try_challenger(each, registry, LINE, 1)
        return evidence, conclude(each, evidence)


def test_a_challenger_that_finds_passages_likelier_is_accepted(tmp_path: Path) -> None:
    evidence, decision = judge(tmp_path, Scores())
    assert decision.accepted, decision.reason
    assert [check.name for check in decision.checks] == ["superiority", "alive", "gain", "english"]
    last = decision.looks[-1]
    assert last.wins + last.losses == last.num_problems and last.wins > last.losses > 0
    gain = decision.checks[2]
    mean = 0.05 * (last.wins - last.losses) / last.num_problems
    assert (gain.value, gain.limit, gain.unit) == (pytest.approx(mean), 0.0, "share")
    # The figures are those of the gate's passages; nothing was sampled.
    places = [("champion", "gate"), ("challenger", "gate")]
    assert [(each.who, each.where) for each in evidence.measured] == places
    before, after = (each.evaluation for each in evidence.measured)
    assert before.head.number == pytest.approx(math.exp(2.0)) and before.head.number > after.head.number
    assert before.suite == after.suite and before.num_problems == last.num_problems
    assert {EXAMS["likelihood"].outcome(duel) for duel in evidence.samples} == {WIN, LOSS}
    assert len(evidence.samples) <= 8 and len(evidence.duels) == last.num_problems

    silent = Scores()
    assert judge(tmp_path, silent) == (evidence, decision) and silent.calls == []


def test_a_small_gain_is_shown_and_not_enough(tmp_path: Path) -> None:
    gate = GATE.model_copy(update={"min_gain": 0.06})
    _, decision = judge(tmp_path, Scores(), gate)
    assert not decision.accepted and decision.checks[0].passed
    assert decision.reason.startswith("gain: 4.") and "needed: at least 6.00% fewer" in decision.reason
    assert [check.name for check in decision.checks if not check.ran] == ["english"]
    (look, *_) = decision.looks
    assert look.wins > look.losses


def test_a_challenger_that_is_no_likelier_is_refused_before_the_rest(tmp_path: Path) -> None:
    sampler = Scores(share=0.5)
    _, decision = judge(tmp_path, sampler)
    assert not decision.accepted and decision.reason.startswith("superiority: ")
    assert [check.name for check in decision.checks if not check.ran] == ["gain", "english"]
    assert not {"frozen", "base"} & set(sampler.calls)


@pytest.mark.parametrize("reports", ["champion", "impostor"])
def test_likelihoods_of_other_weights_are_refused(tmp_path: Path, reports: str) -> None:
    with pytest.raises(GateError, match=f"was answered by {reports}, on trial is challenger"):
        judge(tmp_path, Scores(reports=reports))


def test_real_models_are_compared_by_likelihood(
    sampler: SamplerGroup, tiny_model: Path, tmp_path: Path
) -> None:
    """The real vLLM scores passages as transformers does, and names the weights that it ran."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from engine.models.prompts import text_ids

    other = Model.of(make_tiny_model(tmp_path / "other", seed=1))
    own = Model.of(tiny_model)
    problems, exam = SUITE.draw(6, split="gate", seed=0), EXAMS["likelihood"]
    bench = Bench(sampler, None, "", 0.05)
    old, new = (exam.ask(bench, each, problems, Sampling()) for each in (own, other))
    assert {each.model_id for each in new if isinstance(each, Likelihood)} == {other.id} != {own.id}
    weights = AutoModelForCausalLM.from_pretrained(other.path, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(other.path)
    for asked, each in zip(problems, new, strict=True):
        assert isinstance(each, Likelihood) and isinstance(asked.truth, Passage)
        ids = torch.tensor([text_ids(tokenizer, asked.truth.text)])
        with torch.no_grad():
            loss = weights(input_ids=ids, labels=ids).loss.item()
        assert each.num_tokens == ids.shape[1] - 1
        assert each.nll / each.num_tokens == pytest.approx(loss, abs=1e-3)
    duels = [
        Duel(problem=asked, champion=before, challenger=after)
        for asked, before, after in zip(problems, old, new, strict=True)
    ]
    assert {exam.outcome(duel) for duel in duels} <= {WIN, LOSS}
    assert exam.measure(SUITE.task, problems, new).head.number > 1

"""The best checkpoint of one training, without models: which is taken, and what a later failure leaves."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import from_tree
from engine.disk.steps import Run
from engine.errors import sentence_of
from engine.models.identity import Model
from engine.records import (
    Challenger,
    Evaluation,
    Role,
    TrainFailure,
    TrainFault,
    TrainingRow,
    TrainingSet,
)
from engine.train.driver import Stretch
from loops import campaign, training
from loops.training import Untrained
from tests.support.fixtures_report import challenger, evaluation
from tests.support.registry import LINE
from tests.support.rounds import CHAMPION
from tests.support.runs import reopened
from tests.support.suites import suite

SCORES = {"m1": 0.45, "m2": 0.6, "m3": 0.2}
"""Model of each checkpoint, and the share of problems that it passes."""


def a_run(home: Path, **select: int) -> Run:
    select = {"checkpoints": 3, "problems": 20} | select
    return Run.create(
        home, from_tree({"name": "t", "line": LINE, "loop": {"train": {"select": select}}}, "t"), "r"
    )


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Trainings that leave the models of `SCORES`, but for those that fail; what was trained and measured."""
    done = SimpleNamespace(until=[], measured=[], registered=[], failing=frozenset())

    def train(config: Any, data: Any, *, stretch: Stretch, out: Path, **_: Any) -> Challenger | TrainFailure:
        number = round(stretch.until * config.select.checkpoints)
        done.until.append(stretch.until)
        if number in done.failing:
            return TrainFailure(fault=TrainFault.LOSS_EXPLODED, reason="the loss is 99")
        (out / "state").mkdir(parents=True)
        assert (stretch.state is None) == (number == 1)
        assert stretch.state is None or stretch.state.exists()
        return challenger(f"m{number}", "m0", "rft")

    def measure(context: Any, model: Model, problems: list[Any], greedy: Any) -> Evaluation:
        name = model.id
        done.measured.append([problem.id for problem in problems])
        return evaluation(name, SCORES[name], 1.0, 20)

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(training, "_measure", measure)
    monkeypatch.setattr(training, "register", lambda context, path, model, **_: done.registered.append(model))
    return done


def context(run: Run) -> Any:
    return SimpleNamespace(
        run=run,
        config=run.config,
        suite_on=lambda number: suite(),
        bench=SimpleNamespace(sampler=SimpleNamespace(sleep=lambda: None)),
        plan=SimpleNamespace(workers={"loop.train": None}),
        crew=None,
        stage=lambda number, name: f"rounds/{number:03d}/{name}",
    )


def play(run: Run) -> tuple[Challenger | TrainFailure, frozenset[str]]:
    return training.train_challenger(
        context(run), 1, "loop.train", TrainingSet.of([]), CHAMPION, frozenset(("seen",))
    )


def test_the_best_of_three_is_taken_and_only_it_is_registered(tmp_path: Path, scripted: Any) -> None:
    run = a_run(tmp_path)
    outcome, selection = play(run)
    assert isinstance(outcome, Challenger) and outcome.model_id == "m2"
    assert scripted.until == pytest.approx([1 / 3, 2 / 3, 1]) and scripted.registered == ["m2"]
    assert len(selection) == 20 and {frozenset(asked) for asked in scripted.measured} == {selection}
    assert not list((run.path / "rounds/001").glob("training*"))
    # All of it was paid for, not only the stretch that is kept.
    assert outcome.seconds == pytest.approx(3 * challenger("m2", "m0", "rft").seconds)


def test_a_resumed_round_trains_and_measures_nothing_again(tmp_path: Path, scripted: Any) -> None:
    run = a_run(tmp_path)
    first = play(run)
    assert play(reopened(run)) == first
    assert len(scripted.until) == len(scripted.measured) == 3


def test_training_stops_when_checkpoints_no_longer_rise(
    tmp_path: Path, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"m1": 0.45, "m2": 0.6, "m3": 0.6, "m4": 0.2, "m5": 0.9}
    monkeypatch.setattr(f"{__name__}.SCORES", scores)
    run = a_run(tmp_path, checkpoints=5, patience=2)
    outcome, _ = play(run)
    # The third is as good as the second, the fourth is worse: the fifth, which is better, is never trained.
    assert isinstance(outcome, Challenger) and outcome.model_id == "m2"
    assert scripted.until == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert play(reopened(run))[0] == outcome and len(scripted.until) == 4


def test_a_rise_starts_the_patience_anew(
    tmp_path: Path, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"m1": 0.5, "m2": 0.4, "m3": 0.6, "m4": 0.5, "m5": 0.7}
    monkeypatch.setattr(f"{__name__}.SCORES", scores)
    outcome, _ = play(a_run(tmp_path, checkpoints=5, patience=2))
    assert isinstance(outcome, Challenger) and outcome.model_id == "m5" and len(scripted.until) == 5


def test_a_training_that_fails_late_keeps_what_came_before(tmp_path: Path, scripted: Any) -> None:
    scripted.failing = frozenset((3,))
    outcome, _ = play(a_run(tmp_path))
    assert isinstance(outcome, Challenger) and outcome.model_id == "m2"


def test_a_training_that_fails_at_once_has_no_challenger(tmp_path: Path, scripted: Any) -> None:
    scripted.failing = frozenset((1,))
    outcome, _ = play(a_run(tmp_path))
    assert isinstance(outcome, TrainFailure) and not scripted.registered and not scripted.measured


def test_rehearsal_weighs_what_the_config_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [TrainingRow(problem_id="", chat=(), chosen=f"text {i}", role=Role.HOLD) for i in range(4)]
    monkeypatch.setattr(training, "rehearsal", lambda *_: own)
    settings = {"train": {"rehearsal_share": 0.5, "rehearsal_weight": 3}}
    run = Run.create(tmp_path, from_tree({"name": "t", "line": LINE, "loop": settings}, "t"), "r")
    given: Any = context(run)
    given.bench, given.base = SimpleNamespace(sampler=None), tmp_path
    learnt = TrainingSet.of([TrainingRow(problem_id=f"p{i}", chat=(), chosen="reply") for i in range(4)])
    rehearsed = training.rehearsed(given, "rehearse", 1, run.config.trains["loop.train"], learnt)
    assert [(row.role, row.weight) for row in rehearsed.rows] == [(Role.LEARN, 1.0)] * 4 + [
        (Role.HOLD, 3.0)
    ] * 4
    # What the base writes does not depend on it, so that trials of a sweep share it.
    assert run.read_many("rehearse", TrainingRow) == own


LOST = TrainFailure(fault=TrainFault.WORKER_LOST, reason="workers were lost more than 2 times: a node died")
EXPLODED = TrainFailure(fault=TrainFault.LOSS_EXPLODED, reason="the loss is 99")


@pytest.mark.parametrize("checkpoints", [None, 3])
def test_a_warm_start_that_was_lost_is_trained_anew_by_a_resumed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoints: int | None
) -> None:
    """It is no stage: what was lost can succeed. What exploded is one, and would explode again."""
    select = {"select": {"checkpoints": 3, "problems": 20}} if checkpoints else {}
    tree = {"name": "t", "line": LINE, "warm_start": {"train": {"method": "sft", **select}}}
    run = Run.create(tmp_path, from_tree(tree, "t"), "r")
    outcomes = [LOST, EXPLODED]
    monkeypatch.setattr(training, "train", lambda *_, **__: outcomes.pop(0))

    def play(run: Run) -> Challenger | TrainFailure:
        given: Any = context(run)
        given.plan.workers = {"warm_start.train": None}
        return training.train_challenger(
            given, 0, "warm_start.train", TrainingSet.of([]), CHAMPION, frozenset()
        )[0]

    with pytest.raises(
        Untrained, match="^the warm start could not be trained: workers were lost more than 2"
    ):
        play(run)
    assert play(reopened(run)) == EXPLODED and not outcomes
    assert play(reopened(run)) == EXPLODED, "which is not tried again"


def test_a_campaign_without_a_warm_start_comes_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither are the sealed problems opened for it, nor is there a summary, whose exit code would be 0."""
    run = a_run(tmp_path)
    failed = SimpleNamespace(
        failure=EXPLODED, decision=SimpleNamespace(accepted=False, reason="training: no")
    )
    monkeypatch.setattr(campaign, "round_zero", lambda context: (failed, frozenset()))
    monkeypatch.setattr(campaign, "write_report", lambda path: None)
    given: Any = context(run)
    given.start, given.begun = CHAMPION, SimpleNamespace(touched=(), working="")
    for _ in range(2):
        with pytest.raises(Untrained) as caught:
            campaign._rounds(given)
        assert sentence_of(caught.value, tmp_path) == (
            "the warm start could not be trained: the loss is 99; start a new run with another config"
        )
    failed.failure, failed.decision.reason = None, "it forgot"
    assert campaign._rounds(given)[2] == "The warm start was refused: it forgot"

"""The winner of a sweep before the gate: judged once, against the champion, on recorded stages."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.models.identity import Model
from engine.records import Challenger, RoundRecord, Start, TrainFailure, TrainFault
from engine.registry.registry import Registry, StaleEpoch
from loops.loop import Proposal
from loops.training import Untrained
from tests.support.fixtures_report import challenger, evaluation
from tests.support.registry import LINE, show_better, store, with_baseline
from tests.support.rounds import CHAMPION, a_run, context, recorded
from tune import sweep
from tune.outcome import TrialRecord, outcome, stage
from tune.trial import Material

WINNER = challenger("m1", "m0", "rft")


def trial(number: int, made: Challenger | None = None, reason: str = "") -> TrialRecord:
    return TrialRecord(
        number=number,
        values={"loop.train.beta": 0.1 * number} if number else {},
        status="failed" if reason else "finished",
        reason=reason,
        rungs=(evaluation("x", 0.5, 0.6, 60),),
        challenger=made,
    )


@pytest.fixture
def at_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A context in which the gate has accepted m1 against m0, and the registry does not know it yet."""
    registry, run = with_baseline(tmp_path), a_run(tmp_path)
    store(registry, tmp_path, "m1")
    show_better(registry, 1, "m1")
    run.step("rounds/001/round", RoundRecord, lambda: recorded(True))
    found = context(run, registry)
    found.begun, found.start = Start(champion="m0", epoch=registry.line(LINE).epoch), CHAMPION
    monkeypatch.setattr(sweep, "material_for", lambda *_: Material(None, "", None, frozenset("a")))
    return found


def judge(context: Any, round: int, *trials: TrialRecord, champion: Any = CHAMPION) -> tuple[Any, ...]:
    run: Any = SimpleNamespace(round=round)
    return sweep.judge(context, run, trials, trials[-1], champion)


@pytest.mark.parametrize("round", [0, 1])
def test_the_winner_becomes_champion_after_the_one_that_it_was_judged_against(
    at_gate: Any, round: int
) -> None:
    """Rounds and warm starts alike; that the first trial failed does not matter to a line with a champion."""
    records, _, _ = judge(at_gate, round, trial(0, reason="loss 9"), trial(1, WINNER))
    line = at_gate.registry.line(LINE)
    assert [record.round for record in records] == [1] and (line.champion, line.previous) == ("m1", "m0")
    assert line.frozen == "m0", "what sentinels compare with stays"


def test_nothing_that_leaks_from_what_the_winner_wrote_is_judged_on(
    at_gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep keeps it where a campaign's round does, as the suite that judges is read from there."""
    proposal = Proposal(data=None, seen=frozenset(), written=("Is every cat a cat?",))
    monkeypatch.setattr(sweep, "material_for", lambda *_: Material(None, "", proposal, frozenset("a")))
    judge(at_gate, 1, trial(0, reason="loss 9"), trial(1, WINNER))
    assert at_gate.run.read_many("rounds/001/written", str) == ["Is every cat a cat?"]


def test_a_champion_that_came_meanwhile_is_not_replaced(at_gate: Any, tmp_path: Path) -> None:
    registry: Registry = at_gate.registry
    store(registry, tmp_path, "m3")
    registry.promote(LINE, "m3", run_id="other", round=0, expected_epoch=at_gate.begun.epoch, baseline=True)
    with pytest.raises(StaleEpoch):
        judge(at_gate, 1, trial(0, challenger("m2", "m0", "rft")), trial(1, WINNER))
    assert registry.line(LINE).champion == "m3"


def test_without_a_champion_and_without_the_first_trial_the_sweep_has_come_to_nothing(at_gate: Any) -> None:
    failed = trial(0, reason="loss 9.1 after a mean of 1.2")
    with pytest.raises(
        Untrained, match=r"^trial 0, .* failed: loss 9.1 after a mean of 1.2; start a new sweep"
    ):
        judge(at_gate, 0, failed, trial(1, WINNER), champion=None)
    assert at_gate.registry.line(LINE).epoch == 1


def test_where_trials_are_rounds_the_base_is_the_first_champion(
    at_gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = replace(recorded(False), round=0, champion_after="m0", challenger=None)
    monkeypatch.setattr(sweep, "round_zero", lambda context: (first, frozenset()))
    monkeypatch.setattr(sweep, "judge_trial", lambda context, number, champion, *_: (number, champion.id))
    at_gate.stored = lambda model: Model(id=model, path=Path(model))
    records, _, _ = judge(at_gate, 1, trial(0, reason="loss 9"), trial(1, WINNER), champion=None)
    assert records == [first, (1, "m0")], "whatever became of the first trial"


def test_a_winner_that_is_the_champion_already_is_not_judged(at_gate: Any) -> None:
    records, _, reason = judge(at_gate, 0, trial(0, challenger("m0", "b", "sft")))
    assert records == [] and "nothing to judge" in reason


def test_what_failed_later_has_nothing_to_be_judged() -> None:
    part = challenger("part", "m0", "sft")
    failure = TrainFailure(fault=TrainFault.LOSS_EXPLODED, reason="loss 9")
    done: dict[str, Any] = {
        stage(0, "train"): replace(part, stopped_early=False),
        stage(0, "select"): evaluation("part", 0.1, 0.2, 60),
        stage(1, "train"): failure,
    }
    result = outcome(lambda name, cls: done.get(name), 2)
    assert (result.challenger, result.failure, result.over) == (None, "loss 9", False)
    assert len(result.rungs) == 1

"""A round that was committed is read when its run is resumed: nothing of it is done or decided again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.measure.evaluate import TooManyUndecided
from engine.records import Duel, Panel, RoundRecord, TrainingSet
from loops import oak_dpo, warm_start
from loops import round as rounds
from loops.context import Context
from loops.loop import Proposal
from loops.record import judge_and_record
from tests.support.fixtures_report import sample
from tests.support.registry import LINE, show_better, store, with_baseline
from tests.support.rounds import CHAMPION, a_run, context, recorded
from tests.support.runs import reopened
from tests.support.scripted_experiment import write_model


def test_a_round_that_was_stopped_while_it_proposed_stays_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def propose(*_: Any) -> Any:
        calls.append("proposed")
        raise TooManyUndecided("6 of 100 answers could not be judged")

    monkeypatch.setattr(oak_dpo, "propose", propose)
    registry, run = with_baseline(tmp_path), a_run(tmp_path)
    first, seen = rounds.play_round(context(run, registry), 1, CHAMPION, CHAMPION, frozenset("a"), [])
    assert "could not be judged" in first.decision.reason and not first.decision.accepted
    again = rounds.play_round(context(reopened(run), registry), 1, CHAMPION, CHAMPION, frozenset("a"), [])
    assert again == (first, seen)
    assert calls == ["proposed"]


def test_the_problems_of_a_round_with_nothing_to_learn_stay_used_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = Proposal(data=None, seen=frozenset("b"))
    monkeypatch.setattr(oak_dpo, "propose", lambda *_: proposal)
    registry, run = with_baseline(tmp_path), a_run(tmp_path)
    first = rounds.play_round(context(run, registry), 1, CHAMPION, CHAMPION, frozenset("a"), [])
    assert first[0].failure is not None and first[1] == frozenset("ab")
    again = rounds.play_round(context(reopened(run), registry), 1, CHAMPION, CHAMPION, frozenset("a"), [])
    assert again == first


def stops_at_a_checkpoint(calls: list[int]) -> Any:
    """Stands for `train_challenger`: the answers that are to tell checkpoints apart cannot be judged."""

    def train(context: Any, number: int, *_: Any) -> Any:
        calls.append(number)
        (context.run.path / context.stage(number, "training-1")).mkdir(parents=True)
        raise TooManyUndecided("6 of 100 answers could not be judged")

    return train


def test_checkpoints_that_cannot_be_told_apart_end_the_round_and_not_the_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panels = (Panel(title="Found", kind="bars", rows=(("weak", "1"),)),)
    proposal = Proposal(data=TrainingSet.of([]), seen=frozenset("b"), panels=panels)
    monkeypatch.setattr(oak_dpo, "propose", lambda *_: proposal)
    calls: list[int] = []
    monkeypatch.setattr(rounds, "train_challenger", stops_at_a_checkpoint(calls))
    registry, run = with_baseline(tmp_path), a_run(tmp_path)
    first = rounds.play_round(context(run, registry), 1, CHAMPION, CHAMPION, frozenset("a"), [])
    (check,) = first[0].decision.checks
    assert (check.name, check.observed) == ("verifier", "6 of 100 answers could not be judged")
    assert first[0].panels == panels and first[1] == frozenset("a")
    assert not list(run.path.glob("rounds/001/training*"))
    again = rounds.play_round(context(reopened(run), registry), 1, CHAMPION, CHAMPION, frozenset("a"), [])
    assert again == first and calls == [1]


def test_so_do_those_of_a_warm_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(warm_start, "train_challenger", stops_at_a_checkpoint(calls))
    monkeypatch.setattr(warm_start, "gold_answers", lambda *_: (TrainingSet.of([]), frozenset("a")))
    registry, run = with_baseline(tmp_path), a_run(tmp_path)
    found = []
    for each in (run, None):
        given = context(each or reopened(run), registry)
        given.base = write_model(tmp_path / "base", 0.0)
        found.append(warm_start.round_zero(given))
    assert found[0] == found[1] and calls == [0]
    record, seen = found[0]
    assert not record.decision.accepted and "could not be judged" in record.decision.reason
    assert record.champion_after == record.champion_before and seen == frozenset("a")
    assert not list(run.path.glob("rounds/000/training*"))


@pytest.mark.parametrize("is_finite", [True, False])
def test_no_test_of_a_finite_task_takes_the_records_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_finite: bool
) -> None:
    registry, run = with_baseline(tmp_path), a_run(tmp_path)
    given = context(run, registry)
    given.suite = SimpleNamespace(is_finite=is_finite)
    given.asked = lambda number: Context.asked(given, number)
    monkeypatch.setattr(rounds, "_challenger", lambda *_: (None, None, frozenset("a")))

    def judge(*_: Any) -> RoundRecord:
        run.step_many("rounds/001/look-01", Duel, lambda: [sample()])
        return recorded(False)

    monkeypatch.setattr(rounds, "judge_and_record", judge)
    _, seen = rounds.play_round(given, 1, CHAMPION, CHAMPION, frozenset("a"), [])
    assert len(seen) == (2 if is_finite else 1)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_kill_between_the_record_and_the_registry_is_made_good_once(tmp_path: Path, accepted: bool) -> None:
    """The record says what was decided; the registry follows it, whether it had heard of it or not."""
    registry, run = with_baseline(tmp_path), a_run(tmp_path)
    store(registry, tmp_path, "m1")
    show_better(registry, 1, "m1")
    record = recorded(accepted)
    run.step("rounds/001/round", RoundRecord, lambda: record)
    before = registry.line(LINE).epoch
    for _ in range(2):
        run = reopened(run)
        assert record.challenger
        settled = judge_and_record(
            context(run, registry), 1, CHAMPION, record.challenger, None, frozenset(), before
        )
        assert settled == record
    line = registry.line(LINE)
    assert (line.champion, line.epoch) == (("m1", before + 1) if accepted else ("m0", before))
    kinds = [event.kind for event in registry.history(LINE) if event.model_id == "m1"]
    assert kinds.count("promoted" if accepted else "refused") == 1

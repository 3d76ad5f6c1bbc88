"""A round that was committed is read when its run is resumed: nothing of it is done or decided again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import from_tree
from engine.evaluate import TooManyUndecided
from engine.judge import Contestant
from engine.records import Challenger, RoundRecord
from engine.registry import Registry
from engine.steps import Run
from loops import round as rounds
from tests.test_registry import LINE, decision, show_better, store, with_baseline

CHAMPION = Contestant(id="m0", path=Path("m0"))


def context(run: Run, registry: Registry) -> Any:
    return SimpleNamespace(
        run=run,
        registry=registry,
        config=run.config,
        plan=SimpleNamespace(train=None),
        epoch=0,
        stage=lambda number, name: f"rounds/{number:03d}/{name}",
    )


def a_run(home: Path) -> Run:
    return Run.create(home, from_tree({"name": "tiny", "line": LINE}, "test"), "run")


def reopened(run: Run) -> Run:
    run._lock.close()
    return Run(run.path)


def recorded(accepted: bool) -> RoundRecord:
    challenger = Challenger(
        model_id="m1",
        path="m1",
        parent_id="m0",
        training_set_id="t",
        method="rft",
        num_steps=1,
        num_tokens=1,
        tokens_per_second=1.0,
        final_loss=1.0,
        update_size=0.1,
        reference=(),
        seconds=1.0,
    )
    return RoundRecord(
        round=1,
        champion_before="m0",
        champion_after="m1" if accepted else "m0",
        challenger=challenger,
        failure=None,
        weaknesses=(),
        funnel=None,
        champion_probe=None,
        champion_gate=None,
        challenger_gate=None,
        champion_sampled=None,
        challenger_sampled=None,
        decision=decision(accepted),
        samples=(),
        seconds={},
    )


def test_a_round_that_was_stopped_while_it_proposed_stays_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def propose(*_: Any) -> Any:
        calls.append("proposed")
        raise TooManyUndecided("6 of 100 answers could not be judged")

    monkeypatch.setitem(rounds.LOOPS, "oak_dpo", propose)
    registry, run = with_baseline(tmp_path), a_run(tmp_path)
    first, seen = rounds.play_round(context(run, registry), 1, CHAMPION, frozenset("a"), [])
    assert "could not be judged" in first.decision.reason and not first.decision.accepted
    again = rounds.play_round(context(reopened(run), registry), 1, CHAMPION, frozenset("a"), [])
    assert again == (first, seen)
    assert calls == ["proposed"]


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
        settled = rounds._judge_and_record(
            context(run, registry), 1, CHAMPION, record.challenger, None, frozenset(), before
        )
        assert settled == record
    line = registry.line(LINE)
    assert (line.champion, line.epoch) == (("m1", before + 1) if accepted else ("m0", before))
    kinds = [event.kind for event in registry.history(LINE) if event.model_id == "m1"]
    assert kinds.count("promoted" if accepted else "refused") == 1

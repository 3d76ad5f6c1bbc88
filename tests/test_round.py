"""A round that was committed is read when its run is resumed: nothing of it is done or decided again."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import from_tree
from engine.evaluate import TooManyUndecided
from engine.judge import Contestant
from engine.records import RoundRecord
from engine.registry import Registry
from engine.steps import Run
from loops import round as rounds
from tests.fixtures_report import challenger, warm_start
from tests.test_registry import LINE, decision, show_better, store, with_baseline
from tests.test_steps import reopened

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


def recorded(accepted: bool) -> RoundRecord:
    return replace(
        warm_start(),
        round=1,
        champion_before="m0",
        champion_after="m1" if accepted else "m0",
        challenger=challenger("m1", "m0", "rft"),
        decision=decision(accepted),
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
        settled = rounds.judge_and_record(
            context(run, registry), 1, CHAMPION, record.challenger, None, frozenset(), before
        )
        assert settled == record
    line = registry.line(LINE)
    assert (line.champion, line.epoch) == (("m1", before + 1) if accepted else ("m0", before))
    kinds = [event.kind for event in registry.history(LINE) if event.model_id == "m1"]
    assert kinds.count("promoted" if accepted else "refused") == 1

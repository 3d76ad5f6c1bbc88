"""A round that was committed is read when its run is resumed: nothing of it is done or decided again."""

from pathlib import Path
from typing import Any

import pytest

from engine.measure.evaluate import TooManyUndecided
from engine.records import RoundRecord
from loops import oak_dpo
from loops import round as rounds
from loops.loop import Proposal
from loops.record import judge_and_record
from tests.support.registry import LINE, show_better, store, with_baseline
from tests.support.rounds import CHAMPION, a_run, context, recorded
from tests.support.runs import reopened


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

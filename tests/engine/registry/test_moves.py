"""The working model beside the champion: carried, proven, given up, rolled back, pruned."""

import pytest

from engine.registry.lines import EventKind
from engine.registry.moves import num_refusals
from engine.registry.registry import Registry, StaleEpoch
from engine.registry.store import RegistryError
from engine.registry.touched import keep_touched, touched_by, written_by
from tests.support.registry import LINE, decision, show_better, store, with_baseline


def carried(home, *models: str) -> Registry:
    """A line with champion m0 whose rounds carried each of `models` in turn."""
    registry = with_baseline(home)
    for number, model in enumerate(models, 1):
        store(registry, home, model)
        registry.carry(
            LINE, model, run_id="run", round=number, expected_epoch=number, decision=decision(True)
        )
    return registry


def test_a_carried_model_stands_beside_the_champion_and_is_none(tmp_path):
    registry = carried(tmp_path, "m1", "m2")
    line = registry.line(LINE)
    assert (line.champion, line.working, line.frozen, line.epoch) == ("m0", "m2", "m0", 3)
    assert registry.champion(LINE) == "m0" and line.previous is None
    assert [event.kind for event in registry.history(LINE)][-2:] == [EventKind.CARRIED] * 2
    assert registry.history(LINE)[-1].decision == decision(True)


def test_a_move_is_made_once_for_a_round_and_never_on_a_line_that_someone_else_moved(tmp_path):
    registry = carried(tmp_path, "m1")
    before = registry.history(LINE)
    again = {"run_id": "run", "round": 1, "expected_epoch": 1, "decision": decision(True)}
    assert registry.carry(LINE, "m1", **again).working == "m1"
    assert registry.history(LINE) == before
    store(registry, tmp_path, "m2")
    with pytest.raises(RegistryError, match="round 1 of run run ended with m1 carried, got m2 carried"):
        registry.carry(LINE, "m2", **again)
    with pytest.raises(StaleEpoch, match="is at epoch 2, expected 1"):
        registry.carry(LINE, "m2", **again | {"run_id": "other"})
    with pytest.raises(StaleEpoch):
        registry.give_up(LINE, "m1", run_id="run", round=2, expected_epoch=1, reason="worse")
    with pytest.raises(RegistryError, match="model m9 is not in the registry"):
        registry.carry(LINE, "m9", **again | {"round": 2, "expected_epoch": 2})
    assert registry.history(LINE) == before


def test_a_round_may_carry_its_challenger_and_prove_it_too(tmp_path):
    registry = carried(tmp_path, "m1")
    with pytest.raises(RegistryError, match="no test is committed for round 1"):
        registry.promote(LINE, "m1", run_id="run", round=1, expected_epoch=2)
    show_better(registry, 1, "m1")
    line = registry.promote(LINE, "m1", run_id="run", round=1, expected_epoch=2, decision=decision(True))
    assert (line.champion, line.working, line.epoch, line.previous) == ("m1", None, 3, "m0")


def test_a_working_model_is_given_up_for_a_reason(tmp_path):
    registry = carried(tmp_path, "m1")
    for _ in range(2):
        line = registry.give_up(LINE, "m1", run_id="run", round=2, expected_epoch=2, reason="worse: 3 won")
    assert (line.champion, line.working, line.epoch) == ("m0", None, 3)
    event = registry.history(LINE)[-1]
    assert (event.kind, event.model_id, event.reason) == (EventKind.RETURNED, "m1", "worse: 3 won")
    assert [event.kind for event in registry.history(LINE)].count(EventKind.RETURNED) == 1


def test_a_dropped_challenger_leaves_its_evidence_and_moves_nothing(tmp_path):
    registry = carried(tmp_path, "m1")
    before = registry.line(LINE)
    store(registry, tmp_path, "m2")
    for _ in range(2):
        registry.refuse(LINE, "m2", run_id="run", round=2, decision=decision(False), kind=EventKind.DROPPED)
    assert registry.line(LINE) == before
    events = [event for event in registry.history(LINE) if event.kind is EventKind.DROPPED]
    assert [(event.model_id, event.reason) for event in events] == [("m2", "because")]


def test_a_rollback_gives_up_what_was_carried_from_the_champion_that_it_undoes(tmp_path):
    registry = carried(tmp_path, "m1")
    show_better(registry, 1, "m1")
    registry.promote(LINE, "m1", run_id="run", round=1, expected_epoch=2)
    store(registry, tmp_path, "m2")
    registry.carry(LINE, "m2", run_id="run", round=2, expected_epoch=3, decision=decision(True))
    line = registry.rollback(LINE, "it forgets")
    assert (line.champion, line.working, line.epoch) == ("m0", None, 5)


def test_prune_spares_the_working_model_and_frees_what_it_left_behind(tmp_path):
    registry = carried(tmp_path, "m1", "m2")
    assert [model.manifest.model_id for model in registry.prune()] == ["m1"]
    state = {model.manifest.model_id: (model.freed, model.lines) for model in registry.models()}
    assert state == {"m0": (False, (LINE,)), "m1": (True, ()), "m2": (False, (LINE,))}


def test_nothing_is_carried_on_a_line_without_a_champion(tmp_path):
    registry = Registry(tmp_path)
    store(registry, tmp_path, "m1")
    with pytest.raises(RegistryError, match="has no champion yet"):
        registry.carry(LINE, "m1", run_id="run", round=1, expected_epoch=0, decision=decision(True))


def test_the_champions_epoch_is_that_of_its_own_last_move(tmp_path):
    """Else what a server has refused to serve would be tried again whenever a round carries something."""
    registry = carried(tmp_path, "m1", "m2")
    line = registry.line(LINE)
    assert (line.epoch, line.champion_epoch) == (3, 1)
    registry.give_up(LINE, "m2", run_id="run", round=3, expected_epoch=3, reason="worse")
    assert registry.line(LINE).champion_epoch == 1
    show_better(registry, 4, "m1")
    line = registry.promote(LINE, "m1", run_id="run", round=4, expected_epoch=4)
    assert (line.epoch, line.champion_epoch) == (5, 5)
    assert registry.rollback(LINE, "by hand").champion_epoch == 6


def test_a_rollback_without_a_previous_champion_discards_a_working_model(tmp_path):
    registry = carried(tmp_path, "m1")
    line = registry.rollback(LINE, "not wanted")
    assert (line.champion, line.working, line.epoch) == ("m0", None, 3)
    with pytest.raises(RegistryError, match="no previous champion"):
        registry.rollback(LINE, "again")


def test_refusals_of_a_working_line_are_counted_since_it_left_the_champion(tmp_path):
    registry = carried(tmp_path, "m1")
    registry.refuse(LINE, "m1", run_id="run", round=1, decision=decision(False))
    registry.carry(LINE, "m1", run_id="run", round=2, expected_epoch=2, decision=decision(True))
    store(registry, tmp_path, "m9")
    registry.refuse(LINE, "m9", run_id="other", round=1, decision=decision(False))
    assert num_refusals(registry.history(LINE), "m1") == 1, "that of a model never carried is not one"
    assert num_refusals(registry.history(LINE), "m9") == 0
    registry.give_up(LINE, "m1", run_id="run", round=3, expected_epoch=3, reason="worse")
    assert num_refusals(registry.history(LINE), "m1") == 0


def test_problems_of_a_working_model_are_kept(tmp_path):
    registry = carried(tmp_path, "m1")
    assert registry.line(LINE).epoch == 2
    assert touched_by(tmp_path, LINE) == written_by(tmp_path, LINE) == ()
    keep_touched(tmp_path, LINE, {"b", "a"}, ["one"], expected_epoch=2)
    keep_touched(tmp_path, LINE, {"c", "a"}, ["one", "a second"], expected_epoch=2)
    with pytest.raises(StaleEpoch):
        keep_touched(tmp_path, LINE, {"d"}, [], expected_epoch=1)
    assert touched_by(tmp_path, LINE) == ("a", "c")
    assert written_by(tmp_path, LINE) == ("one", "a second")
    (file,) = tmp_path.rglob("touched.json")
    file.write_text("[1")
    with pytest.raises(RegistryError, match=f"what line {LINE} has touched is damaged: {file}: "):
        touched_by(tmp_path, LINE)

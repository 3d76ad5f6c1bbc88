"""What a line has been told is kept with it, and which of its nights count for a model."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.records import Fact, Lived, Memory, Night
from engine.registry.lines import EventKind
from engine.registry.lived import keep_lived, lived_by, times_learnt
from engine.registry.registry import Registry, StaleEpoch
from engine.registry.store import RegistryError
from tests.support.registry import LINE, decision, manifest, show_better, with_baseline


def memory(name: str, day: int = 1) -> Memory:
    fact = Fact(subject=name, attribute="home", value="Oslo")
    return Memory(id=name, fact=fact, importance=5, day=day, dialogue="d", turn=0)


def night(number: int, learnt: str, replayed: str = "", run: str = "run") -> Night:
    return Night(run_id=run, round=number, day=number, learnt=tuple(learnt), replayed=tuple(replayed))


def add(registry: Registry, home: Path, model: str, parent: str) -> None:
    source = home / "runs" / model
    source.mkdir(parents=True)
    (source / "model.safetensors").write_bytes(model.encode() * 100)
    (source / "config.json").write_text("{}")
    registry.add(source, replace(manifest(model), parent_id=parent))


def test_a_line_that_was_told_nothing_has_lived_no_day(tmp_path: Path) -> None:
    assert lived_by(tmp_path, LINE) == Lived()


def test_it_is_read_back_and_replaced(tmp_path: Path) -> None:
    epoch = with_baseline(tmp_path).line(LINE).epoch
    for days in (1, 2):
        lived = Lived(days=days, memories=(memory("a"),), nights=(night(days, "a"),))
        keep_lived(tmp_path, LINE, lived, expected_epoch=epoch)
        assert lived_by(tmp_path, LINE) == lived


def test_another_run_that_moved_the_line_is_noticed(tmp_path: Path) -> None:
    epoch = with_baseline(tmp_path).line(LINE).epoch
    with pytest.raises(StaleEpoch):
        keep_lived(tmp_path, LINE, Lived(days=1), expected_epoch=epoch - 1)
    assert lived_by(tmp_path, LINE) == Lived()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    epoch = with_baseline(tmp_path).line(LINE).epoch
    keep_lived(tmp_path, LINE, Lived(days=1), expected_epoch=epoch)
    file = tmp_path / "registry" / "lines" / LINE / "lived.json"
    file.write_text(file.read_text().replace('"days"', '"weeks"'))
    with pytest.raises(RegistryError, match="the memory of line .* is damaged: .*lived.json: "):
        lived_by(tmp_path, LINE)


def test_only_nights_of_ancestors_count(tmp_path: Path) -> None:
    registry = with_baseline(tmp_path)
    for model, parent in (("m1", "m0"), ("m2", "m1"), ("m3", "m1")):
        add(registry, tmp_path, model, parent)
    show_better(registry, 1, "m1")
    registry.promote(LINE, "m1", run_id="run", round=1, expected_epoch=1, decision=decision(True))
    registry.refuse(LINE, "m2", run_id="run", round=2, decision=decision(False))
    show_better(registry, 3, "m3")
    registry.promote(LINE, "m3", run_id="run", round=3, expected_epoch=2, decision=decision(True))
    nights = (night(1, "ab"), night(2, "cd", "a"), night(3, "cde", "ab"), night(1, "x", run="other"))
    lived = Lived(days=3, nights=nights)
    assert times_learnt(tmp_path, LINE, lived, "m3") == {"a": 2, "b": 2, "c": 1, "d": 1, "e": 1}
    assert times_learnt(tmp_path, LINE, lived, "m1") == {"a": 1, "b": 1}
    assert not times_learnt(tmp_path, LINE, lived, "m0")
    # It was replaced, and came back on day 2: what the first night taught of it was undone.
    back = replace(lived, memories=(memory("a", day=2), memory("b")))
    assert times_learnt(tmp_path, LINE, back, "m1") == {"b": 1}


def test_a_trial_of_the_working_model_is_not_its_night(tmp_path: Path) -> None:
    """Round 2 drops its challenger and tries the model of round 1: what round 2 taught is not learnt."""
    registry = with_baseline(tmp_path)
    for model in ("m1", "m2"):
        add(registry, tmp_path, model, "m0" if model == "m1" else "m1")
    registry.carry(LINE, "m1", run_id="run", round=1, expected_epoch=1, decision=decision(True))
    registry.refuse(LINE, "m2", run_id="run", round=2, decision=decision(False), kind=EventKind.DROPPED)
    show_better(registry, 2, "m1")
    registry.promote(LINE, "m1", run_id="run", round=2, expected_epoch=2, decision=decision(True))
    lived = Lived(days=2, nights=(night(1, "a"), night(2, "b", "a")))
    assert times_learnt(tmp_path, LINE, lived, "m1") == {"a": 1}

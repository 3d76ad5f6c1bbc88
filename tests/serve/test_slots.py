"""Slots: what a model's name means at any moment, and which keys get a canary."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from engine.registry.registry import Registry
from serve.keys import OWN
from serve.slots import Canary, Slots, SlotsError, SlotsFile, in_share
from tests.support.registry import store

SLOTS = Slots(line="a/b", epoch=3, active="a", versions={"a": "new", "b": "old"})


def test_names_of_models() -> None:
    assert SLOTS.find("champion", "k") == ("a", "new")
    assert SLOTS.find("previous", "k") == ("b", "old")
    assert SLOTS.find("old", "k") == ("b", "old")
    assert SLOTS.find("older", "k") is None


def test_while_the_idle_engine_loads_there_is_no_previous() -> None:
    loading = replace(SLOTS, versions={"a": "new", "b": None}, loading="newer")
    assert loading.find("previous", "k") is None
    assert loading.find("newer", "k") is None
    assert loading.find("champion", "k") == ("a", "new")
    taken = replace(loading, versions={"a": "new", "b": "newer"})
    assert taken.find("newer", "k") is None and taken.find("previous", "k") is None
    assert replace(loading, loading="new").find("champion", "k") == ("a", "new"), (
        "a champion that loads again is still the champion"
    )
    assert taken.find("newer", OWN) == ("b", "newer"), "the server itself tests it"


def test_a_canary_always_answers_the_same_share_of_keys() -> None:
    canary = replace(SLOTS, versions={"a": "old", "b": "new"}, canary=Canary(slot="b", share=0.1, since=0.0))
    keys = [f"{i:08x}" for i in range(5000)]
    answered = [canary.find("champion", key) for key in keys]
    assert 0.08 < answered.count(("b", "new")) / len(keys) < 0.12
    assert answered == [canary.find("champion", key) for key in keys]
    tries = next(key for key in keys if in_share(key, 0.1))
    others = next(key for key in keys if not in_share(key, 0.1))
    assert canary.find("previous", tries) == ("a", "old") and canary.find("previous", others) is None
    assert {found[1] for found, key in zip(answered, keys, strict=True) if in_share(key, 0.05) and found} == {
        "new"
    }


def test_while_a_canary_is_gone_its_keys_get_the_champion() -> None:
    lost = replace(SLOTS, versions={"a": "new", "b": None}, canary=Canary(slot="b", share=0.9, since=0.0))
    key = next(key for key in map(str, range(99)) if in_share(key, 0.9))
    assert lost.find("champion", key) == ("a", "new")


def test_failures_are_counted_since_the_canary_began_also_after_a_gateway_was_started_anew() -> None:
    canary = Canary(slot="b", share=0.5, since=0.0, before={"g1": {"new": (100, 5)}, "g2": {"new": (10, 1)}})
    assert canary.failures("new", {"g1": {"new": (100, 5)}}) == (0, 0.0)
    assert canary.failures("new", {"g1": {"new": (140, 6)}, "g3": {"new": (10, 4)}}) == (50, 0.1)
    assert canary.failures("newer", {"g1": {"new": (140, 6)}}) == (0, 0.0)


def test_the_state_of_a_server_with_other_slots_is_none(tmp_path: Path) -> None:
    SlotsFile(tmp_path, "a/b").write(SLOTS)
    assert SlotsFile(tmp_path, "a/b", ("b", "a")).read() == SLOTS
    assert SlotsFile(tmp_path, "a/b", ("a",)).read() is None


def test_the_state_of_a_champion_that_is_gone_is_deleted(tmp_path: Path) -> None:
    registry, file = Registry(tmp_path), SlotsFile(tmp_path, "a/b")
    file.drop_stale(registry)
    file.write(SLOTS)
    store(registry, tmp_path, "new")
    file.drop_stale(registry)
    assert file.read() == SLOTS
    file.write(replace(SLOTS, active="b"))
    file.drop_stale(registry)
    assert file.read() is None


def test_a_line_has_one_server(tmp_path: Path) -> None:
    def second(line: str = "a/b") -> None:
        with SlotsFile(tmp_path, line).alone():
            pass

    file = SlotsFile(tmp_path, "a/b")
    with file.alone():
        with pytest.raises(SlotsError, match=f"line a/b is already served from {tmp_path}: stop that"):
            second()
        second("a/c")
    second()
    # `serve deploy` starts a keeper alone.
    with asyncio.run(file.acquire()), pytest.raises(SlotsError, match="already served"):
        second()
    second()


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    writes, reads = SlotsFile(tmp_path, "a/b"), SlotsFile(tmp_path, "a/b")
    assert reads.read() is None
    writes.write(SLOTS)
    assert reads.read() == SLOTS
    flipped = replace(SLOTS, active="b")
    writes.write(flipped)
    assert reads.read() == flipped
    writes.path.write_text("{")
    assert reads.read() == flipped, "a reader keeps the last good state"
    with pytest.raises(SlotsError, match="damaged: delete it"):
        SlotsFile(tmp_path, "a/b").read()

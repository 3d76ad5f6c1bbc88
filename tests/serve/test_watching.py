"""The state that the page shows: each loaded version comes with a question of its own task."""

from dataclasses import replace
from pathlib import Path

from engine.registry.registry import Registry
from engine.registry.store import Example
from serve.slots import Slots
from serve.watching import examples_of
from tests.support.registry import LINE, manifest, store


def test_each_version_comes_with_the_question_of_its_manifest(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    store(registry, tmp_path, "m0")
    source = tmp_path / "runs" / "m0"
    example = Example(system="Add.", turns=("What is 2 + 3?", "And twice that?"))
    registry.add(source, replace(manifest("m1"), example=example))
    slots = Slots(line=LINE, epoch=1, active="a", versions={"a": "m1", "b": "m0"})
    assert examples_of(registry, slots) == {
        "m1": {"system": "Add.", "turns": ("What is 2 + 3?", "And twice that?")},
        "m0": None,
    }
    loading = replace(slots, versions={"a": "m1", "b": None})
    assert list(examples_of(registry, loading)) == ["m1"]
    assert examples_of(registry, None) == {}

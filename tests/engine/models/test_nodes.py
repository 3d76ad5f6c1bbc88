"""A model on a node: where the driver has it, in the node's own copy, or fetched and checked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.models import nodes
from engine.models.identity import ModelError, model_id
from engine.models.nodes import Told, at_hand, tell


@pytest.fixture
def told(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """A copy of the tiny model, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(nodes, "_blocks", lambda told: pytest.fail("the model was fetched"))
    shutil.copytree(tiny_model, tmp_path / "model")
    return tell(tmp_path / "model")


def test_shared_storage_is_known_without_reading_it(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "model_id", lambda path: pytest.fail("the model was read"))
    assert at_hand(told) == Path(told.path)


def test_a_nodes_own_copy_is_read(told: Told) -> None:
    assert at_hand(told._replace(state=())) == Path(told.path)


def test_what_is_missing_or_another_is_fetched_once(
    told: Told, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def blocks(told: Told) -> Iterator[tuple[str, bytes]]:
        fetched.append(told.id)
        return nodes._read(str(tiny_model))

    monkeypatch.setattr(nodes, "_blocks", blocks)
    monkeypatch.setattr(nodes, "_BLOCK_BYTES", 100_000)
    # Of the same size, but another's.
    (file,) = Path(told.path).glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    kept = at_hand(told)
    assert kept == nodes.cache() / told.id and model_id(kept) == told.id
    shutil.rmtree(told.path)
    assert at_hand(told) == kept and fetched == [told.id]
    # A copy that was damaged since is fetched anew.
    (kept / "tokenizer.json").write_text("{}")
    assert model_id(at_hand(told)) == told.id and len(fetched) == 2


def test_what_arrives_damaged_is_refused_and_not_kept(
    told: Told, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = nodes._read
    monkeypatch.setattr(nodes, "_blocks", lambda told: [*read(str(tiny_model)), ("tokenizer.json", b" 1")])
    shutil.rmtree(told.path)
    with pytest.raises(ModelError):
        at_hand(told)
    assert [path.name for path in nodes.cache().iterdir()] == [f".{told.id}.lock"]

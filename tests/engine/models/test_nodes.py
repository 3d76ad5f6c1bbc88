"""A model on a node: where the driver has it, in the node's own copy, or fetched and checked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.models import nodes
from engine.models.identity import ModelError, model_id
from engine.models.nodes import ModelRef, local_copy, refer_to

pytestmark = pytest.mark.slow


@pytest.fixture
def ref(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRef:
    """A copy of the tiny model, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(nodes, "_blocks", lambda ref: pytest.fail("the model was fetched"))
    shutil.copytree(tiny_model, tmp_path / "model")
    return refer_to(tmp_path / "model")


def test_shared_storage_is_known_without_reading_it(ref: ModelRef, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "model_id", lambda path: pytest.fail("the model was read"))
    assert local_copy(ref) == Path(ref.path)


def test_a_nodes_own_copy_is_read(ref: ModelRef) -> None:
    assert local_copy(ref._replace(state=())) == Path(ref.path)


def test_what_is_missing_or_another_is_fetched_once(
    ref: ModelRef, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def blocks(ref: ModelRef) -> Iterator[tuple[str, bytes]]:
        fetched.append(ref.id)
        return nodes._read(str(tiny_model))

    monkeypatch.setattr(nodes, "_blocks", blocks)
    monkeypatch.setattr(nodes, "_BLOCK_BYTES", 100_000)
    # Of the same size, but another's.
    (file,) = Path(ref.path).glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    kept = local_copy(ref)
    assert kept == nodes.cache() / ref.id and model_id(kept) == ref.id
    shutil.rmtree(ref.path)
    assert local_copy(ref) == kept and fetched == [ref.id]
    # A copy that was damaged since is fetched anew.
    (kept / "tokenizer.json").write_text("{}")
    assert model_id(local_copy(ref)) == ref.id and len(fetched) == 2


def test_what_arrives_damaged_is_refused_and_not_kept(
    ref: ModelRef, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = nodes._read
    monkeypatch.setattr(nodes, "_blocks", lambda ref: [*read(str(tiny_model)), ("tokenizer.json", b" 1")])
    shutil.rmtree(ref.path)
    with pytest.raises(ModelError):
        local_copy(ref)
    assert [path.name for path in nodes.cache().iterdir()] == [f".{ref.id}.lock"]

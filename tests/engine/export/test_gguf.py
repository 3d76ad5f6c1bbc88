"""GGUF files: metadata and weights survive a change of level, and what is no such file is refused."""

import errno
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, LlamaFileType, dequantize

from engine.export import gguf
from engine.export.exported import ExportError
from engine.export.gguf import facts_of, file_id, write_level
from engine.export.levels import Level
from tests.support.llama import TEMPLATE, write_gguf

SHAPES = {
    "token_embd.weight": (96, 256),
    "blk.0.attn_q.weight": (256, 256),
    "blk.0.attn_v.weight": (128, 256),
    "blk.0.ffn_down.weight": (256, 320),
    "blk.0.ffn_up_exps.weight": (2, 320, 256),
    "blk.0.attn_norm.weight": (256,),
}
NOTES = {"model_id": "m1", "line": "a/b"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "base.gguf", SHAPES)


def numbers(path: Path) -> dict[str, np.ndarray]:
    return {
        each.name: dequantize(each.data, each.tensor_type).reshape(SHAPES[each.name])
        for each in GGUFReader(path).tensors
    }


@pytest.mark.parametrize(
    ("level", "kind", "error"),
    [
        (Level.F16, "F16", 1e-5),
        (Level.Q8_0, "Q8_0", 3e-4),
        (Level.Q6_K, "Q6_K", 8e-4),
        (Level.Q5_K_M, "Q5_K", 1.5e-3),
        (Level.Q4_K_M, "Q4_K", 3e-3),
    ],
)
def test_weights_are_stored_at_the_level(
    tmp_path: Path, source: Path, level: Level, kind: str, error: float
) -> None:
    """The root mean square of the error is at most twice what the bits cost weights that spread by 0.02."""
    target = tmp_path / "out.gguf"
    kinds = write_level(source, target, level, NOTES, threads=2)
    assert kinds["blk.0.attn_q.weight"] == kind and kinds["blk.0.attn_norm.weight"] == "F32"
    before, after = numbers(source), numbers(target)
    for name in SHAPES:
        assert np.sqrt(np.square(before[name] - after[name]).mean()) <= error, name
    assert np.array_equal(before["blk.0.attn_norm.weight"], after["blk.0.attn_norm.weight"])
    assert {tensor.name: tensor.kind for tensor in facts_of(target).tensors} == kinds


def test_a_row_is_stored_alike_whichever_thread_stores_it(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_level(source, tmp_path / "one.gguf", Level.Q4_K_M, {}, threads=1)
    monkeypatch.setattr(gguf, "_PART", 256 * 5)
    write_level(source, tmp_path / "many.gguf", Level.Q4_K_M, {}, threads=4)
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "many.gguf").read_bytes()


def test_metadata_is_kept_and_says_what_the_file_was_made_from(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "out.gguf"
    write_level(source, target, Level.Q4_K_M, NOTES, threads=1)
    before, after = GGUFReader(source), GGUFReader(target)
    for key in ("tokenizer.chat_template", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"):
        assert before.fields[key].contents() == after.fields[key].contents()
    assert after.fields["tokenizer.ggml.add_bos_token"].contents() is False
    assert after.fields["general.file_type"].contents() == LlamaFileType.MOSTLY_Q4_K_M
    facts = facts_of(target)
    assert facts.notes == NOTES and facts.has_template and facts.context == 512
    assert facts.architecture.num_layers == 4 and facts.architecture.shares_heads
    # Four layers of two heads, of which each has 64 numbers for a key and for a value, in two bytes.
    assert facts.token_bytes == 4 * 2 * 128 * 2
    assert facts.num_parameters == sum(int(np.prod(shape)) for shape in SHAPES.values())
    # What is made from it says so anew.
    write_level(source, tmp_path / "more.gguf", Level.F16, {"line": "c/d"}, threads=1)
    assert facts_of(tmp_path / "more.gguf").notes == {"line": "c/d"}


def test_infinite_weights_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "base.gguf", SHAPES, spoilt="blk.0.attn_q.weight")
    with pytest.raises(ExportError, match="tensor blk.0.attn_q.weight has numbers that Q8_0 cannot store"):
        write_level(source, tmp_path / "out.gguf", Level.Q8_0, {}, threads=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.gguf"]


def test_a_full_disk_is_named_and_leaves_nothing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("1024 requested and 0 written")  # as numpy says it, without a number

    monkeypatch.setattr("gguf.GGUFWriter.write_tensor_data", refuse)
    with pytest.raises(OSError, match="No space left on device") as raised:
        write_level(source, tmp_path / "out.gguf", Level.Q8_0, {}, threads=1)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "out.gguf"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.gguf"]


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF\x03\x00\x00\x00" + b"\xff" * 8, b"PK\x03\x04" * 100]
)
def test_what_is_no_gguf_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.gguf"
    file.write_bytes(content)
    with pytest.raises(ExportError, match="is no GGUF file that can be read"):
        facts_of(file)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="there is no file"):
        facts_of(tmp_path / "none.gguf")


def test_the_id_of_a_file_follows_its_content(tmp_path: Path, source: Path) -> None:
    first = file_id(source)
    source.write_bytes(source.read_bytes() + b"\0")
    assert file_id(source) != first
    assert write_gguf(tmp_path / "again.gguf", SHAPES) and file_id(tmp_path / "again.gguf") == first


def test_the_template_is_that_of_the_model(source: Path) -> None:
    assert GGUFReader(source).fields["tokenizer.chat_template"].contents() == TEMPLATE

"""GGUF files: what one says of itself, and a copy of it at another level.

Numbers are stored by ggml's own functions, which come with the runtime that will read them (`xllamacpp`);
which tensor gets which type is said in `mixture.py`. Weights are read and written a tensor at a time, so that
a model need not fit into memory.
"""

import ctypes
import errno
import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.disk.files import sync_dir
from engine.export.exported import ExportError
from engine.export.levels import Level
from engine.export.mixture import Architecture, Tensor, mixture

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader, GGUFWriter

NOTES = "ratchet."
"""How the keys begin under which a file says what it was made from."""
_PART = 4 << 20
"""Weights that a thread converts at once."""
_FILE_TYPES = {
    Level.F16: "MOSTLY_F16",
    Level.Q8_0: "MOSTLY_Q8_0",
    Level.Q6_K: "MOSTLY_Q6_K",
    Level.Q5_K_M: "MOSTLY_Q5_K_M",
    Level.Q4_K_M: "MOSTLY_Q4_K_M",
}
_REMEDY = "`pip install '.[gguf]'` at the root of the repository"


def require_runtime() -> None:
    """Raise ExportError unless the packages of the extra `gguf` are installed."""
    if find_spec("xllamacpp") is None:
        raise ExportError(f"GGUF files need llama.cpp: {_REMEDY} installs it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a GGUF file says of itself."""

    architecture: Architecture
    context: int
    """Tokens that the model was made for; 0 where the file does not say."""
    token_bytes: int
    """Bytes of the KV cache for one token, in 16 bit; 0 where the file does not say."""
    num_parameters: int
    tensors: tuple[Tensor, ...]
    has_template: bool
    notes: dict[str, str]
    """What Ratchet wrote into it, without `NOTES`."""


def facts_of(path: Path) -> Facts:
    """Read a file's metadata, without its weights. Raises ExportError for what is no GGUF file."""
    return _facts(_reader(path))


def file_id(path: Path) -> str:
    """The SHA-256 of a file; a file that is as it was when this process hashed it last is not read again."""
    at = path.stat()
    return _hash(path, at.st_ino, at.st_size, at.st_mtime_ns)


@lru_cache(maxsize=16)
def _hash(path: Path, *_: int) -> str:
    with path.open("rb") as reading:
        return hashlib.file_digest(reading, "sha256").hexdigest()


def write_level(
    source: Path, target: Path, level: Level, notes: Mapping[str, str], threads: int
) -> dict[str, str]:
    """Copy a GGUF file whose weights are in 16 or 32 bit at another level, with `notes` in its metadata.

    The target appears when it is whole. Returns the number type of each tensor. Raises ExportError for
    weights that the level cannot store, and OSError that names the target.
    """
    from gguf import GGUFWriter

    reader = _reader(source)
    facts = _facts(reader)
    kinds = mixture(facts.tensors, facts.architecture, level)
    temporary = target.with_name(f".{target.name}.tmp")
    writer = GGUFWriter(temporary, facts.architecture.name)
    writer.data_alignment = int(reader.alignment)
    try:
        _describe(reader, writer, level, notes)
        _announce(reader, writer, kinds)
        with ThreadPoolExecutor(threads) as pool:
            for tensor in reader.tensors:
                writer.write_tensor_data(_stored(tensor, kinds[tensor.name], pool))
        _finish(writer, temporary, target)
    except OSError as error:
        # numpy reports a full disk without the system's error number.
        number = error.errno or errno.ENOSPC
        raise OSError(number, os.strerror(number), str(target)) from error
    finally:
        with suppress(OSError):  # what it still holds does not fit on a full disk either
            writer.close()
        temporary.unlink(missing_ok=True)
    return kinds


def _reader(path: Path) -> "GGUFReader":
    from gguf import GGUFReader

    try:
        return GGUFReader(path)
    except FileNotFoundError:
        raise ExportError(f"there is no file {path}") from None
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ExportError(f"{path} is no GGUF file that can be read: {error}") from None


def _facts(reader: "GGUFReader") -> Facts:
    name = str(_value(reader, "general.architecture", "unknown"))

    def number(key: str) -> int:
        value = _value(reader, f"{name}.{key}", 0)
        # A list has a number for each layer.
        return max(value, default=0) if isinstance(value, list) else int(value)

    heads = number("attention.head_count")
    kv_heads = number("attention.head_count_kv") or heads
    width = number("embedding_length") // heads if heads else 0
    entry = (number("attention.key_length") or width) + (number("attention.value_length") or width)
    layers = number("block_count")
    return Facts(
        architecture=Architecture(
            name=name,
            num_layers=layers,
            num_experts=number("expert_count"),
            shares_heads=kv_heads != heads,
        ),
        context=number("context_length"),
        token_bytes=2 * layers * kv_heads * entry,
        num_parameters=sum(tensor.n_elements for tensor in reader.tensors),
        tensors=tuple(
            Tensor(tensor.name, tuple(int(extent) for extent in tensor.shape), tensor.tensor_type.name)
            for tensor in reader.tensors
        ),
        has_template="tokenizer.chat_template" in reader.fields,
        notes={
            key.removeprefix(NOTES): str(_value(reader, key, ""))
            for key in reader.fields
            if key.startswith(NOTES)
        },
    )


def _value(reader: "GGUFReader", key: str, default: Any) -> Any:
    field = reader.get_field(key)
    return default if field is None else field.contents()


def _describe(reader: "GGUFReader", writer: "GGUFWriter", level: Level, notes: Mapping[str, str]) -> None:
    """Copy the metadata, but for what says how numbers are stored."""
    from gguf import GGML_QUANT_VERSION, GGUFValueType, Keys, LlamaFileType

    anew = (Keys.General.ARCHITECTURE, Keys.General.FILE_TYPE, Keys.General.QUANTIZATION_VERSION)
    for key, field in reader.fields.items():
        # Names with GGUF. are the reader's own; the writer knows the architecture already.
        if not key.startswith(("GGUF.", NOTES)) and key not in anew:
            kind = field.types[0]
            inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), kind, sub_type=inner)
    writer.add_file_type(LlamaFileType[_FILE_TYPES[level]])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    for key, text in notes.items():
        writer.add_string(f"{NOTES}{key}", text)


def _announce(reader: "GGUFReader", writer: "GGUFWriter", kinds: Mapping[str, str]) -> None:
    """Write all that comes before the weights."""
    import numpy as np
    from gguf import GGMLQuantizationType, quant_shape_to_byte_shape

    for tensor in reader.tensors:
        kind = GGMLQuantizationType[kinds[tensor.name]]
        if kind == tensor.tensor_type:
            shape, dtype, size = tensor.data.shape, tensor.data.dtype, tensor.data.nbytes
        else:
            shape = quant_shape_to_byte_shape(_rows_first(tensor.shape), kind)
            dtype, size = np.dtype(np.uint8), int(np.prod(shape, dtype=np.int64))
        writer.add_tensor_info(tensor.name, shape, dtype, size, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()


def _rows_first(extents: Sequence[int]) -> tuple[int, ...]:
    """The shape of an array whose rows ggml lists first."""
    return tuple(int(extent) for extent in reversed(extents))


def _stored(tensor: Any, kind: str, pool: ThreadPoolExecutor) -> "np.ndarray":
    """A tensor's bytes as `kind` stores them. Raises ExportError for numbers that it cannot store."""
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    wanted, given = GGMLQuantizationType[kind], tensor.tensor_type
    if wanted == given:
        return tensor.data
    length = int(tensor.shape[0])
    block, size = GGML_QUANT_SIZES[wanted]
    rows = tensor.data.reshape(-1, tensor.data.shape[-1])
    stored = np.empty((len(rows), length // block * size), dtype=np.uint8)

    def convert(first: int) -> bool:
        last = min(first + step, len(rows))
        numbers = np.ascontiguousarray(dequantize(rows[first:last], given), dtype=np.float32)
        part = stored[first:last]
        ggml = _ggml()
        written = ggml.ggml_quantize_chunk(
            int(wanted), numbers.ctypes.data, part.ctypes.data, 0, last - first, length, None
        )
        return written == part.nbytes and ggml.ggml_validate_row_data(
            int(wanted), part.ctypes.data, part.nbytes
        )

    step = max(1, _PART // length)
    if not all(pool.map(convert, range(0, len(rows), step))):
        raise ExportError(f"tensor {tensor.name} has numbers that {kind} cannot store, such as infinite ones")
    return stored


def _finish(writer: "GGUFWriter", temporary: Path, target: Path) -> None:
    writer.close()
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    os.replace(temporary, target)
    sync_dir(target.parent)


@lru_cache(maxsize=1)
def _ggml() -> ctypes.CDLL:
    """The runtime's ggml, whose C functions (ggml.h) its compiled module exports. Raises ExportError."""
    from xllamacpp import xllamacpp as compiled

    library = ctypes.CDLL(compiled.__file__)
    try:
        chunk, valid = library.ggml_quantize_chunk, library.ggml_validate_row_data
    except AttributeError:
        raise ExportError(
            f"the installed xllamacpp does not export ggml_quantize_chunk: {_REMEDY} installs the version "
            "that does"
        ) from None
    chunk.restype = ctypes.c_size_t
    chunk.argtypes = [
        ctypes.c_int,  # type
        ctypes.c_void_p,  # numbers, as float
        ctypes.c_void_p,  # where they are stored
        ctypes.c_int64,  # first number
        ctypes.c_int64,  # rows
        ctypes.c_int64,  # numbers of a row
        ctypes.c_void_p,  # importance of each number of a row, or null
    ]
    valid.restype = ctypes.c_bool
    valid.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    return library

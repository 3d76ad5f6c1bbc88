"""Models as content: what a model's id is, and how a model directory is checked.

A model is a directory of safetensors and JSON. Its id is a hash over the tensors as run and
everything else that decides an answer (tokenizer, chat template, configs), so two directories
with one id answer alike, and a changed byte makes another model.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import Mistake

_DEFINING_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
)
ALLOWED_SUFFIXES = (".safetensors", ".json", ".txt", ".model", ".jinja", ".md")
"""Files that a model may consist of: weights, tokenizer, templates; nothing that must be unpickled."""
WEIGHTS = ".safetensors"
_DTYPE_BYTES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}


class ModelError(Mistake):
    """The model cannot be used; the message names the directory and the reason."""


class Tensor(NamedTuple):
    """A tensor as a safetensors header declares it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    size: int


def tensors(model: Path) -> list[Tensor]:
    """The tensors that the safetensors headers declare, checked against the files' sizes. Raises ModelError.

    The headers come from outside and are therefore read by hand: nothing is loaded before it is known to be
    whole.
    """
    found: list[Tensor] = []
    files = sorted(model.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{model} holds no model: no .safetensors file in it")
    for file in files:
        try:
            size = file.stat().st_size
            with open(file, "rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                if not 0 < length <= min(size - 8, 100 << 20):
                    raise ValueError("its header is cut")
                header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            for name, entry in header.items():
                begin, end = entry["data_offsets"]
                count = 1
                for extent in entry["shape"]:
                    count *= extent
                if entry["dtype"] not in _DTYPE_BYTES:
                    raise ValueError(f"tensor {name} has the unknown type {entry['dtype']}")
                if (
                    not 0 <= begin <= end <= size - 8 - length
                    or end - begin != count * _DTYPE_BYTES[entry["dtype"]]
                ):
                    raise ValueError(f"tensor {name} does not fit the file")
                shape = tuple(entry["shape"])
                found.append(Tensor(name, entry["dtype"], shape, file, 8 + length + begin, end - begin))
        except OSError as error:
            raise ModelError(f"{file} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ModelError(f"{file} is corrupt: {error}") from None
        except (KeyError, TypeError, AttributeError, RecursionError):
            raise ModelError(f"{file} is corrupt: its header is not a table of tensors") from None
    if len({tensor.name for tensor in found}) != len(found):
        raise ModelError(f"{model} is corrupt: a tensor is stored twice")
    return sorted(found)


FilesState = tuple[tuple[Path, int, int, int], ...]
"""For each file its path, inode, size in bytes and time of change in nanoseconds."""
_ids: dict[FilesState, str] = {}


def files_state(model: Path) -> FilesState:
    """The state of a model's files, without reading them; empty where there are none."""
    files = sorted(path for path in model.iterdir() if path.is_file()) if model.is_dir() else []
    return tuple((path, (at := path.stat()).st_ino, at.st_size, at.st_mtime_ns) for path in files)


def model_id(model: Path) -> str:
    """Hash over every tensor (name, dtype, shape, bytes) and every file that decides an answer.

    16 hex digits, independent of how tensors are spread over files. A directory whose files are as they were
    when this process hashed them last is not read again. Raises ModelError.
    """
    state = files_state(model)
    if state and state in _ids:
        return _ids[state]
    digest = hashlib.sha256()
    for tensor in tensors(model):
        digest.update(f"{tensor.name}|{tensor.dtype}|{tensor.shape}|".encode())
        for chunk in _read(tensor):
            digest.update(chunk)
    for name in _DEFINING_FILES:
        if (file := model / name).exists():
            digest.update(f"|{name}|".encode() + _canonical(file))
    _ids[state] = digest.hexdigest()[:16]
    return _ids[state]


def _read(tensor: Tensor) -> Iterator[bytes]:
    with open(tensor.file, "rb") as stream:
        stream.seek(tensor.offset)
        left = tensor.size
        while left:
            chunk = stream.read(min(left, 16 << 20))
            left -= len(chunk)
            yield chunk


def _canonical(file: Path) -> bytes:
    """JSON with sorted keys and without what only records who saved it."""
    if file.suffix != ".json":
        return file.read_bytes()
    content = _json(file)
    for key in ("transformers_version", "_name_or_path", "name_or_path"):
        content.pop(key, None)
    return json.dumps(content, sort_keys=True).encode()


def _json(file: Path) -> dict[str, Any]:
    """A file that must hold a JSON object. Raises ModelError."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is corrupt: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{file} is corrupt: it does not hold a JSON object")
    return content


def check_model(model: Path) -> None:
    """Refuse a model that could not be sampled from or trained, before anything starts. Raises ModelError."""
    if not model.is_dir():
        raise ModelError(f"model directory {model} does not exist")
    config, tokenizer = model / "config.json", model / "tokenizer_config.json"
    if not config.exists():
        raise ModelError(f"{model} holds no model: config.json is missing")
    if "auto_map" in _json(config):
        raise ModelError(f"{config} asks for code of its own (auto_map), which Ratchet never runs")
    tensors(model)
    if not (model / "tokenizer.json").exists() or not tokenizer.exists():
        raise ModelError(f"{model} has no tokenizer: tokenizer.json and tokenizer_config.json are needed")
    _json(model / "tokenizer.json")
    template = _json(tokenizer).get("chat_template")
    if not template and not (model / "chat_template.jinja").exists():
        raise ModelError(
            f"{model} has no chat template; use an instruction-tuned base or add chat_template.jinja"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model's content hash and the directory that holds it."""

    id: str
    path: Path

    @staticmethod
    def of(path: Path) -> "Model":
        """The model in a directory. Raises ModelError."""
        return Model(id=model_id(path), path=path)

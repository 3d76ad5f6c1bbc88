"""Models as content: what files a model is made of, and what its id is.

A model is a directory of safetensors and JSON. Its id is a hash over the tensors as run and
everything else that decides an answer (tokenizer, chat template, configs), so two directories
with one id answer alike, and a changed byte makes another model. `check.py` says whether it can be used.
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
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
"""Where transformers and vLLM look for the weights of a model in shards, and of a whole one."""
_POINTER = b"version https://git-lfs.github.com/spec/"
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


def weight_files(model: Path) -> list[Path]:
    """The files that hold a model's weights: those of its index, else model.safetensors, else all there are.

    Others beside them, such as a whole model beside its shards, are no part of the model. Raises ModelError
    for an index that is damaged or names a file that is missing.
    """
    if held := _indexed(model):
        return sorted({model / name for name in held.values()})
    single = model / SINGLE
    return [single] if single.exists() else sorted(model.glob(f"*{WEIGHTS}"))


def _indexed(model: Path) -> dict[str, str]:
    """By a tensor's name the file that holds it, as the index says; empty where there is no index."""
    index = model / INDEX
    if not index.exists():
        return {}
    held = read_json(index).get("weight_map")
    if not isinstance(held, dict) or not all(isinstance(name, str) for name in held.values()) or not held:
        raise ModelError(f"{index} is corrupt: its weight_map does not say which file holds a tensor")
    names = sorted(set(held.values()))
    if strange := [name for name in names if Path(name).name != name]:
        raise ModelError(f"{index} is corrupt: {strange[0]} is not the name of a file beside it")
    if missing := [name for name in names if not (model / name).exists()]:
        more = f", and {len(missing) - 1} more" if missing[1:] else ""
        raise ModelError(f"{model / missing[0]} is missing{more}: {INDEX} names it, so fetch it again")
    return held


def tensors(model: Path) -> list[Tensor]:
    """The tensors that the safetensors headers declare, checked against the files' sizes. Raises ModelError.

    The headers come from outside and are therefore read by hand: nothing is loaded before it is known to be
    whole.
    """
    files = weight_files(model)
    if not files:
        raise ModelError(f"{model} holds no model: no .safetensors file in it")
    found = [tensor for file in files for tensor in _declared(file)]
    names = {tensor.name for tensor in found}
    if len(names) != len(found):
        raise ModelError(f"{model} is corrupt: a tensor is stored twice")
    if lost := sorted(_indexed(model).keys() - names):
        raise ModelError(f"{model} is corrupt: no file of it holds the tensor {lost[0]}, which {INDEX} names")
    return sorted(found)


def _declared(file: Path) -> list[Tensor]:
    """The tensors in the header of one file."""
    refuse_pointer(file)
    found = []
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
    return found


def refuse_pointer(file: Path) -> None:
    """Raise ModelError where git-lfs has left a pointer in the place of a file, or it cannot be read."""
    try:
        with open(file, "rb") as stream:
            head = stream.read(len(_POINTER))
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}") from None
    if head == _POINTER:
        raise ModelError(f"{file} is a git-lfs pointer and not the file itself: `git lfs pull` fetches it")


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
    content = read_json(file)
    for key in ("transformers_version", "_name_or_path", "name_or_path"):
        content.pop(key, None)
    return json.dumps(content, sort_keys=True).encode()


def read_json(file: Path) -> dict[str, Any]:
    """A file of a model that must hold a JSON object. Raises ModelError."""
    refuse_pointer(file)
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is corrupt: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{file} is corrupt: it does not hold a JSON object")
    return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model's content hash and the directory that holds it."""

    id: str
    path: Path

    @staticmethod
    def of(path: Path) -> "Model":
        """The model in a directory. Raises ModelError."""
        return Model(id=model_id(path), path=path)

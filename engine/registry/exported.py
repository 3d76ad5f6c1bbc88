"""What was exported of a model: where to, and what its files were shown to be.

    registry/exports/<model id>.jsonl   one export a line

A file answers under its own hash, wherever it is served, and is its model all the same.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from engine.disk.journal import append_shared
from engine.disk.jsonl import objects
from engine.records import fault_in, from_json, to_json
from engine.registry.store import RegistryError


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedAs:
    """A file that was made of a model."""

    name: str
    version: str
    """Under which it answers where it is served."""
    verdict: str
    """What judging it again showed, in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One export of a model."""

    model_id: str
    created: str
    """UTC, ISO 8601."""
    format: str
    place: str
    """Directory that it was made in."""
    files: tuple[ExportedAs, ...] = ()
    """None for a folder, which is the model itself."""


def keep_export(home: Path, export: Export) -> None:
    """Keep that a model was exported. Raises OSError that names the file."""
    append_shared(_file(home, export.model_id), [json.loads(to_json(export))])


def exports_of(home: Path, model_id: str) -> tuple[Export, ...]:
    """What was exported of a model, the oldest first. Raises RegistryError, and RowError of a line."""
    file = _file(home, model_id)
    try:
        return tuple(from_json(Export, json.dumps(row)) for row in objects(file, growing=True))
    except ValidationError as error:
        raise RegistryError(
            f"the exports of model {model_id} are damaged: {file}: {fault_in(error)}"
        ) from None


def versions_of(home: Path, models: Iterable[str]) -> set[str]:
    """Under which versions the files answer that were made of some models. Raises as `exports_of` does."""
    return {file.version for model in models for each in exports_of(home, model) for file in each.files}


def _file(home: Path, model_id: str) -> Path:
    return home / "registry" / "exports" / f"{model_id}.jsonl"

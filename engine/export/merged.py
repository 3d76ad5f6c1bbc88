"""Export as a folder: weights, tokenizer and chat template as the gate judged them, with a model card.

The folder is not judged again: it is the registry's content byte for byte, and is hashed to show it.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from engine.disk.environment import code_version
from engine.export.card import card_of, past_of
from engine.export.exported import CARD, Exported, ExportError, keep_exported, write_exported
from engine.export.levels import Form
from engine.export.place import finish, place_for
from engine.models.identity import model_id
from engine.registry.locate import model_dir_of
from engine.registry.registry import Registry
from engine.registry.store import MANIFEST


def stored_id(home: Path, name: str) -> tuple[str, str]:
    """The id of a model in the registry, and its line where it is named by one (its champion).

    Raises LocateError for a name that fits none, RegistryError for a model whose weights were freed, and
    ExportError for one outside of the registry, of which no lineage is known.
    """
    registry = Registry(home)
    path = model_dir_of(home, name)
    if not registry.holds(path):
        raise ExportError(
            f"{name} is not in the registry: `ratchet export` takes a line, or the beginning of a model's id"
        )
    is_line = any(line.name == name for line in registry.lines())
    return path.name, name if is_line else ""


def export_folder(home: Path, to: Path, model: str, line: str) -> Exported:
    """Copy a stored model to a new directory, with its card.

    Raises RegistryError for a damaged model, ExportError, and OSError that names the file on a full disk.
    """
    registry = Registry(home)
    manifest = registry.verify(model)
    exported = Exported(
        format=Form.HF,
        line=line,
        model_id=model,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=code_version(),
    )

    def fill(folder: Path) -> None:
        for name in (*(entry.path for entry in manifest.files), MANIFEST):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(registry.path(model) / name, folder / name)
        if (found := model_id(folder)) != model:
            raise ExportError(f"the copy of model {model} hashes to {found}: the disk under {to} is damaged")
        (folder / CARD).write_text(card_of(exported, past_of(home, model)), encoding="utf-8")
        write_exported(folder, exported)
        keep_exported(home, to, exported)

    with place_for(to, f"hf {model}") as place:
        finish(place, to, fill)
    return exported


def _copy(source: Path, target: Path) -> None:
    """Copy a file. Raises OSError that names the copy."""
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        error.filename, error.filename2 = str(target), None
        raise

"""Resolves the name of a model on the command line to a directory."""

from pathlib import Path

from engine.disk.home import LocateError, require_named
from engine.models.base import fetch_embedded
from engine.models.view import view_of
from engine.registry.registry import Registry


def model_dir_of(home: Path, name: str) -> Path:
    """Find a model's directory by `embedded`, a path, a line (its champion), or the start of a model id.

    Raises LocateError, engine.registry.store.RegistryError if the model's weights were freed, and
    engine.models.identity.ModelError for a directory that cannot be used.
    """
    require_named(name, "model", "`embedded`, a directory, a line or the beginning of a model id")
    if name == "embedded":
        return fetch_embedded(home)
    if Path(name).is_dir():
        return view_of(Path(name).resolve(), home)
    registry = Registry(home)
    for line in registry.lines():
        if line.name == name and line.champion:
            return registry.path(line.champion)
    found = [stored.manifest.model_id for stored in registry.models()]
    found = [model_id for model_id in found if model_id.startswith(name)]
    if len(found) == 1:
        return registry.path(found[0])
    raise LocateError(
        f"model {name} must be `embedded`, a directory, a line or the beginning of one model id, "
        f"but it fits {len(found)} of these: see `ratchet models`"
    )

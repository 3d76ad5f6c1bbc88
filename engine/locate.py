"""What people call a run or a model on the command line, to its directory."""

from pathlib import Path

from engine.models import fetch_embedded
from engine.registry import Registry


class LocateError(ValueError):
    """A name that means nothing here; the message tells what there is."""


def run_dir_of(home: Path, name: str) -> Path:
    """Directory of a run: its id, `latest`, or a path. Raises LocateError."""
    _require(name, "run", "its id, `latest` or a directory")
    for candidate in (home / "runs" / name, Path(name)):
        if (candidate / "config.yaml").is_file():
            return candidate.resolve()
    found = [path.parent for path in (home / "runs").glob("*/config.yaml")]
    runs = sorted(path.name for path in found if not path.is_symlink())
    known = f"the newest are {', '.join(runs[-5:])}" if runs else "there is none yet"
    raise LocateError(f"no run {name} in {home / 'runs'}: {known}")


def model_dir_of(home: Path, name: str) -> Path:
    """Directory of a model: `embedded`, a path, a line (its champion), or the beginning of a model id.

    Raises LocateError, or engine.store.RegistryError where its weights were freed.
    """
    _require(name, "model", "`embedded`, a directory, a line or the beginning of a model id")
    if name == "embedded":
        return fetch_embedded(home)
    if Path(name).is_dir():
        return Path(name).resolve()
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


def _require(name: str, what: str, allowed: str) -> None:
    # As a path an empty name is the working directory, which nobody meant.
    if not name:
        raise LocateError(f"the name of a {what} is empty, allowed is {allowed}")

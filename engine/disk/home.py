"""Where everything lives: RATCHET_HOME, and the directory of a run in it."""

import os
from datetime import UTC, datetime
from pathlib import Path

from engine.disk.storage import StorageError, require_directory
from engine.errors import Mistake


def inside_job() -> bool:
    """Whether a cluster is there to be joined, as inside `ray job submit`."""
    return bool(os.environ.get("RAY_ADDRESS"))


def named_home() -> Path:
    """The directory that RATCHET_HOME names, by default `./.ratchet`, whether it is usable or not."""
    return Path(os.environ.get("RATCHET_HOME") or ".ratchet").absolute()


def ratchet_home() -> Path:
    """RATCHET_HOME, by default `./.ratchet`: models, runs and registry.

    Raises StorageError for a URL, and inside a job where it is unset or in the working directory, which is a
    temporary copy there: what a run leaves would be lost.
    """
    require_directory(os.environ.get("RATCHET_HOME", ""))
    path = named_home()
    if inside_job():
        if not os.environ.get("RATCHET_HOME"):
            raise StorageError(
                "inside a Ray job RATCHET_HOME must be set, to a directory that every node sees"
            )
        if path.resolve().is_relative_to(Path.cwd().resolve()):
            raise StorageError(
                f"inside a Ray job RATCHET_HOME must lie outside the working directory, which is a temporary "
                f"copy; got {path}"
            )
    return path


class LocateError(Mistake):
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


def _require(name: str, what: str, allowed: str) -> None:
    # As a path an empty name is the working directory, which nobody meant.
    if not name:
        raise LocateError(f"the name of a {what} is empty, allowed is {allowed}")


def new_run_id(name: str) -> str:
    """A run id made of the UTC time and a config's name."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}"


def point_latest(path: Path) -> None:
    """Let `runs/latest` point to a run, atomically."""
    link = path.parent / "latest"
    temporary = path.parent / f".latest.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path.name)
    os.replace(temporary, link)

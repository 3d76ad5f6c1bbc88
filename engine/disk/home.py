"""Where everything lives: RATCHET_HOME, and the directory of a run in it."""

import json
import os
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from engine.disk.storage import StorageError, require_directory
from engine.errors import Mistake

T = TypeVar("T")
_PLACES = ("path", "report")
"""Fields of records that name a file or directory in the run that they belong to."""


def inside_job() -> bool:
    """Whether a cluster is there to be joined, as inside `ray job submit`."""
    return bool(os.environ.get("RAY_ADDRESS"))


def said_home() -> str:
    """What RATCHET_HOME says, with `~` as a shell reads it; empty where it says nothing.

    A file of environment variables is read by no shell: there `~` stays, and a name may have an empty value.
    """
    return os.path.expanduser(os.environ.get("RATCHET_HOME", "").strip())


def named_home() -> Path:
    """The directory that RATCHET_HOME names, by default `./.ratchet`, whether it is usable or not."""
    return Path(said_home() or ".ratchet").absolute()


def ratchet_home() -> Path:
    """RATCHET_HOME, by default `./.ratchet`: models, runs and registry.

    It need not exist yet. Raises StorageError for a URL, for the `~` of an unknown user and for what is no
    directory, and inside a job where it is unset or in the working directory, which is a temporary copy
    there: what a run leaves would be lost.
    """
    require_directory(said_home())
    path = named_home()
    there = next(place for place in (path, *path.parents) if os.path.exists(place))
    if not os.path.isdir(there):
        raise StorageError(f"RATCHET_HOME must be a directory, got {path}: {there} is none")
    if inside_job():
        if not said_home():
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
    require_named(name, "run", "its id, `latest` or a directory")
    for candidate in (home / "runs" / name, Path(name)):
        if (candidate / "config.yaml").is_file():
            return candidate.resolve()
    found = [path.parent for path in (home / "runs").glob("*/config.yaml")]
    runs = sorted(path.name for path in found if not path.is_symlink())
    known = f"the newest are {', '.join(runs[-5:])}" if runs else "there is none yet"
    raise LocateError(f"no run {name} in {home / 'runs'}: {known}")


def require_named(name: str, what: str, allowed: str) -> None:
    """Refuse an empty name: as a path it is the working directory, which nobody meant. Raises LocateError."""
    if not name:
        raise LocateError(f"the name of a {what} is empty, allowed is {allowed}")


def home_of(run: Path) -> Path | None:
    """RATCHET_HOME of a run's directory: what holds the `runs/` that it is in; None where it is in none."""
    return next((above.parent for above in run.parents if above.name == "runs"), None)


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


def place_kept(home: Path) -> str:
    """The current directory as a run in `home` keeps it, because its config names paths from there.

    Where `home` lies in it, it is kept relative to `home`, so that both may be moved together.
    """
    here, at = Path.cwd(), home.resolve()
    return os.path.relpath(here, at) if at.is_relative_to(here) else str(here)


def enter_place(run: Path, home: Path) -> None:
    """Go to the directory in which a run was begun; stay where that is not known, or is gone.

    RATCHET_HOME stays the same. Inside a job the current directory is a copy of that one.
    """
    try:
        kept = json.loads((run / "environment.json").read_bytes())
        place = (home.resolve() / kept["working_dir"]).resolve()
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not inside_job() and place != Path.cwd():
        with suppress(OSError):
            os.chdir(place)
            os.environ["RATCHET_HOME"] = str(home)


def placed(record: T, run: Path) -> T:
    """A run's record, with what it names of the run where that is now: RATCHET_HOME may have been moved."""
    place = f"{run.as_posix()}/"
    inside = place[max(place.rfind("/runs/"), 0) :]
    named = {name: getattr(record, name, None) for name in _PLACES}
    now = {
        name: str(run / old.rpartition(inside)[2])
        for name, old in named.items()
        if isinstance(old, str) and inside in old
    }
    return replace(record, **now) if now else record  # type: ignore[type-var]  # a record is a dataclass

"""Where an export is made: a directory beside its place, which becomes it by one rename.

What was finished before an interruption is found again by the next call that asks for the same, as by a
campaign that is resumed. A call that asks for something else begins anew.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from engine.disk.files import make_dirs, replace_file, sync_dir
from engine.disk.interruption import fault_point
from engine.disk.shared import made_once
from engine.export.exported import ExportError

T = TypeVar("T")
_ASKED = "asked.json"
_WORK = "work"


class Place:
    """The directory of one export while it is made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.work = folder / _WORK
        """For what is kept until the export is whole, and is no part of it."""

    def file(self, name: str, make: Callable[[Path], object]) -> Path:
        """A file that `make` writes whole or not at all, unless an earlier call already has."""
        path = self.work / name
        if not path.exists():
            fault_point(f"export/{name}", "before")
            make(path)
            fault_point(f"export/{name}", "after")
        return path

    def records(self, name: str, cls: type[T], make: Callable[[], Sequence[T]]) -> list[T]:
        """Records that `make` returns, unless an earlier call has kept them."""
        fault_point(f"export/{name}", "before")
        kept = made_once(self.work / name, cls, make)
        fault_point(f"export/{name}", "after")
        return kept


@contextmanager
def place_for(to: Path, asked: str) -> Iterator[Place]:
    """Hold the directory that will become `to`; `asked` says what for, and is compared with earlier calls.

    Raises ExportError where `to` exists, where it cannot be made, and where another process is making it.
    """
    require_new(to)
    folder = to.with_name(f".{to.name}.partial")
    try:
        make_dirs(folder)
    except OSError as error:
        raise ExportError(f"--to {to} cannot be made: {error.strerror}") from None
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportError(f"another process is exporting to {to}") from None
        place = Place(folder)
        _begin(folder, place.work, asked)
        yield place
    finally:
        os.close(handle)


def require_new(to: Path) -> None:
    """Raise ExportError where something is at `to` already."""
    if os.path.lexists(to):
        raise ExportError(f"--to never overwrites, but {to} exists: name another directory, or remove it")


def finish(place: Place, to: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` put the export together in an empty directory, and move that to its place."""
    staged = place.work / "export"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    fill(staged)
    for file in staged.rglob("*"):
        if file.is_file():
            _sync(file)
    sync_dir(staged)
    fault_point("export/finish", "inside")
    require_new(to)
    os.rename(staged, to)
    sync_dir(to.parent)
    shutil.rmtree(place.work.parent, ignore_errors=True)


def put(source: Path, target: Path) -> None:
    """Put a file of the work into the export without copying it, so that both may be there."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        shutil.copyfile(source, target)


def _begin(folder: Path, work: Path, asked: str) -> None:
    """Keep what an earlier call for the same has left, and clear away that of any other."""
    said = folder / _ASKED
    if not said.exists() or said.read_text(encoding="utf-8") != asked:
        shutil.rmtree(work, ignore_errors=True)
        replace_file(said, asked.encode())
    work.mkdir(exist_ok=True)


def _sync(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

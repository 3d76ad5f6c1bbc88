"""What runs and the registry rely on of a disk, and whether a directory gives it.

A commit is a file renamed over another, a journal grows at its end, and a lock has one holder, on whichever
machine. An object store does none of it, nor do most of the drivers that show one as a directory.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.disk.files import make_dirs, replace_file
from engine.disk.journal import append_line
from engine.disk.jsonl import objects
from engine.errors import Mistake


class StorageError(Mistake):
    """A place where a kill could leave half a champion, or two drivers change one run."""


def require_directory(place: str) -> None:
    """Raises StorageError for the URL of a bucket, and for a `~` that stands for no known directory."""
    if place.startswith("~"):
        raise StorageError(
            f"RATCHET_HOME must be a directory, got {place}: what ~ stands for is not known here; write the "
            "whole path"
        )
    if "://" in place:
        raise StorageError(
            f"RATCHET_HOME must be a directory, got {place}: an object store renames nothing as a whole, "
            "appends to no file and locks none, so that a kill could leave half a champion and two drivers "
            "could change one run; use a disk, or one that all nodes mount, and copy what is finished to a "
            "bucket from there"
        )


@contextmanager
def probe(home: Path) -> Iterator[Path]:
    """A directory below `home` for trying, gone when the context ends."""
    make_dirs(home)
    at = Path(tempfile.mkdtemp(prefix=".probe-", dir=home))
    try:
        yield at
    finally:
        shutil.rmtree(at, ignore_errors=True)


def require_storage(home: Path) -> None:
    """Try everything once: milliseconds on a disk. Raises StorageError that names what does not hold."""
    with probe(home) as at:
        for promise, holds in _PROMISES.items():
            try:
                held, why = holds(at), ""
            except OSError as error:
                held, why = False, f" ({error.strerror})"
            if not held:
                raise StorageError(
                    f"RATCHET_HOME {home} does not {promise}{why}, which runs and the registry rely on: use "
                    "a disk, or one that all nodes mount, such as NFS 4 or Lustre"
                )


def _replaces(at: Path) -> bool:
    for content in (b"old", b"new"):
        replace_file(at / "file", content)
    return (at / "file").read_bytes() == b"new"


def _renames_directories(at: Path) -> bool:
    (at / "staged").mkdir()
    (at / "staged" / "inner").write_bytes(b"1")
    os.rename(at / "staged", at / "stored")
    return (at / "stored" / "inner").read_bytes() == b"1" and not (at / "staged").exists()


def _appends(at: Path) -> bool:
    for number in range(2):
        append_line(at / "journal", {"n": number})
    return [line["n"] for line in objects(at / "journal")] == [0, 1]


def _creates_once(at: Path) -> bool:
    for _ in range(2):
        try:
            os.close(os.open(at / "once", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return True
    return False


def _links(at: Path) -> bool:
    (at / "link").symlink_to("file")
    return (at / "link").read_bytes() == b"new"


def _locks(at: Path) -> bool:
    with open(at / "lock", "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return is_locked(at / "lock")


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock."""
    with open(path, "a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


_PROMISES: dict[str, Callable[[Path], bool]] = {
    "rename a file over another": _replaces,
    "rename a directory": _renames_directories,
    "append to files": _appends,
    "create a file once only": _creates_once,
    "keep symbolic links": _links,
    "lock files": _locks,
}

"""Durable writes: a file is replaced whole or not at all, and a rename survives a power cut."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync_dir(path: Path) -> None:
    """Make renames inside a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_dirs(path: Path) -> None:
    """Make a directory and its parents, each new one for its owner alone (mode 0700) and durable."""
    for each in (*reversed(path.parents), path):
        if not each.exists():
            try:
                each.mkdir(mode=0o700, exist_ok=True)
            except (FileNotFoundError, FileExistsError):
                # As in /proc, and below a link to nothing.
                raise NotADirectoryError(errno.ENOTDIR, "no directory can be made there", str(each)) from None
            sync_dir(each.parent)


def write_all(path: Path, data: bytes, flags: int) -> None:
    """Write `data` and sync it; a new file is mode 0600. `flags` are those of os.open besides O_WRONLY.

    Raises OSError that names the file, which is then cut back to where the writing began.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
    size = os.fstat(handle).st_size
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    except OSError as error:
        os.ftruncate(handle, size)
        error.filename = str(path)
        raise
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file atomically and durably: readers see the old content or the new, never a part.

    Raises OSError that names the file, as where the disk is full; the old content then stays.
    """
    temporary = _temporary(path)
    try:
        write_all(temporary, data, os.O_TRUNC)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        error.filename = str(path)
        raise
    sync_dir(path.parent)


def require_replaceable(path: Path) -> None:
    """Raise the OSError that `replace_file` would raise for a file now, and leave nothing behind."""
    temporary = _temporary(path)
    write_all(temporary, b"", os.O_TRUNC)
    temporary.unlink()


def _temporary(path: Path) -> Path:
    """The name under which a file is written until it is whole."""
    return path.with_name(f".{path.name}.tmp")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock against other processes, and make the folder where it is missing."""
    make_dirs(folder)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

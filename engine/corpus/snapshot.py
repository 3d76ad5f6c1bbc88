"""The directory of a snapshot: held by one process, replaced as a whole, and asked what it held before.

A snapshot is made beside its directory and takes its place by two renames. After a kill between them the next
call puts back what was there.
"""

import fcntl
import filecmp
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.corpus.parts import NO_SPLIT
from engine.corpus.sets import Sets
from engine.corpus.shelf import Assigned, Shelf
from engine.corpus.stations import Curated, CurationError
from engine.disk.files import make_dirs, replace_file, sync_dir
from engine.disk.interruption import fault_point
from engine.errors import Mistake

PARTS = ".parts"
"""In the directory: what the next call need not do again."""
JUDGED = "judged.jsonl"
"""In the directory: what a judge has answered."""
_SNAPSHOT, _ASSIGNED = "snapshot.json", "splits.npz"


class Before(NamedTuple):
    """The snapshot that a directory holds."""

    id: str
    """Empty where it holds none."""
    assigned: Assigned


@contextmanager
def held(directory: Path) -> Iterator[Path]:
    """Where the next snapshot of `directory` is made, by one process at a time.

    Parts that an interrupted call has made are there again. Raises CurationError where another process is at
    it, and where `directory` holds something else than a snapshot.
    """
    _require_ours(directory)
    staging = directory.with_name(f".{directory.name}.new")
    make_dirs(staging / PARTS)
    handle = os.open(staging, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CurationError(f"{directory} is being curated by another process") from None
        # Since it was opened, it may have become the directory itself.
        if not _is_still(staging, handle):
            raise CurationError(f"{directory} was curated by another process just now: run the command again")
        _recover(directory)
        try:
            yield staging
        except Mistake:
            # With other files or settings nothing of it would be used, but for what a judge has answered now.
            if not _is_new(staging / JUDGED, directory / JUDGED):
                shutil.rmtree(staging, ignore_errors=True)
            raise
        finally:
            # Where it became the directory, another process may have made its own by now.
            if _is_still(staging, handle):
                with suppress(OSError):  # what was made stays for the next call
                    (staging / PARTS).rmdir()
                    staging.rmdir()
    finally:
        os.close(handle)


def _is_new(file: Path, before: Path) -> bool:
    """Whether a file holds something else than the one before."""
    return file.exists() and not (before.exists() and filecmp.cmp(file, before, shallow=False))


def _is_still(path: Path, handle: int) -> bool:
    """Whether a path names the directory that was opened by it."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(handle))
    return False


def _require_ours(directory: Path) -> None:
    if os.path.ismount(directory):
        raise CurationError(f"{directory} is a mount point, which cannot be replaced: name a directory in it")
    is_other = directory.exists() and not (directory / _SNAPSHOT).is_file()
    if is_other and (not directory.is_dir() or any(directory.iterdir())):
        raise CurationError(f"{directory} holds something else than curated files: choose another --out")


def _old(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.old")


def _recover(directory: Path) -> None:
    """Undo an exchange that was interrupted."""
    if (old := _old(directory)).exists():
        if directory.exists():
            shutil.rmtree(old)
        else:
            os.rename(old, directory)


def put_in_place(staging: Path, directory: Path) -> None:
    """Let a snapshot that is whole take the place of the one before."""
    old = _old(directory)
    if directory.exists():
        os.rename(directory, old)
    fault_point("curate/exchange", "inside")
    os.rename(staging, directory)
    sync_dir(directory.parent)
    shutil.rmtree(old, ignore_errors=True)


def before_of(directory: Path) -> Before:
    """The snapshot of a directory. Raises CurationError for one that is damaged."""
    if not (directory / _SNAPSHOT).is_file():
        return Before("", Assigned.none())
    try:
        described = json.loads((directory / _SNAPSHOT).read_bytes())
        packed = (directory / _ASSIGNED).read_bytes()
        if sha256(packed).hexdigest() != described["files"][_ASSIGNED]:
            raise ValueError(f"{_ASSIGNED} was changed")
        with np.load(BytesIO(packed)) as columns:
            keys, splits = columns["keys"], columns["splits"]
            # Earlier directories say neither what was asked nor what is gone.
            asked = columns["asked"] if "asked" in columns else np.zeros(len(keys), np.uint64)
            there = columns["there"] if "there" in columns else np.ones(len(keys), bool)
        return Before(described["id"], Assigned(keys, splits, asked, there))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CurationError(
            f"{directory} is damaged, so that its examples cannot be kept in their sets ({error}): restore "
            "it, or choose another --out"
        ) from None


def write_snapshot(
    staging: Path, shelf: Shelf, splits: np.ndarray, before: Assigned, sets: Sets, curated: Curated
) -> None:
    """Write which example is or was in which set, and then what the directory is made of."""
    ranks = np.flatnonzero(splits != NO_SPLIT)
    now = Assigned(shelf.keys[ranks], splits[ranks], shelf.asked[ranks], np.ones(len(ranks), bool))
    known = [np.concatenate(each) for each in zip(now, before.without(now.keys), strict=True)]
    order = np.argsort(known[0])
    columns = BytesIO()
    np.savez(columns, **Assigned(*(column[order] for column in known))._asdict())
    replace_file(staging / _ASSIGNED, columns.getvalue())
    content = {
        "id": curated.snapshot,
        "before": curated.before,
        "sources": [asdict(source) for source in curated.sources],
        "settings": curated.settings,
        "splits": curated.splits,
        "files": {**sets.hashes, _ASSIGNED: sha256(columns.getvalue()).hexdigest()},
    }
    replace_file(staging / _SNAPSHOT, json.dumps(content, indent=1).encode())

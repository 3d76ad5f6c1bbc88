"""Files of JSON lines that grow: a line is whole or, after a crash, not there. `jsonl.objects` reads them."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.disk.files import locked, write_all


def append_line(path: Path, entry: dict[str, Any]) -> None:
    """Add one line and sync it."""
    write_all(path, json.dumps(entry).encode() + b"\n", os.O_APPEND)


def append_shared(path: Path, entries: Iterable[dict[str, Any]], most_bytes: int | None = None) -> bool:
    """Add lines to a file that several processes write, all in one go, and sync them.

    The file is made where it is missing, and what a killed process left of its last line is cut off before.
    Returns False, with nothing written, where the file would be larger than `most_bytes`. Raises OSError that
    names the file, which is then as before.
    """
    added = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
    with locked(path.parent):
        if path.exists() and not _ends_whole(path):
            drop_torn_line(path)
        size = path.stat().st_size if path.exists() else 0
        if most_bytes is not None and size + len(added) > most_bytes:
            return False
        write_all(path, added, os.O_APPEND)
        return True


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        if not stream.tell():
            return True
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a crash left unfinished, so that the next one does not continue it."""
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        # In place, because that needs no space where the disk is full.
        os.truncate(path, whole)

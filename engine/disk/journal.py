"""Files of JSON lines that grow: a line is whole or, after a crash, not there."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.disk.files import write_all


class JournalError(ValueError):
    """A file of lines that is damaged."""


def append_line(path: Path, entry: dict[str, Any]) -> None:
    write_all(path, json.dumps(entry).encode() + b"\n", os.O_APPEND)


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a crash left unfinished, so that the next one does not continue it."""
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        # In place, because that needs no space where the disk is full.
        os.truncate(path, whole)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Raises JournalError for a line that is damaged."""
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            yield json.loads(line)
        except ValueError:
            raise JournalError(
                f"{path} is damaged in line {number}; restore it, or start a new run"
            ) from None

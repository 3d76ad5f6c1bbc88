"""Files of JSON lines that grow: a line is whole or, after a crash, not there. `jsonl.objects` reads them."""

import json
import os
from pathlib import Path
from typing import Any

from engine.disk.files import write_all


def append_line(path: Path, entry: dict[str, Any]) -> None:
    """Add one line and sync it."""
    write_all(path, json.dumps(entry).encode() + b"\n", os.O_APPEND)


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a crash left unfinished, so that the next one does not continue it."""
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        # In place, because that needs no space where the disk is full.
        os.truncate(path, whole)

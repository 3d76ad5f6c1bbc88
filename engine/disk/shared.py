"""What several processes of one run need and one of them makes: whoever comes first, for all others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from engine.disk.files import locked, replace_file
from engine.records import from_json, to_json

T = TypeVar("T")
_FILE = "records.jsonl"


def made_once(folder: Path, cls: type[T], make: Callable[[], Sequence[T]]) -> list[T]:
    """The records of a folder: read if they are there, else made and kept.

    While one process makes them the others wait. Where it ends without them, the next one makes them.
    """
    file = folder / _FILE
    with locked(folder):
        if not file.exists():
            replace_file(file, "".join(to_json(record) + "\n" for record in make()).encode())
    return [from_json(cls, line) for line in file.read_bytes().split(b"\n")[:-1]]

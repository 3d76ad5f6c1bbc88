"""What a chunk of a file becomes: a directory that is there as a whole or not at all.

A part is named by what it is made of: the lines, where they stand, and everything that the stations are told.
So what was read once is not read again, neither after a kill nor when a file grows or another is added.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from engine.corpus.alike import fingerprints
from engine.corpus.chunks import Chunk, lines_in
from engine.corpus.private import mask
from engine.corpus.quality import score_of
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError, Station, Tally
from engine.disk.files import sync_dir, write_all
from engine.embeddings import Embed
from engine.records import fault_in, from_json, to_json
from engine.tasks.examples import SPLITS, Example
from engine.tasks.layouts import examples_of, object_of
from engine.tasks.objects import NotARecord
from engine.tasks.turns import Unfit

T = TypeVar("T", Example, Removal)
NO_SPLIT = 255
"""In place of a split's number where an example names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What a chunk is made into a part with."""

    stations: Sequence[Station]
    max_chars: int
    embed: Embed | None = None
    """Where meanings are compared."""
    is_ranked: bool = False
    """Whether examples are scored, because only a share of them is kept."""


def make_part(chunk: Chunk, target: Path, making: Making) -> None:
    """Read a chunk, put it through the stations, and write what they leave, unless it is there already.

    Raises what the stations raise, and OSError that names the file; then nothing is left behind.
    """
    if target.exists():
        return
    tallies: dict[str, Tally] = {}
    examples, removed, num_lines = _read(chunk, making.max_chars)
    tallies["layout"] = _tally(num_lines, len(examples), removed)
    for station in making.stations:
        sorted_ = station(examples)
        tallies[station.name] = _tally(len(examples), len(sorted_.kept), sorted_.removed, sorted_.noted)
        examples = sorted_.kept
        removed += sorted_.removed
    # The reason for a line that could not be read may show some private data.
    removed = [replace(each, reason=mask(each.reason).text) for each in removed]
    rows = [to_json(example).encode() + b"\n" for example in examples]
    columns = {
        **fingerprints(examples, making.embed)._asdict(),
        "numbers": np.array([example.number for example in examples], dtype=np.int64),
        "offsets": np.cumsum([0, *map(len, rows)], dtype=np.int64)[:-1],
        "stories": np.array([_story(example) for example in examples], dtype=np.uint64),
        "splits": np.array([_split(example) for example in examples], dtype=np.uint8),
        "scores": np.array([score_of(each) if making.is_ranked else 0 for each in examples], np.float32),
    }
    packed = BytesIO()
    np.savez(packed, **columns)
    _write(
        target,
        {
            "examples.jsonl": b"".join(rows),
            "removed.jsonl": b"".join(to_json(each).encode() + b"\n" for each in removed),
            "columns.npz": packed.getvalue(),
            "tallies.json": json.dumps({name: asdict(tally) for name, tally in tallies.items()}).encode(),
        },
    )


def _read(chunk: Chunk, max_chars: int) -> tuple[list[Example], list[Removal], int]:
    """The examples of a chunk, what gave none, and the number of lines."""
    examples: list[Example] = []
    removed: list[Removal] = []
    num = 0
    # JSON writes a character in twelve bytes at the most, and an example has more than its texts.
    most = 12 * max_chars + 2**16
    for number, line in lines_in(chunk, most):
        num += 1
        try:
            if line is None:
                raise Unfit("too_long", f"has more than {most:,} bytes")
            examples += examples_of(object_of(line, number), file=chunk.file, number=number)
        except NotARecord as error:
            fault = error.fault if isinstance(error, Unfit) else "layout"
            # A key of the record may hold what no file can.
            reason = str(error).encode(errors="replace").decode()
            removed.append(
                Removal(file=chunk.file, number=number, station="layout", fault=fault, reason=reason)
            )
    return examples, removed, num


def _tally(entered: int, left: int, removed: Sequence[Removal], noted: dict[str, int] | None = None) -> Tally:
    tally = Tally(entered=entered, left=left, noted=dict(noted or {}))
    for each in removed:
        tally.removed[each.fault] = tally.removed.get(each.fault, 0) + 1
    return tally


def _story(example: Example) -> int:
    """A number for the story of an example; 0 where it has none."""
    digest = blake2b(example.story.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") if example.story else 0


def _split(example: Example) -> int:
    return SPLITS.index(example.split) if example.split else NO_SPLIT


def _write(target: Path, files: dict[str, bytes]) -> None:
    """Write a directory under another name, and rename it when it is whole."""
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(mode=0o700)
        for name, content in files.items():
            write_all(aside / name, content, os.O_EXCL)
        os.rename(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    sync_dir(target.parent)


def column_of(part: Path, name: str) -> np.ndarray:
    """A column of a part, with a row for each of its examples."""
    with np.load(part / "columns.npz") as packed:
        column: np.ndarray = packed[name]
        return column


def tallies_of(part: Path) -> dict[str, Tally]:
    """What each station did to a part."""
    found: dict[str, Any] = json.loads((part / "tallies.json").read_bytes())
    return {name: Tally(**tally) for name, tally in found.items()}


def removals_of(part: Path) -> list[Removal]:
    """What was left out of a part."""
    return list(_rows(part / "removed.jsonl", Removal))


def examples_in(part: Path) -> Iterator[Example]:
    """The examples of a part, in their order."""
    return _rows(part / "examples.jsonl", Example)


def example_at(part: Path, offset: int) -> Example:
    """The example that begins at a byte of a part's file."""
    return next(_rows(part / "examples.jsonl", Example, offset))


def _rows(file: Path, kind: type[T], offset: int = 0) -> Iterator[T]:
    with file.open("rb") as rows:
        rows.seek(offset)
        for row in rows:
            try:
                record = from_json(kind, row)
            except ValidationError as error:
                raise CurationError(
                    f"{file} is damaged ({fault_in(error)}): delete {file.parent}, and it is made anew"
                ) from None
            yield record

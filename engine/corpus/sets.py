"""The files of a snapshot: three sets, and what was left out, each in the order of the user's files."""

import json
import os
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from engine.corpus.parts import NO_SPLIT, examples_in, removals_of
from engine.corpus.removal import Removal
from engine.corpus.shelf import Shelf, naming
from engine.corpus.stations import Histogram, removal_of
from engine.records import to_json
from engine.tasks.curated import row_of
from engine.tasks.examples import SPLITS, Example
from engine.tasks.snapshots import id_of

REMOVED = "removed.jsonl"
"""In the directory: what was left out, and why."""
_SAMPLES = 5


class Out(NamedTuple):
    """Why an example is left out after it was compared with others."""

    station: str
    fault: str
    reason: str


class Sets(NamedTuple):
    """What was written."""

    hashes: dict[str, str]
    """SHA-256 of each file, by its name."""
    histograms: dict[str, Histogram]

    @property
    def snapshot(self) -> str:
        """The hash of the three sets."""
        return id_of([self.hashes[f"{name}.jsonl"] for name in SPLITS])


def write_sets(
    shelf: Shelf,
    splits: np.ndarray,
    clusters: np.ndarray,
    out: Mapping[int, Out],
    unread: Iterable[Removal],
    folder: Path,
) -> Sets:
    """Write the three sets and what was left out, beginning with `unread`, of which no examples were made.

    `splits` are numbers of `SPLITS` by rank; what is in none has its reason in `out`. Rows of one of
    `clusters` name it, so that whoever divides a set further keeps them together.
    """
    prompts, replies = array("q"), array("q")
    with ExitStack() as stack:
        removed_file = stack.enter_context(_File(folder / REMOVED))
        files = [stack.enter_context(_File(folder / f"{name}.jsonl")) for name in SPLITS]
        for removal in unread:
            removed_file.write(to_json(removal))
        for part, ranks in shelf.by_part():
            removed = removals_of(part)
            for rank, example in zip(ranks.tolist(), examples_in(part), strict=True):
                if splits[rank] == NO_SPLIT:
                    removed.append(removal_of(example, **out[rank]._asdict()))
                    continue
                cluster = f"{clusters[rank]:016x}" if clusters[rank] else ""
                row = row_of(replace(example, cluster=cluster), _name(example, int(shelf.keys[rank])))
                files[splits[rank]].write(json.dumps(row, ensure_ascii=False))
                prompts.append(sum(len(turn.text) for turn in example.chat))
                replies.append(len(example.chosen))
            for removal in sorted(removed, key=lambda each: (each.number, each.part)):
                removed_file.write(to_json(removal))
    hashes = {file.path.name: file.digest for file in (*files, removed_file)}
    return Sets(hashes, {"prompt": _histogram(prompts), "reply": _histogram(replies)})


class _File:
    """A file of lines for its owner alone, which is on disk when the context ends, with its hash."""

    def __init__(self, path: Path) -> None:
        self.path, self._hash = path, sha256()

    def __enter__(self) -> Self:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._file = os.fdopen(os.open(self.path, flags, 0o600), "wb", 2**20)
        return self

    def __exit__(self, *_: object) -> None:
        with naming(self.path), self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def write(self, line: str) -> None:
        row = line.encode() + b"\n"
        self._hash.update(row)
        with naming(self.path):
            self._file.write(row)


def _name(example: Example, key: int) -> str:
    """The id of a row: the user's own, or the hash of its content."""
    if not example.id:
        return f"{key:016x}"
    return f"{example.id}/{example.part}" if example.part else example.id


def _histogram(lengths: Sequence[int]) -> Histogram:
    """Lengths in classes, each twice as wide as the one before."""
    edges = [0, 32]
    while edges[-1] <= max(lengths, default=0):
        edges.append(2 * edges[-1])
    counts, _ = np.histogram(np.asarray(lengths), edges)
    return Histogram(tuple(edges), tuple(counts.tolist()))


def samples_of(shelf: Shelf, splits: np.ndarray) -> dict[str, tuple[Example, ...]]:
    """A few examples of each set, which their hashes choose."""
    found = {}
    for number, name in enumerate(SPLITS):
        ranks = np.flatnonzero(splits == number)
        lowest = ranks[np.argsort(shelf.keys[ranks], kind="stable")[:_SAMPLES]]
        found[name] = tuple(shelf[rank] for rank in lowest.tolist())
    return found

"""All examples that are left: their texts on disk, and of each a few numbers in memory.

They are ranked: first what the snapshot before had, then the others, each in the order of the files. Of two
that cannot both stay the later goes, so that what was curated once stays where it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.corpus.parts import NO_SPLIT, column_of, example_at
from engine.tasks.examples import Example


class Assigned(NamedTuple):
    """Which examples a snapshot holds, and in which set each is."""

    keys: np.ndarray
    """In ascending order."""
    splits: np.ndarray
    """Numbers of `SPLITS`."""

    @classmethod
    def none(cls) -> "Assigned":
        """That of no snapshot."""
        return cls(np.zeros(0, np.uint64), np.zeros(0, np.uint8))

    def of(self, keys: np.ndarray) -> np.ndarray:
        """The split of each key, or NO_SPLIT."""
        if not len(self.keys):
            return np.full(len(keys), NO_SPLIT, np.uint8)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.splits[at], NO_SPLIT).astype(np.uint8)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError of a file that is being written name it."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


class Shelf:
    """Examples by rank, from 0. Arrays have an entry for each of them."""

    def __init__(self, parts: Sequence[tuple[str, Path]], before: Assigned, scratch: Path) -> None:
        """`parts` are those of the files, which they name; `scratch` is for what does not fit in memory."""
        self._files = [file for file, _ in parts]
        self._parts = [part for _, part in parts]
        self._scratch = scratch
        keys = self._column("keys")
        was = before.of(keys)
        self.places = np.argsort(was == NO_SPLIT, kind="stable")
        """Where each stands in the order of the files."""
        self.was = was[self.places]
        """The split that the snapshot before has it in, or NO_SPLIT."""
        self.keys = keys[self.places]
        self.asked = self._column("asked")[self.places]
        """Equal for examples that may conflict."""
        self.stories = self._column("stories")[self.places]
        """0 for one without a story."""
        self.splits = self._column("splits")[self.places]
        """The split that the record names itself, or NO_SPLIT."""
        self.scores = self._column("scores")[self.places]
        self._offsets, self._numbers = self._column("offsets"), self._column("numbers")
        self._starts = np.cumsum([0, *(len(column_of(part, "keys")) for part in self._parts)])

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rank: int) -> Example:
        """An example, read from disk."""
        return example_at(self._parts[self._part_of(rank)], int(self._offsets[self.places[rank]]))

    def where(self, rank: int) -> str:
        """Where an example was found, as `Example.place` says it."""
        return f"{self._files[self._part_of(rank)]}, line {self._numbers[self.places[rank]]}"

    def _part_of(self, rank: int) -> int:
        return int(np.searchsorted(self._starts, self.places[rank], side="right")) - 1

    def laid_out(self, name: str) -> np.ndarray:
        """A wide column of all examples, in the order of the files: on disk, read where it is used."""
        file, shape, dtype = self._scratch / name, (0, 0), np.dtype(np.uint8)
        with naming(file), file.open("wb") as out:
            for part in self._parts:
                if len(column := column_of(part, name)):
                    out.write(column.tobytes())
                    shape, dtype = (shape[0] + len(column), column.shape[1]), column.dtype
        return np.asarray(np.memmap(file, dtype, "r", shape=shape))

    def by_part(self) -> Iterator[tuple[Path, np.ndarray]]:
        """Each part with the ranks of its examples, in the order of the files."""
        ranks = np.empty(len(self), np.int64)
        ranks[self.places] = np.arange(len(self))
        for part, start, stop in zip(self._parts, self._starts, self._starts[1:], strict=False):
            yield part, ranks[start:stop]

    def _column(self, name: str) -> np.ndarray:
        return np.concatenate([column_of(part, name) for part in self._parts])

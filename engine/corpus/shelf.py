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
    """Which examples a snapshot and those before it held, and in which set each was."""

    keys: np.ndarray
    """In ascending order."""
    splits: np.ndarray
    """Numbers of `SPLITS`."""
    asked: np.ndarray
    """What each asks, as `Shelf.asked`."""
    there: np.ndarray
    """Whether the snapshot itself holds it; others are gone, and only known by these numbers."""

    @classmethod
    def none(cls) -> "Assigned":
        """That of no snapshot."""
        nothing = np.zeros(0, np.uint64)
        return cls(nothing, np.zeros(0, np.uint8), nothing, np.zeros(0, bool))

    def of(self, keys: np.ndarray) -> np.ndarray:
        """The split of each key, or NO_SPLIT."""
        return _looked_up(keys, self.keys, self.splits)

    def of_question(self, asked: np.ndarray) -> np.ndarray:
        """The split in which each of these was asked, or NO_SPLIT."""
        order = np.argsort(self.asked, kind="stable")
        return _looked_up(asked, self.asked[order], self.splits[order])

    def without(self, keys: np.ndarray) -> "Assigned":
        """All but those with any of these keys, as what is gone."""
        is_left = ~np.isin(self.keys, keys)
        keys, splits, asked, _ = (column[is_left] for column in self)
        return Assigned(keys, splits, asked, np.zeros(len(keys), bool))


def _looked_up(wanted: np.ndarray, names: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """The split of each name that is wanted, or NO_SPLIT; `names` are in ascending order."""
    if not len(names):
        return np.full(len(wanted), NO_SPLIT, np.uint8)
    at = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    return np.where(names[at] == wanted, splits[at], NO_SPLIT).astype(np.uint8)


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
        """The split that the snapshot before, or one before that, had it in, or NO_SPLIT."""
        self.keys = keys[self.places]
        self.is_new = ~np.isin(self.keys, before.keys[before.there])
        """Whether the snapshot before had it not."""
        self.asked = self._column("asked")[self.places]
        """Equal for examples that may conflict."""
        self.asked_in = before.of_question(self.asked)
        """The split in which a snapshot asked the same, or NO_SPLIT: what asked it may be gone."""
        self.alone = self._column("alone")[self.places]
        """Whether nothing was said before what is replied to."""
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

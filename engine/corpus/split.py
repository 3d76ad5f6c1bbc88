"""Splits: what belongs together goes to one set, and what a set once had stays in it.

Examples of one story, of one question, of one exchange, and near twins are linked; what is linked, directly
or through others, is a cluster. A cluster goes where its members already are, or say that they belong; any
other to the set that is then nearest to its share (D'Hondt), in an order that the seed names.
"""

import hashlib
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from configs.curation import CurationShares
from engine.corpus.alike import candidates
from engine.corpus.duplicates import Comparison
from engine.corpus.parts import NO_SPLIT
from engine.corpus.shelf import Shelf
from engine.tasks.examples import SPLITS


class Straddling(NamedTuple):
    """An example that belongs together with examples of two sets."""

    one: int
    """The rank of one of them, or its own where it names a set itself."""
    one_split: int
    other: int
    other_split: int


class Division(NamedTuple):
    """Which set each example goes to."""

    splits: np.ndarray
    """Numbers of `SPLITS`, by rank; NO_SPLIT for what is left out."""
    straddling: dict[int, Straddling]
    """What is left out here, by rank."""
    clusters: np.ndarray
    """By rank a number that the members of a cluster share; 0 for what stands alone."""


def links(shelf: Shelf, ranks: np.ndarray, compared: Comparison) -> np.ndarray:
    """Pairs of examples that stay together, as rows of (lower rank, higher rank).

    Stories link all examples; questions, equal and alike, and what is replied to a like turn of a chat, those
    among `ranks`, which ascend.
    """
    everywhere = np.arange(len(shelf))
    first_asked = _firsts(shelf.asked[ranks], ranks)
    asked = np.unique(first_asked[:, 0])
    # One of each question is enough to find those that are alike.
    pairs = asked[candidates(shelf.laid_out("asked_bands"), shelf.places[asked])]
    alike = [pair for pair in pairs.tolist() if compared.ask_alike(*pair)]
    with_story = everywhere[shelf.stories != 0]
    found = [
        _firsts(shelf.stories[with_story], with_story),
        first_asked,
        np.array(alike, np.int64).reshape(-1, 2),
        _exchanges(shelf, ranks, compared),
    ]
    joined = np.concatenate(found)
    return joined[joined[:, 0] != joined[:, 1]]


def _exchanges(shelf: Shelf, ranks: np.ndarray, compared: Comparison) -> np.ndarray:
    """Pairs among `ranks` with a like last turn and reply, of which one at least goes on with a chat."""
    if shelf.alone[ranks].all():
        return np.zeros((0, 2), np.int64)
    # Those that stand alone come first, so that of many that are alike each is compared with one of them.
    ordered = ranks[np.argsort(~shelf.alone[ranks], kind="stable")]
    pairs = ordered[candidates(shelf.laid_out("exchange_bands"), shelf.places[ordered])]
    pairs = pairs[~shelf.alone[pairs].all(axis=1)]
    alike = [pair for pair in pairs.tolist() if compared.exchange_alike(*pair)]
    return np.sort(np.array(alike, np.int64).reshape(-1, 2), axis=1)


def _firsts(names: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Each rank with the lowest one of the same name."""
    _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    return np.stack([ranks[first[inverse]], ranks], axis=1).astype(np.int64)


def divide(
    shelf: Shelf, is_left: np.ndarray, linked: np.ndarray, shares: CurationShares, seed: int
) -> Division:
    """Divide the examples that are left; `linked` are pairs of ranks that stay together.

    What is not left still links others, but decides nothing.
    """
    # What was learnt once is not judged on, whatever a record says.
    own = np.where(shelf.was != NO_SPLIT, shelf.was, shelf.asked_in)
    own = np.where(own != NO_SPLIT, own, shelf.splits)
    own = np.where(is_left, own, NO_SPLIT)
    clusters = _Clusters(own)
    straddling: dict[int, Straddling] = {}
    for later, earlier in _by_later(linked):
        found = clusters.join(later, earlier)
        if found and is_left[later]:
            straddling[later] = found
    is_left = is_left.copy()
    is_left[list(straddling)] = False
    ranks = np.flatnonzero(is_left)
    roots = np.fromiter(map(clusters.root_of, map(int, ranks)), np.int64, len(ranks))
    splits = np.full(len(shelf), NO_SPLIT, np.uint8)
    splits[ranks] = _assigned(roots, clusters, shelf.keys[ranks], shares, seed)
    names = np.zeros(len(shelf), np.uint64)
    names[ranks] = _names(roots, shelf.keys[ranks])
    return Division(splits, straddling, names)


def _names(roots: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The lowest key of each example's cluster, by the root of it; 0 where it is the only member."""
    _, inverse, sizes = np.unique(roots, return_inverse=True, return_counts=True)
    lowest = np.full(len(sizes), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(lowest, inverse, keys)
    return np.where(sizes[inverse] > 1, lowest[inverse], np.uint64(0))


def _by_later(linked: np.ndarray) -> list[tuple[int, list[int]]]:
    """The lower ranks that each higher rank is linked with, in the order of the higher ones."""
    order = np.lexsort((linked[:, 0], linked[:, 1]))
    found: list[tuple[int, list[int]]] = []
    for earlier, later in linked[order].tolist():
        if not found or found[-1][0] != later:
            found.append((later, []))
        found[-1][1].append(earlier)
    return found


class _Clusters:
    """Sets of examples that stay together, each with the split that it has (union-find, Tarjan 1975)."""

    def __init__(self, own: np.ndarray) -> None:
        # Lists would hold an object for each of a million numbers.
        self._own = own.tobytes()
        self._parents = array("q", range(len(own)))
        self.splits = bytearray(self._own)
        """Of each cluster, by its root."""

    def root_of(self, rank: int) -> int:
        """The lowest rank of an example's cluster."""
        while (parent := self._parents[rank]) != rank:
            self._parents[rank] = rank = self._parents[parent]
        return rank

    def join(self, later: int, earlier: Sequence[int]) -> Straddling | None:
        """Join an example with those before it that it belongs to, unless these are in several splits."""
        named = {self._own[later]: later}
        for each in earlier:
            named.setdefault(self.splits[self.root_of(each)], each)
        named.pop(NO_SPLIT, None)
        if len(named) > 1:
            (one_split, one), (other_split, other) = list(named.items())[:2]
            self.splits[later] = NO_SPLIT
            return Straddling(one, one_split, other, other_split)
        roots = sorted({self.root_of(each) for each in (*earlier, later)})
        for root in roots:
            self._parents[root] = roots[0]
        self.splits[roots[0]] = next(iter(named), NO_SPLIT)
        return None


def _assigned(
    roots: np.ndarray, clusters: _Clusters, keys: np.ndarray, shares: CurationShares, seed: int
) -> np.ndarray:
    """The split of each example, by the root of its cluster."""
    names, inverse, sizes = np.unique(roots, return_inverse=True, return_counts=True)
    given = np.frombuffer(clusters.splits, np.uint8)[names]
    lowest = np.full(len(names), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(lowest, inverse, keys)
    aims = [getattr(shares, split) * len(roots) for split in SPLITS]
    filled = [int(sizes[given == number].sum()) for number in range(len(SPLITS))]
    # By content, so that neither the order of the files nor that of their lines matters.
    free = np.flatnonzero(given == NO_SPLIT)
    chances = np.fromiter((_chance(seed, int(key)) for key in lowest[free]), np.uint64, len(free))
    for at in free[np.argsort(chances, kind="stable")]:
        size = int(sizes[at])
        fullness = [(filled[i] + size) / aim for i, aim in enumerate(aims) if aim]
        open_to = [i for i, aim in enumerate(aims) if aim]
        given[at] = open_to[fullness.index(min(fullness))]
        filled[given[at]] += size
    return given[inverse]


def _chance(seed: int, key: int) -> int:
    """What orders clusters, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:8], "big")

"""What is decided about examples together: conflicts, duplicates, the best share, and the set of each."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from configs.curation import Curation
from engine.corpus.conflicts import ConflictStation
from engine.corpus.duplicates import (
    Comparison,
    Twin,
    exact_duplicates,
    near_duplicates,
    near_pairs,
    semantic_duplicates,
)
from engine.corpus.sets import Out
from engine.corpus.shelf import Shelf
from engine.corpus.split import Straddling, divide, links
from engine.corpus.stations import Tally
from engine.tasks.examples import SPLITS

_BATCH = 2_000
"""Examples that are looked at for conflicts at a time, or all of one question where they are more."""


class Decided(NamedTuple):
    """What becomes of the examples of a shelf."""

    splits: np.ndarray
    """Numbers of `SPLITS`, by rank; NO_SPLIT for what is left out."""
    clusters: np.ndarray
    """As `Division.clusters`."""
    out: dict[int, Out]
    """Why each of these is left out, by rank."""
    tallies: dict[str, Tally]


class Appraised(NamedTuple):
    """What a judge says of examples."""

    out: dict[int, tuple[str, str]]
    """Fault and reason of those that are left out, by rank."""
    without: int
    """Examples on which there is no verdict; they stay."""


def decide(
    shelf: Shelf, settings: Curation, judge: Callable[[Shelf, Sequence[int]], Appraised] | None = None
) -> Decided:
    """Compare the examples of a shelf, let a judge look at what is left, and divide it.

    Raises what the judge raises.
    """
    left, compared = _Left(len(shelf)), Comparison(shelf)
    same = exact_duplicates(shelf)
    # Of what is the same once is enough; it falls with the duplicates in any case.
    left.drop("conflicts", dict(_conflicts(shelf, left.without(same))))
    twins, beside = same, np.zeros((0, 2), np.int64)
    if settings.duplicates.near:
        twins = same | near_duplicates(shelf, left.without(same), compared)
    else:
        # Nothing stands for its twins here, so that each of them is linked with each.
        beside = near_pairs(shelf, left.without(same), compared)
    if settings.duplicates.semantic is not None:
        least, others = settings.duplicates.semantic, left.without(twins)
        twins |= semantic_duplicates(shelf, others, compared, least=least, seed=settings.seed)
    left.drop(
        "duplicates",
        {rank: (twin.fault, f"{twin.reason} {shelf.where(twin.of)}") for rank, twin in twins.items()},
    )
    if (share := settings.quality.keep_share) < 1:
        left.drop("share", dict(_beyond(share, shelf, left.ranks)))
    if judge is not None:
        appraised = judge(shelf, left.ranks.tolist())
        left.drop("judge", appraised.out)
        if appraised.without:
            left.tallies["judge"].noted["no_verdict"] = appraised.without
    linked = np.concatenate([links(shelf, left.ranks, compared), _pairs(twins), beside])
    division = divide(shelf, left.mask, linked, settings.shares, settings.seed)
    left.drop(
        "split",
        {rank: ("straddles", _why(rank, found, shelf)) for rank, found in division.straddling.items()},
    )
    return Decided(division.splits, division.clusters, left.out, left.tallies)


class _Left:
    """What is left of the examples, station after station."""

    def __init__(self, num: int) -> None:
        self.mask = np.ones(num, bool)
        self.out: dict[int, Out] = {}
        self.tallies: dict[str, Tally] = {}

    @property
    def ranks(self) -> np.ndarray:
        return np.flatnonzero(self.mask)

    def without(self, others: Mapping[int, Twin]) -> np.ndarray:
        """The ranks that are left and are none of these."""
        mask = self.mask.copy()
        mask[list(others)] = False
        return np.flatnonzero(mask)

    def drop(self, station: str, found: Mapping[int, tuple[str, str]]) -> None:
        """Leave out what a station found: by rank, the fault and the reason."""
        tally = Tally(entered=int(self.mask.sum()))
        for rank, (fault, reason) in found.items():
            self.out[rank] = Out(station, fault, reason)
            tally.removed[fault] = tally.removed.get(fault, 0) + 1
        self.mask[list(found)] = False
        tally.left = int(self.mask.sum())
        self.tallies[station] = tally


def _conflicts(shelf: Shelf, ranks: np.ndarray) -> Iterator[tuple[int, tuple[str, str]]]:
    """The examples among `ranks` that conflict, which are read question by question."""
    station = ConflictStation()
    for batch in _batches(shelf.asked[ranks], ranks):
        examples = {rank: shelf[rank] for rank in batch}
        places = {(each.file, each.number, each.part): rank for rank, each in examples.items()}
        for removal in station(list(examples.values())).removed:
            yield places[removal.file, removal.number, removal.part], (removal.fault, removal.reason)


def _batches(names: np.ndarray, ranks: np.ndarray) -> Iterator[list[int]]:
    """The ranks that share a name with another, together with it, in lists of about `_BATCH`."""
    _, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    shared = counts[inverse] > 1
    order = np.argsort(inverse[shared], kind="stable")
    batch: list[int] = []
    last = -1
    for name, rank in zip(inverse[shared][order].tolist(), ranks[shared][order].tolist(), strict=True):
        if name != last and len(batch) >= _BATCH:
            yield batch
            batch = []
        batch.append(rank)
        last = name
    if batch:
        yield batch


def _beyond(share: float, shelf: Shelf, ranks: np.ndarray) -> Iterator[tuple[int, tuple[str, str]]]:
    """The examples among `ranks` that do not belong to the best share of them, of equals the later."""
    num = max(1, math.ceil(share * len(ranks) - 1e-9))
    for rank in ranks[np.argsort(-shelf.scores[ranks], kind="stable")][num:].tolist():
        reason = f"its score is {shelf.scores[rank]:.3f}; quality.keep_share keeps the best {share:.0%}"
        yield rank, ("below_share", reason)


def _pairs(twins: Mapping[int, Twin]) -> np.ndarray:
    """Twins as rows of (lower rank, higher rank)."""
    return np.array([(twin.of, rank) for rank, twin in twins.items()], np.int64).reshape(-1, 2)


def _why(rank: int, found: Straddling, shelf: Shelf) -> str:
    """Why an example can be in no set."""
    split, other = SPLITS[found.one_split], SPLITS[found.other_split]
    beside = f"belongs together with {shelf.where(found.other)}, which is in {other}"
    if found.one == rank:
        return f"is to be in {split}, and {beside}"
    return f"{beside}, and with {shelf.where(found.one)}, which is in {split}"

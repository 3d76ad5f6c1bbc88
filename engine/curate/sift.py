"""From candidates to what is worth learning: each filter is a station of the funnel."""

import math
from collections.abc import Iterable, Sequence

from engine.curate.candidates import Candidate
from engine.curate.leaks import VERBATIM, Kind, LeakGuard
from engine.curate.likeness import said
from engine.curate.near import near_duplicates, shingle_vectors
from engine.embeddings import Embed
from engine.records import Station

_LEAK_STATIONS: dict[Kind, tuple[str, str]] = {
    "exact": ("no exact leak", "problems that are no protected text, case, blanks and punctuation aside"),
    "ngram": ("no passage leak", "problems that share no long passage with a protected text"),
    "renamed": ("no renamed leak", "problems that are no protected text with other names and numbers"),
    "reworded": ("no reworded leak", "problems that do not say a protected text with nearly the same words"),
    "semantic": ("no semantic leak", "problems that do not say what a protected text says"),
}


def sift(
    candidates: Sequence[Candidate],
    *,
    guard: LeakGuard | None,
    near: bool,
    keep_share: float,
    min_distance: float,
    embed: Embed | None,
) -> tuple[list[Candidate], list[Station]]:
    """The candidates that pass every filter, in their order, and a station for each filter that is on.

    Of two that repeat each other or lie too near, the one of the higher `score` stays, of equals the likelier
    and then the earlier; one whose loss was not measured is the least likely. `near` drops near duplicates,
    `keep_share` keeps the best, and `min_distance` is the least distance of two problems, 1 - cosine of their
    embeddings; without an `embed`, of their shingles. A share of 1 and a distance of 0 turn their filters
    off.
    """
    stations: list[Station] = []
    kept = list(range(len(candidates)))

    def station(name: str, left: Iterable[int], why: str) -> None:
        nonlocal kept
        num_in, passed = len(kept), set(left)
        kept = [place for place in kept if place in passed]
        stations.append(Station(name=name, num_in=num_in, num_out=len(kept), why=why))

    def best_first() -> list[int]:
        # Where all that passed have one grade, their order says nothing: the aimed are the first.
        return sorted(kept, key=lambda place: (-candidates[place].score, candidates[place].loss or math.inf))

    station("no duplicate", _distinct(candidates, best_first()), "problems with replies that repeat no other")
    if near:
        left = _far_apart(candidates, best_first())
        station("no near duplicate", left, "problems with replies that say something new")
    if guard is not None:
        stopped = _leaking(candidates, kept, guard)
        for kind in guard.kinds:
            name, why = _LEAK_STATIONS[kind]
            silent = guard.silence(kind)
            left = [place for place in kept if stopped.get(place) != kind]
            station(name, left, f"{why}{f' ({silent})' if silent else ''}")
    if keep_share < 1:
        left = best_first()[: math.ceil(round(keep_share * len(kept), 6))]
        station("quality", left, f"the best {keep_share:.0%} by score")
    if min_distance > 0:
        left = _diverse(candidates, best_first(), min_distance, embed or shingle_vectors)
        station("diversity", left, f"problems at a distance of {min_distance:g} or more from each other")
    return [candidates[place] for place in kept], stations


def _distinct(candidates: Sequence[Candidate], order: Sequence[int]) -> list[int]:
    """The first place of each text, case, blanks and punctuation aside."""
    first: dict[tuple[str, ...], int] = {}
    for place in order:
        first.setdefault(said(_whole(candidates[place])), place)
    return list(first.values())


def _far_apart(candidates: Sequence[Candidate], order: Sequence[int]) -> list[int]:
    """The places in `order` that are near duplicates of none that is kept before them."""
    dropped: set[int] = set()
    for pair in near_duplicates([_whole(candidates[place]) for place in order]):
        # Pairs come in the order of the second, so that the first is decided by then.
        if pair.first not in dropped:
            dropped.add(pair.second)
    return [place for rank, place in enumerate(order) if rank not in dropped]


def _leaking(candidates: Sequence[Candidate], places: Sequence[int], guard: LeakGuard) -> dict[int, Kind]:
    """The kind of leak in each candidate that has one. In replies only quotations are looked for."""
    replies = [(place, reply) for place in places for reply in candidates[place].replies]
    slices = [candidates[place].problem.slice for place, _ in replies]
    quoted = guard.leaks([reply for _, reply in replies], slices, VERBATIM)
    problems = [candidates[place].problem for place in places]
    asked = guard.leaks([each.text for each in problems], [each.slice for each in problems])
    found = {place: leak.kind for (place, _), leak in zip(replies, quoted, strict=True) if leak}
    return found | {place: leak.kind for place, leak in zip(places, asked, strict=True) if leak}


def _diverse(
    candidates: Sequence[Candidate], order: Sequence[int], min_distance: float, embed: Embed
) -> list[int]:
    """Greedy selection in `order`: each is far enough from all that are chosen before it."""
    import numpy as np

    vectors = embed([candidates[place].problem.text for place in order])
    nearest = np.full(len(vectors), -1.0)
    chosen: list[int] = []
    for rank, place in enumerate(order):
        if nearest[rank] <= 1 - min_distance:
            chosen.append(place)
            nearest = np.maximum(nearest, vectors @ vectors[rank])
    return chosen


def _whole(candidate: Candidate) -> str:
    return "\n".join([candidate.problem.text, *candidate.replies])

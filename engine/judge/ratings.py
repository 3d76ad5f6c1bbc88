"""Ratings read back: who was preferred by people who did not know whose reply it was, and how far they agree.

    ratchet rate import page.key ratings-*.json

A rater may send a file twice: it counts once. Of several raters each rating counts, but those of one request
are not independent, and are tested together, as the gate tests items of one story.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from engine.disk.files import replace_file
from engine.gate.compare import Comparison, compare
from engine.gate.outcomes import Item, Kind, Outcomes
from engine.gate.preference import win_rate
from engine.judge.agreement import krippendorff_alpha
from engine.judge.rating import Key, Pair, RatingError
from engine.measure.paired import design_effect
from engine.measure.stats import interval
from engine.records import Interval, fault_in, from_json
from engine.terminal import counted

Given = Literal["left", "equal", "right"]
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """What one rater downloaded from a page."""

    seal: str
    rater: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """A random name that the page has given the rater."""
    ratings: dict[str, Given]
    """By the number of the pair on the page, from 0."""


class Vote(NamedTuple):
    """What one rater says of one pair."""

    pair: Pair
    rater: str
    sign: int
    """1 where the new reply is preferred, -1 where the old one is, 0 where they are equally good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """What people's ratings say of two models."""

    names: tuple[str, str]
    """The old model and the new one."""
    num_pairs: int
    """Pairs with a rating."""
    num_raters: int
    won: int
    """Ratings that prefer the new model."""
    tied: int
    """Those that find both equally good, among them pairs of equal replies, which nobody was asked about."""
    lost: int
    win_rate: Interval
    """Of the new model; a tie counts half."""
    agreement: float | None
    """Krippendorff's alpha over old, new and equal; None where no pair has two ratings that could differ."""
    left: Interval
    """Ratings that prefer the left one, of those that prefer one: a half where the side does not matter."""
    comparison: Comparison
    """The gate's test."""


def read_key(file: Path) -> Key:
    """The key of a page. Raises RatingError for any other file."""
    try:
        return from_json(Key, file.read_bytes())
    except OSError as error:
        raise RatingError(f"{file} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise RatingError(
            f"{file} is no key of a page, which `ratchet rate export` writes beside it: {fault_in(error)}"
        ) from None


def read_votes(key: Key, files: Sequence[Path]) -> list[Vote]:
    """What all raters say, in the order of the pairs; each rater finds pairs of equal replies equally good.

    Raises RatingError for ratings of another page, and for two files of one rater that contradict each other.
    """
    given: dict[str, dict[str, Given]] = {}
    sources: dict[str, Path] = {}
    seal, shown = key.seal, key.shown
    for file in files:
        ratings = _read(file)
        if ratings.seal != seal:
            raise RatingError(f"{file} holds ratings of another page than this key is of")
        known = given.setdefault(ratings.rater, {})
        first = sources.setdefault(ratings.rater, file)
        for number, choice in ratings.ratings.items():
            if not _NUMBER.fullmatch(number):
                raise RatingError(f"{file}: {number[:20]!r} is no number of a pair")
            if int(number) >= len(shown):
                raise RatingError(f"{file} rates pair {number}, and the page has {len(shown)}, from 0")
            if known.setdefault(number, choice) != choice:
                raise RatingError(
                    f"{first} and {file} are of one rater, but differ on pair {number}: name the newer alone"
                )
    if not any(given.values()):
        raise RatingError(f"{counted(len(files), 'file')} of ratings, and no pair is rated")
    raters = [rater for rater, ratings in given.items() if ratings]
    numbers = {pair.id: str(number) for number, pair in enumerate(shown)}
    return [
        Vote(pair, rater, _sign(pair, given[rater][numbers[pair.id]]) if pair.is_shown else 0)
        for pair in key.pairs
        for rater in raters
        if not pair.is_shown or numbers[pair.id] in given[rater]
    ]


def _read(file: Path) -> Ratings:
    try:
        return from_json(Ratings, file.read_bytes())
    except OSError as error:
        raise RatingError(f"{file} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise RatingError(f"{file} holds no ratings of a page: {fault_in(error)}") from None


def _sign(pair: Pair, given: Given) -> int:
    if given == "equal":
        return 0
    return 1 if given == pair.new_side else -1


def rated(key: Key, votes: Sequence[Vote], alpha: float = 0.05) -> Rated:
    """What the votes, of which there is one at least, say. Raises CompareError for an impossible `alpha`."""
    signs = [vote.sign for vote in votes]
    by_pair: dict[str, list[int]] = defaultdict(list)
    for vote in votes:
        by_pair[vote.pair.id].append(vote.sign)
    share = win_rate(signs, [_cluster(vote) for vote in votes])
    preferring = [vote for vote in votes if vote.sign]
    on_left = [(vote.sign == 1) == (vote.pair.new_side == "left") for vote in preferring]
    effect = design_effect(on_left, [_cluster(vote) for vote in preferring])
    return Rated(
        names=key.names,
        num_pairs=len(by_pair),
        num_raters=len({vote.rater for vote in votes}),
        won=signs.count(1),
        tied=signs.count(0),
        lost=signs.count(-1),
        win_rate=Interval(rate=share.mean, low=share.low, high=share.high, num=len(signs)),
        agreement=krippendorff_alpha([by_pair[pair.id] for pair in key.shown if pair.id in by_pair]),
        left=interval(sum(on_left), len(preferring), effect),
        comparison=compare(*_outcomes(key, votes), alpha=alpha),
    )


def _cluster(vote: Vote) -> str:
    """What votes have in common that are not independent."""
    return vote.pair.story or vote.pair.id


def _outcomes(key: Key, votes: Sequence[Vote]) -> tuple[Outcomes, Outcomes]:
    """The votes as items of the gate: a vote is passed by who is preferred, a tie by both."""
    raters = {rater: number for number, rater in enumerate(dict.fromkeys(vote.rater for vote in votes), 1)}
    has_several = len(raters) > 1
    old: dict[str, Item] = {}
    new: dict[str, Item] = {}
    for vote in votes:
        name = f"{vote.pair.id} by rater {raters[vote.rater]}" if has_several else vote.pair.id
        story = _cluster(vote) if has_several else vote.pair.story
        old[name] = Item(value=float(vote.sign <= 0), story=story)
        new[name] = Item(value=float(vote.sign >= 0), story=story)
    before, after = (
        Outcomes(source=source, measure="preferred", kind=Kind.PASS, items=items)
        for source, items in zip(key.names, (old, new), strict=True)
    )
    return before, after


def write_labelled(file: Path, votes: Sequence[Vote]) -> int:
    """Write the pairs on which most raters prefer one side, as `judge.labelled` reads them; returns how many.

    Raises RatingError where the file exists, and where there is no such pair.
    """
    if os.path.lexists(file):
        raise RatingError(f"--labelled never overwrites, but {file} exists: name another file")
    sums: dict[str, int] = defaultdict(int)
    pairs = {vote.pair.id: vote.pair for vote in votes}
    for vote in votes:
        sums[vote.pair.id] += vote.sign
    rows = [
        {
            "id": name,
            "prompt": pair.asked,
            "old": pair.old,
            "new": pair.new,
            "better": "new" if sums[name] > 0 else "old",
            **({"story": pair.story} if pair.story else {}),
        }
        for name, pair in pairs.items()
        if sums[name]
    ]
    if not rows:
        raise RatingError(f"--labelled {file}: on no pair do most raters prefer one side")
    try:
        replace_file(file, "".join(json.dumps(row) + "\n" for row in rows).encode())
    except OSError as error:
        raise RatingError(f"--labelled {file} cannot be written: {error.strerror}") from error
    return len(rows)

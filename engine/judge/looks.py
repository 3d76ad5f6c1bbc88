"""Looks at a page's ratings: each spends a part of the error level, as the looks of a gate's test do.

    page.looks    beside page.key: the level that all looks share, and which ratings each of them saw

Who tests again after every rater comes to a "better" by chance sooner or later. So the first look has half of
the level, and each later one half of what is left: all together less than the level, however many they are.
The same ratings again are the same look.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from engine.disk.files import locked, replace_file
from engine.gate.compare import require_alpha
from engine.judge.rating import Key, RatingError
from engine.judge.ratings import Vote
from engine.records import fault_in, from_json, to_json


class Spent(NamedTuple):
    """What one look is tested at."""

    number: int
    """From 1."""
    level: float
    """Its part of the level that all looks share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looks:
    """The looks at a page so far."""

    seal: str
    alpha: float
    votes: tuple[str, ...] = ()
    """The hash of what each look saw, in their order."""


def spend(key_file: Path, key: Key, votes: Sequence[Vote], alpha: float) -> Spent:
    """The level of a look at some votes, which is kept before it is used.

    Raises CompareError for an impossible `alpha`, and RatingError for another one than at the first look, for
    a record of looks that is damaged or of another page, and where it cannot be written.
    """
    require_alpha(alpha)
    file = key_file.with_suffix(".looks")
    try:
        with locked(file.parent):
            number = _number(file, key, votes, alpha)
    except OSError as error:
        raise RatingError(f"{file}, which counts looks, cannot be written: {error.strerror}") from error
    return Spent(number, alpha / 2**number)


def _number(file: Path, key: Key, votes: Sequence[Vote], alpha: float) -> int:
    """The number of a look, which is added to the file where it is a new one."""
    looks = _read(file, key) or _Looks(seal=key.seal, alpha=alpha)
    if looks.alpha != alpha:
        raise RatingError(
            f"--alpha must stay {looks.alpha:g}, as at the first look at the page ({file}), got {alpha:g}"
        )
    seen = _hash(votes)
    if seen not in looks.votes:
        looks = replace(looks, votes=(*looks.votes, seen))
        replace_file(file, to_json(looks).encode())
    return looks.votes.index(seen) + 1


def _read(file: Path, key: Key) -> _Looks | None:
    try:
        looks = from_json(_Looks, file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RatingError(f"{file} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise RatingError(f"{file} holds no looks at a page: {fault_in(error)}") from None
    if looks.seal != key.seal:
        raise RatingError(f"{file} counts the looks at another page than this key is of: remove it")
    return looks


def _hash(votes: Sequence[Vote]) -> str:
    said = sorted(f"{vote.pair.id}\0{vote.rater}\0{vote.sign}" for vote in votes)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]

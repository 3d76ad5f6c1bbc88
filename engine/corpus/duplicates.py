"""Duplicates: of examples that ask and learn the same, or almost the same, the first stays.

Near duplicates say almost the same with the same numbers and symbols, in the sense of `engine.curate.near`:
as a whole and in each reply, while what is asked may differ in more words. So a canned reply to two questions
is none, and neither are two answers to one question, two questions about one long text, or a question and its
negation.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from engine.corpus.alike import (
    Text,
    asked_text,
    candidates,
    candidates_by_meaning,
    is_alone,
    read_text,
    similarity,
    whole_of,
)
from engine.corpus.conflicts import NEGATIONS
from engine.corpus.shelf import Shelf
from engine.curate.likeness import pieces, words
from engine.curate.near import LEAST

_LEAST_ASKED = 0.5
"""Similarity of what is asked from which two examples with almost the same replies are near duplicates."""
_SENTENCE = re.compile(r"(?<=[.?!:])\s+|\n+")
_NEGATION = re.compile(rf"\b(?:{'|'.join(NEGATIONS)})\b|n['’]t\b", re.IGNORECASE)
_LEAST_EXCHANGED = 20
"""Words of a turn and its reply from which they are more than what many chats end with, such as thanks."""
_REMEMBERED = 256
"""Examples whose shingles are kept for the next comparison."""


class Twin(NamedTuple):
    """An example that repeats another."""

    of: int
    """The rank of the other, which is lower."""
    fault: str
    reason: str
    """How the two are alike, without the other's place."""


class _Said(NamedTuple):
    """An example as it is compared with another."""

    kind: str
    system: str
    alone: bool
    """Whether nothing was said before the last turn."""
    num_exchanged: int
    """Words of the last turn and of the reply that is learnt."""
    asked: Text
    last: Text
    sentences: tuple[str, ...]
    """Of the last turn, without case and punctuation."""
    negations: Counter[str]
    """Of the last turn."""
    chosen: Text
    rejected: Text
    whole: Text


_LEAST_OF = {"whole": LEAST, "chosen": LEAST, "rejected": LEAST, "asked": _LEAST_ASKED, "last": _LEAST_ASKED}


class Comparison:
    """Compares examples of a shelf, by rank, and reads them when they are asked for."""

    def __init__(self, shelf: Shelf) -> None:
        self._said: Callable[[int], _Said] = lru_cache(_REMEMBERED)(lambda rank: _said(shelf, rank))

    def ask_alike(self, one: int, other: int) -> bool:
        """Whether two examples ask almost the same."""
        return similarity(self._said(one).asked, self._said(other).asked) >= LEAST

    def exchange_alike(self, one: int, other: int) -> bool:
        """Whether two examples reply almost the same to almost the same, whatever was said before.

        Short exchanges of two that both go on with a chat do not count: a turn such as thanks is no question.
        """
        mine, its = self._said(one), self._said(other)
        if not (mine.alone or its.alone) and min(mine.num_exchanged, its.num_exchanged) < _LEAST_EXCHANGED:
            return False
        return all(
            similarity(getattr(mine, name), getattr(its, name)) >= LEAST for name in ("last", "chosen")
        )

    def are_near(self, one: int, other: int) -> float:
        """The similarity of two near duplicates; 0 where they are none."""
        mine, its = self._said(one), self._said(other)
        if (mine.kind, mine.system) != (its.kind, its.system):
            return 0.0
        near = all(
            similarity(getattr(mine, name), getattr(its, name)) >= least for name, least in _LEAST_OF.items()
        )
        return similarity(mine.whole, its.whole) if near and _ask_the_same(mine, its) else 0.0

    def may_mean_the_same(self, one: int, other: int) -> bool:
        """Whether two examples are of one kind, and have the same numbers, symbols and negations."""
        mine, its = self._said(one), self._said(other)
        return (mine.kind, mine.system, mine.negations, mine.whole.marks) == (
            its.kind,
            its.system,
            its.negations,
            its.whole.marks,
        )


def _said(shelf: Shelf, rank: int) -> _Said:
    example = shelf[rank]
    system = next((turn.text for turn in example.chat if turn.role == "system"), "")
    asked, chosen, rejected = map(read_text, (asked_text(example), example.chosen, example.rejected))
    return _Said(
        kind=example.kind,
        system=" ".join(system.split()),
        alone=is_alone(example),
        num_exchanged=len(pieces(example.prompt)) + len(pieces(example.chosen)),
        asked=asked,
        last=read_text(example.prompt),
        sentences=tuple(" ".join(words(each)) for each in _SENTENCE.split(example.prompt)),
        negations=Counter(found.casefold() for found in _NEGATION.findall(example.prompt)),
        chosen=chosen,
        rejected=rejected,
        whole=whole_of(asked, chosen, rejected),
    )


def _ask_the_same(one: _Said, other: _Said) -> bool:
    """Whether the sentences that only one of two prompts has are alike too, and both negate alike."""
    mine, its = (
        " ".join(each for each in told if each not in known)
        for told, known in ((one.sentences, set(other.sentences)), (other.sentences, set(one.sentences)))
    )
    alike = not mine or not its or similarity(read_text(mine), read_text(its)) >= _LEAST_ASKED
    return alike and one.negations == other.negations


def exact_duplicates(shelf: Shelf) -> dict[int, Twin]:
    """By rank, examples that are the same as an earlier one, blanks aside but for those before lines."""
    _, first, inverse = np.unique(shelf.keys, return_index=True, return_inverse=True)
    earliest = first[inverse]
    return {
        rank: Twin(int(earliest[rank]), "duplicate", "is the same as")
        for rank in np.flatnonzero(earliest != np.arange(len(shelf))).tolist()
    }


def near_duplicates(shelf: Shelf, ranks: np.ndarray, compared: Comparison) -> dict[int, Twin]:
    """Examples among `ranks`, which ascend, that say almost what an earlier one of them says."""
    twins: dict[int, Twin] = {}
    pairs = candidates(shelf.laid_out("whole_bands"), shelf.places[ranks])
    for one, other in _in_turn(ranks[pairs], twins):
        if likeness := compared.are_near(one, other):
            twins[other] = Twin(one, "near_duplicate", f"is alike by {likeness:.2f} to")
    return twins


def near_pairs(shelf: Shelf, ranks: np.ndarray, compared: Comparison) -> np.ndarray:
    """All near duplicates that are found among `ranks`, as rows of (lower rank, higher rank)."""
    pairs = ranks[candidates(shelf.laid_out("whole_bands"), shelf.places[ranks])]
    return pairs[np.array([compared.are_near(*pair) > 0 for pair in pairs.tolist()], bool)]


def semantic_duplicates(
    shelf: Shelf, ranks: np.ndarray, compared: Comparison, *, least: float, seed: int
) -> dict[int, Twin]:
    """Examples among `ranks`, which ascend, that mean what an earlier one means, by their embeddings."""
    twins: dict[int, Twin] = {}
    pairs = candidates_by_meaning(shelf.laid_out("meanings"), shelf.places[ranks], least, seed)
    for one, other in _in_turn(ranks[pairs], twins):
        if compared.may_mean_the_same(one, other):
            twins[other] = Twin(one, "semantic_duplicate", "means the same as")
    return twins


def _in_turn(pairs: np.ndarray, twins: dict[int, Twin]) -> Iterator[tuple[int, int]]:
    """Pairs whose later one is no twin yet, each with what its earlier one is a twin of, if it is one."""
    for one, other in pairs.tolist():
        keeper = twins[one].of if one in twins else one
        if other not in twins:
            yield keeper, other

"""Which of a million examples may be alike, without comparing each with each.

MinHash with locality-sensitive hashing (Broder 1997; the package rensa) makes a short row of numbers of each
text, its bands: texts that are near duplicates have one of them in common, and few others have. The rows are
kept on disk and sorted band by band, so that memory holds one band at a time. Meanings are compared within
clusters of embeddings (SemDeDup, Abbas et al. 2023, arXiv:2303.09540). Whatever is found is only a candidate.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from engine.corpus.conflicts import asked
from engine.curate.near import marks_of, shingles_of
from engine.embeddings import Embed
from engine.tasks.examples import Example

BANDS, _ROWS = 25, 5
"""So many bands, each of so many hashes, find pairs of similarity 0.8 with a chance of 99.99 %, and of 0.3
with 6 %."""
_HASHES = 128
"""The next power of two, for which rensa is fastest."""
_SEED = 1
_INDENTED = re.compile(r"^[ \t]+\S", re.MULTILINE)
_BATCH = 64
"""Examples whose shingles are in memory at a time: a text has about as many as characters."""
_WINDOW = 8
"""Of more texts than this in one band, each is compared with so many before it, and with the first. Of more
that mean the same, it is compared with so many of those before it that are nearest."""
_CLUSTER = 2_000
"""Examples of a cluster of meanings, about."""
_SAMPLE = 50_000
"""Examples from which the centres of clusters are learnt."""
_CELLS = 2**22
"""Cosines that are computed at a time."""
_DIGITS = 4
"""Digits of a cosine: equal texts must have equal scores, however a product of matrices was rounded."""


class Text(NamedTuple):
    """A text as it is compared."""

    marks: tuple[str, ...]
    """Numbers and symbols: texts with others are other texts."""
    shingles: frozenset[str]


def read_text(text: str) -> Text:
    """What of a text is compared."""
    return Text(tuple(marks_of(text)), frozenset(shingles_of(text)))


def similarity(one: Text, other: Text) -> float:
    """Jaccard similarity of the shingles of two texts; 0 where their numbers or symbols differ."""
    if one.marks != other.marks:
        return 0.0
    return len(one.shingles & other.shingles) / len(one.shingles | other.shingles)


def whole_of(*texts: Text) -> Text:
    """Several texts as one, without its characters."""
    marks = tuple(mark for text in texts for mark in text.marks)
    return Text(marks, frozenset[str]().union(*(text.shingles for text in texts)))


def asked_text(example: Example) -> str:
    """What is replied to: the chat without its system message."""
    return "\n".join(turn.text for turn in example.chat if turn.role != "system")


def is_alone(example: Example) -> bool:
    """Whether nothing was said before the last turn, so that it can be asked by itself."""
    return sum(turn.role != "system" for turn in example.chat) == 1


class Fingerprints(NamedTuple):
    """What is kept in memory, or on disk by columns, of examples; one row each."""

    keys: np.ndarray
    """Of everything that is learnt, blanks aside but for those before lines: equal for exact duplicates."""
    asked: np.ndarray
    """Of the kind and the chat without the reply: equal for those that may conflict."""
    asked_bands: np.ndarray
    """Of the chat."""
    whole_bands: np.ndarray
    """Of the chat with its replies."""
    exchange_bands: np.ndarray
    """Of the last turn with the reply that is learnt, whatever went before."""
    alone: np.ndarray
    """Whether nothing was said before the last turn."""
    meanings: np.ndarray
    """Sentence embeddings, in half precision; without columns where none are asked for."""


def fingerprints(examples: Sequence[Example], embed: Embed | None) -> Fingerprints:
    """The fingerprints of some examples, each by itself."""
    bands = [_bands_of(examples[start : start + _BATCH]) for start in range(0, len(examples), _BATCH)]
    none = (np.zeros((0, BANDS), np.uint32),) * 3
    asked_bands, whole_bands, exchange_bands = (
        np.concatenate(each) for each in zip(none, *bands, strict=True)
    )
    return Fingerprints(
        keys=_numbers([_content(example) for example in examples]),
        asked=_numbers([asked(example) for example in examples]),
        asked_bands=asked_bands,
        whole_bands=whole_bands,
        exchange_bands=exchange_bands,
        alone=np.array([is_alone(example) for example in examples], bool),
        meanings=_meanings(examples, embed),
    )


def _meanings(examples: Sequence[Example], embed: Embed | None) -> np.ndarray:
    if embed is None or not examples:
        return np.zeros((len(examples), 0), np.float16)
    return embed([f"{each.prompt}\n{each.chosen}\n{each.rejected}" for each in examples]).astype(np.float16)


def _bands_of(examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bands of the chats of a few examples, of these with their replies, and of the last exchanges."""
    chats, wholes, exchanges = [], [], []
    for example in examples:
        chat, chosen = read_text(asked_text(example)), read_text(example.chosen)
        chats.append(chat)
        wholes.append(whole_of(chat, chosen, read_text(example.rejected)))
        exchanges.append(whole_of(chat if is_alone(example) else read_text(example.prompt), chosen))
    return _bands(chats), _bands(wholes), _bands(exchanges)


def _content(example: Example) -> bytes:
    parts: list[str] = [example.kind]
    for turn in example.chat:
        parts += [turn.role, _without_blanks(turn.text)]
    parts += ["\0", _without_blanks(example.chosen), _without_blanks(example.rejected)]
    return _hash("\0".join(parts))


def _without_blanks(text: str) -> str:
    """A text with one blank in place of several, but for those that lines begin with: in code they count."""
    if not _INDENTED.search(text.strip()):
        return " ".join(text.split())
    lines = (line.expandtabs() for line in text.strip().splitlines())
    return "\n".join(" " * (len(line) - len(line.lstrip())) + " ".join(line.split()) for line in lines)


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


def _numbers(hashes: Sequence[bytes]) -> np.ndarray:
    """The first eight bytes of each hash as a number."""
    return np.frombuffer(b"".join(each[:8] for each in hashes), dtype="<u8").copy()


def _bands(texts: Sequence[Text]) -> np.ndarray:
    """The bands of texts, one row each: equal numbers of a column mean that two texts may be alike."""
    from rensa import RMinHash

    found = RMinHash.digests_from_token_sets([list(t.shingles) for t in texts], num_perm=_HASHES, seed=_SEED)
    hashes = np.array(found, dtype=np.uint64)[:, : BANDS * _ROWS].reshape(-1, BANDS, _ROWS)
    # Texts with other numbers or symbols are never alike, so that they share no band.
    marks = _numbers([_hash("\0".join(text.marks)) for text in texts])
    bands = np.repeat(marks[:, None], BANDS, axis=1)
    for row in range(_ROWS):
        # FNV-1a (Fowler, Noll and Vo 1991), over whole numbers in place of bytes.
        bands = (bands ^ hashes[:, :, row]) * np.uint64(0x100000001B3)
    return (bands >> np.uint64(32)).astype(np.uint32)


def candidates(bands: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Pairs of texts that share a band, each once: rows of (earlier, later), in the order of the later.

    `bands` has a row for each text and a column for each band; a pair is given by its positions in `places`,
    which names rows. Of a band that more than a few texts share, not all pairs are found.
    """
    num = len(places)
    found = np.zeros(0, np.int64)
    for band in range(bands.shape[1]):
        column = bands[places, band]
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        starts = np.flatnonzero(np.concatenate([np.ones(min(num, 1), bool), ordered[1:] != ordered[:-1]]))
        group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, num)))
        pairs = [found]
        for distance in range(1, _WINDOW + 1):
            alike = group[distance:] == group[:-distance]
            if not alike.any():
                break
            pairs.append(order[distance:][alike] * num + order[:-distance][alike])
        else:
            far = np.arange(num) - starts[group] > _WINDOW
            pairs.append(order[far] * num + order[starts[group[far]]])
        found = np.unique(np.concatenate(pairs))
    return np.stack([found % max(num, 1), found // max(num, 1)], axis=1)


def candidates_by_meaning(meanings: np.ndarray, places: np.ndarray, least: float, seed: int) -> np.ndarray:
    """Pairs with a cosine of at least `least` within a cluster of meanings, as `candidates` gives them.

    `meanings` has a row of length 1 for each text. Of each text only the nearest before it are found.
    """
    num = len(places)
    found = [np.zeros(0, np.int64)]
    for members in _clusters(meanings, places, seed):
        vectors = meanings[places[members]].astype(np.float32)
        step = max(1, _CELLS // max(len(members), 1))
        for start in range(0, len(members), step):
            cosines = np.round(vectors[start : start + step] @ vectors.T, _DIGITS)
            cosines[:, start:] = np.tril(cosines[:, start:], -1)  # those before it alone
            nearest = np.argpartition(-cosines, min(_WINDOW, len(members)) - 1, axis=1)[:, :_WINDOW]
            later, at = np.nonzero(np.take_along_axis(cosines, nearest, axis=1) >= least)
            found.append(members[start + later] * num + members[nearest[later, at]])
    codes = np.unique(np.concatenate(found))
    return np.stack([codes % max(num, 1), codes // max(num, 1)], axis=1)


def _clusters(meanings: np.ndarray, places: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """The positions in `places` of each cluster's members, ascending; one cluster where there are few."""
    num = len(places)
    if num <= 2 * _CLUSTER:
        yield np.arange(num)
        return
    from sklearn.cluster import MiniBatchKMeans

    def vectors(positions: np.ndarray) -> np.ndarray:
        return meanings[places[positions]].astype(np.float32)

    sample = np.unique(np.linspace(0, num - 1, _SAMPLE, dtype=np.int64))
    centres = MiniBatchKMeans(num // _CLUSTER, random_state=seed, batch_size=4096, n_init=1)
    centres.fit(vectors(sample))
    blocks = (np.arange(start, min(start + _SAMPLE, num)) for start in range(0, num, _SAMPLE))
    labels = np.concatenate([centres.predict(vectors(block)) for block in blocks])
    order = np.argsort(labels, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)

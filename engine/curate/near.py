"""Near duplicates: texts that say almost the same with the same numbers and symbols.

Candidates come from MinHash with locality-sensitive hashing (Broder 1997; the package rensa), which never
compares all pairs; each candidate is then compared exactly. Texts with other numbers or symbols, or with the
same in another order, are other problems, however alike they look: "What is 12 + 34?" is neither
"What is 12 + 35?" nor "What is 12 - 34?".
"""

import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

LEAST = 0.8
"""Share of common shingles from which two texts count as near duplicates."""
_SHINGLE = 5
"""Characters of a shingle."""
_PERMUTATIONS = 128
_BANDS = 32
"""So many bands find pairs at the least similarity with a chance of over 99.9 %."""
_SEED = 1
_BUCKETS = 4096
"""Length of a vector of shingles."""
_EXACT = re.compile(r"\d+(?:[.,]\d+)*|[^\w\s.,;:!?'\"’“”()]")
"""Numbers and symbols; punctuation can change in a text that stays the same."""


class NearPair(NamedTuple):
    """Two texts by their places, the earlier first."""

    first: int
    second: int
    similarity: float
    """Jaccard similarity of their shingles."""


def near_duplicates(texts: Sequence[str]) -> list[NearPair]:
    """All pairs of near duplicates among `texts`, but for equal ones, in the order of the second."""
    from rensa import RMinHash, RMinHashLSH

    shingles = [shingles_of(text) for text in texts]
    exact = [marks_of(text) for text in texts]
    index = RMinHashLSH(threshold=LEAST, num_perm=_PERMUTATIONS, num_bands=_BANDS)
    pairs = []
    for place, own in enumerate(shingles):
        hashed = RMinHash(num_perm=_PERMUTATIONS, seed=_SEED)
        hashed.update(sorted(own))
        for other in sorted(index.query(hashed)):
            if texts[other] == texts[place] or exact[other] != exact[place]:
                continue
            similarity = len(own & shingles[other]) / len(own | shingles[other])
            if similarity >= LEAST:
                pairs.append(NearPair(other, place, round(similarity, 3)))
        index.insert(place, hashed)
    return pairs


def shingle_vectors(texts: Sequence[str]) -> "np.ndarray":
    """The shingles of each text, hashed into a vector of length 1: how alike two texts are in their letters.

    It stands in for sentence embeddings where there are none (feature hashing, Weinberger et al. 2009).
    """
    import numpy as np

    vectors = np.zeros((len(texts), _BUCKETS), dtype=np.float32)
    for row, text in zip(vectors, texts, strict=True):
        row[[zlib.crc32(shingle.encode()) % _BUCKETS for shingle in shingles_of(text)]] = 1
        row /= np.linalg.norm(row)
    return vectors


def marks_of(text: str) -> list[str]:
    """Numbers and symbols of a text, in order: texts with others are other texts."""
    return _EXACT.findall(text)


def shingles_of(text: str) -> set[str]:
    """Runs of characters of a text, without case and punctuation."""
    plain = " ".join(re.findall(r"\w+", text.casefold())) or text
    return {plain[i : i + _SHINGLE] for i in range(max(1, len(plain) - _SHINGLE + 1))}

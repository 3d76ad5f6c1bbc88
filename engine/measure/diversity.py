"""How varied texts are: whether a model still says different things, and whether it repeats itself.

Tokens are words, as they stand between blanks. The figures depend on how many texts there are and how long
they are, so they compare two models on the same prompts, and nothing else.
"""

from collections.abc import Sequence

from engine.embeddings import Embed
from engine.records import Figure

LOOP = 4
"""Words of the n-grams by which `repetition` recognises a loop."""
_DISTINCT = {"distinct_1": (1, "words"), "distinct_2": (2, "word pairs"), "distinct_3": (3, "word triples")}
KEYS = (*_DISTINCT, "repetition")
"""Keys of the figures that need no embeddings."""
SPREAD = "spread"
"""Key of the figure that needs them."""
_MOST_EMBEDDED = 100
"""Texts whose spread is measured: a processor embeds so many short ones in about half a second."""


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams as a share of all n-grams of all texts: distinct-n of Li et al. 2016.

    0 where no text has `n` words.
    """
    grams = [gram for text in texts for gram in _grams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition(texts: Sequence[str], n: int = LOOP) -> float:
    """The share of a text's n-grams that it has said before, mean over texts.

    This is seq-rep-n of Welleck et al. 2020. A text of fewer than `n` words repeats nothing.
    """
    if not texts:
        return 0.0
    shares = [1 - len(set(grams)) / len(grams) if (grams := _grams(text, n)) else 0.0 for text in texts]
    return sum(shares) / len(shares)


def spread(texts: Sequence[str], embed: Embed) -> float:
    """The mean cosine distance of two texts: 0 where all mean the same, about 1 where they are unrelated.

    Of many texts a hundred stand for all, evenly from the first to the last. 0 for less than two.
    """
    num = min(len(texts), _MOST_EMBEDDED)
    if num < 2:
        return 0.0
    rows = embed([texts[i * len(texts) // num] for i in range(num)])
    total = rows.sum(axis=0)
    # Of rows of length 1, the square of their sum is the sum of all cosines, their own included.
    return max(0.0, 1 - float(total @ total - num) / (num * (num - 1)))


def figures_of(texts: Sequence[str], embed: Embed | None = None) -> tuple[Figure, ...]:
    """The figures of `KEYS`; with `embed` that of `SPREAD`, too."""
    return (
        *(
            Figure(
                key=key,
                title=f"different {name}",
                value=distinct(texts, n),
                note=f"Different {name} as a share of all (distinct-{n}): lower where a model says less.",
            )
            for key, (n, name) in _DISTINCT.items()
        ),
        Figure(
            key="repetition",
            title="repeated within a reply",
            value=repetition(texts),
            note=f"Runs of {LOOP} words that the same reply has said before (seq-rep-{LOOP}).",
            better="lower",
        ),
        *([_of_spread(texts, embed)] if embed else []),
    )


def _of_spread(texts: Sequence[str], embed: Embed) -> Figure:
    return Figure(
        key=SPREAD,
        title="distance of two replies",
        value=spread(texts, embed),
        unit="",
        note="Mean cosine distance of sentence embeddings: lower where a model says the same in other words.",
    )


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = text.split()
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

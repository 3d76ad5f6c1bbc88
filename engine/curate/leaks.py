"""The leak guard: what must not be learnt, because models are judged on it.

A text leaks from a protected one if it is the same but for case, blanks and punctuation (exact), shares a
long passage with it (ngram), is the same but for names, things and numbers (renamed), has nearly the same
words in whatever order (reworded), or means the same by an embedding model (semantic). Exact hits always
count. The others are calibrated: where fresh problems of the same slice are as like the protected ones by
mere chance, being alike shows nothing, so that more is asked for, or the kind is switched off there. No
threshold of similarity serves every benchmark (Yang et al. 2023, arXiv:2311.04850).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from engine.curate.likeness import Cosines, Likeness, Passages, Renamings, bags_of_words, said
from engine.embeddings import Embed

Kind: TypeAlias = Literal["exact", "ngram", "renamed", "reworded", "semantic"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which they are looked for: a hit is counted by the first."""
VERBATIM: tuple[Kind, ...] = ("exact", "ngram")
"""The kinds by which a protected text is found that stands inside another text."""
FALSE_ALARMS = 0.01
"""Share of fresh problems that all kinds together may stop; each calibrated kind may stop a quarter of it."""
SUSPECT_SHARE = 0.1
"""Share of texts that each calibrated kind stops, the most alike, before it asks for more likeness, where
some of them may leak: losing a few is cheap, and no leak may raise the threshold above itself."""
_LEAST_FRESH = 99
"""Fresh texts from which a slice has thresholds of its own."""
_LEAST = {"renamed": 3.0, "reworded": 0.6, "semantic": 0.85}
"""Scores from which a kind counts where nothing is calibrated; for passages it is their least length.

No two of 500 word problems of GSM8K are so alike: the nearest are 0.43 by words, 0.83 by meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A protected text that another leaks from."""

    kind: Kind
    of: int
    """Place of the protected text."""


class LeakGuard:
    """Stops texts that leak from protected ones.

    `fresh` are texts of independent problems by slice, in which whatever is found is a false alarm. It takes
    400 of a slice until all kinds together can be expected to stop 1 % of others at most. A slice with less
    than a hundred is judged by the fresh texts of all slices. Without any, nothing is calibrated.

    A finite task has no independent problems: its `fresh` texts are the records that are to be learnt. They
    are `suspect`, as some of them may leak, and those that are most alike are then stopped all the same.
    """

    def __init__(
        self,
        protected: Sequence[str],
        *,
        embed: Embed | None = None,
        fresh: Mapping[str, Sequence[str]] | None = None,
        suspect: bool = False,
    ) -> None:
        self._suspect = suspect
        self._exact: dict[tuple[str, ...], int] = {}
        for place, text in enumerate(protected):
            self._exact.setdefault(said(text), place)
        by_slice = {
            name: [text for text in texts if said(text) not in self._exact]
            for name, texts in (fresh or {}).items()
        }
        pooled = [text for texts in by_slice.values() for text in texts]
        passages = Passages(protected, pooled, suspect=suspect)
        self._likeness: dict[Kind, Likeness] = {"ngram": passages, "renamed": Renamings(protected)}
        if protected:
            self._likeness["reworded"] = Cosines(protected, bags_of_words(protected))
        if protected and embed is not None:
            self._likeness["semantic"] = Cosines(protected, embed)
        self._least = {"ngram": float(passages.num_words), **_LEAST}
        self._thresholds: dict[Kind, dict[str, float]] = {}
        self._elsewhere: dict[Kind, float] = {}
        for kind, likeness in self._likeness.items():
            near = (
                passages.nearest(pooled, are_fresh=True) if likeness is passages else likeness.nearest(pooled)
            )
            scores = iter(each.score for each in near)
            own = {name: [next(scores) for _ in texts] for name, texts in by_slice.items()}
            self._elsewhere[kind] = self._threshold(kind, [each.score for each in near])
            self._thresholds[kind] = {
                name: self._threshold(kind, each) for name, each in own.items() if len(each) >= _LEAST_FRESH
            }

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is looked for; meaning only where there is an `Embed`."""
        return tuple(kind for kind in KINDS if kind == "exact" or kind in self._likeness)

    def leak(self, text: str, slice: str = "") -> Leak | None:
        """The leak in a text of a slice; None where there is none."""
        return self.leaks([text], [slice])[0]

    def leaks(
        self, texts: Sequence[str], slices: Sequence[str], kinds: Sequence[Kind] = KINDS
    ) -> list[Leak | None]:
        """The leak in each text, if there is one, by the first of the `kinds` that finds it."""
        found: list[Leak | None] = [
            None if place is None else Leak(kind="exact", of=place)
            for place in (self._exact.get(said(text)) for text in texts)
        ]
        for kind, likeness in self._likeness.items():
            left = [place for place, leak in enumerate(found) if leak is None and kind in kinds]
            nearest = likeness.nearest([texts[place] for place in left]) if left else []
            for place, near in zip(left, nearest, strict=True):
                if near.score >= self.threshold(kind, slices[place]):
                    found[place] = Leak(kind=kind, of=near.of)
        return found

    def threshold(self, kind: Kind, slice: str = "") -> float:
        """The score from which a kind counts in a slice. Raises KeyError where the kind is not looked for."""
        return self._thresholds[kind].get(slice, self._elsewhere[kind])

    def _threshold(self, kind: Kind, fresh: Sequence[float]) -> float:
        """The lowest score, from the least that counts on, above which few enough of the `fresh` ones lie.

        They are so few that the share of all fresh texts above it is below the allowed one with 95 %
        confidence (Clopper and Pearson 1934). It takes 1,200 to show that; of fewer it lies above all, so
        that of n another one lies above it with a chance of 1 / (n + 1). Of suspect ones a tenth may lie
        above it.
        """
        from scipy.stats import binom

        if self._suspect:
            spare = math.ceil(SUSPECT_SHARE * len(fresh))
        else:
            allowed = FALSE_ALARMS / (len(KINDS) - 1)
            spare = max(0, int(binom.ppf(0.05, len(fresh), allowed)) - 1) if fresh else 0
        least = self._least[kind]
        high = sorted((score for score in fresh if score >= least), reverse=True)
        return math.nextafter(high[spare], math.inf) if len(high) > spare else least

    def silence(self, kind: Kind) -> str:
        """Where a kind says nothing, or less than usual, in a few words; empty where it counts as usual."""
        if kind not in self._likeness:
            return ""
        by_slice = self._thresholds[kind] or {"": self._elsewhere[kind]}
        raised = {name: least for name, least in by_slice.items() if least > self._least[kind]}
        off = [name for name, least in raised.items() if least > self._likeness[kind].most]
        high = [least for name, least in raised.items() if name not in off]
        why = "fresh problems are as like by chance"
        if self._suspect:
            why = f"more than {SUSPECT_SHARE:.0%} of the records to learn from are as like, by chance or not"
        parts = []
        if off:
            parts.append(f"says nothing in {_listed(off, len(by_slice))}, where {why}")
        if high:
            parts.append(
                f"asks for more than {max(high):.3g} instead of {self._least[kind]:.3g} in {len(high)} of "
                f"{len(by_slice)} slices, because {why}"
            )
        return "; ".join(parts)


def _listed(names: Sequence[str], num: int) -> str:
    """The first of some slices, and how many of all `num` they are."""
    shown = ", ".join(f"'{name}'" for name in names[:3] if name)
    return f"{shown or 'all'} ({len(names)} of {num} slices)"

"""Conflicts: examples that ask the same and learn answers that exclude each other.

Two long replies to one prompt are two ways to answer. Two labels are not, so only short replies conflict; and
two pairs do of which one prefers what the other rejects. Which of them is right cannot be told, so that all
are left out.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeAlias

from engine.corpus.removal import Removal
from engine.corpus.stations import Sorted, removal_of
from engine.curate.likeness import pieces, said, told_apart
from engine.tasks.examples import Example

_Words: TypeAlias = tuple[str, ...]

_MOST_WORDS = 6
"""Words up to which a reply is a label."""
NEGATIONS = (
    *("not", "no", "never", "none", "without", "cannot"),
    *("nicht", "nie", "kein", "keine", "keinem", "keinen", "keiner", "keines", "keins", "ohne"),
    *("pas", "jamais", "sans", "non", "nunca", "sin", "senza", "niet", "geen"),
)
"""Words that make the opposite of what they are added to."""
_NEGATES = frozenset((*NEGATIONS, "-"))
_SHORT_NOT = re.compile(r"n['’]t\b", re.IGNORECASE)
_HYPHEN = re.compile(r"(?<=[^\W\d])-(?=[^\W\d])")
_SHOWN = 40


class ConflictStation:
    """Leaves out labels that contradict each other, and pairs that prefer opposite sides.

    It finds conflicts among the examples that it is given: all that have one `asked` must come together.
    """

    name = "conflicts"

    def __call__(self, examples: Sequence[Example]) -> Sorted:
        alike: dict[bytes, list[int]] = defaultdict(list)
        for place, example in enumerate(examples):
            if example.kind == "pair" or len(pieces(_unhyphened(example.chosen))) <= _MOST_WORDS:
                alike[asked(example)].append(place)
        reasons: dict[int, Removal] = {}
        for places in alike.values():
            if len(places) > 1:
                reasons |= _conflicts({place: examples[place] for place in places})
        kept = [example for place, example in enumerate(examples) if place not in reasons]
        return Sorted(kept, [reasons[place] for place in sorted(reasons)], {})


def asked(example: Example) -> bytes:
    """A hash of the chat that is replied to, as far as it is to be told apart, and of the kind."""
    told = (part for turn in example.chat for part in (turn.role, *told_apart(turn.text), "\n"))
    parts = [example.kind, *told]
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()


def _conflicts(examples: dict[int, Example]) -> dict[int, Removal]:
    """The removals of those of some examples with one chat that conflict with another, by their places."""
    found: dict[int, Removal] = {}
    first: dict[tuple[_Words, _Words], Example] = {}
    for example in examples.values():
        first.setdefault(_sides(example), example)
    for place, example in examples.items():
        chosen, rejected = _sides(example)
        if example.kind == "pair":
            fault, other = "contradictory_pair", first.get((rejected, chosen))
        else:
            labels = (other for (label, _), other in first.items() if _exclude(chosen, label))
            fault, other = "label_conflict", next(labels, None)
        if other is not None:
            reason = _why(example, other)
            found[place] = removal_of(example, station=ConflictStation.name, fault=fault, reason=reason)
    return found


def _sides(example: Example) -> tuple[_Words, _Words]:
    """What the reply of an example says, and of a pair the other one."""
    if example.kind == "pair":
        return told_apart(_unhyphened(example.chosen)), told_apart(_unhyphened(example.rejected))
    return said(_SHORT_NOT.sub(" not", _unhyphened(example.chosen))), ()


def _unhyphened(text: str) -> str:
    """A text in which a hyphen between letters is a blank, and one before a number is still a sign."""
    return _HYPHEN.sub(" ", text)


def _exclude(label: _Words, other: _Words) -> bool:
    """Whether two labels cannot both be right: neither is a part of the other, or what it adds negates it."""
    short, long = sorted((label, other), key=len)
    for start in range(len(long) - len(short) + 1):
        if long[start : start + len(short)] == short:
            return not _NEGATES.isdisjoint(long[:start] + long[start + len(short) :])
    return True


def _why(example: Example, other: Example) -> str:
    if example.kind == "pair":
        return f"prefers what {other.place} rejects, and rejects what it prefers"
    mine, theirs = (" ".join(each.chosen.split())[:_SHOWN] for each in (example, other))
    return f"asks what {other.place} asks, with another answer: '{mine}' and '{theirs}'"

"""Private data: what names a person, an account or a machine, or opens a door, is masked, dropped or refused.

    mask("Write to anna@acme.com")    Masked(text="Write to [mail]", counts={"mail": 1})

The shapes are those of Presidio's pattern recognisers (Microsoft), with stricter checks. The package itself
is not used: it brings spaCy, loads PyTorch and Transformers into every process that reads a text, and asks
the network for a list of domains when it first meets a mail address.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from hashlib import blake2b
from operator import attrgetter
from typing import NamedTuple

from configs.curation import Private
from engine.corpus.credentials import CREDENTIALS, credentials_in
from engine.corpus.identifiers import IDENTIFIERS
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError, Sorted, removal_of
from engine.tasks.examples import Example

KINDS = (*CREDENTIALS, *IDENTIFIERS)
"""In the order in which they claim what could be several of them."""
_SHOWN = 25_000
"""Characters of a prompt that are looked at for a label: more than a piece of private data has."""
_REMEMBERED = 512
"""Texts whose masked form is kept for the next example: a chat has hardly more turns."""


class Found(NamedTuple):
    """Private data in a text."""

    start: int
    end: int
    kind: str


class Masked(NamedTuple):
    """A text without its private data."""

    text: str
    """A mark such as ``[mail]`` stands for each piece."""
    counts: dict[str, int]
    """How many pieces of each kind there were."""


def find(text: str, kinds: Sequence[str] = KINDS) -> list[Found]:
    """The private data in a text, in order, no piece within another."""
    claimed: list[Found] = []
    for kind in KINDS:
        if kind in kinds:
            spans = IDENTIFIERS[kind](text) if kind in IDENTIFIERS else credentials_in(text, kind)
            for start, end in spans:
                at = bisect(claimed, start, key=attrgetter("start"))
                is_free = at == 0 or claimed[at - 1].end <= start
                if is_free and (at == len(claimed) or end <= claimed[at].start):
                    claimed.insert(at, Found(start, end, kind))
    return claimed


def mask(text: str, kinds: Sequence[str] = KINDS) -> Masked:
    """The text with a mark in place of each piece of private data."""
    found = find(text, kinds)
    parts, at = [], 0
    for each in found:
        parts += [text[at : each.start], f"[{each.kind}]"]
        at = each.end
    return Masked("".join([*parts, text[at:]]), dict(Counter(each.kind for each in found)))


def unmasked_removal_of(example: Example, *, station: str, fault: str, reason: str) -> Removal:
    """The removal of an example in which private data may still stand, and which shows none.

    It is masked before the label is cut: the beginning of a card number looks like none.
    """
    last = replace(example.chat[-1], text=mask(example.prompt[:_SHOWN]).text)
    shown = replace(example, chat=(*example.chat[:-1], last))
    return removal_of(shown, station=station, fault=fault, reason=reason)


class PrivateStation:
    """Masks private data, leaves out what holds some, or refuses it all."""

    name = "private"

    def __init__(self, settings: Private) -> None:
        """Raises CurationError for a kind that does not exist."""
        kinds = KINDS if settings.kinds is None else tuple(settings.kinds)
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise CurationError(f"private.kinds: '{unknown[0]}' is no kind; there are {', '.join(KINDS)}")
        self._action = settings.action
        # A chat becomes several examples, and each turn is in all that follow it.
        self._mask = lru_cache(_REMEMBERED)(partial(mask, kinds=kinds))

    def __call__(self, examples: Sequence[Example]) -> Sorted:
        kept: list[Example] = []
        removed: list[Removal] = []
        noted: Counter[str] = Counter()
        for example in examples:
            verdict, counts = self._judged(example)
            if isinstance(verdict, Removal):
                removed.append(verdict)
            else:
                kept.append(verdict)
                noted.update(counts)
        return Sorted(kept, removed, dict(noted))

    def _judged(self, example: Example) -> tuple[Example | Removal, Counter[str]]:
        """The example, masked where it must be, or its removal; and how many pieces of each kind it holds.

        Raises CurationError where it is refused.
        """
        chat = [self._mask(turn.text) for turn in example.chat]
        chosen, rejected, own_id, story = map(
            self._mask, (example.chosen, example.rejected, example.id, example.story)
        )
        counts: Counter[str] = Counter()
        for each in (*chat, chosen, rejected, own_id, story):
            counts.update(each.counts)
        if not counts:
            return example, counts
        # Two stories must stay two, which a mark in both would make one.
        hidden = blake2b(example.story.encode(), digest_size=8).hexdigest()
        masked = replace(
            example,
            chat=tuple(replace(turn, text=each.text) for turn, each in zip(example.chat, chat, strict=True)),
            chosen=chosen.text,
            rejected=rejected.text,
            id=own_id.text,
            story=hidden if story.counts else example.story,
        )
        if self._action == "mask":
            return masked, counts
        held = "private data: " + ", ".join(f"{num} × {kind}" for kind, num in counts.items())
        if self._action == "refuse":
            raise CurationError(
                f"{example.place} holds {held}; private.action is 'refuse', so nothing is curated; "
                "'mask' puts a mark in its place, 'drop' leaves the example out"
            )
        # The removal shows the beginning of the example, and must not show what it was removed for.
        fault, reason = next(iter(counts)), f"holds {held}"
        return removal_of(masked, station=self.name, fault=fault, reason=reason), counts

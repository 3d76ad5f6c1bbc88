"""Contamination: what a model is evaluated on is not learnt, neither as it stands nor said another way.

Prompts are compared with the protected texts by the leak guard (`engine/curate/leaks.py`): verbatim, in a
long passage, with other names and numbers, with the same words in another order, and where that is asked for
by meaning. Earlier turns and replies are searched for passages. The protected texts themselves say how alike
independent texts of their kind are by chance: each half of them is guarded with thresholds that hardly a text
of the other half reaches.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import product
from zlib import crc32

import numpy as np

from configs.curation import Contamination
from engine.corpus.private import mask
from engine.corpus.protected import Protected
from engine.corpus.stations import Sorted, removal_of
from engine.curate.leaks import KINDS, VERBATIM, Kind, Leak, LeakGuard
from engine.curate.likeness import FUNCTION_WORDS, LONGEST, SHORTEST, said, words
from engine.embeddings import embedder
from engine.tasks.examples import Example

_SIMILAR: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind not in VERBATIM)
_CALIBRATES, _ALIKE = 800, 0.85
"""Protected texts of the other half from which both guards together stop a hundredth of others at the most.
With fewer, two texts must also share so many of all words that they have and that mean something."""
_RUN, _SHARE, _ENOUGH = 5, 0.4, 40
"""A passage counts where it has this share of the protected text's runs of words, or so many of them: what
shares only a turn of phrase with a long text is no leak."""
_SHARED = 10
"""Protected texts that may share a passage which is what they are about; more share a template."""
_HOW: dict[Kind, str] = {
    "exact": "says what {} says",
    "ngram": "shares a passage with {}",
    "renamed": "says what {} says, with other names and numbers",
    "reworded": "has nearly the words of {}",
    "semantic": "means nearly what {} means",
}


class ContaminationStation:
    """Leaves out what leaks from texts that a model is evaluated on."""

    name = "contamination"

    def __init__(self, settings: Contamination, protected: Sequence[tuple[str, str]]) -> None:
        """`protected` are texts, each with where it stands, as `protected_in` reads them."""
        self._settings, self._protected = settings, protected
        self._made: list[_Half] | None = None

    def __call__(self, examples: Sequence[Example]) -> Sorted:
        prompts = [(place, each.prompt) for place, each in enumerate(examples)]
        found = self._reasons(prompts, VERBATIM)
        found |= self._reasons([(place, text) for place, text in prompts if place not in found], _SIMILAR)
        rest = [
            (place, text)
            for place, each in enumerate(examples)
            if place not in found
            for text in (*(turn.text for turn in each.chat[:-1] if turn.role != "system"), *_replies(each))
            if len(words(text)) >= SHORTEST
        ]
        found |= self._reasons(rest, VERBATIM)
        kept = [example for place, example in enumerate(examples) if place not in found]
        removed = [
            removal_of(examples[place], station=self.name, fault=found[place][0], reason=found[place][1])
            for place in sorted(found)
        ]
        return Sorted(kept, removed, {})

    def _reasons(
        self, texts: Sequence[tuple[int, str]], kinds: Sequence[Kind]
    ) -> dict[int, tuple[Kind, str]]:
        """For each place with a text that leaks, by which kind and from what."""
        found: dict[int, tuple[Kind, str]] = {}
        for half, kind in product(self._halves() if texts else (), kinds):
            # Kind by kind: what is none of one may still be one of the next.
            left = [(place, text) for place, text in texts if place not in found]
            # A chat becomes several examples, and each turn is in all that follow it.
            once = list(dict.fromkeys(text for _, text in left))
            leaks = dict(zip(once, half.guard.leaks(once, [""] * len(once), (kind,)), strict=True))
            for place, text in left:
                leak = leaks[text]
                if leak and place not in found and half.is_one(leak, text):
                    of = half.protected[leak.of]
                    found[place] = leak.kind, _HOW[leak.kind].format(of.where)
        return found

    def _halves(self) -> "list[_Half]":
        if self._made is None:
            once: dict[tuple[str, ...], Protected] = {}
            for text, where in self._protected:
                # Where private data has been masked, the same is asked with marks in it.
                for each in (text, mask(text).text):
                    once.setdefault(said(each), Protected(each, where))
            parts = _halved(list(once.values()))
            self._made = [
                _Half(mine, others, self._settings.semantic) for mine, others in (parts, parts[::-1]) if mine
            ]
        return self._made


def _replies(example: Example) -> tuple[str, ...]:
    return (example.chosen, example.rejected) if example.rejected else (example.chosen,)


class _Half:
    """A guard of half of the protected texts, calibrated by the others."""

    def __init__(self, protected: Sequence[Protected], others: Sequence[Protected], semantic: bool) -> None:
        self.protected, self._num_others = protected, len(others)
        self.guard = LeakGuard(
            [text for text, _ in protected],
            embed=embedder() if semantic else None,
            fresh={"": [text for text, _ in others]},
        )

    def is_one(self, leak: Leak, text: str) -> bool:
        """Whether a leak that the guard found is more than chance makes of such texts."""
        if leak.kind == "exact":
            return True
        mine, its = words(text), words(self.protected[leak.of].text)
        if leak.kind == "ngram":
            runs = _runs(its, _RUN)
            return len(runs & _runs(mine, _RUN)) >= min(_ENOUGH, _SHARE * len(runs))
        if min(len(mine), len(its)) < SHORTEST:
            return False
        if leak.kind == "semantic" or self._num_others >= _CALIBRATES:
            return True
        told, known = _meaning(text), _meaning(self.protected[leak.of].text)
        return len(told & known) >= _ALIKE * len(told | known)


def _halved(protected: Sequence[Protected]) -> tuple[list[Protected], list[Protected]]:
    """Two halves, by content. Texts of one record, with the same words, or about one passage stay together.

    That they are alike says nothing about others. Where most texts are linked by passages, as those of a
    template are, passages link none.
    """
    linked: dict[Hashable, list[int]] = defaultdict(list)
    for at, (text, where) in enumerate(protected):
        told = words(text)
        names: set[Hashable] = {where, frozenset(_meaning(text)), *_runs(told, LONGEST)}
        for name in names:
            linked[name].append(at)
    passages = [
        shared for name, shared in linked.items() if isinstance(name, tuple) and len(shared) <= _SHARED
    ]
    others = [shared for name, shared in linked.items() if not isinstance(name, tuple)]
    clusters = _clusters(len(protected), [*others, *passages])
    if max(map(len, clusters), default=0) > max(_SHARED, len(protected) // 4):
        clusters = _clusters(len(protected), others)
    parts: tuple[list[Protected], list[Protected]] = ([], [])
    for members in clusters:
        named = min(" ".join(sorted(_meaning(protected[at].text))) for at in members)
        parts[crc32(named.encode()) % 2].extend(protected[at] for at in members)
    return parts


def _clusters(num: int, linked: Iterable[Sequence[int]]) -> list[list[int]]:
    """What is linked directly or through others, of `num` things."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = np.array([(first, at) for first, *rest in linked for at in rest], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(num, num))
    found: dict[int, list[int]] = defaultdict(list)
    for at, label in enumerate(connected_components(graph, directed=False)[1].tolist() if num else ()):
        found[label].append(at)
    return list(found.values())


def _meaning(text: str) -> set[str]:
    """The words of a text that mean something."""
    return set(words(text)) - FUNCTION_WORDS


def _runs(told: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(told[i : i + length]) for i in range(len(told) - length + 1)}

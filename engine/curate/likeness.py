"""How alike texts are to some that are kept for judging: by a passage, by form, by words, or by meaning.

Each measure gives a text the score of the kept text that it is most like. `engine/curate/leaks.py` decides
from which score on that is a leak.
"""

import itertools
import math
import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.embeddings import Embed

if TYPE_CHECKING:
    import numpy as np

SHORTEST, LONGEST = 8, 13
"""Words of the shortest passage that counts where the texts are short, and where they are long."""
_COMMON = 10
"""A passage in more of the kept texts than this belongs to a template too, and so does one in more of the
fresh texts where some of these may leak."""
_LIST_MARK = re.compile(
    r"^[ \t]*(?:\(?\d{1,3}[.)]|\[\d+\]|[-*•])(?=\s)|(?<=[.,;:!?])[ \t]*\[\d+\](?=\s)|\[\d+\][ \t]*$",
    re.MULTILINE,
)
"""Numbers and bullets of lists, before an item or after its end, which say nothing."""
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s.,;:!?'\"’“”‘«»()\[\]{}…—–]")
"""Numbers, words, and symbols such as + and $. Punctuation can change in a text that stays the same."""
_CODE = re.compile(
    r"[`()\[\]{}<>=|&\\_#$@^~\"]|(?<!\w)'(?=\w)|!(?=\w)|[^\W\d][.,:;](?=\w)|^[ \t]+\S", re.MULTILINE
)
"""What stands in code and seldom in prose, where a mistake costs little: equal texts are still equal."""
_PIECE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\u3040-\u30ff\u3400-\u9fff]+")
_THIRD_PERSON = frozenset(
    "he she him her his hers they them their theirs himself herself themselves".split()  # noqa: SIM905
)
FUNCTION_WORDS = _THIRD_PERSON | frozenset(
    """
    a an the this that these those each every all any some no not none nor both either neither other another
    and or but if then than so as because while when where who whom whose which what why how
    of in on at by to from for with without into onto over under between among about after before during per
    is are was were be been being am do does did done has have had having can could will would shall should
    may might must i me my mine you your yours we us our ours it its itself one s t d ll re ve
    there here only also too very more most less least many much few true false yes
    """.split()  # noqa: SIM905
)
"""Words that hold a sentence together and are never renamed."""
_ENDING, _STEM = re.compile(r"(?:ed|ing|(?:e?s)+)$"), 4
"""What tells *wumpuses* from *wumpus*, in words of more than so many letters."""
_BUCKETS = 2048
"""Length of the vector of a bag of words."""
_DIGITS = 4
"""Digits of a cosine: equal texts must have equal scores, however a product of matrices was rounded."""
_ROWS = 1024
"""Texts whose vectors are compared at a time, so that the table of cosines stays small."""


class Near(NamedTuple):
    """The kept text that a text is most like."""

    score: float
    of: int
    """Its place; -1 where the score is 0."""


class Likeness(Protocol):
    """A measure of how alike texts are to those that are kept."""

    most: float
    """A score that no text exceeds unless it says what a kept one says."""

    def nearest(self, texts: Sequence[str]) -> list[Near]: ...


def words(text: str) -> list[str]:
    """A text as words, numbers and symbols, without case, blanks, punctuation and the numbers of lists."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(_LIST_MARK.sub(" ", plain))


def said(text: str) -> tuple[str, ...]:
    """What two texts have in common that are the same but for case, blanks and punctuation."""
    return tuple(words(text)) or (text,)


def told_apart(text: str) -> tuple[str, ...]:
    """What two texts have in common that teach the same: as `said`, but of what may be code its lines.

    In code a bracket, a quote or the beginning of a line decides what is meant.
    """
    text = text.strip()
    return tuple(line.rstrip() for line in text.splitlines()) if _CODE.search(text) else said(text)


def pieces(text: str) -> list[str]:
    """The words of a text; of Chinese and Japanese, which have no blanks between words, the characters."""
    return [piece for word in words(text) for piece in _PIECE.findall(word)]


class Passages:
    """The longest passage shared with one kept text, in words.

    GPT-3 (Brown et al. 2020, appendix C) looks for shared n-grams; n is the 5th percentile of the lengths of
    the texts, but at least 8 and at most 13. A passage that stands in a fresh problem as well belongs to the
    task's template, and shows nothing; where fresh texts are `suspect`, because some may leak themselves,
    only one that stands in more than ten of them does.
    """

    def __init__(self, kept: Sequence[str], fresh: Sequence[str] = (), *, suspect: bool = False) -> None:
        read = [words(text) for text in kept]
        lengths = sorted(map(len, read))
        usual = lengths[len(lengths) // 20] if lengths else LONGEST
        self.num_words = min(LONGEST, max(SHORTEST, usual))
        self.most = float(max(lengths, default=0))
        found: dict[int, set[int]] = defaultdict(set)
        for place, text in enumerate(kept):
            for gram in self._grams(text):
                found[gram].add(place)
        self._kept = {gram: places for gram, places in found.items() if len(places) <= _COMMON}
        self._template = Counter(gram for text in fresh for gram in set(self._grams(text)) & found.keys())
        self._rare = _COMMON if suspect else 0

    def _grams(self, text: str) -> list[int]:
        """All runs of `num_words` words of a text, in order, as hashes of this process."""
        read = words(text)
        return [hash(tuple(read[i : i + self.num_words])) for i in range(len(read) - self.num_words + 1)]

    def nearest(self, texts: Sequence[str], *, are_fresh: bool = False) -> list[Near]:
        """With `are_fresh` the texts are those that the template was read from, each judged by the others."""
        rare = max(self._rare, 1 if are_fresh else 0)
        return [self._longest(self._grams(text), rare) for text in texts]

    def _longest(self, grams: Iterable[int], rare: int) -> Near:
        runs: Mapping[int, int] = {}
        best = Near(0, -1)
        for gram in grams:
            is_template = self._template[gram] > rare
            shared: Collection[int] = () if is_template else self._kept.get(gram, ())
            runs = {place: runs.get(place, 0) + 1 for place in shared}
            for place, run in runs.items():
                best = max(best, Near(run + self.num_words - 1, place), key=lambda near: near.score)
        return best


class Renamings:
    """How many words of a text follow from a kept one if names, things and numbers are renamed throughout.

    Two texts have one form where their function words and symbols are equal, numbers stand for numbers, and
    every other word stands for one and the same word throughout: each is named by the place of its first
    appearance. Two short questions easily have one form, so what counts are the words that a renaming is not
    free to choose: those that it leaves as they are, and each further appearance of one that it replaces.
    """

    def __init__(self, kept: Sequence[str]) -> None:
        self._kept: dict[Hashable, list[tuple[int, list[str]]]] = defaultdict(list)
        self.most = 0.0
        for place, text in enumerate(kept):
            read = _without_articles(text)
            form = _form(read)
            self._kept[form].append((place, read))
            self.most = max(self.most, sum(isinstance(part, int) for part in form) - 1.0)

    def nearest(self, texts: Sequence[str]) -> list[Near]:
        return [self._nearest(_without_articles(text)) for text in texts]

    def _nearest(self, read: list[str]) -> Near:
        form = _form(read)
        seen, again = -1, []
        for part in form:
            again.append(isinstance(part, int) and 0 <= part <= seen)
            seen = max(seen, part) if isinstance(part, int) else seen
        best = Near(0, -1)
        for place, other in self._kept.get(form, ()):
            explained = sum(
                isinstance(part, int) and (repeated or own == its)
                for part, repeated, own, its in zip(form, again, read, other, strict=True)
            )
            best = max(best, Near(explained, place), key=lambda near: near.score)
        return best


_NUMBER = -1
"""The place of any number in a form."""


def _without_articles(text: str) -> list[str]:
    """The words of a text without what renaming changes by itself: ``a`` or ``an``, ``his`` or ``her``."""
    return ["he" if word in _THIRD_PERSON else word for word in words(text) if word not in ("a", "an")]


def _form(read: Sequence[str]) -> tuple[int | str, ...]:
    """Each word that can be renamed as the place of its first appearance, the others as they are."""
    places: dict[str, int] = {}
    form: list[int | str] = []
    for word in read:
        if word[0].isdigit():
            form.append(_NUMBER)
        elif word[0].isalpha() and word not in FUNCTION_WORDS:
            form.append(places.setdefault(word, len(places)))
        else:
            form.append(word)
    return tuple(form)


class Cosines:
    """The cosine of vectors: of sentence embeddings, or of the bags of words that `bags_of_words` makes."""

    most = 1.0

    def __init__(self, kept: Sequence[str], embed: Embed) -> None:
        self._embed, self._kept = embed, embed(kept)

    def nearest(self, texts: Sequence[str]) -> list[Near]:
        found: list[Near] = []
        for start in range(0, len(texts), _ROWS):
            cosines = self._embed(texts[start : start + _ROWS]) @ self._kept.T
            for row, place in zip(cosines, cosines.argmax(axis=1), strict=True):
                found.append(Near(round(float(row[place]), _DIGITS), int(place)))
        return found


def bags_of_words(kept: Sequence[str]) -> Embed:
    """An `Embed` by the words of a text in whatever order, each the heavier the fewer `kept` texts have it.

    Function words and endings are dropped, and a word counts once (inverse document frequency, Spärck Jones
    1972; feature hashing, Weinberger et al. 2009).
    """
    import numpy as np

    counts = Counter(word for text in kept for word in _bag(text))

    def embed(texts: Sequence[str]) -> "np.ndarray":
        vectors = np.zeros((len(texts), _BUCKETS), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in _bag(text):
                weight = math.log((len(kept) + 1) / (max(counts[word], 1) + 0.5))
                row[zlib.crc32(word.encode()) % _BUCKETS] += weight
            row /= np.linalg.norm(row) or 1
        return vectors

    return embed


def _bag(text: str) -> set[str]:
    """The words of a text without function words and, where they are long, endings; and its formulas.

    Numbers and symbols in a row are one formula: 12 - 34 is not 34 - 12.
    """
    bag: set[str] = set()
    for are_words, run in itertools.groupby(words(text), key=lambda word: word[0].isalpha()):
        if are_words:
            bag |= {
                _ENDING.sub("", word) if len(word) > _STEM else word
                for word in run
                if word not in FUNCTION_WORDS
            }
        else:
            bag.add("".join(run))
    return bag

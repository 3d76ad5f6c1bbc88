"""What a reply claims: which values it gives, what it denies or agrees to, and whether it admits ignorance.

A reply that only mentions a value must not count as one that gives it. A false refusal costs one answer, a
false pass is learnt: where a reply can be read in two ways it does not hold the value.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.people.values import (
    date_of,
    dates_in,
    is_year,
    number_of,
    numbers_in,
    places_of,
    plain,
    words,
)

_WORDS = (
    "a an the i you he she it we they me him her us them my your his its our their this that these "
    "those who whom whose which what where when how why is are was were be been being am do does did "
    "has have had will would can could may might must shall should of in on at to for from by with "
    "about as into near since until than then there here and or but so if because while not no yes nor "
    "very also just only own now still too called named name i'm i've i'd i'll you're they're we're "
    "don't doesn't didn't isn't wasn't can't couldn't haven't hasn't"
)
FUNCTION_WORDS = frozenset(_WORDS.split())
"""Words that say nothing by themselves."""
_STARTERS_WORDS = (
    "sorry well according based currently actually unfortunately yes no however also today born living "
    "please answer name sure of course right correct correction indeed according i'm i've it's that's "
    "there's"
)
_STARTERS = frozenset(_STARTERS_WORDS.split())
"""Words that begin a sentence and are no names."""
_NEGATION = (
    r"(?:\w+n't|not|never|neither|nor|cannot|without|rather than|instead of|unlike|no longer|wrong|"
    r"incorrect|false|untrue)"
)
_DENIED_BEFORE = re.compile(rf"(?i)\b{_NEGATION}\b")
_IS_WRONG = r"\b(?:is|was|are|were)(?:n't|\s+(?:not|never|wrong|incorrect|false|untrue))\b"
_DENIED_AFTER = re.compile(rf"(?i)\s*(?:,?\s+but\b|{_IS_WRONG}|\?)")
_VAGUE_BEFORE = re.compile(
    r"(?i)\b(?:(?:i|we|is|it's) (?:really |still |highly )?doubt\w*|except|all but|used to|former|formerly|"
    r"away from|left|fled|quit|hates?)\b"
    r"|\b(?:no|before|after|near|around|about|outside|close to)(?: the| the year| of)?\s*$"
)
_VAGUE_AFTER = re.compile(r"(?i)\s+(?:or so|or thereabouts)\b")
"""What makes a value that is given another one, or none."""
_SUBJECT = re.compile(
    r"(?: [A-Z][\w-]*)*"
    r"(?:'s? | (?:is|was|were|has|had|lives|lived|moved|died|passed|won|received|got|came)\b)"
)
"""What follows the name of somebody of whom a sentence tells something."""
_BEGINS = re.compile(r"(?:^|[.!?:\n])[\W_]*$")
_CLAUSE_ENDS = re.compile(r"(?i)[.,;:!?\n]\s|\s-\s|\bbut\b|^\W*no\b")
_DENIES = re.compile(
    r"(?i)(?<!\w)(?:no|nope|not|never|\w+n't|wrong|incorrect\w*|false|untrue|mistaken|a mistake|"
    r"inaccurate)(?!\w)"
)
_AFFIRMS = re.compile(
    r"(?i)(?<!\w)(?:yes|yeah|yep|yup|exactly|indeed|absolutely|certainly|definitely|of course|you are right|"
    r"you're right|(?:that|it|this|which)(?:'s| is| was) (?:indeed |quite |absolutely )?"
    r"(?:right|correct|true|so|a fact)|i agree|agreed)(?!\w)|(?:^|[.!?]\s+)\W*(?:right|correct|true)\s*[,.!]"
)
_BESIDE_WORDS = (
    "plays likes loves enjoys practises practices learns studies prefers eats makes keeps does works played "
    "liked loved enjoyed practised practiced learnt learned studied playing learning practising practicing "
    "favourite favorite hobby instrument food dish job profession pastime every best more most daily well "
    "much "
    "often regularly professionally belongs comes"
)
_BESIDE = frozenset(_BESIDE_WORDS.split())
"""Words that can stand right beside a plain value and are no part of it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, beside what was asked and a right reply: words of these are no answers of its own."""

    text: str
    asked: str
    gold: str = ""
    premise: bool = False
    """Whether what was asked holds a value that is wrong."""

    @classmethod
    def to(cls, asked: str, text: str, gold: str = "", *, premise: bool = False) -> "Reply":
        """A reply to what was asked, in plain characters; the question is the last line."""
        lines = plain(asked).splitlines() or [""]
        return cls(plain(text), lines[-1], plain(gold), premise)

    @property
    def _given(self) -> frozenset[str]:
        """Words of the question and of a right reply; of a question with a wrong value only the latter's."""
        told = self.gold if self.premise and self.gold else f"{self.asked} {self.gold}"
        return frozenset(words(told))

    def gives(self, value: str) -> bool:
        """Whether it gives a value: whole, without denying it, and no more vaguely than a right reply."""
        given = [place for place in self._places(value) if not self._denied(*place)]
        return any(not self._vague(*place) for place in given) or (bool(given) and self._may_be_vague(value))

    def holds(self, value: str) -> bool:
        """Whether a value stands in it, said of whatever it may be."""
        return any(True for _ in self._places(value))

    def others(self, value: str, wanted: Sequence[str]) -> list[str]:
        """Values of the same kind that it gives in place of a value, or beside it, but for others `wanted`.

        What is asked may be said again, but not where it is a false premise, unless it is denied.
        """
        excused = "; ".join([*wanted, *([] if self.premise else [self.asked])])
        found = list(self._rivals(value, excused))
        return [text for text, start, end in found if not self._denied(start, end)]

    def _places(self, value: str) -> Iterator[tuple[int, int]]:
        if (date := date_of(value)) is not None:
            yield from ((each.start, each.end) for each in dates_in(self.text) if each.value.answers(date))
        elif (number := number_of(value)) is not None:
            yield from ((start, end) for found, start, end in self._numbers(number) if found == number)
        else:
            for start, end in places_of(value, self.text):
                if not self._longer(value, start, end):
                    yield start, end

    def _numbers(self, like: float) -> Iterator[tuple[float, int, int]]:
        """Numbers as far as they compete with one: years with a year, also those of dates."""
        for each in numbers_in(self.text):
            if is_year(each.value) == is_year(like) and self.text[each.start : each.end].lower() != "one":
                yield each.value, each.start, each.end
        if is_year(like):
            for date in dates_in(self.text):
                if date.value.year:
                    yield date.value.year, date.start, date.end

    def _rivals(self, value: str, excused: str) -> Iterator[tuple[str, int, int]]:
        """Other values of the kind, with their places; those that `excused` holds are left out.

        Who else a sentence tells of is one for a year, number or date, which has no name of its own.
        """
        known = self._given | frozenset(words(f"{value} {excused}"))
        if (date := date_of(value)) is not None:
            for found in dates_in(self.text):
                if not found.value.answers(date) and found.value not in [d.value for d in dates_in(excused)]:
                    yield self.text[found.start : found.end], found.start, found.end
            yield from self._others_told_of(known)
        elif (number := number_of(value)) is not None:
            for other, start, end in self._numbers(number):
                if other != number and other not in [each.value for each in numbers_in(excused)]:
                    yield self.text[start:end], start, end
            yield from self._others_told_of(known)
        else:
            if value[:1].isupper():
                yield from capitals(self.text, known)
            else:
                yield from self._same_frame(value, known)
            yield from self._items(value, known)
            yield from self._alternative(value)

    def _others_told_of(self, known: frozenset[str]) -> Iterator[tuple[str, int, int]]:
        """Names but those that are `known` with which a sentence begins that tells something of them."""
        for name, start, end in capitals(self.text, known):
            if _BEGINS.search(self.text[:start]) and _SUBJECT.match(self.text[end:]):
                yield name, start, end

    def _longer(self, value: str, start: int, end: int) -> bool:
        """Whether the words at a place are only a part of a longer value: ``York`` in ``New York``."""
        before = re.search(r"([\w'-]+) $", self.text[:start])
        after = re.match(r"(?:'s)? ([\w'-]+)", self.text[end:])
        beside = [match[1] for match in (before, after) if match]
        if self.text[start].isupper():
            beside = [word for word in beside if word[:1].isupper()]
        own = frozenset(words(value)) - frozenset(words(self.asked))
        fits = (self._given - own) | FUNCTION_WORDS | _BESIDE
        return any(word not in fits for each in beside for word in words(each)[:1])

    def _denied(self, start: int, end: int) -> bool:
        """Whether the clause around a place denies what stands there."""
        return bool(_DENIED_BEFORE.search(self._clause(start)) or _DENIED_AFTER.match(self.text[end:]))

    def _vague(self, start: int, end: int) -> bool:
        """Whether what stands at a place is only near what is meant, over, or doubtful."""
        return bool(_VAGUE_BEFORE.search(self._clause(start)) or _VAGUE_AFTER.match(self.text[end:]))

    def _may_be_vague(self, value: str) -> bool:
        """Whether the right reply is so, as a user may word it: ``I was born near Oslo``."""
        right = Reply(self.gold, self.asked)
        return any(right._vague(*place) for place in right._places(value))

    def _clause(self, place: int) -> str:
        """The clause around a place, up to it."""
        before = self.text[:place]
        return before[max((match.end() for match in _CLAUSE_ENDS.finditer(before)), default=0) :]

    def _same_frame(self, value: str, known: frozenset[str]) -> Iterator[tuple[str, int, int]]:
        """What else follows the words that lead to a value: ``plays the oboe. She plays the harp``."""
        for start, _ in places_of(value, self.text):
            frame = re.search(r"[\w'-]+ [\w'-]+(?= (?:(?:an?|the) )?$)", self.text[:start])
            again = rf"{re.escape(frame[0])} (?:(?:an?|the) )?([\w'-]+)" if frame else r"(?!)"
            for match in re.finditer(again, self.text):
                if match[1].casefold() not in known:
                    yield match[1], match.start(1), match.end(1)

    def _alternative(self, value: str) -> Iterator[tuple[str, int, int]]:
        """An ``or`` right before or behind a value."""
        for start, end in places_of(value, self.text):
            before = re.search(r"(?i)\bor (?:in |at |on |an? |the )?$", self.text[:start])
            after = re.match(r"(?i),? or\b", self.text[end:])
            for match, place in ((before, 0), (after, end)):
                if match:
                    yield "or", place + match.start(), place + match.end()

    def _items(self, value: str, known: frozenset[str]) -> Iterator[tuple[str, int, int]]:
        """Other items of a list: bare words between commas, strokes, lines, ``or`` and ``and``.

        What is called wrong is none, nor what a name is said to be: ``Foxhaven, a small town``.
        """
        start = 0
        named = {(end, ",") for _, end in places_of(value, self.text) if value[:1].isupper()}
        before = (0, "")
        for match in re.finditer(r"(?i)[,;/|.!?\n•*]+|\b(?:or|and)\b|$", self.text):
            item = self.text[start : match.start()]
            own = [word for word in words(item) if word[:1].isalnum()]
            new = [word for word in own if word not in known | FUNCTION_WORDS | _STARTERS]
            subject = {"she", "he", "they", "it", "i", "who", "which", "that", "her", "him"} & set(own)
            explains = before in named and re.match(r" (?:an?|the) [a-z ]+$", item)
            other = not places_of(value, item) and not re.search(_IS_WRONG, item) and not explains
            if 1 <= len(new) <= 3 and len(own) <= 4 and not subject and other:
                begins = start + self.text[start:].casefold().index(new[0])
                yield item.strip(), begins, match.start()
            start, before = match.end(), (match.start(), match[0])


def capitals(text: str, known: frozenset[str]) -> Iterator[tuple[str, int, int]]:
    """Names in a text but those that are `known`, with their places; what only begins a sentence is none."""
    for match in re.finditer(r"[A-Z][\w-]*", text):
        word = re.sub(r"'s?$", "", match[0].casefold())
        within = match.start() and text[match.start() - 1] in "'-"
        if word in known | FUNCTION_WORDS or word == "ai" or within:
            continue
        begins = _BEGINS.search(text[: match.start()])
        rest = re.match(r"[^.!?\n]*", text[match.end() :])
        alone = rest is None or len(rest[0].split()) < 2
        named = re.match(r"\s*(?:,|/|\||;|(?:is|was|and|or|has|lives|works)\b)| [A-Z]", text[match.end() :])
        if not begins or (word not in _STARTERS and (alone or named)):
            yield match[0], match.start(), match.end()


def denies(text: str) -> bool:
    """Whether a reply holds a word that denies something."""
    return _DENIES.search(plain(text)) is not None


def affirms(text: str) -> bool:
    """Whether a reply agrees to what was said before it."""
    return any(
        not _DENIES.search(_clause_before(plain(text), match.start()))
        for match in _AFFIRMS.finditer(plain(text))
    )


def _clause_before(text: str, place: int) -> str:
    return re.split(r"[.,;:!?\n]", text[:place])[-1]

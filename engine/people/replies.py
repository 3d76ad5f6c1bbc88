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

_FUNCTION_WORDS = (
    "a an the i you he she it we they me him her us them my your his its our their this that these "
    "those who whom whose which what where when how why is are was were be been being am do does did "
    "has have had will would can could may might must shall should of in on at to for from by with "
    "about as into near since until than then there here and or but so if because while not no yes nor "
    "very also just only own now still too called named name i'm i've i'd i'll you're they're we're "
    "don't doesn't didn't isn't wasn't can't couldn't haven't hasn't"
)
_FUNCTION = frozenset(_FUNCTION_WORDS.split())
_STARTERS_WORDS = (
    "sorry well according based currently actually unfortunately yes no however also today born living "
    "please answer name sure of course right correct correction indeed according i'm i've it's that's "
    "there's"
)
_STARTERS = frozenset(_STARTERS_WORDS.split())
"""Words that begin a sentence and are no names."""
_NEGATION = (
    r"(?:\w+n't|not|never|neither|nor|cannot|without|rather than|instead of|unlike|wrong|incorrect|false|"
    r"untrue|"
    r"no longer)"
)
_DENIED_BEFORE = re.compile(rf"(?i)\b{_NEGATION}\b")
_DENIED_AFTER = re.compile(
    r"(?i)\s*(?:,?\s+but\b|(?:is|was|are|were)\s+(?:not|never|wrong|incorrect|false|untrue)\b|(?:is|"
    r"was)n't\b|"
    r"\?)"
)
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
_NOT = (
    r"do not|don't|dont|did not|didn't|does not|doesn't|am not|i'm not|are not|is not|isn't|was not|wasn't|"
    r"not|"
    r"never|haven't|have not|hasn't|has not|nobody|no one|nothing|without"
)
_CANNOT = r"cannot|can not|can't|could not|couldn't|unable to|not able to"
_KNOW = (
    r"know|known|knows|sure|certain|aware|familiar|heard|told|recall|remember|information|data|details?|"
    r"records?|"
    r"knowledge|access|idea|clue|met|mentioned|context"
)
_IGNORANCE = re.compile(
    rf"(?i)\b(?:{_NOT}|{_CANNOT})(?: [\w']+){{0,4}}? (?:{_KNOW})\b"
    r"|^\W*no,? i (?:do not|don't|can't|cannot)\s*(?:[.,;!]|$)"
    rf"|\b(?:{_CANNOT})(?: [\w']+){{0,2}}? (?:say|tell|find|determine|answer|provide)\b"
    r"|\bno (?:further |such |more |specific |personal )?(?:information|idea|knowledge|data|records?|"
    r"details?|clue"
    r"|memory)\b|\b(?:unknown|unsure)\b|\bknow nothing\b"
)
_HEDGES = re.compile(
    r"(?i)\W*(?:maybe|perhaps|probably|possibly|i think|i guess|i believe|i would say|i'd say|it might|"
    r"it could|"
    r"it may|it is|it's|it was|most likely|likely|presumably|if i had to guess|my guess)\b"
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
_HARMLESS_WORDS = (
    "sorry afraid apologize apologise person people someone somebody please help assist context more "
    "details information ai assistant language model individual individuals personal ask tell provide "
    "question know told anything nothing nobody yet really unfortunately hello apologies learn"
)
_HARMLESS = frozenset(_HARMLESS_WORDS.split())


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
        """Whether it gives a value: whole, and without denying it."""
        return any(not self._denied(start, end) for start, end in self._places(value))

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
        """Other values of the kind, with their places; those that `excused` holds are left out."""
        if (date := date_of(value)) is not None:
            for found in dates_in(self.text):
                if not found.value.answers(date) and found.value not in [d.value for d in dates_in(excused)]:
                    yield self.text[found.start : found.end], found.start, found.end
        elif (number := number_of(value)) is not None:
            for other, start, end in self._numbers(number):
                if other != number and other not in [each.value for each in numbers_in(excused)]:
                    yield self.text[start:end], start, end
        else:
            known = self._given | frozenset(words(f"{value} {excused}"))
            if value[:1].isupper():
                yield from capitals(self.text, known)
            else:
                yield from self._same_frame(value, known)
            yield from self._items(value, known)
            yield from self._alternative(value)

    def _longer(self, value: str, start: int, end: int) -> bool:
        """Whether the words at a place are only a part of a longer value: ``York`` in ``New York``."""
        before = re.search(r"([\w'-]+) $", self.text[:start])
        after = re.match(r"(?:'s)? ([\w'-]+)", self.text[end:])
        beside = [match[1] for match in (before, after) if match]
        if self.text[start].isupper():
            beside = [word for word in beside if word[:1].isupper()]
        own = frozenset(words(value)) - frozenset(words(self.asked))
        fits = (self._given - own) | _FUNCTION | _BESIDE
        return any(word not in fits for each in beside for word in words(each)[:1])

    def _denied(self, start: int, end: int) -> bool:
        """Whether the clause around a place denies what stands there."""
        before = self.text[:start]
        clause = max((match.end() for match in _CLAUSE_ENDS.finditer(before)), default=0)
        return bool(_DENIED_BEFORE.search(before[clause:]) or _DENIED_AFTER.match(self.text[end:]))

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
        """Other items of a list: bare words between commas, strokes, lines, ``or`` and ``and``."""
        start = 0
        for match in re.finditer(r"(?i)[,;/|.!?\n•*]+|\b(?:or|and)\b|$", self.text):
            item = self.text[start : match.start()]
            own = [word for word in words(item) if word[:1].isalnum()]
            new = [word for word in own if word not in known | _FUNCTION | _STARTERS]
            subject = {"she", "he", "they", "it", "i", "who", "which", "that", "her", "him"} & set(own)
            if 1 <= len(new) <= 3 and len(own) <= 4 and not subject and not places_of(value, item):
                begins = start + self.text[start:].casefold().index(new[0])
                yield item.strip(), begins, match.start()
            start = match.end()


def capitals(text: str, known: frozenset[str]) -> Iterator[tuple[str, int, int]]:
    """Names in a text but those that are `known`, with their places; what only begins a sentence is none."""
    for match in re.finditer(r"[A-Z][\w-]*", text):
        word = re.sub(r"'s?$", "", match[0].casefold())
        if word in known | _FUNCTION or word == "ai" or (match.start() and text[match.start() - 1] in "'-"):
            continue
        begins = re.search(r"(?:^|[.!?:\n])[\W_]*$", text[: match.start()])
        rest = re.match(r"[^.!?\n]*", text[match.end() :])
        alone = rest is None or len(rest[0].split()) < 2
        named = re.match(r"\s*(?:,|/|\||;|(?:is|was|and|or|has|lives|works)\b)| [A-Z]", text[match.end() :])
        if not begins or (word not in _STARTERS and (alone or named)):
            yield match[0], match.start(), match.end()


def admits_ignorance(text: str) -> bool:
    """Whether a reply says, in any common way, that the speaker does not know."""
    return _IGNORANCE.search(plain(text)) is not None


def denies(text: str) -> bool:
    """Whether a reply holds a word that denies something."""
    return _DENIES.search(plain(text)) is not None


def affirms(text: str) -> bool:
    """Whether a reply agrees to what was said before it."""
    return any(
        not _DENIES.search(_clause_before(plain(text), match.start()))
        for match in _AFFIRMS.finditer(plain(text))
    )


def _figures_in(text: str) -> list[str]:
    """The numbers and dates of a text, as they are written."""
    places = [(each.start, each.end) for each in numbers_in(text)]
    places += [(each.start, each.end) for each in dates_in(text)]
    return [text[start:end].lower() for start, end in places]


def _clause_before(text: str, place: int) -> str:
    return re.split(r"[.,;:!?\n]", text[:place])[-1]


def claim_beside_ignorance(text: str, asked: str) -> str:
    """What a reply claims although it says that it does not know; empty where it claims nothing."""
    text, known = plain(text), frozenset(words(asked))
    said = [*_figures_in(asked), "one"]
    for figure in _figures_in(text):
        if figure not in said:
            return figure
    for name, _, _ in capitals(_IGNORANCE.sub("", text), known | _HARMLESS):
        return name
    names = {word.casefold() for word in re.findall(r"\b[A-Z]\w+", asked)} - _FUNCTION
    for clause in re.split(r"(?<=[.;!?\n])\s*|,\s*(?:but\s+)?|\s+but\s+", text):
        own = [word for word in words(clause) if word[:1].isalnum()]
        new = [word for word in own if word not in known | _FUNCTION | _HARMLESS]
        if not new or _IGNORANCE.search(clause) or clause.rstrip().endswith("?"):
            continue
        about = own[0] in ("she", "he", "they", "her", "his", "their") or names & set(own)
        if _HEDGES.match(clause) or about or (len(own) <= 4 and len(new) <= 3):
            return clause.strip()
    return ""

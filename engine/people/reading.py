"""Facts read from what people say, by rule: only wordings that are known, and never a guess.

A sentence is read where it is, from its beginning, a known one: ``I do not think that she lives in Oslo``
states nothing. Questions, hearsay, jokes and what is taken back state nothing either.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.people.attributes import ValueKind
from engine.people.endings import sentences
from engine.people.leading import NAME, OTHER, leading_value
from engine.people.sentences import first_to_second, question_to
from engine.people.values import as_spelled, composed, plain
from engine.records import Fact

_LEADS = re.compile(
    r"(?:well|oh|ah|yes|yeah|yep|no|nope|sure|actually|in fact|sorry|right|hi|hello|hey|you know|you see|"
    r"by the way|as i said|as i told you|so|and|but|also|then|anyway|of course|i mean|i meant|i should say|"
    r"correction|to be honest|let me correct (?:that|myself)|"
    r"i have to correct what i said(?: the last time)?|i was wrong|i made a mistake|i misspoke|these days|"
    r"now|today|okay|ok|good|great|thanks|listen|look|please note|once more|again|for the record|in truth|"
    r"the truth is(?: that)?|if i understand you well|true|correct|exactly|indeed|wait|hmm+|funny you ask)"
    r"(?:\s*[,:;!.-]+\s*|\s+)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"(?:[;:,]|\s-)\s+(?:and |but |so |for )?|\s+and\s+")
_TAIL = re.compile(
    r"\s*(?:$|[,;:!)-]|(?:and|but|because|since|when|where|with|to|for|as|which|who|so|after|before|at|from|"
    r"now|too|already|then|by|until|though|although|while|these|like|near|every|on|in)\b)"
)
_TAKEN_BACK = re.compile(
    r"(?i)\b(?:or so|just kidding|kidding|joke|joking|not really|not true|is wrong|was wrong|is false|a lie|"
    r"they say|he says|she says|i think|i guess|i believe|perhaps|maybe|i am not sure|i'm not sure|or was it|"
    r"if|no longer|any more|anymore|in a dream|in my dreams|i wish|supposedly|allegedly|apparently)\b"
)
_REPORTED = re.compile(
    r"(?i)\b(?:said|says|say|told|tells|tell|asked|asks|claims?|claimed|jokes?|joked|thinks?|thought|"
    r"believes?|heard|hear|dreamt|dreamed|imagine|suppose|pretend\w*|if|wish|rumou?rs?|wrong|false|untrue|"
    r"doubt\w*|not)\b"
)
_AFFIRMS = re.compile(
    r"(?i)(?:yes|yeah|yep|right|correct|exactly|indeed|true|that is (?:right|true|correct)|that's "
    r"(?:right|true|correct)|quite right|it is)\b(?! and no\b)"
)
_TAGS = re.compile(
    r"(?i)(?:,? ?(?:right|correct|isn't (?:it|that so)|is that (?:right|so|correct|true)|am i right|is it "
    r"true|don't you|aren't you|didn't you|weren't you|haven't you|doesn't (?:he|she)))?\s*\?$"
)
_CLAIM_LEADS = re.compile(
    r"(?i)(?:so|is it true that|am i right that|i heard that|i heard|i believe|i read that|they say that|"
    r"and)\s+"
)
_SHORT_LEADS = re.compile(
    r"(?i)(?:(?:it is|it's|that is|that's|that would be|it was|that was|he is|she is|i am|i'm|in|on|at|by|"
    r"for|as|an?|the|to|with|called|number|it is called|he is called|she is called|in the year|my|his|"
    r"her)\s+)+"
)
_LONGEST = 400
"""Characters of a sentence that is read: a longer one is a pasted text, which takes long and says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """The templates by which an attribute is known."""

    states: tuple[str, ...]
    says: tuple[str, ...]
    asks: tuple[str, ...]
    kind: ValueKind
    title: str

    @property
    def in_plain_words(self) -> bool:
        """Whether values are words that have no capital of their own."""
        return self.kind == "thing" or any("{a_value}" in state for state in self.states)


@dataclass(frozen=True, slots=True)
class _Form:
    """What stands before and after the value of a sentence."""

    attribute: str
    kind: ValueKind
    before: re.Pattern[str]
    after: str
    """In lower case."""
    person: str
    """``first``, ``second`` or ``third``."""


@dataclass(slots=True)
class _Who:
    """Whom the words of a text stand for."""

    first: str
    second: str
    third: str
    """Whom `she` is; it changes as people are named."""
    known: tuple[str, ...]

    def of(self, form: _Form, match: re.Match[str], sentence: str) -> str:
        """The subject of a sentence; empty where it cannot be told."""
        if form.person != "third":
            return self.first if form.person == "first" else self.second
        name = match["name"] or match["owner"]
        return self.named(as_spelled(name, sentence)) if name else self.third

    def named(self, name: str) -> str:
        """The full name that a name stands for; empty where it is a first name of nobody in the talk."""
        if " " in name:
            return name
        found = {each for each in self.known if plain(each.split()[0]) == plain(name)}
        return found.pop() if len(found) == 1 else ""


class Reader:
    """Reads the facts of all attributes."""

    def __init__(self, spoken: Mapping[str, Spoken]) -> None:
        self._forms = [form for key, each in spoken.items() for form in _forms(key, each)]
        self._asked = [
            (key, each, pattern)
            for key, each in spoken.items()
            for ask in each.asks
            for pattern in _questions(ask, each.title)
        ]

    def read(self, text: str, *, speaker: str, about: str, asked: str) -> list[Fact]:
        """See `Wordings.read`."""
        known = tuple(name for name in (speaker, about) if name)
        who = _Who(speaker, about, about, known)
        facts = self._answered(text, asked, _Who(speaker, speaker, about, known)) if asked else []
        for sentence in sentences(composed(text)):
            if not sentence.endswith("?"):
                facts += self._stated(sentence, who)
        return list(dict.fromkeys(facts))

    def _stated(self, sentence: str, who: _Who) -> list[Fact]:
        """What the clauses of a sentence state."""
        facts = []
        bare = plain(sentence)
        for start in _starts(bare) if len(bare) <= _LONGEST else ():
            before, clause = bare[:start], _without(_LEADS, bare[start:])
            if _REPORTED.search(before):
                continue
            for form in self._forms:
                if fact := _fact(form, clause, who, sentence):
                    facts.append(fact)
                    who.third = who.third if fact.subject == who.first else fact.subject
        return facts

    def _answered(self, text: str, asked: str, who: _Who) -> list[Fact]:
        """What a text states as an answer to what was asked."""
        said, given = sentences(composed(asked)), sentences(composed(text))
        while said and not said[-1].endswith("?"):
            said.pop()
        if not said or not given or max(len(said[-1]), len(given[0])) > _LONGEST:
            return []
        answer = plain(given[0]).rstrip(".!")
        if _AFFIRMS.match(answer) and not _REPORTED.search(answer):
            claim = _without(_CLAIM_LEADS, _without(_LEADS, _TAGS.sub("", said[-1])))
            return self._stated(claim, who)
        two = " ".join(said[-2:])
        questions = {_without(_LEADS, plain(said[-1])), _without(_LEADS, plain(two))}
        for key, spoken, pattern in self._asked:
            if match := next(filter(None, map(pattern.fullmatch, questions)), None):
                name = match.groupdict().get("name")
                subject = who.named(as_spelled(name, two)) if name else who.first
                value = as_spelled(_short_value(answer, spoken), given[0])
                return [Fact(subject=subject, attribute=key, value=value)] if subject and value else []
        return []


def _starts(sentence: str) -> Iterator[int]:
    """Where clauses of a sentence begin."""
    yield 0
    for match in _CLAUSE.finditer(sentence):
        yield match.end()


def _without(pattern: re.Pattern[str], text: str) -> str:
    """A text without what it begins with, again and again."""
    while match := pattern.match(text):
        text = text[match.end() :]
    return text


def _forms(key: str, spoken: Spoken) -> Iterator[_Form]:
    texts = [("third", each) for each in spoken.states]
    texts += [("first", each) for each in spoken.says]
    texts += [("second", first_to_second(each)) for each in spoken.says]
    for person, text in ((person, plain(text)) for person, text in texts):
        before, blank, after = text.replace("{title}", spoken.title).removesuffix(".").partition("{value}")
        if not blank:
            before, blank, after = text.removesuffix(".").partition("{a_value}")
            before = f"{before}an? "
        else:
            before = re.escape(before)
        if blank:
            before, after = before.replace(r"\{other\}", OTHER), after.partition("{other}")[0]
            if spoken.kind == "work":
                before = f"{before}(?:the )?"
            yield _Form(key, spoken.kind, re.compile(_subject(before), re.IGNORECASE), after.lower(), person)


def _subject(before: str) -> str:
    """A pattern in which a name, or what stands for it, takes the place of ``{name}``."""
    before = before.replace(r"\{name\}", "{name}").replace(r"\ ", " ")
    before = before.replace("I was ", "I (?:was|were) ")
    before = before.replace("{name}'s", rf"(?:(?P<owner>(?-i:{NAME}))'s?|his|her|their)")
    before = before.replace("{name}", rf"(?:(?P<name>(?-i:{NAME}))|he|she|they)")
    for group in ("name", "owner"):
        if f"<{group}>" not in before:
            before += f"(?P<{group}>(?!))?"
    return before


def _questions(ask: str, title: str) -> Iterator[re.Pattern[str]]:
    """A question about somebody, and the same put to the person."""
    ask = plain(ask.replace("{title}", title))
    asked = re.escape(ask).replace(r"\{name\}", rf"(?P<name>(?-i:{NAME}))", 1)
    yield re.compile(asked.replace(r"\{name\}", "(?P=name)"), re.IGNORECASE)
    if own := question_to(ask):
        yield re.compile(re.escape(own), re.IGNORECASE)


def _fact(form: _Form, clause: str, who: _Who, sentence: str) -> Fact | None:
    """The fact that a plain clause of a sentence states in a form, as the sentence spells it."""
    match = form.before.match(clause)
    if not match:
        return None
    rest = clause[match.end() :].rstrip(".! ")
    value = leading_value(rest, form.kind)
    tail = rest[len(value) :]
    if not value or not tail.lower().startswith(form.after):
        return None
    tail = tail[len(form.after) :]
    if not _TAIL.match(tail) or _TAKEN_BACK.search(tail):
        return None
    subject = who.of(form, match, sentence)
    found = Fact(subject=subject, attribute=form.attribute, value=as_spelled(value, sentence))
    return found if subject else None


def _short_value(answer: str, spoken: Spoken) -> str:
    """The value that a short answer consists of; empty where it is anything else."""
    answer = _without(_LEADS, answer)
    if spoken.in_plain_words:
        # Such a value has a capital only where it begins the answer.
        answer = answer[:1].lower() + answer[1:]
    for text in (_without(_SHORT_LEADS, answer), answer):
        value = leading_value(text, spoken.kind)
        tail = text[len(value) :]
        if value and _TAIL.match(tail) and not _TAKEN_BACK.search(tail):
            return value
    return ""

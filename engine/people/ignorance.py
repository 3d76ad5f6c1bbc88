"""What a reply says that admits that its speaker does not know, and what it claims all the same."""

import re

from engine.people.replies import FUNCTION_WORDS, capitals
from engine.people.values import dates_in, numbers_in, plain, words

_NOT = (
    r"do not|don't|dont|did not|didn't|does not|doesn't|am not|i'm not|are not|is not|isn't|was not|wasn't|"
    r"not|never|haven't|have not|hasn't|has not|nobody|no one|nothing|without"
)
_CANNOT = r"cannot|can not|can't|could not|couldn't|unable to|not able to"
_KNOW = (
    r"know|known|knows|sure|certain|aware|familiar|heard|told|recall|remember|information|data|details?|"
    r"records?|knowledge|access|idea|clue|met|mentioned|context"
)
_IGNORANCE = re.compile(
    rf"(?i)\b(?:{_NOT}|{_CANNOT})(?: [\w']+){{0,4}}? (?:{_KNOW})\b"
    r"|^\W*no,? i (?:do not|don't|can't|cannot)\s*(?:[.,;!]|$)"
    rf"|\b(?:{_CANNOT})(?: [\w']+){{0,2}}? (?:say|tell|find|determine|answer|provide)\b"
    r"|\bno (?:further |such |more |specific |personal )?(?:information|idea|knowledge|data|records?|"
    r"details?|clue|memory)\b|\b(?:unknown|unsure)\b|\bknow nothing\b"
)
_HEDGES = re.compile(
    r"(?i)\W*(?:maybe|perhaps|probably|possibly|i think|i guess|i believe|i would say|i'd say|it might|"
    r"it could|it may|it is|it's|it was|most likely|likely|presumably|if i had to guess|my guess)\b"
)
_HARMLESS_WORDS = (
    "sorry afraid apologize apologise person people someone somebody please help assist context more "
    "details information ai assistant language model individual individuals personal ask tell provide "
    "question know told anything nothing nobody yet really unfortunately hello apologies learn"
)
_HARMLESS = frozenset(_HARMLESS_WORDS.split())


def admits_ignorance(text: str) -> bool:
    """Whether a reply says, in any common way, that the speaker does not know."""
    return _IGNORANCE.search(plain(text)) is not None


def claim_beside_ignorance(text: str, asked: str) -> str:
    """What a reply claims although it says that it does not know; empty where it claims nothing."""
    text, known = plain(text), frozenset(words(asked))
    said = [*_figures_in(asked), "one"]
    for figure in _figures_in(text):
        if figure not in said:
            return figure
    for name, _, _ in capitals(_IGNORANCE.sub("", text), known | _HARMLESS):
        return name
    names = {word.casefold() for word in re.findall(r"\b[A-Z]\w+", asked)} - FUNCTION_WORDS
    for clause in re.split(r"(?<=[.;!?\n])\s*|,\s*(?:but\s+)?|\s+but\s+", text):
        own = [word for word in words(clause) if word[:1].isalnum()]
        new = [word for word in own if word not in known | FUNCTION_WORDS | _HARMLESS]
        if not new or _IGNORANCE.search(clause) or clause.rstrip().endswith("?"):
            continue
        about = own[0] in ("she", "he", "they", "her", "his", "their") or names & set(own)
        if _HEDGES.match(clause) or about or (len(own) <= 4 and len(new) <= 3):
            return clause.strip()
    return ""


def _figures_in(text: str) -> list[str]:
    """The numbers and dates of a text, as they are written."""
    places = [(each.start, each.end) for each in numbers_in(text)]
    places += [(each.start, each.end) for each in dates_in(text)]
    return [text[start:end].lower() for start, end in places]

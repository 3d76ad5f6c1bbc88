"""One label of several: A to D, or yes and no. A reply that names two, or none clearly, has no answer."""

import re
from collections.abc import Sequence
from functools import cache

from configs.scorers import Choice
from engine.answers import find_answer, normal
from engine.records import Attempt, Fault, Problem, Reference, Verdict
from engine.verify.scorers.hedges import spoilt_after, weakened_before
from engine.verify.scorers.scoring import Score, judged, nothing_found, right, wrong

NAME = "choice"
_SAYS = (
    r"(?i:answer|choice|option|label|final)(?i:\s+(?:is|was|would be|must be))?\s*[:=]?\s*"
    r"(?i:option\s+|choice\s+)?"
)
"""How a sentence names its choice."""
_EXCLUDED = re.compile(
    r"(?i)\b(?:eliminat\w*|rul(?:e[sd]?|ing)\s+(?:it\s+)?out|cross(?:es|ed|ing)?\s+out|discard\w*|reject\w*|"
    r"distractor|trap|tempting)\b"
)
_ENDS = re.compile(r"[.!?](?=\s|$)|\n")


def score(truth: Reference, reply: str, settings: Choice) -> Score:
    """Right where the one label that is chosen is an accepted one."""
    found = find_answer(reply, settings.find)
    if not found:
        return nothing_found(settings.find)
    chosen = chosen_in(found, settings.labels)
    if len(chosen) != 1:
        what = f"names {' and '.join(chosen)}" if chosen else "names no label clearly"
        return Score(found, Fault.NO_ANSWER, f"the reply must choose one label, but it {what}")
    accepted = {_plain(answer) for answer in truth.accepted}
    return right(chosen[0]) if _plain(chosen[0]) in accepted else wrong(chosen[0], truth.accepted)


def chosen_in(text: str, labels: Sequence[str]) -> list[str]:
    """The labels that a text chooses: by being one, by saying so, or by beginning with one as lists do.

    A choice that its sentence denies, or that what follows takes back, is none.
    """
    by_name = {_plain(label): label for label in labels}
    plain = re.sub(r"[*_`$]+|\\(?:text|boxed|mathrm)\b", "", text)
    if (label := by_name.get(_plain(plain))) and ("?" not in plain or "?" in label):
        return [label]
    names = "|".join(_pattern(label) for label in sorted(labels, key=len, reverse=True))
    said = list(re.finditer(rf"(?<!\w){_SAYS}[(\[{{\"']?({names})(?![\w'’-])", plain))
    if not said:
        # A letter alone may be a word: it must stand like a label, "B) because …" or "(B)".
        ends = r"(?:[)\].:](?=\s|$)|(?<=\w\w),(?=\s)|\s*$)"
        said = list(re.finditer(rf"^\s*[(\[]?({names}){ends}", plain, re.MULTILINE))
    if said and spoilt_after(plain[said[0].end() :]):
        return []
    for match in said:
        after = plain[match.end() :].lstrip(")]}\"' .:")
        before = plain[: match.start()]
        if weakened_before(before) or _EXCLUDED.search(_ENDS.split(before)[-1]):
            return []
        sentence = _ENDS.split(after, maxsplit=1)[0]
        rest = after if _only(names).fullmatch(after) else sentence
        others = {by_name[_plain(each[0])] for each in _alone(names).finditer(rest)}
        if others - {by_name[_plain(match[1])]} or _EXCLUDED.search(sentence):
            return []
    return list(dict.fromkeys(by_name[_plain(match[1])] for match in said))


@cache
def _alone(names: str) -> re.Pattern[str]:
    """A label that stands alone, but for the words A and I: "A is right" names a label, "A dog" does not."""
    word = r"[AI](?=\s+(?!(?:is|was|are|and|or|to|vs|has|must|would|should)\b)[a-z])"
    return re.compile(rf"(?<![\w'’-])(?!{word})(?:{names})(?![\w'’-])")


@cache
def _only(names: str) -> re.Pattern[str]:
    """Labels and nothing else, on whatever lines."""
    return re.compile(rf"(?:[\s()\[\].:,;|/&]|(?:and|or|{names})(?![\w'’-]))+")


def _pattern(label: str) -> str:
    """A label in a text: a letter as it is written, because `a` and `i` are words."""
    return re.escape(label) if len(label) == 1 else f"(?i:{re.escape(label)})"


def _plain(text: str) -> str:
    return normal(text.strip("{}$()[].:!, \n"), case=False)


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one reply."""
    return judged(problem, attempt, Choice, NAME, score)

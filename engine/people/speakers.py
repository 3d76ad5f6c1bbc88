"""Who speaks in a talk."""

import re

from engine.people.endings import sentences
from engine.people.values import as_spelled, composed, plain
from engine.records import Dialogue

_NAME = r"[^\W\d_][\w'’.-]*"
FULL_NAME = rf"(?=[A-Z])({_NAME}(?: (?=[A-Z]){_NAME})+)"
"""A name of several words in plain text, as a regular expression with one group."""
_INTRODUCES = re.compile(rf"\b(?:I'm|I am|[Mm]y name is|[Tt]his is) {FULL_NAME}")


def speaker_of(dialogue: Dialogue) -> str:
    """Who the user is: named by the source, or by a turn such as ``I'm Ann Reed``; empty where unknown."""
    if dialogue.person:
        return dialogue.person
    said = [turn.text for turn in dialogue.turns if turn.role == "user"]
    for sentence in (sentence for text in said for sentence in sentences(composed(text))):
        if found := _INTRODUCES.search(plain(sentence)):
            return as_spelled(found[1].rstrip("."), sentence)
    return ""

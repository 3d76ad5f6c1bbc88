"""Sentences made of templates, and problems made of sentences."""

import hashlib
import re
from collections.abc import Sequence

from engine.records import Fact, Problem, Recall

TASK = "people"
UNKNOWN = "I don't know"
"""The phrase that stands for every way to say so."""
NO = "no"
"""The phrase that stands for every way to deny a false premise."""
YES = "yes"
"""The phrase that stands for every way to agree to one."""


def filled(template: str, name: str, value: str = "", title: str = "") -> str:
    """A template with its blanks filled in."""
    article = "an" if value[:1].lower() in "aeiou" else "a"
    text = template.replace("{a_value}", f"{article} {value}").replace("{value}", value)
    return text.replace("{title}", title).replace("{name}", name)


def claim_of(state: str) -> str:
    """A sentence as a part of another one."""
    return state.removesuffix(".")


def capital(text: str) -> str:
    """A text that begins a sentence."""
    return text[:1].upper() + text[1:]


def first_to_second(says: str) -> str:
    """What somebody says of themselves, as it is said to them: ``I am`` becomes ``you are``."""
    for theirs, ours in (
        (r"\bI am\b", "you are"),
        (r"\bI'm\b", "you're"),
        (r"\bI was\b", "you were"),
        (r"\bI\b", "you"),
        (r"\b[Mm]y\b", "your"),
    ):
        says = re.sub(theirs, ours, says)
    return capital(says)


def question_to(ask: str) -> str:
    """A question about somebody, put to the person; empty where it cannot be put so."""
    for theirs, ours in (
        ("does {name}", "do you"),
        ("is {name}", "are you"),
        ("was {name}", "were you"),
        ("has {name}", "have you"),
        ("did {name}", "did you"),
        ("{name}'s", "your"),
    ):
        ask = re.sub(rf"(?i)\b{re.escape(theirs)}(?!')" if ours != "your" else re.escape(theirs), ours, ask)
    return "" if "{name}" in ask or not ask.endswith("?") else capital(ask)


def problem(
    facts: Sequence[Fact],
    turns: Sequence[str],
    gold: Sequence[str],
    expected: Sequence[Sequence[str]],
    forbidden: Sequence[Sequence[str]] = (),
) -> Problem:
    """A problem about some facts, whose slice and split are for the caller to set."""
    truth = Recall(
        expected=tuple(map(tuple, expected)),
        forbidden=tuple(map(tuple, forbidden)) or ((),) * len(turns),
    )
    content = "\n".join([TASK, *turns, repr(truth.expected), repr(truth.forbidden)])
    about = dict.fromkeys(f"{fact.subject}: {fact.attribute}" for fact in facts)
    return Problem(
        id=hashlib.sha256(content.encode()).hexdigest()[:16],
        task=TASK,
        slice="",
        turns=tuple(turns),
        truth=truth,
        gold=tuple(gold),
        split="",
        origin="; ".join(about),
    )

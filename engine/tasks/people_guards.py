"""What a night must not cost, as guards of the gate: asked in its wordings, which nothing was trained on."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from configs.tasks import GuardName
from engine.people.wordings import Kind
from engine.records import Fact, Problem
from engine.tasks.people_questions import Source, sliced
from engine.tasks.suite import Against, Guard

_MOST = 120
"""Problems of a guard, at the most."""
_WORDINGS = 3
"""How often a guard asks about one fact, where there are few."""
_TRIES = 20
"""Draws of a wording that differs from those before it."""
_MARGIN = 0.1
"""Largest tolerated drop, as a share of the facts."""


def guards_on(source: Source, day: int, margins: Mapping[GuardName, float]) -> tuple[Guard, ...]:
    """What a night after a day must not cost; nothing before the first day.

    `margins` are the largest drops of guards that have one of their own, by name.

    ``old-facts`` are those of earlier days that still hold, ``corrections`` false premises about them, first
    the values that were told and corrected, ``interference`` those of which other people have values from
    this day, ``unknown`` questions about people of whom nothing was told.
    """
    if not day:
        return ()
    known = source.known(day)
    today = {(fact.subject, fact.attribute) for fact in source.facts(day)}
    new = [fact for fact in known if (fact.subject, fact.attribute) in today]
    old = _in_order([fact for fact in known if (fact.subject, fact.attribute) not in today])
    told_wrong = [wrong for each in range(1, day) for wrong, _ in source.corrections(each)]
    corrected = {(wrong.subject, wrong.attribute) for wrong in told_wrong}
    first_corrected = sorted(old, key=lambda fact: (fact.subject, fact.attribute) not in corrected)
    touched = {fact.attribute for fact in new}
    old_facts = _asked(source, "single", old, [])
    unknown = _asked(source, "unknown", _strange(source, known), known)
    corrections = _asked(source, "correction", first_corrected, told_wrong)
    interference = _asked(source, "interference", [fact for fact in old if fact.attribute in touched], new)
    guarded: tuple[tuple[GuardName, tuple[Problem, ...], Against], ...] = (
        ("old-facts", old_facts, "champion"),
        ("old-facts", old_facts, "best"),
        ("corrections", corrections, "champion"),
        ("interference", interference, "champion"),
        ("unknown", unknown, "champion"),
        ("unknown", unknown, "frozen"),
    )
    return tuple(
        Guard(name=name, problems=problems, margin=margins.get(name, _MARGIN), against=against)
        for name, problems, against in guarded
    )


def _in_order(facts: Sequence[Fact]) -> list[Fact]:
    """Facts in an order of their own, so that a guard asks about the same ones night after night."""
    return sorted(
        facts, key=lambda fact: hashlib.sha256(f"{fact.subject}/{fact.attribute}".encode()).digest()
    )


def _asked(source: Source, kind: Kind, facts: Sequence[Fact], others: Sequence[Fact]) -> tuple[Problem, ...]:
    """Each fact in turn, in one wording after another, as long as there is room.

    `others` are facts whose values make false premises or must not be said. A fact is asked in the same words
    on every day, so that the best answer ever can be told.
    """
    problems: dict[str, Problem] = {}
    for turn in range(_WORDINGS):
        for fact in facts[: _MOST - len(problems)]:
            rivals = [each for each in others if _rival(kind, fact, each)]
            for attempt in range(_TRIES):
                rng = Random(f"{kind}/{fact.subject}/{fact.attribute}/{turn}/{attempt}")
                problem = source.wordings.ask(kind, [fact], part="gate", rng=rng, others=rivals)
                if problem.id not in problems:
                    # Forgetting hits a fact, not a wording.
                    problems[problem.id] = replace(sliced(problem, kind), split="guard", story=problem.origin)
                    break
    return tuple(problems.values())


def _rival(kind: Kind, fact: Fact, other: Fact) -> bool:
    """Whether another fact's value stands for this one: for a premise what was said of the person itself."""
    same = other.subject == fact.subject if kind == "correction" else other.subject != fact.subject
    return same and other.attribute == fact.attribute


def _strange(source: Source, known: Sequence[Fact]) -> list[Fact]:
    """Facts that nobody told, of the attributes that were told of others; the same ones on every day."""
    attributes = sorted({fact.attribute for fact in known})
    names = source.strangers(_MOST if attributes else 0, Random("strangers"))
    return [
        Fact(subject=name, attribute=attributes[place % len(attributes)], value="")
        for place, name in enumerate(names)
    ]

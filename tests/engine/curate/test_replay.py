"""What is rehearsed: what was forgotten first, then by priority, and never what was replaced."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from engine.curate.replay import choose, held, priority
from engine.records import Memory
from tests.support.memories import PEOPLE, memory

OLD = memory("Ann Redwick", "home", "Oldhaven", superseded_by="ann.home.gullhaven")


def chosen(memories: list[Memory], num: int, seed: int = 0, **known: dict) -> list[str]:
    known = {"rehearsed": {}, "recalled": {}} | known
    return [each.id for each in choose(memories, num, day=5, rng=Random(seed), **known)]


def test_priority_is_the_formula() -> None:
    each = memory("Ann Redwick", "home", "Gullhaven", importance=8, day=2)
    assert priority(each, day=5, rehearsed=2) == pytest.approx(0.8 / 2)
    assert priority(each, day=5, rehearsed=1) == pytest.approx(0.8 / 2 * 1.2)
    assert priority(each, day=2, rehearsed=9) == priority(each, day=1, rehearsed=9) == pytest.approx(0.8)


def test_what_was_replaced_is_never_rehearsed() -> None:
    memories = [OLD, *PEOPLE]
    assert held(memories) == list(PEOPLE)
    assert sorted(chosen(memories, 99)) == sorted(each.id for each in PEOPLE)
    assert OLD.id not in chosen([OLD], 1, recalled={OLD.id: False})


def test_what_the_model_has_lost_comes_first() -> None:
    lost = {each.id for each in PEOPLE[3:6]}
    recalled = {each.id: each.id not in lost for each in PEOPLE[:9]}
    for seed in range(20):
        assert set(chosen(list(PEOPLE), 3, seed, recalled=recalled)) == lost
        assert lost < set(chosen(list(PEOPLE), 5, seed, recalled=recalled))


def test_each_has_its_chance_by_its_priority() -> None:
    light, heavy = replace(PEOPLE[0], importance=1), replace(PEOPLE[1], importance=4)
    first = Counter(chosen([light, heavy], 1, seed)[0] for seed in range(2000))
    assert first[heavy.id] / 2000 == pytest.approx(0.8, abs=0.04)
    often = {"rehearsed": {heavy.id: 2}}
    first = Counter(
        chosen([heavy, replace(light, importance=4)], 1, seed, **often)[0] for seed in range(2000)
    )
    assert first[heavy.id] / 2000 == pytest.approx(1 / 2.2, abs=0.04)


def test_a_choice_can_be_made_again() -> None:
    assert chosen(list(PEOPLE), 5, 3) == chosen(list(PEOPLE), 5, 3) != chosen(list(PEOPLE), 5, 4)

"""The invented world: decided by its seed, without end, at one with itself, and with names of its own."""

from collections import Counter
from itertools import combinations
from random import Random

import pytest

from engine.people import pools
from engine.people.attributes import ATTRIBUTES
from engine.people.lives import Names, scattered
from engine.people.wordings import PARTS
from engine.people.world import World

SIZES = (2, 3, 4, 5, 8, 13, 40)


def test_a_seed_decides_everything_and_another_seed_decides_otherwise() -> None:
    one, same, other = World(3), World(3), World(4)
    for day in (5, 1, 300):
        assert one.people(day) == same.people(day) != other.people(day)
        assert one.told(day) == same.told(day) != other.told(day)
    assert one.strangers(9, Random(1)) == same.strangers(9, Random(1)) != other.strangers(9, Random(1))


def test_people_have_names_of_their_own_for_ever() -> None:
    names = Names(0)
    everybody = [names.person(number) for number in range(20_000)]
    everybody += [names.stranger(number) for number in range(20_000)]
    assert len(set(everybody)) == len(everybody)
    assert all(len(name.split()) == 2 for name in everybody)
    first = [name.split()[0] for name in everybody[: len(pools.FIRST_NAMES)]]
    assert sorted(first) == sorted(pools.FIRST_NAMES), "every first name comes before one comes again"


@pytest.mark.parametrize("what", pools.NAMED)
def test_everything_that_has_a_name_has_one_of_its_own(what: str) -> None:
    size, name = pools.NAMED[what]
    named = [name(number) for number in range(20_000)]
    assert len(set(named)) == len(named)
    assert sorted(scattered(number, size, "x") for number in range(3 * size)) == list(range(3 * size))


def test_names_of_strangers_are_of_one_part_and_look_like_any_other() -> None:
    world = World(0)
    drawn = {part: set(world.strangers(2000, Random(0), part=part)) for part in PARTS}
    told_of = {person.name for day in range(1, 100) for person in world.people(day)}
    for one, other in combinations([*drawn.values(), told_of], 2):
        assert not one & other
    assert all(len(names) == 2000 for names in drawn.values())
    surnames = {name.split()[1] for name in told_of}
    assert sum(name.split()[1] in surnames for name in drawn["gate"]) > 500


def test_a_namesake_is_another_person() -> None:
    world = World(0)
    everybody = {person.name for day in range(1, 50) for person in world.people(day)}
    for person in world.people(7):
        namesake = world.namesake(person.name, Random(person.name))
        assert namesake.split()[0] == person.name.split()[0] and namesake not in everybody


@pytest.mark.parametrize("size", SIZES)
def test_lives_agree_with_themselves_and_with_each_other(size: int) -> None:
    world = World(1, size)
    for day in range(1, 6):
        today = {person.name: person.life for person in world.people(day)}
        lives = today | {person.name: person.life for person in world.people(max(1, day - 1))}
        for name, life in today.items():
            assert life.keys() <= ATTRIBUTES.keys()
            born = int(life["birth_year"])
            assert born + 5 <= int(life.get("moved_year", born + 5)) < 2024
            assert born + 18 <= int(life.get("award_year", born + 18)) < 2024
            people = [life[key] for key in life if ATTRIBUTES[key].relation]
            assert len(set(people)) == len(people) and name not in people
            if spouse := life.get("spouse"):
                assert today[spouse]["spouse"] == name
                parents = {parent for parent in today if today[parent].get("child") in (name, spouse)}
                assert not parents or len(parents) < 2 or today[min(parents)].get("spouse") not in parents
            if child := life.get("child"):
                assert int(today[child]["birth_year"]) >= born + 18
                assert "child" not in today[life["spouse"]]
            if teacher := life.get("teacher"):
                assert teacher in lives and teacher not in today


@pytest.mark.parametrize("size", SIZES)
def test_on_one_day_no_two_people_share_a_value(size: int) -> None:
    for day in range(1, 6):
        people = World(1, size).people(day)
        for key in ATTRIBUTES:
            values = [person.life[key] for person in people if key in person.life]
            # Forty different years of birth hardly suffice for forty people whose parents are known.
            assert len(set(values)) == len(values) or (key == "birth_year" and size > 20)


def test_places_companies_and_relations_name_one_person_for_ever() -> None:
    held: dict[str, list[str]] = {}
    for day in range(1, 40):
        for person in World(2).people(day):
            for key in ("home", "birth_place", "employer", "pet_name", "teacher", "friend", "child"):
                held.setdefault(key, []).append(person.life.get(key, person.name + key))
    assert all(len(set(values)) == len(values) for values in held.values())
    assert not set(held["home"]) & set(held["birth_place"])


def test_what_is_told_is_true_but_for_what_is_corrected() -> None:
    world = World(5)
    for day in range(1, 8):
        lives = {person.name: person.life for each in (day, day - 1) if each for person in world.people(each)}
        told = world.told(day)
        assert len(told) == 40 and len({(each.fact.subject, each.fact.attribute) for each in told}) == 40
        assert all(lives[each.fact.subject][each.fact.attribute] == each.fact.value for each in told)
        wrong = [each for each in told if each.wrong]
        assert [each.late for each in wrong].count(True) == [each.late for each in wrong].count(False) == 2
        corrections = world.corrections(day)
        assert len(corrections) == (2 if day == 1 else 4)
        for false, true in corrections:
            assert (false.subject, false.attribute) == (true.subject, true.attribute)
            assert false.value != true.value == lives[true.subject][true.attribute]


def test_a_wrong_value_stands_until_it_is_corrected() -> None:
    world = World(5)
    late = [each for each in world.told(1) if each.late]
    assert late
    for told in late:
        assert told.wrong in world.facts(1) and told.wrong in world.known(1)
        assert told.fact in world.facts(2) and told.fact in world.known(2)
        assert told.fact not in world.known(1) and told.wrong not in world.known(2)
    keys = Counter((fact.subject, fact.attribute) for fact in world.known(6))
    assert set(keys.values()) == {1} and len(keys) == 240
    assert world.known(0) == []


def test_a_thousand_facts_are_of_every_attribute() -> None:
    told = Counter(fact.attribute for day in range(1, 26) for fact in World(0).facts(day))
    assert set(told) == set(ATTRIBUTES) - {"birth_date", "death_year"}
    assert min(told.values()) >= 20


def test_as_many_facts_as_there_are_can_be_told() -> None:
    assert all(len(World(0, facts_a_person=1).told(day)) == 8 for day in (1, 2))
    assert len(World(0, facts_a_person=12).told(2)) > 90

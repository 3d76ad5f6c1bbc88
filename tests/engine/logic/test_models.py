"""Small worlds: found where there are any, confirmed by looking, and described for people."""

import random

import pytest

from engine.logic.first_order.notation import parse
from engine.logic.formulas import Formula, Not
from engine.logic.models import Model, counter_model, describe, find_model, holds
from tests.support.first_order import PREDICATES, Worlds, random_formula


def formulas(*texts: str) -> list[Formula]:
    return [parse(text) for text in texts]


@pytest.mark.parametrize(
    ("texts", "num_things"),
    [
        (["P(a)"], 1),
        (["P(a)", "-P(b)"], 2),
        (["a != b", "b != c", "a != c"], 3),
        (["exists x P(x)", "exists x -P(x)"], 2),
        (["all x exists y R(x, y)", "all x -R(x, x)"], 2),
        (["all x exists y R(x, y)", "all x all y (R(x, y) -> -R(y, x))", "all x -R(x, x)"], 3),
        (["A", "-A"], None),
        (["all x P(x)", "-P(a)"], None),
        # Only an endless world is one.
        (
            ["all x exists y R(x, y)", "all x -R(x, x)", "all x all y all z (R(x, y) & R(y, z) -> R(x, z))"],
            None,
        ),
        # More things than are tried, but no more than there are names.
        ([f"n{i} != n{j}" for i in range(6) for j in range(i)], 6),
    ],
)
def test_the_smallest_world_is_found(texts: list[str], num_things: int | None) -> None:
    found = find_model(formulas(*texts))
    assert (found and found.num_things) == num_things


def test_a_counter_model_shows_why_a_claim_does_not_follow() -> None:
    premises = formulas(
        "all x (Cat(x) -> Animal(x))", "Animal(tom)", "all x (Cat(x) -> Likes(x, tom))", "Rain"
    )
    found = counter_model(premises, parse("Cat(tom)"))
    assert found is not None and all(holds(premise, found) for premise in premises)
    assert not holds(parse("Cat(tom)"), found)
    assert describe(found) == "1 thing: tom\nTrue: Animal(tom), Rain; nothing else."
    assert counter_model(premises, parse("Animal(tom)")) is None
    assert counter_model(premises, parse("-Rain")) is not None


def test_a_world_is_described_by_its_names() -> None:
    world = Model(
        num_things=3,
        constants={"ann": 0, "sue": 0, "tom": 2},
        predicates={("Likes", 2): frozenset({(0, 1), (2, 2)}), ("Cold", 1): frozenset()},
    )
    assert describe(world) == (
        "3 things: ann (also sue); thing 2; tom\nTrue: Likes(ann, thing 2), Likes(tom, tom); nothing else."
    )
    crowd = Model(
        num_things=1, constants={"a": 0}, predicates={(f"P{i}", 0): frozenset({()}) for i in range(42)}
    )
    assert describe(crowd).endswith(" and 12 more; nothing else.") and len(describe(crowd)) < 250
    empty = Model(num_things=1, constants={"ann": 0}, predicates={("Cold", 1): frozenset()})
    assert describe(empty) == "1 thing: ann\nNothing is true of any of them."


@pytest.mark.slow
def test_a_search_that_is_too_large_is_given_up() -> None:
    wide = parse("all x all y all z all u all v all w (R(x, y) | R(z, u) | R(v, w) | a = b)")
    distinct = formulas(*[f"n{i} != n{j}" for i in range(9) for j in range(i)])
    assert find_model([wide, *distinct]) is None


def test_a_predicate_of_many_places_costs_no_more_than_what_is_said_of_it() -> None:
    """Of 24 places and two things it has 16 million rows."""
    ones, others = ", ".join(["a"] * 24), ", ".join(["b"] * 24)
    found = find_model(formulas(f"P({ones})", f"-P({others})", "all x all y (Q(x) -> R(x, y))"))
    assert found is not None and found.num_things == 2
    assert found.predicates["P", 24] == {(found.constants["a"],) * 24}


@pytest.mark.slow
def test_worlds_are_found_where_brute_force_finds_one() -> None:
    """Of one or two things, and every formula is true in the world exactly where brute force says so."""
    rng, constants, num_found = random.Random(0), ("a", "b"), 0
    small = [Worlds(1, constants), Worlds(2, constants)]
    for _ in range(300):
        given = [random_formula(rng, 3) for _ in range(3)]
        expected = next(
            (
                worlds.things.stop
                for worlds in small
                if (worlds.true_in(given[0]) & worlds.true_in(given[1]) & worlds.true_in(given[2])).any()
            ),
            None,
        )
        found = find_model(given, max_things=2)
        assert (found and found.num_things) == expected, given
        if found is None:
            continue
        num_found += 1
        world = small[found.num_things - 1]
        names = {**dict.fromkeys(constants, 0), **found.constants}
        rows = {**{(name, arity): frozenset() for name, arity in PREDICATES.items()}, **found.predicates}
        whole = Model(num_things=found.num_things, constants=names, predicates=rows)
        place = world.place_of(whole)
        for formula in (*given, *(random_formula(rng, 3) for _ in range(5))):
            assert holds(formula, whole) == world.true_in(formula)[place]
            assert holds(Not(formula), whole) != holds(formula, whole)
    assert num_found > 150

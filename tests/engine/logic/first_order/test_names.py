"""Names from elsewhere made plain, and formalizations compared under other names."""

import random

import pytest

from engine.logic.first_order.folio import read_folio
from engine.logic.first_order.names import CONSTANT, plain_names, renamed, symbols_of
from engine.logic.first_order.notation import FirstOrder, parse, show
from engine.logic.first_order.renaming import renaming
from engine.logic.formulas import Formula
from engine.logic.solver import equivalent
from tests.support.first_order import random_formula


def plain(*texts: str) -> list[str]:
    return [show(formula) for formula in plain_names([read_folio(text) for text in texts])]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["Student(rina) ∧ Drinks(rina)"], ["Student(rina) & Drinks(rina)"]),
        (["women(Mark) ∧ Giant(gpt-3)"], ["Women(mark) & Giant(gpt_3)"]),
        (["P(2000) ∧ P(c++) ∧ P(a+)"], ["P(n2000) & P(cplusplus) & P(aplus)"]),
        (["LostToŚwiątek(łódź)"], ["LostToSwiatek(odz)"]),
        (["P(Mark) ∧ Q(mark)"], ["P(mark_2) & Q(mark)"]),
        (
            ["P(c1) ∧ P(all) ∧ P(exists)".replace("all", "All").replace("exists", "Exists")],
            ["P(c1_) & P(all_) & P(exists_)"],
        ),
        (["P(a)", "P(a, b)"], ["P(a)", "P_2(a, b)"]),
        (["∀Person (Nice(Person))".replace("Person", "person"), "Nice(x1y)"], ["all x Nice(x)", "Nice(x1y)"]),
        (["∀x (P(x))", "∀v1 (P(v1))"], ["all x P(x)", "all y P(y)"]),
        (["Ver" + "y" * 60 + "Long(a)"], ["Ver" + "y" * 33 + "(a)"]),
    ],
)
def test_names_become_plain_and_stay_apart(texts: list[str], found: list[str]) -> None:
    assert plain(*texts) == found
    FirstOrder(found)


def test_names_that_are_plain_stay_in_random_formulas() -> None:
    rng = random.Random(0)
    for _ in range(200):
        formulas = [random_formula(rng, 3) for _ in range(3)]
        assert list(plain_names(formulas)) == formulas


@pytest.mark.parametrize(
    ("these", "those", "same"),
    [
        (["all x (Drinks(x) -> Dependent(x))"], ["all y (-Addicted(y) -> -DrinksCoffee(y))"], True),
        (["all x (P(x) -> Q(x))", "P(a)"], ["all x (A(x) -> B(x))", "A(b)"], True),
        (["all x (P(x) -> Q(x))", "Q(a)"], ["all x (A(x) -> B(x))", "A(b)"], False),
        (["all x (P(x) -> Q(x))"], ["all x (A(x) & B(x))"], False),
        (["P(a)", "P(b)"], ["Q(a)", "Q(a)"], False),
        (["R(a, b)"], ["S(b, a)"], True),
        (["R(a, b) & R(b, b)"], ["S(b, a) & S(b, b)"], False),
        (["exists x (P(x) & Q(x))"], ["exists x (P(x) -> Q(x))"], False),
        (["P(a) & (Q(a) | -Q(a))"], ["P(a)"], True),
        (["A xor B"], ["-(C <-> D)"], True),
        (["P(a)"], ["P(a, b)"], False),
        ([], [], True),
    ],
)
def test_formulas_are_the_same_under_other_names(these: list[str], those: list[str], same: bool) -> None:
    first, second = [parse(text) for text in these], [parse(text) for text in those]
    found = renaming(first, second)
    assert (found is not None) == same
    if found is not None:
        names = {**found.predicates, **{(name, CONSTANT): new for name, new in found.constants.items()}}
        assert all(equivalent(renamed(a, names), b) for a, b in zip(first, second, strict=True))


@pytest.mark.slow
def test_a_renaming_that_was_made_is_found() -> None:
    rng, num_found = random.Random(3), 0
    for _ in range(40):
        formulas: list[Formula] = [random_formula(rng, 3) for _ in range(4)]
        symbols = sorted({symbol for formula in formulas for symbol in symbols_of(formula)})
        names = {symbol: f"{symbol[0]}{rng.randrange(10)}z" for symbol in symbols}
        num_found += renaming(formulas, [renamed(formula, names) for formula in formulas]) is not None
    assert num_found == 40


def test_formulas_are_compared_in_pairs() -> None:
    with pytest.raises(ValueError, match="in pairs, got 1 and 0"):
        renaming([parse("A")], [])

"""The kinds of links of a chain: what each gives as premises, and the lines that draw the next fact.

Whether a fact is a denial is always drawn at random, so that no form of premise tells it.
"""

from collections.abc import Callable

from engine.logic.formulas import (
    And,
    Atom,
    Exists,
    ForAll,
    Formula,
    Iff,
    Implies,
    Not,
    Or,
    Xor,
    negate,
    substitute,
)
from engine.tasks.drafts import Item
from engine.tasks.formal_chains import VARIABLE, Chain

_OTHER = "y"


def _mp(chain: Chain) -> Item:
    new = chain.new()
    return chain.draft.line(chain.on(new), "mp", chain.implication(chain.held, new), chain.last)


def _mt(chain: Chain) -> Item:
    new = chain.new()
    rule = chain.implication(negate(new), negate(chain.held))
    return chain.draft.line(chain.on(new), "mt", rule, chain.last)


def _raa(chain: Chain) -> Item:
    new = chain.new()
    rule = chain.implication(negate(new), negate(chain.held))
    assumed = chain.draft.assume(chain.on(negate(new)))
    denial = chain.draft.line(chain.on(negate(chain.held)), "mp", rule, assumed)
    return chain.draft.line(chain.on(new), "raa", assumed, chain.last, denial)


def _hs(chain: Chain) -> Item:
    middle, new = chain.new(), chain.new()
    first = chain.given(ForAll(VARIABLE, Implies(chain.held, middle)))
    second = chain.given(ForAll(VARIABLE, Implies(middle, new)))
    both = chain.draft.line(ForAll(VARIABLE, Implies(chain.held, new)), "hs", first, second)
    return chain.draft.line(chain.on(new), "mp", both, chain.last)


def _ds(chain: Chain) -> Item:
    new = chain.new()
    sides = [negate(chain.held), new]
    chain.rng.shuffle(sides)
    _, either = chain.rule(Or(*sides))
    return chain.draft.line(chain.on(new), "ds", either, chain.last)


def _xor(chain: Chain) -> Item:
    new = chain.new()
    sides = [chain.held, negate(new)] if chain.rng.random() < 0.5 else [negate(chain.held), new]
    chain.rng.shuffle(sides)
    _, either = chain.rule(Xor(*sides))
    return chain.draft.line(chain.on(new), "xor_e", either, chain.last)


def _iff(chain: Chain) -> Item:
    new = chain.new()
    sides = [chain.held, new]
    chain.rng.shuffle(sides)
    _, both_ways = chain.rule(Iff(*sides))
    there = chain.draft.line(Implies(chain.last.claim, chain.on(new)), "iff_e", both_ways)
    return chain.draft.line(chain.on(new), "mp", there, chain.last)


def _and(chain: Chain) -> Item:
    """Two conditions, and a head of two parts."""
    new, beside, other = chain.new(), chain.new(), chain.new()
    rule = chain.implication(And(chain.held, other), And(new, beside))
    fact = chain.given(chain.on(other))
    both = chain.draft.line(chain.on(And(new, beside)), "mp", rule, chain.last, fact)
    return chain.draft.line(chain.on(new), "and_e", both)


def _or(chain: Chain) -> Item:
    new, other = chain.new(), chain.new()
    sides = [chain.held, other]
    chain.rng.shuffle(sides)
    rule = chain.implication(Or(*sides), new)
    either = chain.draft.line(chain.on(Or(*sides)), "or_i", chain.last)
    return chain.draft.line(chain.on(new), "mp", rule, either)


def _relation(chain: Chain) -> Item:
    """From one thing to another that it is related to."""
    new, verb, other = chain.new(), chain.supply.binary(), chain.supply.name()
    head = substitute(new, {VARIABLE: _OTHER})
    relation = Atom(verb, (VARIABLE, _OTHER))
    rule = chain.given(ForAll(VARIABLE, ForAll(_OTHER, Implies(And(chain.held, relation), head))))
    fact = chain.given(Atom(verb, (chain.subject, other)))
    before, chain.subject = chain.last, other
    return chain.draft.line(chain.on(new), "mp", rule, before, fact)


def _eg(chain: Chain) -> Item:
    new, other = chain.new(), chain.supply.name()
    rule = chain.given(Implies(Exists(VARIABLE, chain.held), chain.on(new, other)))
    some = chain.draft.line(Exists(VARIABLE, chain.held), "eg", chain.last)
    chain.subject = other
    return chain.draft.line(chain.on(new), "mp", rule, some)


def _ee(chain: Chain) -> Item:
    new, other = chain.new(), chain.new()
    rule = chain.given(ForAll(VARIABLE, Implies(And(other, chain.last.claim), chain.on(new))))
    some = chain.given(Exists(VARIABLE, other))
    assumed = chain.draft.assume(chain.on(other, chain.supply.arbitrary()))
    drawn = chain.draft.line(chain.on(new), "mp", rule, assumed, chain.last)
    return chain.draft.line(chain.on(new), "ee", some, assumed, drawn)


def _qn(chain: Chain) -> Item:
    new = chain.new()
    both = And(chain.held, negate(new))
    none = chain.given(Not(Exists(VARIABLE, both)))
    not_both = chain.draft.line(ForAll(VARIABLE, Not(both)), "qn", none)
    return _either(chain, new, chain.draft.line(chain.on(Not(both)), "ui", not_both))


def _dm(chain: Chain) -> Item:
    new = chain.new()
    return _either(chain, new, chain.given(chain.on(Not(And(chain.held, negate(new))))))


def _either(chain: Chain, new: Formula, not_both: Item) -> Item:
    """From ¬(A ∧ ¬B) and A to B."""
    either = chain.draft.line(chain.on(Or(negate(chain.held), new)), "dm", not_both)
    return chain.draft.line(chain.on(new), "ds", either, chain.last)


def _or_e(chain: Chain) -> Item:
    new, one, other = chain.new(), chain.new(), chain.new()
    first = chain.implication(chain.held, Or(one, other))
    rules = [chain.implication(side, new) for side in (one, other)]
    either = chain.draft.line(chain.on(Or(one, other)), "mp", first, chain.last)
    cited = [either]
    for side, rule in zip((one, other), rules, strict=True):
        assumed = chain.draft.assume(chain.on(side))
        cited += [assumed, chain.draft.line(chain.on(new), "mp", rule, assumed)]
    return chain.draft.line(chain.on(new), "or_e", *cited)


def _cases(chain: Chain) -> Item:
    new, other = chain.new(), chain.new()
    cited: list[Item] = []
    rules = [chain.implication(And(chain.held, side), new) for side in (other, negate(other))]
    for side, rule in zip((other, negate(other)), rules, strict=True):
        assumed = chain.draft.assume(chain.on(side))
        cited += [assumed, chain.draft.line(chain.on(new), "mp", rule, chain.last, assumed)]
    return chain.draft.line(chain.on(new), "cases", *cited)


LINKS: dict[str, Callable[[Chain], Item]] = {
    "mp": _mp,
    "mt": _mt,
    "hs": _hs,
    "ds": _ds,
    "and": _and,
    "or": _or,
    "or_e": _or_e,
    "cases": _cases,
    "raa": _raa,
    "iff": _iff,
    "xor": _xor,
    "dm": _dm,
    "qn": _qn,
    "eg": _eg,
    "ee": _ee,
    "relation": _relation,
}
"""Kinds of links, by the rule of inference that they are there for."""

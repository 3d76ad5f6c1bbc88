"""Random theories as ProofWriter makes them: four things, facts about them, and five to nine rules.

Facts come first, sorted by what they are about, then the rules in any order. Rules are chosen so that proofs
of the wanted depth exist. Kinds of rules and forms of words are about as frequent as in the public files.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, negate
from engine.logic.proofwriter import VARIABLE, VERBS, ProofWriter, thing_text
from engine.tasks.rulebase import Rulebase

NAMES = ("Anne", "Bob", "Charlie", "Dave", "Erin", "Fiona", "Gary", "Harry")
ANIMALS = (
    "bald eagle",
    "bear",
    "cat",
    "cow",
    "dog",
    "lion",
    "mouse",
    "rabbit",
    "squirrel",
    "tiger",
)
ADJECTIVES = (
    "big",
    "blue",
    "cold",
    "furry",
    "green",
    "kind",
    "nice",
    "quiet",
    "red",
    "rough",
    "round",
    "smart",
    "white",
    "young",
)
_NUM_THINGS = 4
_NUM_ATTRIBUTES = 7
_NUM_WITH_RELATIONS = (4, 5)
"""Attributes of a theory with relations, which has three or four relations besides."""
_NUM_RULES = {5: 2, 6: 7, 7: 16, 8: 30, 9: 45}
"""How often a theory has so many rules, in percent."""
_DENIED_FACTS, _DENIED_CONDITIONS, _DENIED_HEADS = 0.18, 0.1, 0.12
_ABOUT_ONE = 0.13
"""Rules about one thing only."""
_TWO_CONDITIONS = 0.45
_ABOUT_OBJECT = 0.37
"""Heads of rules with relations that are about a thing by name, not about the variable."""
_PROPOSALS = 60
"""Rules that are tried, one after the other, before a theory is given up."""


@dataclass(frozen=True, slots=True)
class Style:
    """What kind of theory is wanted."""

    depth: int
    """Depth of the deepest proof of all."""
    num_facts: int
    negation: bool
    relations: bool
    is_closed: bool


def random_premises(style: Style, rng: Random) -> list[Formula] | None:
    """Facts and then rules, without what closes the world; None where they did not turn out as wanted."""
    draw = _Draw(style, rng)
    facts = draw.facts()
    if facts is None:
        return None
    num_rules = max(rng.choices(list(_NUM_RULES), list(_NUM_RULES.values()))[0], style.depth)
    rules: list[Formula] = []
    base = Rulebase(facts)
    for _ in range(_PROPOSALS):
        if len(rules) == num_rules:
            break
        rule = draw.rule(base, num_left=num_rules - len(rules))
        if rule is None or rule in rules:
            continue
        extended = Rulebase([*facts, *rules, rule])
        if max(extended.depths.values()) > style.depth or extended.is_contradictory:
            continue
        rules.append(rule)
        base = extended
    if len(rules) < num_rules or max(base.depths.values()) < style.depth:
        return None
    rng.shuffle(rules)
    return [*sorted(facts, key=_place_of_fact), *rules]


def _place_of_fact(fact: Formula) -> tuple[str, ...]:
    atom = fact.body if isinstance(fact, Not) else fact
    assert isinstance(atom, Atom)
    thing, *others = atom.args
    return (thing, atom.predicate, *others) if others else (thing, "is", atom.predicate)


class _Draw:
    """The words of one theory, and statements drawn from them."""

    def __init__(self, style: Style, rng: Random) -> None:
        self._style, self._rng = style, rng
        self._things = rng.sample(ANIMALS if style.relations else NAMES, _NUM_THINGS)
        if style.relations:
            num_attributes = rng.choice(_NUM_WITH_RELATIONS)
            self._verbs = rng.sample(VERBS, 8 - num_attributes)
        else:
            num_attributes, self._verbs = _NUM_ATTRIBUTES, []
        self._adjectives = rng.sample(ADJECTIVES, num_attributes)

    def _atom(self, thing: str, *, may_relate: bool = True) -> Atom:
        """What a random word of the theory says of a thing."""
        if self._verbs and may_relate and self._rng.random() < 0.67:
            return Atom(self._rng.choice(self._verbs), (thing, self._rng.choice(self._things)))
        return Atom(self._rng.choice(self._adjectives), (thing,))

    def _denied(self, atom: Formula, share: float) -> Formula:
        return Not(atom) if self._style.negation and self._rng.random() < share else atom

    def facts(self) -> list[Formula] | None:
        """None where the words cannot state so many."""
        atoms: dict[Formula, None] = {}
        for _ in range(40 * self._style.num_facts):
            if len(atoms) == self._style.num_facts:
                break
            atoms[self._atom(self._rng.choice(self._things))] = None
        if len(atoms) < self._style.num_facts:
            return None
        share = 0.0 if self._style.is_closed else _DENIED_FACTS
        return [self._denied(atom, share) for atom in atoms]

    def rule(self, base: Rulebase, num_left: int) -> Formula | None:
        """A rule about something that is derived, so that it applies; None where none came of it.

        While the theory is not deep enough it takes the deepest, the more surely the fewer rules are left.
        """
        rng, style = self._rng, self._style
        deepest = max(base.depths.values())
        missing = style.depth - deepest
        must_deepen = missing > 0 and rng.random() < 0.3 + 0.7 * missing / num_left
        known = [each for each, depth in base.depths.items() if depth == deepest or not must_deepen]
        first = rng.choice(sorted(known, key=str))
        subject = _args(first)[0]
        conditions = [first]
        if rng.random() < _TWO_CONDITIONS:
            conditions.append(self._second(base, first, must_hold=must_deepen))
        about_object = len(_args(first)) == 2 and rng.random() < _ABOUT_OBJECT
        head_atom = self._atom(_args(first)[1] if about_object else subject)
        head = head_atom if style.is_closed else self._denied(head_atom, _DENIED_HEADS)
        if {head, negate(head)} & {*conditions, *map(negate, conditions)}:
            return None
        if head in base.depths or negate(head) in base.depths:
            return None
        if len(set(conditions)) < len(conditions) or negate(conditions[0]) in conditions:
            return None
        is_general = rng.random() >= _ABOUT_ONE
        rule = Implies(And(*conditions) if len(conditions) == 2 else conditions[0], head)
        return ForAll(VARIABLE, _generalized(rule, subject)) if is_general else rule

    def _second(self, base: Rulebase, first: Formula, *, must_hold: bool) -> Formula:
        """Another condition about what the first is about."""
        about = self._rng.choice(_args(first))
        holding = sorted((each for each in base.depths if _args(each)[0] == about and each != first), key=str)
        if holding and (must_hold or self._rng.random() < 0.7):
            return self._rng.choice(holding)
        return self._denied(self._atom(about), 3 * _DENIED_CONDITIONS)


def _args(literal: Formula) -> tuple[str, ...]:
    atom = literal.body if isinstance(literal, Not) else literal
    assert isinstance(atom, Atom)
    return atom.args


def _generalized(formula: Formula, thing: str) -> Formula:
    """The formula with the variable in the place of a thing, where that is what a clause is about."""
    match formula:
        case Atom(predicate, (subject, *others)):
            return Atom(predicate, (VARIABLE if subject == thing else subject, *others))
        case Not(body):
            return Not(_generalized(body, thing))
        case And(left, right) | Implies(left, right):
            return type(formula)(_generalized(left, thing), _generalized(right, thing))
    raise AssertionError(formula)


def sentences(premises: Sequence[Formula], rng: Random) -> list[str]:
    """The sentences of facts and rules, each in one of the forms that ProofWriter has for it.

    A theory speaks either of things and something, or of people and someone.
    """
    words = rng.choice((("things", "something", "it"), ("people", "someone", "they")))
    return [_sentence(premise, words, rng) for premise in premises]


def _sentence(premise: Formula, words: tuple[str, str, str], rng: Random) -> str:
    if not isinstance(premise, ForAll):
        return ProofWriter([]).show(premise)
    assert isinstance(premise.body, Implies)
    conditions, head = _conditions(premise.body.left), premise.body.right
    many, one, pronoun = words
    kinds = [each for each in (*conditions, head) if _args(each) == (VARIABLE,)]
    if len(kinds) == len(conditions) + 1 and not any(isinstance(each, Not) for each in conditions):
        listed = ", ".join(_predicate(each) for each in conditions)
        denial = "not " if isinstance(head, Not) else ""
        form = rng.randrange(3)
        if form < 2:
            begin = f"All {listed}" if form else listed.capitalize()
            return f"{begin} {many} are {denial}{_predicate(head)}."
    clauses = [_clause(conditions[0], one)]
    for before, condition in itertools.pairwise(conditions):
        if _args(before) == _args(condition) == (VARIABLE,):
            clauses.append(f"{'not ' if isinstance(condition, Not) else ''}{_predicate(condition)}")
        else:
            clauses.append(_clause(condition, pronoun))
    return f"If {' and '.join(clauses)} then {_clause(head, pronoun)}."


def _conditions(formula: Formula) -> list[Formula]:
    return [*_conditions(formula.left), formula.right] if isinstance(formula, And) else [formula]


def _predicate(literal: Formula) -> str:
    atom = literal.body if isinstance(literal, Not) else literal
    assert isinstance(atom, Atom)
    return atom.predicate


def _clause(literal: Formula, variable: str) -> str:
    """The words of a literal in a rule, the variable being called `variable`."""
    args, word, is_denied = _args(literal), _predicate(literal), isinstance(literal, Not)
    is_many = args[0] == VARIABLE and variable == "they"
    subject = variable if args[0] == VARIABLE else thing_text(args[0])
    if len(args) == 1:
        return f"{subject} {'are' if is_many else 'is'} {'not ' if is_denied else ''}{word}"
    if is_denied:
        return f"{subject} {'do' if is_many else 'does'} not {word} {thing_text(args[1])}"
    return f"{subject} {word}{'' if is_many else 's'} {thing_text(args[1])}"

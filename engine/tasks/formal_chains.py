"""Chains of facts, each of which follows from the one before: what formal problems are made of.

A chain begins with a given fact about one thing. A link (`formal_links.py`) adds premises and the lines that
draw a new fact from the last one.
"""

from collections.abc import Callable, Sequence
from random import Random

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
    substitute,
)
from engine.tasks.drafts import Draft, Item
from engine.tasks.formal_words import BINARY, NAMES, UNARY

VARIABLE = "x"
_ABOUT_ALL = 0.7
"""Share of the rules that are about all things; others are about the one thing that the chain is about."""
_REVERSED = 0.5
"""Share of the broken rules that lead the other way; in others something else takes the last fact's place."""


class Supply:
    """Predicates and names that a problem has not used yet."""

    def __init__(self, rng: Random) -> None:
        self._unary = rng.sample([word.symbol for word in UNARY], len(UNARY))
        self._binary = rng.sample([word.symbol for word in BINARY], len(BINARY))
        self._names = rng.sample(NAMES, len(NAMES))
        self._num_arbitrary = 0

    def unary(self) -> str:
        return self._unary.pop()

    def binary(self) -> str:
        return self._binary.pop()

    def name(self) -> str:
        return self._names.pop()

    def arbitrary(self) -> str:
        """A constant for a thing of which nothing is known."""
        self._num_arbitrary += 1
        return f"c{self._num_arbitrary}"


class Chain:
    """Premises, and a draft that draws one fact after the other from them."""

    def __init__(self, supply: Supply, rng: Random) -> None:
        self.supply, self.rng, self.draft = supply, rng, Draft()
        self.subject = supply.name()
        self.premises: list[Item] = []
        self.facts: list[Item] = [self.given(self.on(self.new()))]
        """The given fact, and what each link has drawn."""
        self._starts: list[tuple[int, int]] = []
        """For each link the number of premises and of lines before it."""

    @property
    def last(self) -> Item:
        return self.facts[-1]

    def extend(self, link: Callable[["Chain"], Item]) -> None:
        """Add a link: one of `engine.tasks.formal_links.LINKS`."""
        self._starts.append((len(self.premises), len(self.draft.lines)))
        self.facts.append(link(self))

    def breaks(self, others: Sequence[str]) -> Formula:
        """Break one link, so that nothing after it follows: the fact at the end, which is then open.

        The link's rule is reversed, or one of the predicates `others` takes the place of the fact before it.
        """
        at = self.rng.randrange(len(self._starts))
        rule, num_lines = self._starts[at]
        broken = self.premises[rule].claim
        match broken:
            case ForAll(_, Implies(Atom() | Not() as left, Atom() | Not() as right)) if (
                self.rng.random() < _REVERSED
            ):
                changed: Formula = ForAll(VARIABLE, Implies(right, left))
            case Implies(Atom() | Not() as left, Atom() | Not() as right) if self.rng.random() < _REVERSED:
                changed = Implies(right, left)
            case _:
                changed = _renamed(broken, self.facts[at].claim, self.rng.choice(others))
        self.premises[rule] = Item(changed)
        end = self.last.claim
        del self.draft.lines[num_lines:], self.facts[at + 1 :]
        return end

    # What links are built of.

    def given(self, formula: Formula) -> Item:
        self.premises.append(Item(formula))
        return self.premises[-1]

    def new(self) -> Formula:
        """A new predicate of the variable, or its denial."""
        atom = Atom(self.supply.unary(), (VARIABLE,))
        return Not(atom) if self.rng.random() < 0.5 else atom

    def on(self, formula: Formula, name: str = "") -> Formula:
        """A formula about the variable, said of a thing: by default of the one that the chain is about."""
        return substitute(formula, {VARIABLE: name or self.subject})

    @property
    def held(self) -> Formula:
        """The last fact, said of the variable."""
        return _open(self.last.claim)

    def rule(self, formula: Formula) -> tuple[Item, Item]:
        """A given rule about the variable, and the line that has it of the chain's thing.

        They are one where it is given of that thing alone.
        """
        if self.rng.random() >= _ABOUT_ALL:
            item = self.given(self.on(formula))
            return item, item
        item = self.given(ForAll(VARIABLE, formula))
        return item, self.draft.line(self.on(formula), "ui", item)

    def implication(self, left: Formula, right: Formula) -> Item:
        """A given rule, which `mp` and `mt` apply to all things or to one alike."""
        rule = Implies(left, right)
        return self.given(ForAll(VARIABLE, rule) if self.rng.random() < _ABOUT_ALL else self.on(rule))


def _open(fact: Formula) -> Formula:
    """A fact about one thing, said of the variable."""
    match fact:
        case Not(body):
            return Not(_open(body))
        case Atom(predicate, (_,)):
            return Atom(predicate, (VARIABLE,))
    raise AssertionError(fact)


def _renamed(formula: Formula, fact: Formula, other: str) -> Formula:
    """The formula with another predicate in the place of that of a fact."""
    named = fact.body if isinstance(fact, Not) else fact
    assert isinstance(named, Atom)
    match formula:
        case Atom(predicate, args):
            return Atom(other if predicate == named.predicate else predicate, args)
        case Not(body):
            return Not(_renamed(body, fact, other))
        case ForAll(variable, body) | Exists(variable, body):
            return type(formula)(variable, _renamed(body, fact, other))
        case And() | Or() | Xor() | Implies() | Iff():
            return type(formula)(_renamed(formula.left, fact, other), _renamed(formula.right, fact, other))
    raise AssertionError(formula)

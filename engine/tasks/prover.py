"""A prover for problems of first-order logic: gold proofs for questions that nobody has proved.

It draws from what is known whatever elimination rules give, about the constants that occur, and shows a goal
by introduction rules, by assuming its opposite, or case by case. What it finds is a proof by the rules of
`engine.logic.rules`; what it does not find may have one.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine.logic.formulas import (
    And,
    Exists,
    ForAll,
    Formula,
    Iff,
    Implies,
    Not,
    Or,
    Xor,
    conjuncts,
    constants_of,
    negate,
    substitute,
)
from engine.tasks.drafts import Draft, Item, Row, settle

_MOST_KNOWN = 400
_MOST_INSTANCES = 64
"""Choices of constants for the variables of one rule."""
_MOST_LINES = 3_000
"""Lines of all attempts together, of which a proof needs few."""
_DEEPEST = 3
"""Assumptions that stand inside each other."""


class GaveUp(Exception):
    """The attempts have drawn too many lines."""


@dataclass(frozen=True, slots=True)
class _State:
    """What is known at one place of a proof, and the constants that it is about."""

    known: dict[Formula, Item]
    constants: tuple[str, ...]
    depth: int = 0

    def with_(self, item: Item, *constants: str) -> "_State":
        return _State({**self.known, item.claim: item}, (*self.constants, *constants), self.depth + 1)


@dataclass(slots=True)
class Prover:
    """One problem, with the lines of all attempts to prove something about it."""

    premises: Sequence[Item]
    draft: Draft = field(default_factory=Draft)
    _num_arbitrary: int = 0

    def prove(self, goal: Formula) -> list[Row] | None:
        """The numbered lines of a proof of `goal`; None where none is found.

        Lines that are premises already are none: what is given needs no proof.
        """
        constants = {name for item in self.premises for name in constants_of(item.claim)} | constants_of(goal)
        state = _State({item.claim: item for item in self.premises}, tuple(sorted(constants)) or ("c99",))
        try:
            found = self._prove(goal, state)
        except GaveUp:
            return None
        return None if found is None else self.draft.numbered(self.premises, found)

    def _prove(self, goal: Formula, state: _State) -> Item | None:
        self._saturate(state, goal)
        found = self._establish(goal, state) or self._by_form(goal, state)
        if found or state.depth >= _DEEPEST:
            return found
        return (
            self._by_some(goal, state) or self._by_contradiction(goal, state) or self._by_cases(goal, state)
        )

    def _line(self, claim: Formula, rule: str, *cited: Item) -> Item:
        if len(self.draft.lines) >= _MOST_LINES:
            raise GaveUp
        return self.draft.line(claim, rule, *cited)

    # Goals.

    def _by_form(self, goal: Formula, state: _State) -> Item | None:
        """By the introduction rule of what a goal joins or binds."""
        if state.depth >= _DEEPEST:
            return None
        match goal:
            case Implies(left, right) if left not in state.known:
                assumed = self._line(left, "assume")
                end = self._prove(right, state.with_(assumed))
                return end and self._line(goal, "cp", assumed, end)
            case And(left, right) if one := self._prove(left, state):
                other = self._prove(right, state)
                return other and self._line(goal, "and_i", one, other)
            case ForAll(variable, body):
                thing = self._arbitrary()
                inner = _State(dict(state.known), (*state.constants, thing), state.depth)
                end = self._prove(substitute(body, {variable: thing}), inner)
                return end and self._line(goal, "ug", end)
        return None

    def _arbitrary(self) -> str:
        self._num_arbitrary += 1
        if self._num_arbitrary > 90:
            raise GaveUp
        return f"c{self._num_arbitrary}"

    def _by_some(self, goal: Formula, state: _State) -> Item | None:
        """From an instance, about an arbitrary thing, of what is known of some thing."""
        for formula, item in list(state.known.items()):
            if isinstance(formula, Exists) and not any(
                substitute(formula.body, {formula.variable: name}) in state.known for name in state.constants
            ):
                thing = self._arbitrary()
                assumed = self._line(substitute(formula.body, {formula.variable: thing}), "assume")
                end = self._prove(goal, state.with_(assumed, thing))
                if end and _rests_on(end, assumed):
                    return self._line(goal, "ee", item, assumed, end)
                if end:
                    return end
        return None

    def _by_contradiction(self, goal: Formula, state: _State) -> Item | None:
        assumed = self._line(negate(goal), "assume")
        inner = state.with_(assumed)
        self._saturate(inner, None)
        for formula, item in inner.known.items():
            other = inner.known.get(negate(formula))
            if other and (_rests_on(item, assumed) or _rests_on(other, assumed)):
                return self._line(goal, "raa", assumed, item, other)
        return None

    def _by_cases(self, goal: Formula, state: _State) -> Item | None:
        for formula, item in list(state.known.items()):
            if not isinstance(formula, Or) or {formula.left, formula.right} & state.known.keys():
                continue
            cited = [item]
            for side in (formula.left, formula.right):
                assumed = self._line(side, "assume")
                end = self._prove(goal, state.with_(assumed))
                if end is None or not _rests_on(end, assumed):
                    break
                cited += [assumed, end]
            else:
                return self._line(goal, "or_e", *cited)
        return None

    # What is known.

    def _saturate(self, state: _State, goal: Formula | None) -> None:
        """Add to what is known what follows by elimination rules, until the goal or nothing new does."""
        is_new = True
        while is_new and len(state.known) < _MOST_KNOWN and goal not in state.known:
            is_new = False
            for formula, item in list(state.known.items()):
                for claim, rule, cited in self._consequences(formula, item, state):
                    if claim not in state.known:
                        state.known[claim] = self._line(claim, rule, *cited)
                        is_new = True

    def _consequences(
        self, formula: Formula, item: Item, state: _State
    ) -> Iterator[tuple[Formula, str, tuple[Item, ...]]]:
        match formula:
            case And(left, right):
                yield from ((side, "and_e", (item,)) for side in (left, right))
            case Not(Not(body)):
                yield body, "dn", (item,)
            case Not(And(left, right)):
                yield Or(negate(left), negate(right)), "dm", (item,)
            case Not(Or(left, right)):
                yield And(negate(left), negate(right)), "dm", (item,)
            case Not(ForAll(variable, body)):
                yield Exists(variable, negate(body)), "qn", (item,)
            case Not(Exists(variable, body)):
                yield ForAll(variable, negate(body)), "qn", (item,)
            case Iff(left, right):
                yield Implies(left, right), "iff_e", (item,)
                yield Implies(right, left), "iff_e", (item,)
            case Or(left, right):
                yield from self._either(item, ((left, right), (right, left)), state)
            case Xor(left, right):
                yield Or(left, right), "xor_or", (item,)
                yield from self._exclusive(item, ((left, right), (right, left)), state)
            case Implies() | ForAll():
                yield from self._rule(formula, item, state)

    def _either(
        self, item: Item, sides: Sequence[tuple[Formula, Formula]], state: _State
    ) -> Iterator[tuple[Formula, str, tuple[Item, ...]]]:
        for side, other in sides:
            if denial := self._establish(negate(side), state):
                yield other, "ds", (item, denial)

    def _exclusive(
        self, item: Item, sides: Sequence[tuple[Formula, Formula]], state: _State
    ) -> Iterator[tuple[Formula, str, tuple[Item, ...]]]:
        for side, other in sides:
            if fact := self._establish(side, state):
                yield negate(other), "xor_e", (item, fact)
            elif denial := self._establish(negate(side), state):
                yield other, "xor_e", (item, denial)

    def _rule(
        self, formula: Formula, item: Item, state: _State
    ) -> Iterator[tuple[Formula, str, tuple[Item, ...]]]:
        """What a rule gives, forwards and backwards, for constants in the place of its variables."""
        variables, matrix = _stripped(formula)
        if not isinstance(matrix, Implies):
            assert isinstance(formula, ForAll), "an implication is a rule"
            for name in state.constants:
                yield substitute(formula.body, {formula.variable: name}), "ui", (item,)
            return
        choices = itertools.product(state.constants, repeat=len(variables))
        for names in itertools.islice(choices, _MOST_INSTANCES):
            binding = dict(zip(variables, names, strict=True))
            left, right = substitute(matrix.left, binding), substitute(matrix.right, binding)
            if right not in state.known and (facts := self._conditions(left, state)):
                yield right, "mp", (item, *facts)
            if negate(left) not in state.known and (denial := self._establish(negate(right), state)):
                yield negate(left), "mt", (item, denial)

    def _conditions(self, left: Formula, state: _State) -> list[Item]:
        """The lines that meet the conditions of a rule, one by one; none where one is not met."""
        found = [self._establish(each, state) for each in conjuncts(left)]
        facts = [each for each in found if each]
        return facts if len(facts) == len(found) else []

    def _establish(self, goal: Formula, state: _State) -> Item | None:
        """A line that claims the goal, by introduction rules from what is known."""
        if goal in state.known:
            return state.known[goal]
        found = self._introduced(goal, state)
        if found:
            state.known[goal] = found
        return found

    def _introduced(self, goal: Formula, state: _State) -> Item | None:
        match goal:
            case And(left, right):
                one = self._establish(left, state)
                other = self._establish(right, state) if one else None
                return self._line(goal, "and_i", one, other) if one and other and one != other else None
            case Or(left, right):
                side = self._establish(left, state) or self._establish(right, state)
                return self._line(goal, "or_i", side) if side else None
            case Exists(variable, body):
                for name in state.constants:
                    if instance := self._establish(substitute(body, {variable: name}), state):
                        return self._line(goal, "eg", instance)
            case Not(And(left, right)):
                either = self._establish(Or(negate(left), negate(right)), state)
                return self._line(goal, "dm", either) if either else None
            case Not(Or(left, right)):
                both = self._establish(And(negate(left), negate(right)), state)
                return self._line(goal, "dm", both) if both else None
            case Implies() | Xor() | Iff() | Not(Implies() | Xor() | Iff()):
                return self._settled(goal, state.known)
        return None

    def _settled(self, goal: Formula, known: Mapping[Formula, Item]) -> Item | None:
        try:
            _, item = settle(self.draft, goal, known)
        except KeyError:
            return None
        return item if item.claim == goal else None


def _stripped(formula: Formula) -> tuple[list[str], Formula]:
    variables: list[str] = []
    while isinstance(formula, ForAll):
        variables.append(formula.variable)
        formula = formula.body
    return variables, formula


def _rests_on(item: Item, assumption: Item) -> bool:
    """Whether a line was drawn from an assumption; none that is closed inside it is asked about."""
    waiting, seen = [item], set[Item]()
    while waiting:
        one = waiting.pop()
        if one is assumption:
            return True
        if one not in seen:
            seen.add(one)
            waiting += one.cited
    return False

"""Whether formulas say the same as others under other names: a formalization compared with the gold one."""

import difflib
import itertools
import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from engine.logic.first_order.names import CONSTANT, Symbol, renamed, symbols_of
from engine.logic.formulas import Formula
from engine.logic.models import Model, holds, num_terms
from engine.logic.solver import Limits, equivalent

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
MAX_QUESTIONS = 300
"""Pairs of formulas put to the solver before a renaming is given up."""
MAX_TRIED = 20_000
"""Pairs that are looked at before that: most differ in the first world that comes."""
LIMITS = Limits(work=200_000, seconds=1.0, max_things=2)
_NUM_WORLDS, _NUM_THINGS = 12, 2
_MOST_TERMS, _MOST_ARGS = 500, 4
"""Larger formulas are left to the solver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """New names under which formulas say what others say."""

    predicates: Mapping[Symbol, str]
    constants: Mapping[str, str]


class GaveUp(ValueError):
    """Neither a renaming was found nor that there is none."""


def renaming(these: Sequence[Formula], those: Sequence[Formula]) -> Renaming | None:
    """A one-to-one renaming of `these` under which each is equivalent to the one of `those` in its place.

    None where there is none. Likelier names are tried first: the same, then similar ones. Raises GaveUp where
    the limits end the search, and ValueError where the two are not equally many.
    """
    if len(these) != len(those):
        raise ValueError(f"formulas are compared in pairs, got {len(these)} and {len(those)}")
    search = _Search(these, those)
    found = search.extend(0, {})
    if found is None and search.gave_up:
        raise GaveUp("the search for a renaming was given up")
    if found is None:
        return None
    return Renaming(
        predicates={symbol: name for symbol, name in found.items() if symbol[1] != CONSTANT},
        constants={name: new for (name, arity), new in found.items() if arity == CONSTANT},
    )


@dataclass(slots=True)
class _Search:
    """Names are given formula by formula, and taken back where the next one cannot be met."""

    these: Sequence[Formula]
    those: Sequence[Formula]
    num_questions: int = 0
    num_tried: int = 0
    gave_up: bool = False
    worlds: list[Model] = field(default_factory=lambda: [_random_world(seed) for seed in range(_NUM_WORLDS)])
    order: list[int] = field(init=False)
    """Formulas with few symbols first: they leave little choice."""

    def __post_init__(self) -> None:
        self.order = sorted(range(len(self.these)), key=lambda place: len(symbols_of(self.these[place])))

    def extend(self, step: int, names: dict[Symbol, str]) -> dict[Symbol, str] | None:
        if step == len(self.order):
            return names
        this, that = self.these[self.order[step]], self.those[self.order[step]]
        for more in self._choices(this, that, names):
            if self.num_questions >= MAX_QUESTIONS or self.num_tried >= MAX_TRIED:
                self.gave_up = True
                return None
            self.num_tried += 1
            candidate = renamed(this, more)
            if _differ(candidate, that, self.worlds):
                continue
            self.num_questions += 1
            is_same = equivalent(candidate, that, LIMITS)
            self.gave_up |= is_same is None
            found = self.extend(step + 1, more) if is_same else None
            if found is not None:
                return found
        return None

    def _choices(self, this: Formula, that: Formula, names: dict[Symbol, str]) -> Iterator[dict[Symbol, str]]:
        """Names for the symbols of one formula that have none yet, from the other's that are not taken."""
        new = [symbol for symbol in sorted(symbols_of(this)) if symbol not in names]
        taken = {(name, arity) for (_, arity), name in names.items()}
        free = [symbol for symbol in sorted(symbols_of(that)) if symbol not in taken]
        yield from self._assign(new, free, names)

    def _assign(
        self, new: list[Symbol], free: list[Symbol], names: dict[Symbol, str]
    ) -> Iterator[dict[Symbol, str]]:
        if not new:
            yield names
            return
        (name, arity), *others = new
        fitting = [symbol for symbol in free if symbol[1] == arity]
        # A symbol without a partner keeps its place under a name of its own: it may be superfluous.
        num_rivals = sum(1 for _, other in new if other == arity)
        for symbol in sorted(fitting, key=lambda symbol: -_likeness(name, symbol[0])):
            rest = [other for other in free if other != symbol]
            yield from self._assign(others, rest, {**names, (name, arity): symbol[0]})
        if num_rivals > len(fitting):
            yield from self._assign(others, free, {**names, (name, arity): f"{name}'"})


class _Drawn(dict[Key, Value]):
    """A dictionary that draws the value of a key when it is first asked for."""

    def __init__(self, draw: Callable[[Key], Value]) -> None:
        super().__init__()
        self._draw = draw

    def __missing__(self, key: Key) -> Value:
        return self.setdefault(key, self._draw(key))


def _random_world(seed: int) -> Model:
    """A world that says something of every name, the same whatever was asked before."""

    def rng(key: object) -> random.Random:
        return random.Random(f"{seed} {key}")

    def rows(symbol: Symbol) -> frozenset[tuple[int, ...]]:
        drawn, (_, arity) = rng(symbol), symbol
        every = itertools.product(range(_NUM_THINGS), repeat=arity)
        return frozenset(row for row in every if drawn.random() < 0.5)

    return Model(
        num_things=_NUM_THINGS,
        constants=_Drawn(lambda name: rng(name).randrange(_NUM_THINGS)),
        predicates=_Drawn(rows),
    )


def _differ(one: Formula, other: Formula, worlds: Sequence[Model]) -> bool:
    """Whether one of the worlds tells two formulas apart."""
    for formula in (one, other):
        if num_terms(formula, _NUM_THINGS) > _MOST_TERMS:
            return False
        if any(arity > _MOST_ARGS for _, arity in symbols_of(formula)):
            return False
    return any(holds(one, world) != holds(other, world) for world in worlds)


def _likeness(one: str, other: str) -> float:
    if one == other:
        return 2.0
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()

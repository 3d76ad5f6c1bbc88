"""What facts and rules of ProofWriter's kind derive, how deep, and the proof with the fewest lines.

A rule is applied forwards only, with a constant for its variable. That decides every question of these
problems, because their truth is defined so: a statement is true where it is derived, false where its opposite
is, and unknown where neither is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.logic.closed_world import instances
from engine.logic.formulas import And, Formula, constants_of, negate

MOST_TRIED = 20_000
"""Choices that the search for a shortest proof looks at before it is content with the best one so far."""


@dataclass(frozen=True, slots=True)
class Step:
    """One application of a rule: what it claims, and of which rule and conditions."""

    claim: Formula
    premise: int
    """Number of the rule, from 1."""
    rule: str
    """Its name in `engine.logic.rules`."""
    conditions: tuple[Formula, ...]


class Rulebase:
    """The facts and rules of one problem, numbered from 1 as premises.

    A premise that is a conjunction gives each of its parts: the denials of a closed world.
    """

    def __init__(self, premises: Sequence[Formula], asked: Formula | None = None) -> None:
        constants = {name for each in (*premises, *([asked] if asked else [])) for name in constants_of(each)}
        self.facts: dict[Formula, int] = {}
        self._steps: dict[Formula, list[Step]] = {}
        for number, premise in enumerate(premises, 1):
            if isinstance(premise, And):
                for part in _parts(premise):
                    self._steps.setdefault(part, []).append(Step(part, number, "and_e", ()))
                continue
            for conditions, head in instances(premise, sorted(constants)):
                if conditions:
                    self._steps.setdefault(head, []).append(Step(head, number, "mp", conditions))
                else:
                    self.facts.setdefault(head, number)

    @cached_property
    def depths(self) -> Mapping[Formula, int]:
        """Every literal that is derived, with the depth of its shallowest proof; a fact has 0."""
        found = dict.fromkeys(self.facts, 0)
        waiting = [step for steps in self._steps.values() for step in steps if step.claim not in found]
        depth = 0
        while waiting:
            depth += 1
            new = {step.claim for step in waiting if all(each in found for each in step.conditions)}
            if not new:
                break
            found |= dict.fromkeys(new, depth)
            waiting = [step for step in waiting if step.claim not in found]
        return found

    @property
    def is_contradictory(self) -> bool:
        """Whether a statement and its opposite are derived."""
        return any(negate(each) in self.depths for each in self.depths)

    def truth(self, asked: Formula) -> str:
        """``True``, ``False`` or ``Unknown``. Raises ValueError where both sides are derived."""
        proved, refuted = asked in self.depths, negate(asked) in self.depths
        if proved and refuted:
            raise ValueError("the premises derive the statement and its opposite")
        return "True" if proved else "False" if refuted else "Unknown"

    def steps_to(self, claim: Formula) -> Sequence[Step]:
        """The applications that give a claim and whose conditions are all derived, in the premises' order."""
        steps = self._steps.get(claim, ())
        return [step for step in steps if all(each in self.depths for each in step.conditions)]

    def proof(self, claim: Formula) -> list[Step]:
        """The steps of a proof with the fewest lines, each after those it builds on; none for a fact.

        Raises KeyError for a claim that is not derived.
        """
        chosen: dict[Formula, Step] = {}
        _ = self.depths[claim]
        if claim not in self.facts:
            chosen = _Search(self).shortest(claim)
        return list(_in_order(claim, chosen))

    def bearing_on(self, asked: Formula) -> list[Step]:
        """All that is derived and could have led to a statement or its opposite, shallow steps first."""
        wanted: dict[Formula, None] = dict.fromkeys((asked, negate(asked)))
        waiting = list(wanted)
        for literal in waiting:
            for step in self._steps.get(literal, ()):
                new = [each for each in step.conditions if each not in wanted]
                wanted |= dict.fromkeys(new)
                waiting += new
        derived = [each for each in wanted if self.depths.get(each, 0) > 0]
        shallow = [self.shallowest(each) for each in derived]
        return sorted(shallow, key=lambda step: (self.depths[step.claim], step.premise, str(step.claim)))

    def shallowest(self, claim: Formula) -> Step:
        """The step by which a derived claim has its depth. Raises ValueError for a claim that is none."""
        return min(
            self.steps_to(claim),
            key=lambda step: max(map(self.depths.__getitem__, step.conditions), default=0),
        )

    def is_possible(self, *assumed: Formula) -> bool:
        """Whether the premises and some literals can all be true in classical logic.

        The constants alone decide that: rules are about all things, and nothing says that others exist.
        """
        clauses = [
            frozenset((head, *(negate(each) for each in step.conditions)))
            for head, steps in self._steps.items()
            for step in steps
        ]
        return _satisfiable(clauses, {*self.facts, *assumed})


def _parts(formula: Formula) -> list[Formula]:
    return _parts(formula.left) + _parts(formula.right) if isinstance(formula, And) else [formula]


class _Search:
    """Branch and bound over which step gives each claim that a proof needs."""

    def __init__(self, rulebase: Rulebase) -> None:
        self._rulebase = rulebase
        self._tried = 0
        self._best: dict[Formula, Step] = {}

    def shortest(self, claim: Formula) -> dict[Formula, Step]:
        """The steps of the smallest proof, by claim."""
        self._best = {}
        waiting = [claim]
        for each in waiting:
            if each not in self._best and each not in self._rulebase.facts:
                self._best[each] = self._rulebase.shallowest(each)
                waiting += self._best[each].conditions
        self._try({}, (claim,))
        return self._best

    def _try(self, chosen: dict[Formula, Step], needed: tuple[Formula, ...]) -> None:
        """Go on from the steps chosen so far; `needed` are the claims that still need one."""
        if len(chosen) + len(needed) >= len(self._best) or self._tried > MOST_TRIED:
            return
        self._tried += 1
        # A deep claim first: few steps give it, and what it needs may serve the others as well.
        claim = max(needed, key=lambda each: self._rulebase.depths[each])
        for step in self._rulebase.steps_to(claim):
            if any(_rests_on(each, claim, chosen) for each in step.conditions):
                continue
            further = [
                each
                for each in dict.fromkeys(step.conditions)
                if each not in self._rulebase.facts and each not in chosen and each not in needed
            ]
            left = (*(each for each in needed if each != claim), *further)
            now = {**chosen, claim: step}
            if left:
                self._try(now, left)
            elif len(now) < len(self._best):
                self._best = now


def _rests_on(claim: Formula, other: Formula, chosen: Mapping[Formula, Step]) -> bool:
    """Whether the steps chosen for a claim come from `other`."""
    if claim == other:
        return True
    step = chosen.get(claim)
    return step is not None and any(_rests_on(each, other, chosen) for each in step.conditions)


def _in_order(
    claim: Formula, chosen: Mapping[Formula, Step], done: set[Formula] | None = None
) -> Iterator[Step]:
    """The chosen steps that a claim needs, each once and after those of its conditions."""
    done = set() if done is None else done
    if claim in done or claim not in chosen:
        return
    done.add(claim)
    for condition in chosen[claim].conditions:
        yield from _in_order(condition, chosen, done)
    yield chosen[claim]


def _satisfiable(clauses: Sequence[frozenset[Formula]], true: set[Formula]) -> bool:
    """Whether an assignment with the literals in `true` meets every clause (DPLL)."""
    true = set(true)
    while True:
        left, new = [], set[Formula]()
        for clause in clauses:
            if clause & true:
                continue
            open_literals = frozenset(each for each in clause if negate(each) not in true)
            if not open_literals:
                return False
            if len(open_literals) == 1:
                new |= open_literals
            left.append(open_literals)
        if any(negate(each) in true or negate(each) in new for each in new):
            return False
        if not new:
            break
        true |= new
        clauses = left
    if any(negate(each) in true for each in true):
        return False
    if not left:
        return True
    shortest = min(left, key=lambda each: len(each))
    literal = min(shortest, key=str)
    return any(_satisfiable(left, {*true, side}) for side in (literal, negate(literal)))

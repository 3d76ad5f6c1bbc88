"""Does a statement follow from others? Asked of Z3, on terms that are built here and nowhere parsed.

Z3's own reader of SMT-LIB can write files, so no text of a model ever reaches it.
"""

from collections.abc import Mapping, Sequence

import z3

from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, Or

NAME = f"z3 {z3.get_version_string()}"
MAX_WORK = 3_000_000
"""Z3's own count of steps before it gives up: the same on every machine, unlike a clock. Seconds at most."""


class Entailment:
    """Questions about one problem: things of one sort, at least one of them, and predicates left open."""

    def __init__(self) -> None:
        self._things = z3.DeclareSort("Thing")
        self._solver = z3.SimpleSolver()
        self._solver.set("rlimit", MAX_WORK)

    def follows(self, given: Sequence[Formula], claim: Formula) -> bool | None:
        """Whether `claim` holds wherever all of `given` do; None where Z3 gives up."""
        self._solver.push()
        try:
            for formula in given:
                self._solver.add(self._term(formula, {}))
            self._solver.add(z3.Not(self._term(claim, {})))
            found = self._solver.check()
        finally:
            self._solver.pop()
        return None if found == z3.unknown else found == z3.unsat

    def _term(self, formula: Formula, bound: Mapping[str, z3.ExprRef]) -> z3.BoolRef:
        match formula:
            case Atom(name, args):
                sorts = [self._things] * len(args) + [z3.BoolSort()]
                # The number of arguments is in the name: one predicate never passes for another.
                predicate = z3.Function(f"{name}/{len(args)}", *sorts)
                return predicate(*(bound.get(arg, z3.Const(arg, self._things)) for arg in args))
            case Not(body):
                return z3.Not(self._term(body, bound))
            case ForAll(variable, body):
                thing = z3.Const(f"{variable}?", self._things)  # no constant's name has a question mark
                return z3.ForAll([thing], self._term(body, {**bound, variable: thing}))
            case And(left, right):
                return z3.And(self._term(left, bound), self._term(right, bound))
            case Or(left, right):
                return z3.Or(self._term(left, bound), self._term(right, bound))
            case Implies(left, right):
                return z3.Implies(self._term(left, bound), self._term(right, bound))

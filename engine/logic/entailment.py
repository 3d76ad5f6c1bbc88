"""Entailment: Z3 decides whether a statement follows from others, on terms that are built here, not parsed.

Z3's own parser of SMT-LIB can write files, so no text of a model ever reaches it.
"""

import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import z3

from engine.logic.formulas import And, Atom, Equals, Exists, ForAll, Formula, Iff, Implies, Not, Or, Xor

NAME = f"z3 {z3.get_version_string()}"
MAX_WORK = 1_000_000
"""Steps by Z3's own count, over all questions about one proof, before it gives up. Unlike seconds they do not
depend on the machine. They take a second or two."""
MAX_INSTANCES = 2_000
"""Instances of quantified statements in one question. A line needs a handful; with thousands of large ones Z3
works for long without checking its step limit."""


_JOINS = {And: z3.And, Or: z3.Or, Xor: z3.Xor, Implies: z3.Implies, Iff: operator.eq}


@contextmanager
def limited_memory() -> Iterator[None]:
    """Raise MemoryError where Z3 says that it has no more memory: that is nothing that a question decides."""
    try:
        yield
    except z3.Z3Exception as error:
        if "memory" in str(error):
            raise MemoryError from None
        raise


def check(solver: z3.Solver) -> z3.CheckSatResult:
    """What Z3 finds. Raises MemoryError where it gave up because there was no more memory."""
    found = solver.check()
    if found == z3.unknown and "mem" in solver.reason_unknown():
        raise MemoryError
    return found


class Entailment:
    """Answers questions about one problem, over at least one thing, all of one sort, and any predicates.

    Each has a context of Z3 to itself, so that its answers depend on its own questions alone: in a shared
    one, the terms made before decide the order in which Z3 tries things, and so what it gives up on.
    """

    def __init__(self, *, work: int | None = None, seconds: float | None = None) -> None:
        """`work` is by Z3's own count [MAX_WORK]. Where `seconds` are given, no question takes longer."""
        self._context = z3.Context()
        self._things = z3.DeclareSort("Thing", self._context)
        self._solver = z3.SimpleSolver(ctx=self._context)
        self._solver.set("qi.max_instances", MAX_INSTANCES)
        if seconds is not None:
            self._solver.set("timeout", max(int(seconds * 1000), 1))
        self._work_left = MAX_WORK if work is None else work
        self._given: list[Formula] = []
        """The formulas that the solver takes as true, each in a scope of its own."""
        self._terms: dict[int, tuple[Formula, z3.BoolRef]] = {}
        """Terms by the identity of their formula, which costs no walk through it; the formula is held so that
        its identity stays unique."""

    def follows(self, given: Sequence[Formula], claim: Formula, most_work: int | None = None) -> bool | None:
        """Whether `claim` holds wherever all of `given` do; None where Z3 gives up.

        `most_work` is what this question may take of the work that is left. Questions in a row whose first
        formulas are the same objects share the work on them. Raises MemoryError.
        """
        consistent = self._is_consistent(given, claim, most_work)
        return None if consistent is None else not consistent

    def consistent(self, given: Sequence[Formula], most_work: int | None = None) -> bool | None:
        """Whether all of `given` can hold together; None where Z3 gives up. Raises MemoryError."""
        return self._is_consistent(given, None, most_work)

    def _is_consistent(
        self, given: Sequence[Formula], denied: Formula | None, most_work: int | None
    ) -> bool | None:
        """Whether all of `given` can hold while `denied` does not."""
        if self._work_left <= 0:
            return None
        with limited_memory():
            return self._ask(given, denied, self._work_left if most_work is None else most_work)

    def _ask(self, given: Sequence[Formula], denied: Formula | None, most_work: int) -> bool | None:
        before = self._count_steps()
        self._give(given)
        self._solver.push()
        try:
            if denied is not None:
                self._solver.add(z3.Not(self._term(denied, {})))
            # Z3 simplifies what is added at once: those steps count too, though no limit stops them.
            left = min(self._work_left, most_work) - (self._count_steps() - before)
            self._solver.set("rlimit", max(left, 1))  # 0 would be no limit at all
            found = check(self._solver)
        finally:
            self._solver.pop()
            self._work_left -= self._count_steps() - before
        return None if found == z3.unknown else found == z3.sat

    def _give(self, given: Sequence[Formula]) -> None:
        """Replace the formulas given before; the ones that both lists begin with stay."""
        pairs = zip(given, self._given, strict=False)
        num_same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] is pair[1], pairs))
        self._solver.pop(len(self._given) - num_same)
        del self._given[num_same:]
        for formula in given[num_same:]:
            self._solver.push()
            self._given.append(formula)
            self._solver.add(self._term(formula, {}))

    def _count_steps(self) -> int:
        """Z3's steps for all questions so far; only differences are of use."""
        return self._solver.statistics().get_key_value("rlimit count")

    def _term(self, formula: Formula, bound: Mapping[str, z3.ExprRef]) -> z3.BoolRef:
        """The term of a formula, built once where nothing is bound: a proof cites its lines many times."""
        if bound:
            return self._build(formula, bound)
        if id(formula) not in self._terms:
            self._terms[id(formula)] = formula, self._build(formula, bound)
        return self._terms[id(formula)][1]

    def _build(self, formula: Formula, bound: Mapping[str, z3.ExprRef]) -> z3.BoolRef:
        match formula:
            case Atom(name, args):
                sorts = [self._things] * len(args) + [z3.BoolSort(self._context)]
                # The number of arguments is in the name: one predicate never passes for another.
                predicate = z3.Function(f"{name}/{len(args)}", *sorts)
                return predicate(*(self._thing(arg, bound) for arg in args))
            case Equals(left, right):
                return self._thing(left, bound) == self._thing(right, bound)
            case Not(body):
                return z3.Not(self._term(body, bound))
            case ForAll(variable, body) | Exists(variable, body):
                thing = z3.Const(f"{variable}?", self._things)  # no constant's name has a question mark
                quantify = z3.ForAll if isinstance(formula, ForAll) else z3.Exists
                return quantify([thing], self._term(body, {**bound, variable: thing}))
            case And() | Or() | Xor() | Implies() | Iff():
                join = _JOINS[type(formula)]
                return join(self._term(formula.left, bound), self._term(formula.right, bound))

    def _thing(self, term: str, bound: Mapping[str, z3.ExprRef]) -> z3.ExprRef:
        return bound[term] if term in bound else z3.Const(term, self._things)

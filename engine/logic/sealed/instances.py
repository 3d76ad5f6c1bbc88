"""Instances of cited lines: what they say of things that the claim, or another line, names.

An instance of a line is as true as the line, so a poor choice of instances cannot make an unsound line pass.
Names with a question mark are no constant's: `0?` is a thing of which nothing is known, and `some0?` one of
which nothing is known but that it is such a thing as the line cited first says there is.
"""

from collections.abc import Iterator, Mapping, Sequence

from engine.logic.formulas import And, Atom, Equals, Exists, ForAll, Formula, Iff, Implies, Not, Or, Xor


def instances(
    cited: Sequence[Formula], claim: Formula, arbitrary: Sequence[frozenset[str]]
) -> Iterator[Formula]:
    """Instances of the cited lines, as what stands beside them asks for.

    `arbitrary` are for each line the constants for which it holds whatever they name.
    """
    for place, given in enumerate(cited):
        if isinstance(given, ForAll):
            yield from _instances_of(given, [*cited[:place], *cited[place + 1 :]], claim)
        if isinstance(given, Exists):
            yield replaced(given.body, {given.variable: _witness(place)})
    things = [_witness(place) for place, given in enumerate(cited) if isinstance(given, Exists)]
    things += [anything(0)] if isinstance(claim, ForAll) else []
    for given, names in zip(cited, arbitrary, strict=True):
        for name in sorted(names):
            yield from (replaced(given, {name: thing}) for thing in things)
    if isinstance(claim, Equals) and claim.left == claim.right:
        yield claim
    for equal in cited:
        if isinstance(equal, Equals):
            for given in cited:
                # What holds of a thing holds of it by its other name.
                if _merged(given, equal) == _merged(claim, equal):
                    yield Implies(equal, Implies(given, claim))


def sufficient(cited: Sequence[Formula], claim: Formula) -> Iterator[Formula]:
    """Statements of which each gives the claim: for one about all things, what holds of an unknown thing."""
    if isinstance(claim, ForAll):
        yield replaced(claim.body, {claim.variable: anything(0)})
        variables, matrix = _strip(claim)
        yield replaced(matrix, _anything(variables))
    if isinstance(claim, Exists):
        yield from (given for given in cited if _fits(claim.body, given, {claim.variable}, {}, frozenset()))


def anything(place: int) -> str:
    return f"{place}?"


def _witness(place: int) -> str:
    return f"some{place}?"


def _merged(formula: Formula, equal: Equals) -> Formula:
    return replaced(formula, {equal.left: equal.right})


def _instances_of(given: ForAll, others: Sequence[Formula], claim: Formula) -> Iterator[Formula]:
    binding: dict[str, str] = {}
    if _fits(given.body, claim, {given.variable}, binding, frozenset()):
        yield replaced(given.body, binding)
    variables, matrix = _strip(given)
    if isinstance(claim, ForAll) and len(_strip(claim)[0]) == len(variables):
        yield replaced(matrix, _anything(variables))
    if isinstance(matrix, Implies):
        for pairs in _alignments(matrix, others, claim):
            binding = {}
            if all(_fits(part, whole, set(variables), binding, frozenset()) for part, whole in pairs):
                yield replaced(matrix, binding)


def _alignments(
    rule: Implies, others: Sequence[Formula], claim: Formula
) -> Iterator[list[tuple[Formula, Formula]]]:
    """How the parts of a rule may stand for the other cited lines and the claim, in their order."""
    conditions = [rule.left] if len(others) == 1 else _conditions(rule.left)
    if len(conditions) == len(others):
        yield [*zip(conditions, others, strict=True), (rule.right, claim)]
    if len(others) == 1:
        for denied in _opposites(others[0]):
            for opposite in _opposites(claim):
                yield [(rule.right, denied), (rule.left, opposite)]


def _conditions(formula: Formula) -> list[Formula]:
    if isinstance(formula, And):
        return [*_conditions(formula.left), *_conditions(formula.right)]
    return [formula]


def _opposites(formula: Formula) -> list[Formula]:
    return [Not(formula), *([formula.body] if isinstance(formula, Not) else [])]


def _strip(formula: Formula) -> tuple[list[str], Formula]:
    """The variables of the quantifiers that a formula begins with, and the rest of it."""
    variables: list[str] = []
    while isinstance(formula, ForAll):
        variables.append(formula.variable)
        formula = formula.body
    return variables, formula


def _anything(variables: Sequence[str]) -> dict[str, str]:
    """A constant of which nothing is known for each variable, by place."""
    return {name: anything(place) for place, name in enumerate(variables)}


def _fits(
    part: Formula, whole: Formula, variables: set[str], binding: dict[str, str], bound: frozenset[str]
) -> bool:
    """Whether constants for `variables` turn `part` into `whole`; `binding` then says which.

    `bound` are the variables that quantifiers of `whole` bind there. They are no constants.
    """
    if isinstance(part, Atom | Equals) and isinstance(whole, Atom | Equals):
        if _head(part) != _head(whole):
            return False
        for name, value in zip(_terms(part), _terms(whole), strict=True):
            if name not in variables:
                if name != value:
                    return False
            elif value in bound or binding.setdefault(name, value) != value:
                return False
        return True
    if isinstance(part, Not) and isinstance(whole, Not):
        return _fits(part.body, whole.body, variables, binding, bound)
    if isinstance(part, ForAll | Exists) and isinstance(whole, ForAll | Exists):
        if type(part) is not type(whole) or part.variable != whole.variable:
            return False
        inner = variables - {part.variable}
        return _fits(part.body, whole.body, inner, binding, bound | {part.variable})
    joins = And | Or | Xor | Implies | Iff
    if isinstance(part, joins) and isinstance(whole, joins):
        return (
            type(part) is type(whole)
            and _fits(part.left, whole.left, variables, binding, bound)
            and _fits(part.right, whole.right, variables, binding, bound)
        )
    return False


def _head(atom: Atom | Equals) -> tuple[str, int]:
    return ("=", 2) if isinstance(atom, Equals) else (atom.predicate, len(atom.args))


def _terms(atom: Atom | Equals) -> tuple[str, ...]:
    return (atom.left, atom.right) if isinstance(atom, Equals) else atom.args


def replaced(formula: Formula, constants: Mapping[str, str]) -> Formula:
    """A formula with constants in the place of its free variables, or of other constants."""
    if isinstance(formula, Atom):
        return Atom(formula.predicate, tuple(constants.get(name, name) for name in formula.args))
    if isinstance(formula, Equals):
        return Equals(*(constants.get(name, name) for name in _terms(formula)))
    if isinstance(formula, Not):
        return Not(replaced(formula.body, constants))
    if isinstance(formula, ForAll | Exists):
        inner = {name: value for name, value in constants.items() if name != formula.variable}
        return type(formula)(formula.variable, replaced(formula.body, inner))
    return type(formula)(replaced(formula.left, constants), replaced(formula.right, constants))

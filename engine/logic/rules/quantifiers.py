"""Rules about all things and about some thing, and about equal things.

Two of them need an *arbitrary* constant: one that stands for a thing of which nothing is known. No premise
names it, and no assumption on which the line rests; the checker sees to that (`engine.logic.checker`).
"""

from engine.logic.formulas import And, Atom, Equals, Exists, ForAll, Formula, Iff, Implies, Not, Or, Xor
from engine.logic.rules.base import Cited, Misapplied, Rule, SubProof, instance, match, opposites, require_new


class UniversalInstantiation(Rule):
    schema = "all x A(x) |- A(t)"
    explanation = "What holds of all things holds of each that has a name."
    num_cited = 1

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        if not isinstance(cited[0], ForAll):
            raise Misapplied("line {0} is not about all")
        variable, body = cited[0].variable, cited[0].body
        return (claim,) if match(body, claim, frozenset({variable}), {}) else ()


class ExistentialGeneralization(Rule):
    schema = "A(t) |- exists x A(x)"
    explanation = "What holds of a thing holds of some thing."
    num_cited = 1

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        is_instance = isinstance(claim, Exists) and instance(claim, cited[0]) is not None
        return (claim,) if is_instance else ()


class UniversalGeneralization(Rule):
    schema = "A(c) |- all x A(x), c arbitrary"
    explanation = "What holds of a thing of which nothing is known holds of all things."
    num_cited = 1
    arbitrary_in = 0

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        if not isinstance(claim, ForAll) or (constant := instance(claim, cited[0])) is None:
            return ()
        if constant:  # else the quantifier binds nothing, and no thing has to be arbitrary
            require_new(constant, claim)
        return (claim,)

    def arbitrary(self, cited: Cited, claim: Formula) -> str:
        return (instance(claim, cited[0]) or "") if isinstance(claim, ForAll) else ""


class ExistentialElimination(Rule):
    schema = "exists x A(x), [A(c)], C |- C, c arbitrary and not in C"
    explanation = "What an instance about an arbitrary thing leads to holds where there is some such thing."
    num_cited = 3
    discharges = (SubProof(assumption=1, conclusions=(2,), must_rest=True),)
    arbitrary_in = 2

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        if not isinstance(cited[0], Exists):
            raise Misapplied("line {0} is not about some thing")
        if (constant := instance(cited[0], cited[1])) is None:
            raise Misapplied("line {1} does not assume an instance of line {0}")
        if constant:
            require_new(constant, cited[0], cited[2])
        return (cited[2],)

    def arbitrary(self, cited: Cited, claim: Formula) -> str:
        return (instance(cited[0], cited[1]) or "") if isinstance(cited[0], Exists) else ""


class QuantifierNegation(Rule):
    schema = "-all x A |- exists x -A;  -exists x A |- all x -A;  and back"
    explanation = "Not all is some not, and not any is all not."
    num_cited = 1

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        match cited[0]:
            case Not(ForAll(variable, body)):
                return tuple(Exists(variable, other) for other in opposites(body))
            case Not(Exists(variable, body)):
                return tuple(ForAll(variable, other) for other in opposites(body))
            case Exists(variable, body):
                return tuple(Not(ForAll(variable, other)) for other in opposites(body))
            case ForAll(variable, body):
                return tuple(Not(Exists(variable, other)) for other in opposites(body))
        raise Misapplied("line {0} is not about all or some, nor the denial of that")


class EqualityIntroduction(Rule):
    schema = "|- t = t"
    explanation = "A thing is itself."
    num_cited = 0

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        return (claim,) if isinstance(claim, Equals) and claim.left == claim.right else ()


class EqualityElimination(Rule):
    schema = "s = t, A(s) |- A(t);  s = t, A(t) |- A(s)"
    explanation = "What holds of a thing holds of it by another name, in one place or in several."
    num_cited = 2

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        if not isinstance(cited[0], Equals):
            raise Misapplied("line {0} does not say that two things are one")
        pair = {cited[0].left, cited[0].right}
        return (claim,) if claim != cited[1] and _same(cited[1], claim, pair) else ()


def _same(one: Formula, other: Formula, pair: set[str]) -> bool:
    """Whether two formulas differ at most in which of two constants stands in a place."""

    def term(first: str, second: str) -> bool:
        return first == second or {first, second} <= pair

    match one, other:
        case Atom(name, args), Atom(other_name, others):
            return name == other_name and len(args) == len(others) and all(map(term, args, others))
        case Equals(left, right), Equals(other_left, other_right):
            return term(left, other_left) and term(right, other_right)
        case Not(body), Not(other_body):
            return _same(body, other_body, pair)
        case (ForAll(variable, body), ForAll(other_variable, other_body)) | (
            Exists(variable, body),
            Exists(other_variable, other_body),
        ):
            return variable == other_variable and variable not in pair and _same(body, other_body, pair)
        case (
            (And(left, right), And(other_left, other_right))
            | (Or(left, right), Or(other_left, other_right))
            | (Xor(left, right), Xor(other_left, other_right))
            | (Implies(left, right), Implies(other_left, other_right))
            | (Iff(left, right), Iff(other_left, other_right))
        ):
            return _same(left, other_left, pair) and _same(right, other_right, pair)
    return False

"""Rules about what joins formulas, each once and for all formulas."""

import itertools

from engine.logic.faults import ProofFault
from engine.logic.formulas import And, ForAll, Formula, Iff, Implies, Not, Or, Xor, conjuncts
from engine.logic.rules.base import (
    Cited,
    Misapplied,
    Rule,
    SubProof,
    contradict,
    implication,
    instances,
    match,
    opposites,
)


class ModusPonens(Rule):
    schema = "all x (L1 & .. & Ln -> L), L1s, .., Lns |- Ls"
    explanation = "What a rule promises holds where all its conditions do; also without variables."
    num_cited = None

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        variables, rule = implication(cited[0], 0)
        facts = cited[1:]
        conditions = conjuncts(rule.left)
        if len(facts) == 1 and isinstance(facts[0], And):
            conditions = [rule.left]
        if len(facts) != len(conditions):
            problem = "a citation is missing" if len(facts) < len(conditions) else "a citation is superfluous"
            reason = f"{problem}: line {{0}} has {len(conditions)} conditions, got {len(facts)} facts"
            raise Misapplied(reason, ProofFault.BAD_CITATION)
        binding: dict[str, str] = {}
        for position, (condition, fact) in enumerate(zip(conditions, facts, strict=True), start=1):
            if not match(condition, fact, frozenset(variables), binding):
                raise Misapplied(f"line {{{position}}} is not what line {{0}} asks for")
        return instances((rule.right,), claim, variables, binding)


class ModusTollens(Rule):
    schema = "all x (A -> B), -Bs |- -As"
    explanation = "Where what a rule promises fails, its condition does; also without variables."
    num_cited = 2

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        variables, rule = implication(cited[0], 0)
        for opposite in opposites(rule.right):
            binding: dict[str, str] = {}
            if match(opposite, cited[1], frozenset(variables), binding):
                return instances(opposites(rule.left), claim, variables, binding)
        raise Misapplied("line {1} does not deny what line {0} concludes")


class HypotheticalSyllogism(Rule):
    schema = "A -> B, B -> C |- A -> C"
    explanation = "Two rules in a chain are one; also under the same quantifiers."
    num_cited = 2

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        (variables, first), (others, second) = implication(cited[0], 0), implication(cited[1], 1)
        if variables != others or first.right != second.left:
            raise Misapplied("line {1} does not begin where line {0} ends")
        conclusion: Formula = Implies(first.left, second.right)
        for variable in reversed(variables):
            conclusion = ForAll(variable, conclusion)
        return (conclusion,)


class DisjunctiveSyllogism(Rule):
    schema = "A | B, -A |- B;  A | B, -B |- A"
    explanation = "Where one of two holds and one does not, the other does."
    num_cited = 2

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        either = _disjunction(cited[0])
        conclusions = [
            other
            for side, other in ((either.left, either.right), (either.right, either.left))
            if contradict(side, cited[1])
        ]
        if not conclusions:
            raise Misapplied("line {1} does not deny a side of line {0}")
        return tuple(conclusions)


class AndIntroduction(Rule):
    schema = "A, B |- A & B"
    explanation = "Two statements are one."
    num_cited = 2

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        return (And(*cited),)


class AndElimination(Rule):
    schema = "A & B |- A;  A & B |- B"
    explanation = "A conjunction gives each of its sides, and these what they join."
    num_cited = 1

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        if not isinstance(cited[0], And):
            raise Misapplied("line {0} is not of the form 'A and B'")
        sides = cited[0].left, cited[0].right
        is_further_in = claim not in sides and claim in conjuncts(cited[0])
        return (*sides, claim) if is_further_in else sides


class OrIntroduction(Rule):
    schema = "A |- A | B;  A |- B | A"
    explanation = "What holds, holds or something else does."
    num_cited = 1

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        return (claim,) if isinstance(claim, Or) and cited[0] in (claim.left, claim.right) else ()


class OrElimination(Rule):
    schema = "A | B, [A], C, [B], C |- C"
    explanation = "What follows from each side of a disjunction holds."
    num_cited = 5
    discharges = (
        SubProof(assumption=1, conclusions=(2,), must_rest=True),
        SubProof(assumption=3, conclusions=(4,), must_rest=True),
    )

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        either = _disjunction(cited[0])
        _, left, left_end, right, right_end = cited
        if (left, right) != (either.left, either.right):
            raise Misapplied("lines {1} and {3} do not assume the two sides of line {0}")
        if left_end != right_end:
            raise Misapplied("lines {2} and {4} do not claim the same")
        return (left_end,)


class CaseSplit(Rule):
    schema = "[A], C, [-A], C |- C"
    explanation = "What follows from a statement and from its denial holds."
    num_cited = 4
    discharges = (
        SubProof(assumption=0, conclusions=(1,), must_rest=True),
        SubProof(assumption=2, conclusions=(3,), must_rest=True),
    )

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        if not contradict(cited[0], cited[2]):
            raise Misapplied("lines {0} and {2} do not assume a statement and its denial")
        if cited[1] != cited[3]:
            raise Misapplied("lines {1} and {3} do not claim the same")
        return (cited[1],)


class DoubleNegation(Rule):
    schema = "--A |- A;  A |- --A"
    explanation = "A denial denied is the statement, and the other way round."
    num_cited = 1

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        doubled = Not(Not(cited[0]))
        match cited[0]:
            case Not(Not(body)):
                return body, doubled
        return (doubled,)


class DeMorgan(Rule):
    schema = "-(A & B) |- -A | -B;  -(A | B) |- -A & -B;  and back"
    explanation = "To deny both is to deny one of the two, and to deny either is to deny each."
    num_cited = 1

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        match cited[0]:
            case Not(And(left, right)):
                return tuple(itertools.starmap(Or, itertools.product(opposites(left), opposites(right))))
            case Not(Or(left, right)):
                return tuple(itertools.starmap(And, itertools.product(opposites(left), opposites(right))))
            case Or(left, right):
                pairs = itertools.product(opposites(left), opposites(right))
                return tuple(Not(And(one, other)) for one, other in pairs)
            case And(left, right):
                pairs = itertools.product(opposites(left), opposites(right))
                return tuple(Not(Or(one, other)) for one, other in pairs)
        raise Misapplied("line {0} is neither a conjunction nor a disjunction, nor the denial of one")


class ConditionalProof(Rule):
    schema = "[A], C |- A -> C"
    explanation = "What an assumption leads to holds if it does."
    num_cited = 2
    discharges = (SubProof(assumption=0, conclusions=(1,), must_rest=False),)

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        return (Implies(*cited),)


class Contradiction(Rule):
    schema = "[A], B, -B |- -A"
    explanation = "An assumption that leads to a contradiction is false."
    num_cited = 3
    discharges = (SubProof(assumption=0, conclusions=(1, 2), must_rest=True),)

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        if not contradict(cited[1], cited[2]):
            raise Misapplied("lines {1} and {2} do not contradict each other")
        return opposites(cited[0])


class IffIntroduction(Rule):
    schema = "A -> B, B -> A |- A <-> B"
    explanation = "Two conditions that lead to each other are equivalent."
    num_cited = 2

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        match cited:
            case (Implies(left, right), Implies(other, back)) if (other, back) == (right, left):
                return (Iff(left, right),)
        raise Misapplied("lines {0} and {1} do not lead from one statement to another and back")


class IffElimination(Rule):
    schema = "A <-> B |- A -> B;  A <-> B |- B -> A"
    explanation = "An equivalence is a condition both ways."
    num_cited = 1

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        match cited[0]:
            case Iff(left, right):
                return Implies(left, right), Implies(right, left)
        raise Misapplied("line {0} is not of the form 'A if and only if B'")


class XorIntroduction(Rule):
    schema = "A, -B |- A xor B;  -A, B |- A xor B"
    explanation = "Where one of two holds and the other does not, exactly one of them does."
    num_cited = 2

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        first, second = cited
        found = [Xor(first, other) for other in opposites(second)]
        found += [Xor(one, second) for one in opposites(first)]
        return tuple(found)


class XorElimination(Rule):
    schema = "A xor B, A |- -B;  A xor B, -A |- B;  and for B"
    explanation = "Of two of which exactly one holds, each decides the other."
    num_cited = 2

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        either = _exclusive(cited[0])
        found: list[Formula] = []
        for side, other in ((either.left, either.right), (either.right, either.left)):
            if cited[1] == side:
                found += opposites(other)
            if contradict(cited[1], side):
                found.append(other)
        if not found:
            raise Misapplied("line {1} is neither a side of line {0} nor its denial")
        return tuple(found)


class XorWeakening(Rule):
    schema = "A xor B |- A | B;  A xor B |- -(A & B)"
    explanation = "Of two of which exactly one holds, one holds, and not both do."
    num_cited = 1

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        either = _exclusive(cited[0])
        return Or(either.left, either.right), Not(And(either.left, either.right))


def _disjunction(formula: Formula) -> Or:
    if not isinstance(formula, Or):
        raise Misapplied("line {0} is not of the form 'A or B'")
    return formula


def _exclusive(formula: Formula) -> Xor:
    if not isinstance(formula, Xor):
        raise Misapplied("line {0} is not of the form 'A or else B'")
    return formula

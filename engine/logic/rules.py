"""The inference rules: which conclusions a rule draws from cited formulas.

They are textbook natural deduction (Lemmon, Beginning Logic, 1965) with PrOntoQA's hop as one rule,
generalized modus ponens. Every line carries the assumptions that it rests on; premises rest on none.

    assume                A                             rests on itself
    mp     RULE FACT...   all x (L1 & .. & Ln -> L), L1s, .., Lns |- Ls     also without variables
    mt     RULE FACT      all x (A -> B), -Bs |- -As                        also without variables
    hs     A->B B->C      |- A -> C; also under the same quantifiers
    ds     A|B -A         |- B; and A|B, -B |- A
    and_i  A B            |- A & B
    and_e  A&B            |- A; |- B
    or_i   A              |- A | B; |- B | A
    or_e   A|B A C B C    cases: two assumptions, each with the conclusion drawn from it |- C
    dn     --A            |- A; and back
    cp     A C            assumption and what it led to |- A -> C
    raa    A B -B         assumption and the contradiction that rests on it |- -A
    ui     all x A        |- A with a constant for x

A *discharging* rule (or_e, cp, raa) closes its assumptions: nothing that rests on them can be cited later.
"""

from collections.abc import Callable
from dataclasses import dataclass

from engine.logic.faults import AnyFault, ProofFault
from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, Or, negate, substitute
from engine.records import Fault

ASSUME = "assume"

Cited = tuple[Formula, ...]


class Misapplied(ValueError):
    """A rule does not apply to the cited formulas.

    `reason` names citations by position (``{0}``), for the caller to fill in with line numbers.
    """

    def __init__(self, reason: str, fault: ProofFault = ProofFault.WRONG_RULE) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class SubProof:
    """Positions of the citations that form a sub-proof: its assumption and the conclusions from it."""

    assumption: int
    conclusions: tuple[int, ...]
    must_rest: bool
    """Whether the conclusions must use the assumption; otherwise raa is explosion and or_e no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    conclude: Callable[[Cited, Formula], Cited]
    """(cited, claim) -> the conclusions; the claim selects among them where their number is infinite.

    It raises Misapplied.
    """
    num_cited: int | None
    """None where the formula cited first decides how many, which `conclude` checks."""
    discharges: tuple[SubProof, ...] = ()


def match(pattern: Formula, formula: Formula, variables: frozenset[str], binding: dict[str, str]) -> bool:
    """Extend `binding` of `variables` to constants until pattern and formula are equal; False if none does.

    A failed match may leave `binding` partly extended. Variables and names bound inside the formula are never
    used as constants, so that none is captured.
    """
    return _match(pattern, formula, variables, binding, frozenset())


def _match(
    pattern: Formula,
    formula: Formula,
    variables: frozenset[str],
    binding: dict[str, str],
    bound: frozenset[str],
) -> bool:
    match pattern, formula:
        case Atom(name, args), Atom(other_name, others):
            if name != other_name or len(args) != len(others):
                return False
            for arg, value in zip(args, others, strict=True):
                if arg not in variables:
                    if arg != value:
                        return False
                elif value in bound or value in variables or binding.setdefault(arg, value) != value:
                    return False
            return True
        case Not(body), Not(other):
            return _match(body, other, variables, binding, bound)
        case ForAll(variable, body), ForAll(other_variable, other):
            inner = variables - {variable}
            return variable == other_variable and _match(body, other, inner, binding, bound | {variable})
        case (
            (And(left, right), And(other, other_right))
            | (Or(left, right), Or(other, other_right))
            | (Implies(left, right), Implies(other, other_right))
        ):
            return _match(left, other, variables, binding, bound) and _match(
                right, other_right, variables, binding, bound
            )
    return False


def _opposites(formula: Formula) -> Cited:
    """-A, and B where A is -B."""
    return (Not(formula), formula.body) if isinstance(formula, Not) else (Not(formula),)


def _contradict(left: Formula, right: Formula) -> bool:
    return left == Not(right) or right == Not(left)


def _strip(formula: Formula) -> tuple[tuple[str, ...], Formula]:
    """Leading quantifiers' variables, and what they govern."""
    variables = []
    while isinstance(formula, ForAll):
        variables.append(formula.variable)
        formula = formula.body
    return tuple(variables), formula


def _implication(formula: Formula, position: int) -> tuple[tuple[str, ...], Implies]:
    variables, matrix = _strip(formula)
    if not isinstance(matrix, Implies):
        raise Misapplied(f"line {{{position}}} is not a rule of the form 'if .. then ..'")
    return variables, matrix


def _conjuncts(formula: Formula) -> list[Formula]:
    if isinstance(formula, And):
        return _conjuncts(formula.left) + _conjuncts(formula.right)
    return [formula]


def _instances(patterns: Cited, claim: Formula, variables: tuple[str, ...], binding: dict[str, str]) -> Cited:
    """The claim where it is an instance of a pattern, otherwise the instances, for the message."""
    if any(match(pattern, claim, frozenset(variables), dict(binding)) for pattern in patterns):
        return (claim,)
    if len(binding) < len(variables):  # the facts leave a variable open, so their number is infinite
        return ()
    return tuple(substitute(pattern, binding) for pattern in patterns)


def _mp(cited: Cited, claim: Formula) -> Cited:
    variables, rule = _implication(cited[0], 0)
    facts = cited[1:]
    conditions = _conjuncts(rule.left)
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
    return _instances((rule.right,), claim, variables, binding)


def _mt(cited: Cited, claim: Formula) -> Cited:
    variables, rule = _implication(cited[0], 0)
    for opposite in _opposites(rule.right):
        binding: dict[str, str] = {}
        if match(opposite, cited[1], frozenset(variables), binding):
            return _instances(_opposites(rule.left), claim, variables, binding)
    raise Misapplied("line {1} does not deny what line {0} concludes")


def _hs(cited: Cited, claim: Formula) -> Cited:
    (variables, first), (others, second) = _implication(cited[0], 0), _implication(cited[1], 1)
    if variables != others or first.right != second.left:
        raise Misapplied("line {1} does not begin where line {0} ends")
    conclusion: Formula = Implies(first.left, second.right)
    for variable in reversed(variables):
        conclusion = ForAll(variable, conclusion)
    return (conclusion,)


def _ds(cited: Cited, claim: Formula) -> Cited:
    either = _disjunction(cited[0])
    conclusions = [
        other
        for side, other in ((either.left, either.right), (either.right, either.left))
        if _contradict(side, cited[1])
    ]
    if not conclusions:
        raise Misapplied("line {1} does not deny a side of line {0}")
    return tuple(conclusions)


def _disjunction(formula: Formula) -> Or:
    if not isinstance(formula, Or):
        raise Misapplied("line {0} is not of the form 'A or B'")
    return formula


def _and_i(cited: Cited, claim: Formula) -> Cited:
    return (And(*cited),)


def _and_e(cited: Cited, claim: Formula) -> Cited:
    if not isinstance(cited[0], And):
        raise Misapplied("line {0} is not of the form 'A and B'")
    return cited[0].left, cited[0].right


def _or_i(cited: Cited, claim: Formula) -> Cited:
    return (claim,) if isinstance(claim, Or) and cited[0] in (claim.left, claim.right) else ()


def _or_e(cited: Cited, claim: Formula) -> Cited:
    either = _disjunction(cited[0])
    _, left, left_end, right, right_end = cited
    if (left, right) != (either.left, either.right):
        raise Misapplied("lines {1} and {3} do not assume the two sides of line {0}")
    if left_end != right_end:
        raise Misapplied("lines {2} and {4} do not claim the same")
    return (left_end,)


def _dn(cited: Cited, claim: Formula) -> Cited:
    doubled = Not(Not(cited[0]))
    match cited[0]:
        case Not(Not(body)):
            return body, doubled
    return (doubled,)


def _cp(cited: Cited, claim: Formula) -> Cited:
    return (Implies(*cited),)


def _raa(cited: Cited, claim: Formula) -> Cited:
    if not _contradict(cited[1], cited[2]):
        raise Misapplied("lines {1} and {2} do not contradict each other")
    return _opposites(cited[0])


def _ui(cited: Cited, claim: Formula) -> Cited:
    if not isinstance(cited[0], ForAll):
        raise Misapplied("line {0} is not about all")
    variable, body = cited[0].variable, cited[0].body
    return (claim,) if match(body, claim, frozenset({variable}), {}) else ()


RULES: dict[str, Rule] = {
    "mp": Rule(conclude=_mp, num_cited=None),
    "mt": Rule(conclude=_mt, num_cited=2),
    "hs": Rule(conclude=_hs, num_cited=2),
    "ds": Rule(conclude=_ds, num_cited=2),
    "and_i": Rule(conclude=_and_i, num_cited=2),
    "and_e": Rule(conclude=_and_e, num_cited=1),
    "or_i": Rule(conclude=_or_i, num_cited=1),
    "or_e": Rule(
        conclude=_or_e,
        num_cited=5,
        discharges=(
            SubProof(assumption=1, conclusions=(2,), must_rest=True),
            SubProof(assumption=3, conclusions=(4,), must_rest=True),
        ),
    ),
    "dn": Rule(conclude=_dn, num_cited=1),
    "cp": Rule(
        conclude=_cp, num_cited=2, discharges=(SubProof(assumption=0, conclusions=(1,), must_rest=False),)
    ),
    "raa": Rule(
        conclude=_raa, num_cited=3, discharges=(SubProof(assumption=0, conclusions=(1, 2), must_rest=True),)
    ),
    "ui": Rule(conclude=_ui, num_cited=1),
}


def apply(rule: Rule, cited: Cited, claim: Formula) -> tuple[AnyFault, Cited]:
    """Compare a claim with the rule's conclusions: NONE, WRONG_POLARITY or WRONG_CLAIM, and the conclusions.

    Raises Misapplied where the rule draws nothing from `cited`.
    """
    conclusions = rule.conclude(cited, claim)
    if claim in conclusions:
        return Fault.NONE, conclusions
    if negate(claim) in rule.conclude(cited, negate(claim)):
        return ProofFault.WRONG_POLARITY, conclusions
    return ProofFault.WRONG_CLAIM, conclusions

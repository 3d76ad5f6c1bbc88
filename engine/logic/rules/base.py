"""What a rule of inference is, and how formulas are matched against its schema."""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from engine.logic.faults import ProofFault
from engine.logic.formulas import (
    And,
    Atom,
    Equals,
    Exists,
    ForAll,
    Formula,
    Iff,
    Implies,
    Not,
    Or,
    Xor,
    constants_of,
    substitute,
)

Cited: TypeAlias = tuple[Formula, ...]


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


class Rule:
    """A rule of inference: a class a rule, an instance of each in `RULES`."""

    schema: ClassVar[str]
    """What is cited, in order, and what follows from it."""
    explanation: ClassVar[str]
    """One sentence for people."""
    num_cited: ClassVar[int | None]
    """None where the formula cited first decides how many, which `conclude` checks."""
    discharges: ClassVar[tuple[SubProof, ...]] = ()
    arbitrary_in: ClassVar[int | None] = None
    """The citation whose line must hold for an arbitrary thing, where the rule needs one."""

    def conclude(self, cited: Cited, claim: Formula) -> Cited:
        """The conclusions; the claim selects among them where their number is infinite.

        Raises Misapplied where the rule draws nothing from `cited`.
        """
        raise NotImplementedError

    def arbitrary(self, cited: Cited, claim: Formula) -> str:
        """The constant that must stand for an arbitrary thing: nothing may be known of it.

        Only of use where `conclude` gives the claim; empty where there is none.
        """
        return ""


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
    def term(arg: str, value: str) -> bool:
        if arg not in variables:
            return arg == value
        return value not in bound and value not in variables and binding.setdefault(arg, value) == value

    match pattern, formula:
        case Atom(name, args), Atom(other_name, others):
            return name == other_name and len(args) == len(others) and all(map(term, args, others))
        case Equals(one, two), Equals(other_one, other_two):
            return term(one, other_one) and term(two, other_two)
        case Not(body), Not(other):
            return _match(body, other, variables, binding, bound)
        case (ForAll(variable, body), ForAll(other_variable, other)) | (
            Exists(variable, body),
            Exists(other_variable, other),
        ):
            inner = variables - {variable}
            return variable == other_variable and _match(body, other, inner, binding, bound | {variable})
        case (
            (And(left, right), And(other, other_right))
            | (Or(left, right), Or(other, other_right))
            | (Xor(left, right), Xor(other, other_right))
            | (Implies(left, right), Implies(other, other_right))
            | (Iff(left, right), Iff(other, other_right))
        ):
            return _match(left, other, variables, binding, bound) and _match(
                right, other_right, variables, binding, bound
            )
    return False


def instance(quantified: ForAll | Exists, formula: Formula) -> str | None:
    """The constant that makes a quantified formula's body into `formula`; None where none does.

    Empty where the variable does not occur in the body, which then is the formula.
    """
    binding: dict[str, str] = {}
    if match(quantified.body, formula, frozenset({quantified.variable}), binding):
        return binding.get(quantified.variable, "")
    return None


def require_new(constant: str, *formulas: Formula) -> None:
    """Raises Misapplied where a constant that must be arbitrary is named in one of the formulas."""
    if any(constant in constants_of(formula) for formula in formulas):
        reason = f"'{constant}' must be no name of what the rule is about"
        raise Misapplied(reason, ProofFault.NOT_ARBITRARY)


def opposites(formula: Formula) -> Cited:
    """-A, and B where A is -B."""
    return (Not(formula), formula.body) if isinstance(formula, Not) else (Not(formula),)


def contradict(left: Formula, right: Formula) -> bool:
    return left == Not(right) or right == Not(left)


def strip(formula: Formula) -> tuple[tuple[str, ...], Formula]:
    """Leading quantifiers' variables, and what they govern."""
    variables = []
    while isinstance(formula, ForAll):
        variables.append(formula.variable)
        formula = formula.body
    return tuple(variables), formula


def implication(formula: Formula, position: int) -> tuple[tuple[str, ...], Implies]:
    variables, matrix = strip(formula)
    if not isinstance(matrix, Implies):
        raise Misapplied(f"line {{{position}}} is not a rule of the form 'if .. then ..'")
    return variables, matrix


def instances(patterns: Cited, claim: Formula, variables: tuple[str, ...], binding: dict[str, str]) -> Cited:
    """The claim where it is an instance of a pattern, otherwise the instances, for the message."""
    if any(match(pattern, claim, frozenset(variables), dict(binding)) for pattern in patterns):
        return (claim,)
    if len(binding) < len(variables):  # the facts leave a variable open, so their number is infinite
        return ()
    return tuple(substitute(pattern, binding) for pattern in patterns)

"""The inference rules: which conclusions a rule draws from cited formulas.

They are textbook natural deduction (Lemmon, Beginning Logic, 1965) with PrOntoQA's hop as one rule,
generalized modus ponens. Every line carries the assumptions that it rests on; premises rest on none.
``assume`` is no rule but a line that cites nothing and rests on itself. In a schema ``[A]`` is an assumption,
and what follows it is what it led to.

A *discharging* rule (or_e, cases, cp, raa, ee) closes its assumptions: nothing that rests on them can be
cited later. A rule is one class, and one line in `RULES`.
"""

from engine.logic.faults import AnyFault, ProofFault
from engine.logic.formulas import Formula, negate
from engine.logic.rules import connectives, quantifiers
from engine.logic.rules.base import Cited, Misapplied, Rule
from engine.records import Fault

ASSUME = "assume"
RULES: dict[str, Rule] = {
    "mp": connectives.ModusPonens(),
    "mt": connectives.ModusTollens(),
    "hs": connectives.HypotheticalSyllogism(),
    "ds": connectives.DisjunctiveSyllogism(),
    "and_i": connectives.AndIntroduction(),
    "and_e": connectives.AndElimination(),
    "or_i": connectives.OrIntroduction(),
    "or_e": connectives.OrElimination(),
    "cases": connectives.CaseSplit(),
    "dn": connectives.DoubleNegation(),
    "dm": connectives.DeMorgan(),
    "cp": connectives.ConditionalProof(),
    "raa": connectives.Contradiction(),
    "iff_i": connectives.IffIntroduction(),
    "iff_e": connectives.IffElimination(),
    "xor_i": connectives.XorIntroduction(),
    "xor_e": connectives.XorElimination(),
    "xor_or": connectives.XorWeakening(),
    "ui": quantifiers.UniversalInstantiation(),
    "ug": quantifiers.UniversalGeneralization(),
    "eg": quantifiers.ExistentialGeneralization(),
    "ee": quantifiers.ExistentialElimination(),
    "qn": quantifiers.QuantifierNegation(),
    "eq_i": quantifiers.EqualityIntroduction(),
    "eq_e": quantifiers.EqualityElimination(),
}


def apply(rule: Rule, cited: Cited, claim: Formula) -> tuple[AnyFault, Cited]:
    """Compare a claim with the rule's conclusions: NONE, WRONG_POLARITY or WRONG_CLAIM, and the conclusions.

    Raises Misapplied where the rule draws nothing from `cited`.
    """
    conclusions = rule.conclude(cited, claim)
    if claim in conclusions:
        return Fault.NONE, conclusions
    try:
        is_opposite = negate(claim) in rule.conclude(cited, negate(claim))
    except Misapplied:
        is_opposite = False
    return (ProofFault.WRONG_POLARITY if is_opposite else ProofFault.WRONG_CLAIM), conclusions

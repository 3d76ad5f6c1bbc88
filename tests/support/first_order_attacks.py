"""Proofs of what does not follow, each with the slip of first-order logic that it tries."""

from dataclasses import dataclass

from engine.logic.faults import AnyFault, ProofFault
from engine.records import Fault


@dataclass(frozen=True)
class Attack:
    premises: tuple[str, ...]
    question: str
    lines: str
    fault: AnyFault
    """What the rules find first."""


NOT_ARBITRARY, WRONG_CLAIM, WRONG_RULE = (
    ProofFault.NOT_ARBITRARY,
    ProofFault.WRONG_CLAIM,
    ProofFault.WRONG_RULE,
)
UNKNOWN, CITATION, OPEN = (
    ProofFault.UNKNOWN_SYMBOL,
    ProofFault.BAD_CITATION,
    ProofFault.OPEN_ASSUMPTION,
)
SOME_P, SOME_Q, P_TO_Q = "exists x P(x)", "exists x Q(x)", "all x (P(x) -> Q(x))"
FOR_EACH, ONE_FOR_ALL = "all x exists y R(x, y)", "exists y all x R(x, y)"

ATTACKS = {
    # Variable capture.
    "capture by ui": Attack((FOR_EACH,), "exists y R(y, y)", "exists y R(y, y) [1 ui] [2]", WRONG_CLAIM),
    "ui with a bound name": Attack(
        (FOR_EACH,),
        "exists y R(y, y)",
        "exists y R(x, y) [1 ui] [2]\nexists y R(y, y) [2 eg] [3]",
        UNKNOWN,
    ),
    "capture by eg": Attack(
        ("all y (P(y) -> R(a, y))",),
        "exists x all y (P(y) -> R(x, y) & P(x))",
        "exists y all y (P(y) -> R(y, y)) [1 eg] [2]",
        UNKNOWN,
    ),
    "capture by ug": Attack(
        (FOR_EACH,),
        "all x R(x, x)",
        "exists y R(c1, y) [1 ui] [2]\nall y exists y R(y, y) [2 ug] [3]",
        UNKNOWN,
    ),
    "an arbitrary name as a variable": Attack(
        (FOR_EACH,), "exists y R(y, y)", "exists c1 R(c1, c1) [1 ui] [2]", UNKNOWN
    ),
    "capture by eq_e": Attack(
        ("a = b", "all x (R(x, a) -> Q(x))", "R(b, b) -> P(a)"),
        "all x (R(x, x) -> Q(x))",
        "all x (R(x, x) -> Q(x)) [1 2 eq_e] [4]",
        WRONG_CLAIM,
    ),
    "capture by mp": Attack(
        ("all x (all y R(x, y) -> P(x))", "all y R(y, y)"),
        SOME_P,
        "R(c1, c1) [2 ui] [3]\nP(c1) [1 2 mp] [4]\nexists x P(x) [4 eg] [5]",
        WRONG_RULE,
    ),
    # Wrong instances.
    "two things for one variable": Attack(
        ("all x R(x, x)", "P(a) & P(b)"), "R(a, b)", "R(a, b) [1 ui] [3]", WRONG_CLAIM
    ),
    "one variable for two things": Attack(
        ("R(a, b)",), "exists x R(x, x)", "exists x R(x, x) [1 eg] [2]", WRONG_CLAIM
    ),
    "an instance of only some places": Attack(
        ("all x (P(x) -> R(x, x))", "P(a)", "P(b)"), "R(a, b)", "R(a, b) [1 2 mp] [4]", WRONG_CLAIM
    ),
    "an instance of some thing": Attack((SOME_P, "Q(a)"), "P(a)", "P(a) [1 ui] [3]", WRONG_RULE),
    "an instance of what is denied of all": Attack(
        ("-all x P(x)", "Q(a)"), "-P(a)", "-P(a) [1 ui] [3]", WRONG_RULE
    ),
    "an instance with two names": Attack(
        ("exists x R(x, x)", "all x all y (R(x, y) -> S(x, y))"),
        "exists x exists y (S(x, y) & -R(x, x))",
        "R(c1, c2) [assume] [3]\nS(c1, c2) [2 3 mp] [4]\nexists y S(c1, y) [4 eg] [5]\n"
        "exists x exists y S(x, y) [5 eg] [6]\nexists x exists y S(x, y) [1 3 6 ee] [7]",
        WRONG_RULE,
    ),
    "an instance of something weaker": Attack(
        ("exists x (P(x) | Q(x))",),
        SOME_P,
        "P(c1) [assume] [2]\nexists x P(x) [2 eg] [3]\nexists x P(x) [1 2 3 ee] [4]",
        WRONG_RULE,
    ),
    "qn through two quantifiers": Attack(
        ("-exists x all y R(x, y)",),
        "all x all y -R(x, y)",
        "all x all y -R(x, y) [1 qn] [2]",
        WRONG_CLAIM,
    ),
    "eq_e of another name": Attack(("a = b", "P(c)"), "P(b)", "P(b) [1 2 eq_e] [3]", WRONG_CLAIM),
    "eq_e by what is not equal": Attack(("a != b", "P(a)"), "P(b)", "P(b) [1 2 eq_e] [3]", WRONG_RULE),
    "eq_e by an equation of some thing": Attack(
        ("exists x x = b", "P(a)"), "P(b)", "P(b) [1 2 eq_e] [3]", WRONG_RULE
    ),
    "two things are one": Attack(("P(a)", "P(b)"), "a = b", "a = b [eq_i] [3]", WRONG_CLAIM),
    # Constants that are not arbitrary.
    "ug of a premise's thing": Attack(("P(a)",), "all x P(x)", "all x P(x) [1 ug] [2]", NOT_ARBITRARY),
    "ug of a premise's c1": Attack(("P(c1)",), "all x P(x)", "all x P(x) [1 ug] [2]", NOT_ARBITRARY),
    "ug of an assumed thing": Attack(
        ("Q(a)",),
        "all x (P(x) -> all y P(y))",
        "P(c1) [assume] [2]\nall y P(y) [2 ug] [3]\nP(c1) -> all y P(y) [2 3 cp] [4]\n"
        "all x (P(x) -> all y P(y)) [4 ug] [5]",
        NOT_ARBITRARY,
    ),
    "ug of what rests on an assumed thing": Attack(
        (P_TO_Q,),
        "exists x P(x) -> all x Q(x)",
        "exists x P(x) [assume] [2]\nP(c1) [assume] [3]\nQ(c1) [1 3 mp] [4]\nall x Q(x) [4 ug] [5]\n"
        "all x Q(x) [2 3 5 ee] [6]\nexists x P(x) -> all x Q(x) [2 6 cp] [7]",
        NOT_ARBITRARY,
    ),
    "ug of one place of two": Attack(
        ("all x R(x, x)",),
        "all x all y R(x, y)",
        "R(c1, c1) [1 ui] [2]\nall y R(c1, y) [2 ug] [3]\nall x all y R(x, y) [3 ug] [4]",
        NOT_ARBITRARY,
    ),
    "ee to a premise's thing": Attack(
        (SOME_P, "Q(a)"),
        "P(a) & Q(a)",
        "P(a) [assume] [3]\nP(a) & Q(a) [3 2 and_i] [4]\nP(a) & Q(a) [1 3 4 ee] [5]",
        NOT_ARBITRARY,
    ),
    "ee to a thing of the claim": Attack(
        (SOME_P,),
        "all x P(x)",
        "P(c1) [assume] [2]\nP(c1) | P(c1) [2 or_i] [3]\nP(c1) | P(c1) [1 2 3 ee] [4]\n"
        "all x (P(x) | P(x)) [4 ug] [5]",
        NOT_ARBITRARY,
    ),
    "one thing for two": Attack(
        (SOME_P, SOME_Q),
        "exists x (P(x) & Q(x))",
        "P(c1) [assume] [3]\nQ(c1) [assume] [4]\nP(c1) & Q(c1) [3 4 and_i] [5]\n"
        "exists x (P(x) & Q(x)) [5 eg] [6]\nexists x (P(x) & Q(x)) [2 4 6 ee] [7]\n"
        "exists x (P(x) & Q(x)) [1 3 7 ee] [8]",
        NOT_ARBITRARY,
    ),
    "a thing of the statement itself": Attack(
        ("all y exists x R(x, y)",),
        "exists x R(x, x)",
        "exists x R(x, c1) [1 ui] [2]\nR(c1, c1) [assume] [3]\nexists x R(x, x) [3 eg] [4]\n"
        "exists x R(x, x) [2 3 4 ee] [5]",
        NOT_ARBITRARY,
    ),
    "ee in the scope of a wider assumption": Attack(
        (SOME_P,),
        "all x (Q(x) -> P(x))",
        "Q(c1) [assume] [2]\nP(c1) [assume] [3]\nQ(c1) -> P(c1) [2 3 cp] [4]\n"
        "all x (Q(x) -> P(x)) [4 ug] [5]\nall x (Q(x) -> P(x)) [1 3 5 ee] [6]",
        NOT_ARBITRARY,
    ),
    # Assumptions left open.
    "an assumption left open": Attack(
        (P_TO_Q, "R(a, a)"), "Q(a)", "P(a) [assume] [3]\nQ(a) [1 3 mp] [4]", OPEN
    ),
    "ee that leaves its case open": Attack(
        (SOME_P, P_TO_Q),
        "Q(a)",
        "P(a) [assume] [3]\nQ(a) [2 3 mp] [4]",
        OPEN,
    ),
    "an idle assumption discharged in the place of another": Attack(
        (P_TO_Q, "S(a)"),
        "R(a, a) -> Q(a)",
        "P(a) [assume] [3]\nR(a, a) [assume] [4]\nQ(a) [1 3 mp] [5]\nR(a, a) -> Q(a) [4 5 cp] [6]",
        OPEN,
    ),
    "the other of two assumptions discharged": Attack(
        (SOME_P, "all x (P(x) & Q(x) -> A)"),
        "A",
        "P(c1) [assume] [3]\nQ(c1) [assume] [4]\nA [2 3 4 mp] [5]\nA [1 3 5 ee] [6]",
        NOT_ARBITRARY,
    ),
    "cases with one of them open": Attack(
        ("A -> C", "B -> C"),
        "C",
        "A [assume] [3]\nC [1 3 mp] [4]\nB [assume] [5]\nC [2 5 mp] [6]\nC [3 4 5 6 cases] [7]",
        WRONG_RULE,
    ),
    "a case that uses another assumption": Attack(
        ("A -> C", "-A & B -> C"),
        "C",
        "A [assume] [3]\nC [1 3 mp] [4]\n-A [assume] [5]\nB [assume] [6]\nC [2 5 6 mp] [7]\n"
        "C [3 4 5 7 cases] [8]",
        OPEN,
    ),
    "raa that discharges another": Attack(
        ("A -> B", "-B | C"),
        "-A",
        "A [assume] [3]\nB [1 3 mp] [4]\n-B [assume] [5]\n-A [3 4 5 raa] [6]",
        OPEN,
    ),
    # Citations into closed sub-proofs.
    "into a closed instance": Attack(
        (SOME_P, P_TO_Q),
        "exists x Q(x) & all x P(x)",
        "P(c1) [assume] [3]\nQ(c1) [2 3 mp] [4]\nexists x Q(x) [4 eg] [5]\nexists x Q(x) [1 3 5 ee] [6]\n"
        "all x P(x) [3 ug] [7]\nexists x Q(x) & all x P(x) [6 7 and_i] [8]",
        CITATION,
    ),
    "into a closed case": Attack(
        ("A -> C", "-A -> C"),
        "A & C",
        "A [assume] [3]\nC [1 3 mp] [4]\n-A [assume] [5]\nC [2 5 mp] [6]\nC [3 4 5 6 cases] [7]\n"
        "A & C [3 7 and_i] [8]",
        CITATION,
    ),
    "into what followed from a closed instance": Attack(
        (SOME_P, P_TO_Q),
        "all x Q(x)",
        "P(c1) [assume] [3]\nQ(c1) [2 3 mp] [4]\nexists x Q(x) [4 eg] [5]\nexists x Q(x) [1 3 5 ee] [6]\n"
        "all x Q(x) [4 ug] [7]",
        CITATION,
    ),
    "into a closed condition": Attack(
        (P_TO_Q,),
        "all x Q(x)",
        "P(c1) [assume] [2]\nQ(c1) [1 2 mp] [3]\nP(c1) -> Q(c1) [2 3 cp] [4]\nQ(c1) [4 2 mp] [5]\n"
        "all x Q(x) [5 ug] [6]",
        CITATION,
    ),
    # Quantifiers in the wrong order.
    "all some for some all": Attack(
        (FOR_EACH,),
        ONE_FOR_ALL,
        "exists y R(c1, y) [1 ui] [2]\nR(c1, c2) [assume] [3]\nall x R(x, c2) [3 ug] [4]\n"
        "exists y all x R(x, y) [4 eg] [5]\nexists y all x R(x, y) [2 3 5 ee] [6]",
        NOT_ARBITRARY,
    ),
    "all some for some all, generalized last": Attack(
        (FOR_EACH,),
        ONE_FOR_ALL,
        "exists y R(c1, y) [1 ui] [2]\nR(c1, c2) [assume] [3]\nR(c1, c2) | R(c1, c2) [3 or_i] [4]\n"
        "R(c1, c2) | R(c1, c2) [2 3 4 ee] [5]\nall x (R(x, c2) | R(x, c2)) [5 ug] [6]",
        NOT_ARBITRARY,
    ),
    "quantifiers swapped at once": Attack((FOR_EACH,), ONE_FOR_ALL, f"{ONE_FOR_ALL} [1 ui] [2]", WRONG_CLAIM),
    "some is all": Attack((SOME_P,), "all x P(x)", "all x P(x) [1 ug] [2]", WRONG_CLAIM),
    "a condition of all for all of a condition": Attack(
        ("all x P(x) -> A",),
        "all x (P(x) -> A)",
        "P(c1) -> A [1 ui] [2]\nall x (P(x) -> A) [2 ug] [3]",
        WRONG_RULE,
    ),
    # Vacuous truth.
    "a rule without cases": Attack(
        (P_TO_Q,),
        "exists x (P(x) & Q(x))",
        "P(c1) -> Q(c1) [1 ui] [2]\nP(c1) [assume] [3]\nQ(c1) [2 3 mp] [4]\nP(c1) & Q(c1) [3 4 and_i] [5]\n"
        "exists x (P(x) & Q(x)) [5 eg] [6]\nexists x (P(x) & Q(x)) [2 3 6 ee] [7]",
        WRONG_RULE,
    ),
    "a weak existential": Attack(
        ("exists x (P(x) -> Q(x))", SOME_P),
        SOME_Q,
        "P(c1) -> Q(c1) [assume] [3]\nP(c1) [assume] [4]\nQ(c1) [3 4 mp] [5]\nexists x Q(x) [5 eg] [6]\n"
        "exists x Q(x) [2 4 6 ee] [7]\nexists x Q(x) [1 3 7 ee] [8]",
        NOT_ARBITRARY,
    ),
    "a case split without cases": Attack(
        ("A -> C", "B"),
        "C",
        "A [assume] [3]\nC [1 3 mp] [4]\n-A [assume] [5]\nC [3 4 5 4 cases] [6]",
        CITATION,
    ),
    "an empty condition": Attack(
        ("-P(a)", P_TO_Q),
        "Q(a)",
        "P(a) [assume] [3]\nQ(a) [2 3 mp] [4]\nP(a) -> Q(a) [3 4 cp] [5]\nQ(a) [5 1 mp] [6]",
        WRONG_RULE,
    ),
    "none for not all": Attack(
        ("-exists x (P(x) & Q(x))",), "-exists x P(x)", "-exists x P(x) [1 and_e] [2]", WRONG_RULE
    ),
    "an instance that is idle": Attack(
        (SOME_P, "A | -A"),
        "A",
        "P(c1) [assume] [3]\nA [2 ds] [4]\nA [1 3 4 ee] [5]",
        CITATION,
    ),
    # Connectives.
    "xor as or": Attack(("A | B", "A"), "-B", "-B [1 2 xor_e] [3]", WRONG_RULE),
    "both for exactly one": Attack(("A", "B"), "A xor B", "A xor B [1 2 xor_i] [3]", WRONG_CLAIM),
    "a condition both ways": Attack(("A -> B", "B"), "A", "B -> A [1 iff_e] [3]\nA [3 2 mp] [4]", WRONG_RULE),
    "dm of one side": Attack(("-(A & B)", "C"), "-A", "-A | -B [1 dm] [3]\n-A [3 and_e] [4]", WRONG_RULE),
    "an answer of its own": Attack(("A", "B | C"), "C", "Answer: True\nC [2 and_e] [3]", Fault.UNPARSED),
}

"""Inference rules, assumptions, the grammar of a completion and the two notations, one example at a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.logic.faults import ProofFault
from engine.logic.fol import Fol
from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, Or
from engine.logic.limits import MAX_DEPTH
from engine.logic.notation import NotationError
from engine.logic.proof_check import prune, read_problem, theory_of
from engine.logic.proofs import read_completion, write_completion
from engine.records import Attempt, Problem, Reference, Status
from engine.verify import rules, sealed
from engine.verify.rules import verify
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem, proof

PROVED = {
    "mp without variables": (["A -> B", "A"], "B", "B [1 2 mp] [3]"),
    "mp with a variable": (["all x (P(x) -> -Q(x))", "P(a)"], "-Q(a)", "-Q(a) [1 2 mp] [3]"),
    "mp with two conditions": (
        ["all x all y (R(x, y) & P(x) -> P(y))", "R(a, b)", "P(a)"],
        "P(b)",
        "P(b) [1 2 3 mp] [4]",
    ),
    "mp with one fact for two conditions": (
        ["all x all y all z (R(x, y) & R(y, z) -> S(x))", "R(a, a)"],
        "S(a)",
        "S(a) [1 2 2 mp] [3]",
    ),
    "mp with the conjunction itself": (["A & B -> C", "A & B"], "C", "C [1 2 mp] [3]"),
    "mp to a conclusion with its own variable": (
        ["all x all y (P(x) -> R(x, y))", "P(a)", "P(b)"],
        "R(a, b)",
        "R(a, b) [1 2 mp] [4]",
    ),
    "mt": (["all x (P(x) -> Q(x))", "-Q(a)"], "-P(a)", "-P(a) [1 2 mt] [3]"),
    "mt of negations": (["-A -> -B", "B"], "A", "A [1 2 mt] [3]"),
    "hs": (["A -> B", "B -> C"], "A -> C", "A -> C [1 2 hs] [3]"),
    "hs under a quantifier": (
        ["all x (P(x) -> Q(x))", "all x (Q(x) -> S(x))"],
        "all x (P(x) -> S(x))",
        "all x (P(x) -> S(x)) [1 2 hs] [3]",
    ),
    "ds left": (["A | B", "-A"], "B", "B [1 2 ds] [3]"),
    "ds right": (["A | -B", "B"], "A", "A [1 2 ds] [3]"),
    "and_i": (["A", "B"], "A & B", "A & B [1 2 and_i] [3]"),
    "and_e": (["A & B"], "B", "B [1 and_e] [2]"),
    "or_i": (["A", "B -> B"], "B | A", "B | A [1 or_i] [3]"),
    "or_e": (
        ["A | B", "A -> C", "B -> C"],
        "C",
        "A [assume] [4]\nC [2 4 mp] [5]\nB [assume] [6]\nC [3 6 mp] [7]\nC [1 4 5 6 7 or_e] [8]",
    ),
    "or_e with a case that is the claim": (
        ["A | B", "B -> A"],
        "A",
        "A [assume] [3]\nB [assume] [4]\nA [2 4 mp] [5]\nA [1 3 3 4 5 or_e] [6]",
    ),
    "dn away": (["--A"], "A", "A [1 dn] [2]"),
    "dn back": (["A"], "--A", "--A [1 dn] [2]"),
    "cp": (
        ["A -> B", "B -> C"],
        "A -> C",
        "A [assume] [3]\nB [1 3 mp] [4]\nC [2 4 mp] [5]\nA -> C [3 5 cp] [6]",
    ),
    "cp of the assumption itself": (["A -> B"], "A -> A", "A [assume] [2]\nA -> A [2 2 cp] [3]"),
    "raa": (
        ["A -> B", "A -> -B"],
        "-A",
        "A [assume] [3]\nB [1 3 mp] [4]\n-B [2 3 mp] [5]\n-A [3 4 5 raa] [6]",
    ),
    "raa against an earlier line": (
        ["A -> B", "-B"],
        "-A",
        "A [assume] [3]\nB [1 3 mp] [4]\n-A [3 4 2 raa] [5]",
    ),
    "raa of a negation": (["-A -> A"], "A", "-A [assume] [2]\nA [1 2 mp] [3]\nA [2 3 2 raa] [4]"),
    "ui": (["all x (P(x) | Q(x))", "P(a) -> A"], "P(a) | Q(a)", "P(a) | Q(a) [1 ui] [3]"),
}


@pytest.mark.parametrize("name", PROVED)
def test_each_rule_proves_what_it_should(name: str) -> None:
    premises, question, lines = PROVED[name]
    verdict = verify(problem(premises, question), attempt(f"{lines}\nAnswer: True"))
    assert (verdict.status, verdict.reason) == (Status.PASS, "")
    assert all(step.valid for step in proof(verdict).steps)


REFUSED = {
    "affirming the consequent": (["A -> B", "B"], "A [1 2 mp] [3]", ProofFault.WRONG_RULE),
    "denying the antecedent": (["A -> B", "-A"], "-B [1 2 mt] [3]", ProofFault.WRONG_RULE),
    "mp of the facts out of order": (["A & B -> C", "A", "B"], "C [1 3 2 mp] [4]", ProofFault.WRONG_RULE),
    "mp with a condition missing": (["A & B -> C", "A"], "C [1 2 mp] [3]", ProofFault.BAD_CITATION),
    "mp with two constants for one variable": (
        ["all x (P(x) & Q(x) -> S(x))", "P(a)", "Q(b)"],
        "S(a) [1 2 3 mp] [4]",
        ProofFault.WRONG_RULE,
    ),
    "mp to another constant": (
        ["all x (P(x) -> Q(x))", "P(a)", "P(b)"],
        "Q(b) [1 2 mp] [4]",
        ProofFault.WRONG_CLAIM,
    ),
    "mp by capture": (
        ["all x (all y R(x, y) -> P(x))", "all y R(y, y)", "P(a) -> A"],
        "P(y) [1 2 mp] [4]",
        ProofFault.UNKNOWN_SYMBOL,
    ),
    "hs the wrong way round": (["A -> B", "B -> C"], "C -> A [1 2 hs] [3]", ProofFault.WRONG_CLAIM),
    "hs with a gap": (["A -> B", "C -> A"], "A -> A [1 2 hs] [3]", ProofFault.WRONG_RULE),
    "ds without a denial": (["A | B", "A"], "B [1 2 ds] [3]", ProofFault.WRONG_RULE),
    "and_i swapped": (["A", "B"], "B & A [1 2 and_i] [3]", ProofFault.WRONG_CLAIM),
    "or_i of strangers": (["A", "B | C"], "B | -C [1 or_i] [3]", ProofFault.WRONG_CLAIM),
    "or_e with one case": (
        ["A | B", "A -> C"],
        "A [assume] [3]\nC [2 3 mp] [4]\nC [1 3 4 or_e] [5]",
        ProofFault.BAD_CITATION,
    ),
    "or_e of another case": (
        ["A | B", "A -> C", "C -> D"],
        "A [assume] [4]\nC [2 4 mp] [5]\nC [assume] [6]\nC [1 4 5 6 6 or_e] [7]",
        ProofFault.WRONG_RULE,
    ),
    "or_e with two ends": (
        ["A | B", "A -> C", "B -> D"],
        "A [assume] [4]\nC [2 4 mp] [5]\nB [assume] [6]\nD [3 6 mp] [7]\nC [1 4 5 6 7 or_e] [8]",
        ProofFault.WRONG_RULE,
    ),
    "cp from a line that is no assumption": (["A", "B"], "A -> B [1 2 cp] [3]", ProofFault.WRONG_RULE),
    "raa without contradiction": (
        ["A -> B", "C"],
        "A [assume] [3]\nB [1 3 mp] [4]\n-A [3 4 2 raa] [5]",
        ProofFault.WRONG_RULE,
    ),
    "dn of one negation": (["-A", "B"], "A [1 dn] [3]", ProofFault.WRONG_CLAIM),
    "dn of one negation, denied": (["--A", "B"], "-A [1 dn] [3]", ProofFault.WRONG_POLARITY),
    "ui to a negation": (["all x P(x)", "Q(a)"], "-P(a) [1 ui] [3]", ProofFault.WRONG_POLARITY),
    "assume with a citation": (["A", "B"], "-B [1 assume] [3]", ProofFault.BAD_CITATION),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_fallacy_is_refused_at_its_line(name: str) -> None:
    premises, lines, fault = REFUSED[name]
    verdict = verify(problem(premises, premises[0]), attempt(f"{lines}\nAnswer: True"))
    assert (verdict.status, verdict.fault) == (Status.FAIL, fault)
    steps = proof(verdict).steps
    assert proof(verdict).fault_step == len(steps)
    assert [step.valid for step in steps] == [True] * (len(steps) - 1) + [False]


def test_a_vacuous_discharge_is_allowed_by_cp_alone() -> None:
    asked = problem(["A", "B -> C"], "B -> A")
    assert verify(asked, attempt("B [assume] [3]\nB -> A [3 1 cp] [4]\nAnswer: True")).status is Status.PASS
    asked = problem(["A", "-A", "B"], "-B")
    verdict = verify(asked, attempt("-C [assume] [4]\nAnswer: True"))
    assert verdict.fault == ProofFault.UNKNOWN_SYMBOL
    verdict = verify(asked, attempt("-B [assume] [4]\nB & B [4 1 2 raa] [5]\nAnswer: True"))
    assert verdict.fault == ProofFault.BAD_CITATION and "does not rest on it" in verdict.reason


def test_lines_are_judged_on_their_own_and_counted_once() -> None:
    lines = (
        "Max is a vumpus. [3 4 mp] [5]",
        "Max is a tumpus. [1 4 mp] [6]",
        "Max is not sour. [2 6 mp] [7]",
    )
    text = "\n".join([*lines, "Answer: False"])
    verdict = verify(problem(CHAIN, "Max is sour.", "False", notation="english"), attempt(text))
    assert [step.valid for step in proof(verdict).steps] == [False, True, True]
    assert (proof(verdict).num_valid, proof(verdict).fault_step, verdict.right) == (2, 1, True)
    assert not proof(verdict).valid


def test_a_line_whose_number_cannot_be_read_still_takes_its_place() -> None:
    text = "Max is a tumpus. [1 4 mp] [05]\nMax is not sour. [2 5 mp] [6]\nAnswer: False"
    verdict = verify(problem(CHAIN, "Max is sour.", "False", notation="english"), attempt(text))
    assert [step.valid for step in proof(verdict).steps] == [False, True]
    assert (verdict.fault, proof(verdict).fault_step) == (ProofFault.BAD_LINE_NUMBER, 1)


def test_undischarged_assumptions_do_not_raise_the_count() -> None:
    asked = problem(["A -> B", "C -> D", "A"], "B")
    verdict = verify(asked, attempt("C [assume] [4]\nD [2 4 mp] [5]\nB [1 3 mp] [6]\nAnswer: True"))
    assert verdict.status is Status.PASS and proof(verdict).num_valid == 1


@pytest.mark.parametrize(
    ("gold", "text", "status", "proof_valid"),
    [
        ("Unknown", "Answer: Unknown", Status.PASS, True),
        ("Unknown", "Max is a tumpus. [1 4 mp] [5]\nAnswer: Unknown", Status.FAIL, False),
        ("True", "Answer: Unknown", Status.FAIL, False),
        ("Unknown", PROOF, Status.FAIL, True),
        ("", "Answer: Unknown", Status.UNDECIDED, False),
        ("", PROOF, Status.PASS, True),
    ],
)
def test_unknown_and_missing_gold(gold: str, text: str, status: Status, proof_valid: bool) -> None:
    verdict = verify(problem(CHAIN, "Max is sour.", gold, notation="english"), attempt(text))
    assert (verdict.status, proof(verdict).valid) == (status, proof_valid)


def test_prune_keeps_what_the_conclusion_needs_and_renumbers() -> None:
    asked = problem(CHAIN, "Max is sour.", "False", notation="english")
    first, second, answer = PROOF.split("\n")
    padded = "\n".join([first, "Max is a vumpus. [3 5 mp] [6]", second.replace("[6]", "[7]"), answer])
    assert verify(asked, attempt(padded)).status is Status.PASS
    assert prune(asked, attempt(padded)) == (PROOF,) == prune(asked, attempt(PROOF + "\n"))
    nested = problem(["A -> B", "B -> C", "D"], "A -> C")
    needed = "A [assume] [5]\nB [1 5 mp] [6]\nC [2 6 mp] [7]\nA -> C [5 7 cp] [8]\nAnswer: True"
    (pruned,) = prune(nested, attempt(f"D | A [3 or_i] [4]\n{needed}"))
    assert pruned == "A [assume] [4]\nB [1 4 mp] [5]\nC [2 5 mp] [6]\nA -> C [4 6 cp] [7]\nAnswer: True"
    assert verify(nested, attempt(pruned)).status is Status.PASS


def test_prune_refuses_an_invalid_proof() -> None:
    with pytest.raises(ValueError, match="only a valid proof can be pruned: line 6: the negation is wrong"):
        prune(problem(CHAIN, "Max is sour.", "False", notation="english"), attempt(PROOF.replace("not ", "")))


def test_completions_are_written_as_they_are_read() -> None:
    completion = read_completion(PROOF + "\n")
    lines = [(line.number, line.claim, line.rule, line.citations) for line in completion.lines]
    assert write_completion(lines, completion.answer) == PROOF


def test_a_problem_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match="no notation is called 'latin', allowed are english, fol"):
        read_problem("latin", (), "")
    with pytest.raises(NotationError, match="'Q' is not a name of this problem"):
        read_problem("fol", ("P(a)",), "Q(a)")


@pytest.mark.parametrize("judge", [rules.verify, sealed.verify, lambda asked, given: theory_of(asked)])
def test_a_problem_that_is_not_about_a_proof_is_refused(
    judge: Callable[[Problem, Attempt], object],
) -> None:
    asked = replace(problem(CHAIN, "Max is sour."), truth=Reference(accepted=("yes",)))
    with pytest.raises(ValueError, match="a proof needs a problem with a theory, got Reference"):
        judge(asked, attempt(PROOF))


def _formulas(scope: tuple[str, ...] = ()) -> st.SearchStrategy[Formula]:
    terms = st.sampled_from(("a", "b", *scope))
    atoms = st.builds(lambda t: Atom("P", (t,)), terms) | st.builds(
        lambda s, t: Atom("R", (s, t)), terms, terms
    )
    base = atoms | st.just(Atom("A"))
    free = [name for name in ("x", "y") if name not in scope]
    quantified = (
        [st.builds(lambda body: ForAll(free[0], body), st.deferred(lambda: _formulas((*scope, free[0]))))]
        if free
        else []
    )
    return st.recursive(
        st.one_of(base, *quantified),
        lambda inner: (
            st.builds(Not, inner)
            | st.builds(And, inner, inner)
            | st.builds(Or, inner, inner)
            | st.builds(Implies, inner, inner)
        ),
        max_leaves=6,
    )


@given(_formulas())
def test_fol_reads_back_what_it_shows(formula: Formula) -> None:
    notation = Fol(["P(a)", "R(a, b)", "A"])
    assert notation.parse(notation.show(formula)) == formula


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected, got 'the end'"),
        ("P(a", "'\\)' expected"),
        ("P(a) P(b)", "ends before 'P'"),
        ("P(a, b)", "takes 1 arguments"),
        ("P(c)", "'c' is not a name of this problem"),
        ("all a P(a)", "both as a constant and as a variable"),
        ("all x all x P(x)", "binds a new name"),
        ("all x P(x) & P(x)", "'x' is not a name of this problem"),
        ("P(a) <-> P(b)", "no formula has"),
        ("P(\u0430)", "no formula has"),
        ("(" * (MAX_DEPTH + 1) + "P(a)" + ")" * (MAX_DEPTH + 1), "deep"),
        ("-" * 30 + "P(a)", "deep"),
        ("-" * 3000 + "P(a)", "at most 2000 characters"),
    ],
)
def test_fol_refuses_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(NotationError, match=reason):
        Fol(["P(a)", "P(b)"]).parse(text)


def test_fol_premises_share_their_names() -> None:
    with pytest.raises(NotationError, match="'x' is used both as a constant and as a variable"):
        Fol(["all x P(x)", "P(x)"])

"""Each rule of first-order logic accepts its instances and refuses near misses, one example at a time."""

from pathlib import Path

import pytest

import engine.logic
from engine.logic.faults import ProofFault
from engine.logic.proof_check import prune, read_problem
from engine.logic.rules import ASSUME, RULES
from engine.records import Status
from engine.verify import rules, sealed
from tests.support.proof_helpers import attempt, problem, proof

PROVED = {
    "and_e deep inside": (["A & B & C & D"], "B", "B [1 and_e] [2]"),
    "cases": (
        ["A -> C", "-A -> C"],
        "C",
        "A [assume] [3]\nC [1 3 mp] [4]\n-A [assume] [5]\nC [2 5 mp] [6]\nC [3 4 5 6 cases] [7]",
    ),
    "cases from the denial first": (
        ["A -> C", "-A -> C"],
        "C",
        "-A [assume] [3]\nC [2 3 mp] [4]\nA [assume] [5]\nC [1 5 mp] [6]\nC [3 4 5 6 cases] [7]",
    ),
    "dm of a conjunction": (["-(A & B)"], "-A | -B", "-A | -B [1 dm] [2]"),
    "dm of a denied side": (["-(A & -B)"], "-A | B", "-A | B [1 dm] [2]"),
    "dm of a disjunction": (["-(A | B)"], "-A & -B", "-A & -B [1 dm] [2]"),
    "dm back": (["-A | -B"], "-(A & B)", "-(A & B) [1 dm] [2]"),
    "dm back of a conjunction": (["-A & -B"], "-(A | B)", "-(A | B) [1 dm] [2]"),
    "iff_i": (["A -> B", "B -> A"], "A <-> B", "A <-> B [1 2 iff_i] [3]"),
    "iff_e": (["A <-> B"], "A -> B", "A -> B [1 iff_e] [2]"),
    "iff_e back": (["A <-> B"], "B -> A", "B -> A [1 iff_e] [2]"),
    "xor_i": (["A", "-B"], "A xor B", "A xor B [1 2 xor_i] [3]"),
    "xor_i the other way": (["-A", "B"], "A xor B", "A xor B [1 2 xor_i] [3]"),
    "xor_e of a side": (["A xor B", "A"], "-B", "-B [1 2 xor_e] [3]"),
    "xor_e of a denial": (["A xor B", "-B"], "A", "A [1 2 xor_e] [3]"),
    "xor_e to a denial's opposite": (["A xor -B", "A"], "B", "B [1 2 xor_e] [3]"),
    "xor_or": (["A xor B"], "A | B", "A | B [1 xor_or] [2]"),
    "xor_or not both": (["A xor B"], "-(A & B)", "-(A & B) [1 xor_or] [2]"),
    "eg": (["P(a)"], "exists x P(x)", "exists x P(x) [1 eg] [2]"),
    "eg of one place": (["R(a, a)"], "exists x R(a, x)", "exists x R(a, x) [1 eg] [2]"),
    "ug": (
        ["all x (P(x) -> Q(x))", "all x P(x)"],
        "all x Q(x)",
        "P(c1) [2 ui] [3]\nQ(c1) [1 3 mp] [4]\nall x Q(x) [4 ug] [5]",
    ),
    "ug of a rule": (
        ["all x (P(x) -> Q(x))", "all x (Q(x) -> S(x) | T(x))", "all x -S(x)"],
        "all x (P(x) -> T(x))",
        "P(c1) [assume] [4]\nQ(c1) [1 4 mp] [5]\nS(c1) | T(c1) [2 5 mp] [6]\n-S(c1) [3 ui] [7]\n"
        "T(c1) [6 7 ds] [8]\nP(c1) -> T(c1) [4 8 cp] [9]\nall x (P(x) -> T(x)) [9 ug] [10]",
    ),
    "ug twice": (
        ["all x all y (R(x, y) -> R(y, x))"],
        "all u all v (R(u, v) -> R(v, u))",
        "all y (R(c1, y) -> R(y, c1)) [1 ui] [2]\nR(c1, c2) -> R(c2, c1) [2 ui] [3]\n"
        "all v (R(c1, v) -> R(v, c1)) [3 ug] [4]\nall u all v (R(u, v) -> R(v, u)) [4 ug] [5]",
    ),
    "ug that binds nothing": (["P(a)"], "all x P(a)", "all x P(a) [1 ug] [2]"),
    "ug that binds nothing, of a part": (
        ["exists x all z P(x)"],
        "all z exists x P(x)",
        "all z P(c1) [assume] [2]\nP(c1) [2 ui] [3]\nexists x P(x) [3 eg] [4]\nexists x P(x) [1 2 4 ee] [5]\n"
        "all z exists x P(x) [5 ug] [6]",
    ),
    "ee": (
        ["exists x P(x)", "all x (P(x) -> Q(x))"],
        "exists x Q(x)",
        "P(c1) [assume] [3]\nQ(c1) [2 3 mp] [4]\nexists x Q(x) [4 eg] [5]\nexists x Q(x) [1 3 5 ee] [6]",
    ),
    "ee under another assumption": (
        ["exists x R(a, x)", "all x (R(a, x) -> A)"],
        "B -> A & B",
        "B [assume] [3]\nR(a, c1) [assume] [4]\nA [2 4 mp] [5]\nA & B [5 3 and_i] [6]\n"
        "A & B [1 4 6 ee] [7]\nB -> A & B [3 7 cp] [8]",
    ),
    "ee within ee": (
        ["exists x exists y R(x, y)", "all x all y (R(x, y) -> S(y, x))"],
        "exists x exists y S(y, x)",
        "exists y R(c1, y) [assume] [3]\nR(c1, c2) [assume] [4]\nS(c2, c1) [2 4 mp] [5]\n"
        "exists y S(y, c1) [5 eg] [6]\nexists x exists y S(y, x) [6 eg] [7]\n"
        "exists x exists y S(y, x) [3 4 7 ee] [8]\nexists x exists y S(y, x) [1 3 8 ee] [9]",
    ),
    "qn of all": (["-all x P(x)"], "exists x -P(x)", "exists x -P(x) [1 qn] [2]"),
    "qn of some": (["-exists x P(x)"], "all x -P(x)", "all x -P(x) [1 qn] [2]"),
    "qn of all not": (["-all x -P(x)"], "exists x P(x)", "exists x P(x) [1 qn] [2]"),
    "qn back": (["exists x -P(x)"], "-all x P(x)", "-all x P(x) [1 qn] [2]"),
    "qn back of all": (["all x -P(x)"], "-exists x P(x)", "-exists x P(x) [1 qn] [2]"),
    "eq_i": (["A", "P(a)"], "a = a", "a = a [eq_i] [3]"),
    "eq_e": (["a = b", "P(a)"], "P(b)", "P(b) [1 2 eq_e] [3]"),
    "eq_e backwards": (["a = b", "P(b)"], "P(a)", "P(a) [1 2 eq_e] [3]"),
    "eq_e in one place": (["a = b", "R(a, a)"], "R(a, b)", "R(a, b) [1 2 eq_e] [3]"),
    "eq_e turns an equation": (["a = b", "A"], "b = a", "a = a [eq_i] [3]\nb = a [1 3 eq_e] [4]"),
    "eq_e inside": (
        ["a = b", "all x (R(x, a) -> a != x)"],
        "all x (R(x, b) -> a != x)",
        "all x (R(x, b) -> a != x) [1 2 eq_e] [3]",
    ),
    "names of the question": (["P(a)"], "P(a) | Z(b)", "P(a) | Z(b) [1 or_i] [2]"),
}


@pytest.mark.parametrize("name", PROVED)
def test_each_rule_proves_what_it_should(name: str) -> None:
    premises, question, lines = PROVED[name]
    asked = problem(premises, question, notation="first_order")
    given = attempt(f"{lines}\nAnswer: True")
    for verify in (rules.verify, sealed.verify):
        verdict = verify(asked, given)
        assert (verdict.status, verdict.reason) == (Status.PASS, "")
    assert prune(asked, given) == (given.text,)


def test_every_new_rule_has_its_examples() -> None:
    old = ("mp", "mt", "hs", "ds", "and_i", "or_i", "or_e", "dn", "cp", "raa", "ui")
    assert set(RULES) - set(old) == {name.split(" ")[0] for name in PROVED} - {"names"}
    assert set(RULES) - set(old) == {name.split(":")[0] for name in REFUSED}


REFUSED = {
    "and_e: of a side of something else": (["A & (B | C)"], "C [1 and_e] [2]", ProofFault.WRONG_CLAIM),
    "cases: two of one kind": (
        ["A -> C", "B -> C"],
        "A [assume] [3]\nC [1 3 mp] [4]\nB [assume] [5]\nC [2 5 mp] [6]\nC [3 4 5 6 cases] [7]",
        ProofFault.WRONG_RULE,
    ),
    "cases: to two ends": (
        ["A -> C", "-A -> B"],
        "A [assume] [3]\nC [1 3 mp] [4]\n-A [assume] [5]\nB [2 5 mp] [6]\nC [3 4 5 6 cases] [7]",
        ProofFault.WRONG_RULE,
    ),
    "dm: one side left": (["-(A & B)"], "-A | B [1 dm] [2]", ProofFault.WRONG_CLAIM),
    "dm: the connective kept": (["-(A & B)"], "-A & -B [1 dm] [2]", ProofFault.WRONG_CLAIM),
    "dm: of an exclusive or": (["-(A xor B)"], "-A xor -B [1 dm] [2]", ProofFault.WRONG_RULE),
    "iff_i: one way twice": (["A -> B", "B -> C"], "A <-> B [1 2 iff_i] [3]", ProofFault.WRONG_RULE),
    "iff_i: sides swapped": (["A -> B", "B -> A"], "B <-> A [1 2 iff_i] [3]", ProofFault.WRONG_CLAIM),
    "iff_e: of a condition": (["A -> B"], "B -> A [1 iff_e] [2]", ProofFault.WRONG_RULE),
    "iff_e: with a denial": (["A <-> B"], "-A -> -B [1 iff_e] [2]", ProofFault.WRONG_CLAIM),
    "xor_i: of both": (["A", "B"], "A xor B [1 2 xor_i] [3]", ProofFault.WRONG_CLAIM),
    "xor_i: of an or": (["A | B", "-B"], "A xor B [1 2 xor_i] [3]", ProofFault.WRONG_CLAIM),
    "xor_e: a side to a side": (["A xor B", "A"], "B [1 2 xor_e] [3]", ProofFault.WRONG_POLARITY),
    "xor_e: of an or": (["A | B", "A"], "-B [1 2 xor_e] [3]", ProofFault.WRONG_RULE),
    "xor_e: of a stranger": (["A xor B", "C"], "-B [1 2 xor_e] [3]", ProofFault.WRONG_RULE),
    "xor_or: to both": (["A xor B"], "A & B [1 xor_or] [2]", ProofFault.WRONG_POLARITY),
    "eg: of another's property": (["R(a, b)"], "exists x R(x, x) [1 eg] [2]", ProofFault.WRONG_CLAIM),
    "eg: to all": (["P(a)"], "all x P(x) [1 eg] [2]", ProofFault.WRONG_CLAIM),
    "ug: of a name of the premises": (["P(a)"], "all x P(x) [1 ug] [2]", ProofFault.NOT_ARBITRARY),
    "ug: of an assumed thing": (
        ["all x (P(x) -> Q(x))"],
        "P(c1) [assume] [2]\nQ(c1) [1 2 mp] [3]\nall x Q(x) [3 ug] [4]",
        ProofFault.NOT_ARBITRARY,
    ),
    "ug: of one place of two": (
        ["all x R(x, x)"],
        "R(c1, c1) [1 ui] [2]\nall x R(x, c1) [2 ug] [3]",
        ProofFault.NOT_ARBITRARY,
    ),
    "ug: of something else": (["A", "B"], "all x (A & B) [1 ug] [3]", ProofFault.WRONG_CLAIM),
    "ug: to some": (
        ["all x P(x)"],
        "P(c1) [1 ui] [2]\nexists x P(x) [2 ug] [3]",
        ProofFault.WRONG_CLAIM,
    ),
    "ee: of a name of the premises": (
        ["exists x P(x)", "P(a) -> A"],
        "P(a) [assume] [3]\nA [2 3 mp] [4]\nA [1 3 4 ee] [5]",
        ProofFault.NOT_ARBITRARY,
    ),
    "ee: that ends in its constant": (
        ["exists x P(x)", "all x (P(x) -> Q(x))"],
        "P(c1) [assume] [3]\nQ(c1) [2 3 mp] [4]\nQ(c1) [1 3 4 ee] [5]",
        ProofFault.NOT_ARBITRARY,
    ),
    "ee: of an instance of something else": (
        ["exists x R(x, x)", "all x all y (R(x, y) -> A)"],
        "R(c1, c2) [assume] [3]\nA [2 3 mp] [4]\nA [1 3 4 ee] [5]",
        ProofFault.WRONG_RULE,
    ),
    "ee: of all": (
        ["all x P(x)", "all x (P(x) -> A)"],
        "P(c1) [assume] [3]\nA [2 3 mp] [4]\nA [1 3 4 ee] [5]",
        ProofFault.WRONG_RULE,
    ),
    "ee: of what was not assumed": (
        ["exists x P(x)", "all x P(x)", "all x (P(x) -> A)"],
        "P(c1) [2 ui] [4]\nA [3 4 mp] [5]\nA [1 4 5 ee] [6]",
        ProofFault.WRONG_RULE,
    ),
    "qn: the quantifier kept": (["-all x P(x)"], "all x -P(x) [1 qn] [2]", ProofFault.WRONG_CLAIM),
    "qn: the negation kept": (["-all x P(x)"], "-exists x P(x) [1 qn] [2]", ProofFault.WRONG_CLAIM),
    "eq_i: of two names": (["A", "R(a, b)"], "a = b [eq_i] [3]", ProofFault.WRONG_CLAIM),
    "eq_i: with a citation": (["A", "P(a)"], "a = a [2 eq_i] [3]", ProofFault.BAD_CITATION),
    "eq_e: of an inequality": (["a != b", "P(a)"], "P(b) [1 2 eq_e] [3]", ProofFault.WRONG_RULE),
    "eq_e: of a third name": (["a = b", "P(a)", "P(c)"], "P(c) [1 2 eq_e] [4]", ProofFault.NO_PROGRESS),
    "eq_e: to a third name": (["a = b", "R(a, c)"], "R(a, a) [1 2 eq_e] [3]", ProofFault.WRONG_CLAIM),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_near_miss_is_refused_at_its_line(name: str) -> None:
    premises, lines, fault = REFUSED[name]
    verdict = rules.verify(
        problem(premises, premises[0], notation="first_order"), attempt(f"{lines}\nAnswer: True")
    )
    assert (verdict.status, verdict.fault) == (Status.FAIL, fault), verdict.reason
    assert len(verdict.reason) < 300
    valid = [step.valid for step in proof(verdict).steps]
    assert valid == [True] * (len(valid) - 1) + [False]


def test_every_rule_says_what_it_is() -> None:
    for name, rule in RULES.items():
        assert "|-" in rule.schema and rule.explanation.endswith("."), name
        cited = rule.schema.split("|-")[0]
        if rule.num_cited is not None:
            places = 0 if not cited.strip() else cited.count(",") + 1
            assert places == rule.num_cited, name
        assert cited.count("[") == len(rule.discharges), name
    readme = (Path(engine.logic.__file__).parent / "README.md").read_text()
    assert ASSUME not in RULES and all(f"`{name}`" in readme for name in (*RULES, ASSUME))


def test_names_of_the_question_are_names_of_the_problem_and_others_are_not() -> None:
    notation, _ = read_problem("first_order", ("P(a)",), "Q(b)")
    assert notation.show(notation.parse("Q(a) & P(b) & P(c1)")) == "Q(a) & P(b) & P(c1)"
    for text, reason in (
        ("Q(c)", "'c' is not a name"),
        ("Z(a)", "'Z' is not a name"),
        ("Q(a, b)", "takes 1"),
        ("P(c100)", "'c100' is not a name"),
        ("all c1 P(c1)", "'c1' is kept"),
    ):
        with pytest.raises(ValueError, match=reason):
            notation.parse(text)


def test_what_is_known_may_be_assumed_here_and_not_in_rules_about_all_things() -> None:
    lines = "A [assume] [3]\nA -> B [3 2 cp] [4]\nAnswer: True"
    for verify in (rules.verify, sealed.verify):
        assert (
            verify(problem(["A", "B"], "A -> B", notation="first_order"), attempt(lines)).status
            is Status.PASS
        )
    refused = rules.verify(problem(["A", "B", "A -> B"], "A -> B"), attempt(lines.replace("[3]", "[4]")))
    assert refused.fault == ProofFault.NO_PROGRESS
    again = "A [assume] [3]\nA [3 dn] [4]\nAnswer: True"
    verdict = rules.verify(problem(["A", "B"], "A", notation="first_order"), attempt(again))
    assert verdict.status is Status.FAIL

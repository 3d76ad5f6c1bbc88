"""The grammar of formulas in both scripts: what is written is read back, and nothing else passes silently."""

import random
from collections.abc import Callable

import pytest

from engine.logic.first_order.folio import read_folio, write_folio
from engine.logic.first_order.notation import FirstOrder, parse, show
from engine.logic.formulas import And, Atom, Equals, Exists, ForAll, Formula, Iff, Implies, Not, Or, Xor
from engine.logic.limits import MAX_DEPTH
from engine.logic.notation import NotationError
from engine.logic.sealed import Unreadable
from engine.logic.sealed.fol import FormulaReader, write_fol
from tests.support.first_order import random_formula

P, Q, A, B, C = Atom("P", ("x",)), Atom("Q", ("x",)), Atom("A"), Atom("B"), Atom("C")
SCRIPTS: dict[str, tuple[Callable[[str], Formula], Callable[[Formula], str]]] = {
    "first_order": (parse, show),
    "folio": (read_folio, write_folio),
    "sealed": (FormulaReader(is_full=True).read, write_fol),
}
LETTERS = {
    "first_order": "aAxPR()&|-><=!, 1all exists xor",
    "folio": "aAxPR()∧∨→↔⊕¬∀∃=≠, 1.+-",
    "sealed": "aAxPR()&|-><=!, 1all exists xor",
}


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("all x (P(x) -> Q(x))", ForAll("x", Implies(P, Q))),
        ("all x P(x) -> A", Implies(ForAll("x", P), A)),
        ("-exists x -P(x)", Not(Exists("x", Not(P)))),
        ("A | B & C", Or(A, And(B, C))),
        ("A xor B | C", Xor(A, Or(B, C))),
        ("A -> B xor C", Implies(A, Xor(B, C))),
        ("A <-> B -> C", Iff(A, Implies(B, C))),
        ("A -> B -> C", Implies(A, Implies(B, C))),
        ("(A -> B) -> C", Implies(Implies(A, B), C)),
        ("A xor B xor C", Xor(Xor(A, B), C)),
        ("A xor (B xor C)", Xor(A, Xor(B, C))),
        ("A <-> B <-> C", Iff(Iff(A, B), C)),
        ("a = b & A", And(Equals("a", "b"), A)),
        ("a != b", Not(Equals("a", "b"))),
        ("-a != b", Not(Not(Equals("a", "b")))),
        ("all x x = a", ForAll("x", Equals("x", "a"))),
        ("all x exists y R(x, y)", ForAll("x", Exists("y", Atom("R", ("x", "y"))))),
    ],
)
def test_a_formula_has_one_text(text: str, formula: Formula) -> None:
    assert parse(text) == formula == FormulaReader(is_full=True).read(text)
    assert show(formula) == text == write_fol(formula)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("∀x (P(x) → Q(x))", "all x (P(x) -> Q(x))"),
        ("∀x P(x) → Q(x)", "all x (P(x) -> Q(x))"),
        ("∀x ¬P(x) → Q(x)", "all x (-P(x) -> Q(x))"),
        ("∀x ∃y P(x) ∧ R(x, y)", "all x exists y (P(x) & R(x, y))"),
        ("∀x (P(x)) → A", "all x P(x) -> A"),
        (" Eel (sea) ⊕ Plant (sea) → Animal (sea) ", "Eel(sea) xor Plant(sea) -> Animal(sea)"),
        ("(A ∧ B) ⊕ ¬(A ∨ B)", "A & B xor -(A | B)"),
        ("A ↔ B ⟷ C", "A <-> B <-> C"),
        ("a = b ∧ a ≠ c", "a = b & a != c"),
        ("forall x (P(x) => exists y R(x, y))", "all x (P(x) -> exists y R(x, y))"),
        ("~A && B || !C", "-A & B | -C"),
        ("A /\\ B \\/ C <=> A ^ B", "A & B | C <-> A & B"),
        ("not A and B or C iff A xor B implies C", "-A & B | C <-> A xor B -> C"),
        ("P(mark).", "P(mark)"),
        ("\u00a0P(a)\t∧\tP(b)", "P(a) & P(b)"),
    ],
)
def test_folio_s_notation_and_other_spellings_are_read(text: str, formula: str) -> None:
    assert show(read_folio(text)) == formula
    assert read_folio(write_folio(read_folio(text))) == read_folio(text)


def test_folio_s_names_are_taken_as_they_are() -> None:
    formula = read_folio("Eco-friendlyBrand(gpt-3) ∧ women(Mark, 2000) ∧ LostToŚwiątek(c++, mr.smith, a+)")
    assert write_folio(formula) == (
        "Eco-friendlyBrand(gpt-3) ∧ women(Mark, 2000) ∧ LostToŚwiątek(c++, mr.smith, a+)"
    )


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 1, "got 'the end'"),
        ("A &", 4, "got 'the end'"),
        ("A & & B", 5, "got '&'"),
        ("A B", 3, "the formula ends before 'B'"),
        ("A)", 2, "the formula ends before '\\)'"),
        ("(A", 3, "'\\)' expected, got 'the end'"),
        ("P(a b)", 5, "'\\)' expected, got 'b'"),
        ("P()", 3, "a constant or variable in small letters expected"),
        ("P(A)", 3, "a constant or variable in small letters expected"),
        ("p(a)", 1, "a predicate in capitals expected"),
        ("all X P(X)", 5, "'all' binds a new name in small letters, got 'X'"),
        ("all x exists x P(x)", 14, "'exists' binds a new name"),
        ("all all P(a)", 5, "'all' binds a new name"),
        ("a = A", 5, "a constant or variable in small letters expected"),
        ("a = b = c", 7, "the formula ends before '='"),
        ("P(xor)", 3, "a constant or variable in small letters expected"),
        ("A ∧ B", 3, "no formula has '∧ B'"),
        ("A\tB", 2, "no formula has"),
        ("A & " + "-" * MAX_DEPTH + "B", 4 + MAX_DEPTH + 2, "deep"),
    ],
)
def test_an_error_names_its_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(NotationError, match=reason) as error:
        parse(text)
    assert error.value.column == column and str(error.value).startswith(f"column {column}: ")
    with pytest.raises(Unreadable):
        FormulaReader(is_full=True).read(text)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("∀x (P(x) → Q(y))", 14, "no quantifier binds the variable 'y'"),
        ("∀x (P(x) → Q(x)", 16, "'\\)' expected, got 'the end'"),
        ("P(a) ∧ Q(b))", 12, "the formula ends before '\\)'"),
        ("P(captain america)", 11, "'\\)' expected, got 'america'"),
        ("∃x ∃x P(x)", 5, "'∃' binds a new name"),
        ("P(a) ∧ → Q(b)", 8, "a predicate in capitals expected, got '→'"),
        ("∀x x(a)", 4, "'x' is a variable, and no predicate"),
        ("P(a) # Q(b)", 6, "no formula has '# Q\\(b\\)'"),
        ("P(a) → cold", 8, "a predicate in capitals expected, got 'cold'"),
    ],
)
def test_an_error_in_folio_s_notation_names_its_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(NotationError, match=reason) as error:
        read_folio(text)
    assert error.value.column == column


@pytest.mark.parametrize(
    ("premises", "reason"),
    [
        (["all x P(x)", "P(x)"], "column 3: 'x' is used both as a constant and as a variable"),
        (["P(x)", "exists x P(x)"], "column 8: 'x' is used both as a constant and as a variable"),
        (["P(a)", "P(a, b)"], "column 1: 'P' takes 1 arguments in this problem, got 2"),
        (["A & A(b)"], "column 5: 'A' is used with 0 and with 1 arguments"),
        (["all c7 P(c7)"], "column 5: 'c7' is kept for things of which nothing is said"),
    ],
)
def test_a_problem_uses_a_name_in_one_way(premises: list[str], reason: str) -> None:
    with pytest.raises(NotationError, match=reason):
        FirstOrder(premises)


def round_trips(num: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(num):
        formula = random_formula(rng, rng.randrange(1, 7), constants=("a", "b", "gpt", "mark2"))
        for read, write in SCRIPTS.values():
            assert read(write(formula)) == formula, write(formula)
        assert show(formula) == write_fol(formula)


def mutated(num: int, seed: int) -> None:
    """A mutated text is refused, or it is another text of the formula that it is read as."""
    rng, num_refused, num_read = random.Random(seed), 0, 0
    for _ in range(num):
        formula = random_formula(rng, rng.randrange(1, 5))
        for name, (read, write) in SCRIPTS.items():
            text = write(formula)
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(len(text) + 1)
                text = (
                    text[:at] + rng.choice(LETTERS[name]) * rng.randrange(2) + text[at + rng.randrange(3) :]
                )
            try:
                found = read(text)
            except (NotationError, Unreadable) as error:
                assert str(error)
                num_refused += 1
                continue
            num_read += 1
            assert read(write(found)) == found
            kept = [letter for letter in write(found) if letter.isalnum()]
            if name != "folio":  # whose other spellings have letters
                assert kept == [letter for letter in text if letter.isalnum()], (text, write(found))
    assert num_refused > num and num_read > num // 10, (num_refused, num_read)


@pytest.mark.slow
def test_random_formulas_round_trip() -> None:
    round_trips(1_000, 0)


def test_mutated_texts_are_refused_or_read_as_they_stand() -> None:
    mutated(400, 0)


@pytest.mark.soak
def test_ten_thousand_random_formulas_round_trip() -> None:
    round_trips(10_000, 1)


@pytest.mark.soak
def test_ten_thousand_mutated_texts_never_crash_hang_or_pass_silently() -> None:
    mutated(10_000, 1)

"""PrOntoQA's English: a statement that is written is read back, and every other text is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.logic.english import English, article, plural, singulars
from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not
from engine.logic.limits import MAX_TEXT
from engine.logic.notation import NotationError
from engine.logic.sealed import Unreadable
from engine.logic.sealed.english import _singulars_of
from engine.logic.sealed.reader import SealedReader
from tests.support.proof_helpers import CHAIN

KINDS = ["wumpus", "impus", "cat", "fox", "finch", "owl"]
PROPERTIES = ["red", "nervous", "luminous", "opaque", "earthy"]
NAMES = ["Max", "Sally"]
WORDS = English(
    [
        *(f"Each {kind} is {word}." for kind, word in zip(KINDS, [*PROPERTIES, "red"], strict=True)),
        *(f"{name} is a wumpus." for name in NAMES),
    ]
)


def rule(kind: str, predicate: str, negated: bool = False) -> Formula:
    head = Atom(predicate, ("x",))
    return ForAll("x", Implies(Atom(kind, ("x",)), Not(head) if negated else head))


formulas = st.builds(
    lambda name, word, negated: Not(Atom(word, (name,))) if negated else Atom(word, (name,)),
    st.sampled_from(NAMES),
    st.sampled_from(KINDS + PROPERTIES),
    st.booleans(),
) | st.builds(rule, st.sampled_from(KINDS), st.sampled_from(KINDS + PROPERTIES), st.booleans())


@given(formulas)
def test_what_is_shown_is_read_back(formula: Formula) -> None:
    assert WORDS.parse(WORDS.show(formula)) == formula


@given(st.sampled_from(KINDS), st.sampled_from(KINDS + PROPERTIES), st.booleans())
def test_the_three_ways_to_say_a_rule_mean_the_same(kind: str, word: str, negated: bool) -> None:
    no = "not " if negated else ""
    phrase = f"{article(word)} {word}" if word in KINDS else word
    many = plural(word) if word in KINDS else word
    rules = [
        f"Each {kind} is {no}{phrase}.",
        f"Every {kind} is {no}{phrase}.",
        f"{plural(kind).capitalize()} are {no}{many}.",
    ]
    assert [WORDS.parse(text) for text in rules] == [rule(kind, word, negated)] * 3


@given(st.text(max_size=60))
def test_any_text_is_a_statement_or_a_notation_error(text: str) -> None:
    try:
        formula = WORDS.parse(text)
    except NotationError:
        return
    assert WORDS.parse(WORDS.show(formula)) == formula


@given(st.lists(st.text(max_size=40), max_size=4))
def test_any_premises_are_read_or_refused(premises: list[str]) -> None:
    try:
        notation = English(premises)
    except NotationError as error:
        assert str(error)
    else:
        assert len(notation.premises) == len(premises)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Max is a wumpus",
        "Max is wumpus.",
        "Max is a red.",
        "Max is green.",
        "Tom is red.",
        "max is red.",
        "Max is not not red.",
        "Max is red. Max is red.",
        "Each dog is red.",
        "Each Max is red.",
        "All wumpuses are red.",
        "Wumpuses is red.",
        "Wumpuses are a cat.",
        "Wumpuses are cat.",
        "Max is r\u0435d.",  # a Cyrillic letter that looks like e
        "Max is a wumpus.\u00a0",
        "Max are red.",
        "Max is " + "very " * MAX_TEXT + "red.",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(NotationError):
        WORDS.parse(text)


@pytest.mark.parametrize(
    "formula",
    [
        Atom("A"),
        Not(Not(Atom("red", ("Max",)))),
        And(Atom("red", ("Max",)), Atom("cat", ("Max",))),
        ForAll("x", Atom("red", ("x",))),
        ForAll("x", Implies(Atom("cat", ("x",)), Atom("red", ("Max",)))),
        ForAll("x", Implies(Atom("cat", ("Max",)), Atom("red", ("x",)))),
    ],
)
def test_what_english_cannot_say_is_refused(formula: Formula) -> None:
    with pytest.raises(NotationError, match="English has no sentence"):
        WORDS.show(formula)


def test_a_premise_that_is_no_statement_is_named() -> None:
    with pytest.raises(NotationError, match="Tea is nice, isn't it"):
        English([*CHAIN, "Tea is nice, isn't it?"])


def test_blanks_and_case_of_a_kind_do_not_matter() -> None:
    assert WORDS.parse("  Every   WUMPUS is\tred. ") == rule("wumpus", "red")


def test_kinds_are_known_by_their_plural_alone() -> None:
    notation = English(["Wumpuses are tumpuses.", "Tumpuses are nervous.", "Max is a wumpus."])
    assert notation.premises[0] == rule("wumpus", "tumpus")
    assert notation.premises[1] == rule("tumpus", "nervous")
    assert notation.show(Atom("tumpus", ("Max",))) == "Max is a tumpus."


def test_a_kind_at_the_end_of_the_chain_is_no_property() -> None:
    notation = English(["Zumpuses are rompuses.", "Max is a zumpus."])
    assert notation.premises[0] == rule("zumpus", "rompus")
    assert notation.parse("Max is a rompus.") == Atom("rompus", ("Max",))


def test_two_kinds_with_one_plural_are_refused() -> None:
    """Otherwise the order of a set would decide which kind `Axes` are."""
    premises = ["Max is an ax.", "Tom is an axe.", "Axes are red."]
    with pytest.raises(NotationError, match="'ax' and 'axe' have one plural, 'axes'"):
        English(premises)
    with pytest.raises(Unreadable, match="one plural"):
        SealedReader("english", premises)


@pytest.mark.parametrize(
    ("noun", "many"),
    [("wumpus", "wumpuses"), ("fox", "foxes"), ("cat", "cats"), ("fly", "flies"), ("day", "days")],
)
def test_plurals(noun: str, many: str) -> None:
    assert plural(noun) == many


@pytest.mark.parametrize(
    ("many", "nouns"),
    [
        ("cats", ["cat"]),
        ("wumpuses", ["wumpus", "wumpuse"]),
        ("horses", ["horse", "hors"]),
        ("houses", ["hous", "house"]),
        ("glasses", ["glass", "glasse"]),
        ("foxes", ["fox", "foxe"]),
        ("finches", ["finch", "finche"]),
        ("quizzes", ["quizz", "quiz", "quizze"]),
        ("butterflies", ["butterfly", "butterflie"]),
        ("pies", ["py", "pie"]),
        ("heroes", ["hero", "heroe"]),
        ("wolves", ["wolve", "wolf", "wolfe"]),
        ("glass", []),
        ("men", []),
        ("s", []),
        ("es", ["e"]),
    ],
)
def test_singulars_of_a_plural(many: str, nouns: list[str]) -> None:
    assert singulars(many) == nouns == _singulars_of(many)


@given(st.text("abcefhiosuvxyz", min_size=1, max_size=9))
def test_a_noun_is_among_the_singulars_of_its_plural(noun: str) -> None:
    """And both readings have the same list, in the same order."""
    assert noun in singulars(plural(noun))
    for word in (noun, f"{noun}s", f"{noun}es", f"{noun}ies", f"{noun}ves", plural(noun)):
        assert singulars(word) == _singulars_of(word)


def test_a_kind_has_the_name_that_the_premises_use_whatever_their_order() -> None:
    premises = ["Axes are wolves.", "Max is an axe.", "Wolves are horses.", "Horses are nervous."]
    for order in (premises, premises[::-1]):
        notation = English(order)
        assert notation.parse("Each axe is a wolve.") == notation.parse("Axes are wolves.")
        assert notation.read_claim("Each wolf is a hors.") == (rule("wolve", "horse"), "Each wolf is a hors.")
        assert notation.show(rule("wolve", "horse")) == "Each wolve is a horse."
        with pytest.raises(NotationError, match="'ax' takes no article"):
            notation.parse("Max is an ax.")

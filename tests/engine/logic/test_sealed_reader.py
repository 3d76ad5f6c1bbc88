"""The sealed reading finds the same formulas as the reading of the rules, by other means."""

import random

import pytest

from engine.logic.checker import ProofChecker
from engine.logic.english import English, plural
from engine.logic.fol import Fol
from engine.logic.formulas import Atom, ForAll, Formula, Implies, Not
from engine.logic.notation import Notation, NotationError
from engine.logic.proofs import Line
from engine.logic.sealed import Unreadable
from engine.logic.sealed.reader import SealedReader
from tests.support.mutations import mutate
from tests.support.soundness import random_formula

WORDS = ["Max", "Sam", "red", "cat", "fox", "axe", "ax", "ase", "box", "x"]
WORDS += ["is", "are", "each", "every", "not", "a", "an", "as"]
"""Words of every part of speech, and words that look like another part."""
SENTENCES = (
    "Each {} is {}.",
    "Every {} is not {}.",
    "Each {} is a {}.",
    "Every {} is an {}.",
    "Each {} is not a {}.",
    "{} is {}.",
    "{} is not {}.",
    "{} is a {}.",
    "{} is not an {}.",
    "{} are {}.",
    "{} are not {}.",
    "{} are a {}.",
)
PIECES = [
    "all x (P(x) -> Q(x))",
    "all y P(y)",
    "P(a)",
    "P(x)",
    "Q(b)",
    "Q(a, b)",
    "R(a, b)",
    "R(a, x)",
    "P",
    "A",
]
PIECES += ["-", "--", "&", "|", "->", "(", ")", ",", "all", "all x", "all a", "x", "a", " & ", " -> ", " | "]


def read_by_rules(notation: Notation, claim: str) -> Formula | None:
    """None where the rule checker refuses the claim as written."""
    return ProofChecker(notation).add(Line(text=claim, number=0, claim=claim)).formula


def read_sealed(reader: SealedReader, claim: str) -> Formula | None:
    try:
        return reader.read_claim(claim)
    except Unreadable:
        return None


def read_both(kind: type[English] | type[Fol], premises: list[str]) -> tuple[Notation, SealedReader] | None:
    """None where both refuse the premises; fails where one does, or where they read them differently."""
    try:
        notation = kind(premises)
    except NotationError:
        with pytest.raises(Unreadable):
            SealedReader(kind.__name__.lower(), premises)
        return None
    reader = SealedReader(kind.__name__.lower(), premises)
    assert list(notation.premises) == reader.premises, premises
    return notation, reader


def rule(kind: str, predicate: str) -> Formula:
    return ForAll("x", Implies(Atom(kind, ("x",)), Atom(predicate, ("x",))))


@pytest.mark.parametrize(
    ("premise", "formula"),
    [
        ("Ares are ases.", rule("are", "as")),
        ("Each are is red.", rule("are", "red")),
        ("Each is is.", Atom("is", ("Each",))),
        ("Each is is an is.", rule("is", "is")),
        ("Each is is not.", rule("is", "not")),
        ("Each is not is.", Not(Atom("is", ("Each",)))),
        ("Every is a.", Atom("a", ("Every",))),
        ("Is is an is.", Atom("is", ("Is",))),
        ("Each is is is.", None),
        ("Each are a.", None),
        ("Each is are red.", None),
        ("Ares are is red.", None),
    ],
)
def test_a_noun_may_look_like_a_verb(premise: str, formula: Formula | None) -> None:
    both = read_both(English, [premise])
    assert (both and both[1].premises) == (formula and [formula])


def random_statement(rng: random.Random, words: list[str]) -> str:
    subject, predicate = rng.choice(words), rng.choice(words)
    sentence = rng.choice(SENTENCES)
    if "are" in sentence and rng.random() < 0.9:
        subject, predicate = plural(subject), rng.choice((predicate, plural(predicate)))
    words = sentence.format(subject, predicate).split(" ")
    words[0] = words[0].capitalize() if rng.random() < 0.9 else words[0]
    if rng.random() < 0.1:  # a word lost, or one too many
        at = rng.randrange(len(words))
        words[at : at + rng.randrange(2)] = rng.choice(([], [rng.choice(WORDS)]))
    return " ".join(words)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_both_readings_of_random_english_are_one(seed: int) -> None:
    rng, num_read, num_claims = random.Random(seed), 0, 0
    for _ in range(1_500):
        words = rng.sample(WORDS, 4)
        both = read_both(English, [random_statement(rng, words) for _ in range(rng.randrange(1, 4))])
        if both is None:
            continue
        num_read += 1
        notation, reader = both
        shown = [notation.show(premise) for premise in notation.premises]
        for text in (*shown, *(random_statement(rng, words) for _ in range(6))):
            claim = read_by_rules(notation, text)
            assert read_sealed(reader, text) == claim, (reader.premises, text)
            num_claims += claim is not None
            try:
                asked: Formula | None = notation.parse(text)
            except NotationError:
                asked = None
            if asked is not None:
                assert reader.read_asked(text) == asked, (reader.premises, text)
    assert num_read > 500 and num_claims > 1_000, (num_read, num_claims)


@pytest.mark.parametrize("seed", range(3))
def test_both_readings_of_random_formulas_are_one(seed: int) -> None:
    rng, num_read = random.Random(seed), 0
    for _ in range(1_500):
        texts = ["".join(rng.choices(PIECES, k=rng.randrange(1, 7))) for _ in range(rng.randrange(1, 3))]
        num_read += read_both(Fol, texts) is not None
    assert num_read > 50, num_read


@pytest.mark.parametrize("seed", range(3))
def test_both_readings_of_a_claim_are_one(seed: int) -> None:
    rng = random.Random(seed)
    premises = ["A", "B", "P(a)", "Q(b)", "R(a, b)"]
    first, second = Fol(premises), SealedReader("fol", premises)
    for _ in range(600):
        text = first.show(random_formula(rng, 4))
        assert second.read_claim(text) == first.parse(text)
        broken = mutate(text, rng, "AaPx()&|-> ,")
        assert read_sealed(second, broken) == read_by_rules(first, broken), broken

"""Both readings of `first_order` take the same problems, and the same claims for the same formulas."""

import random

import pytest

from engine.logic.checker import ProofChecker
from engine.logic.first_order.notation import FirstOrder
from engine.logic.formulas import Formula
from engine.logic.notation import NotationError
from engine.logic.proofs import Line
from engine.logic.sealed import Unreadable
from engine.logic.sealed.reader import SealedReader
from tests.support.first_order import random_formula
from tests.support.mutations import mutate

WHOLE = ["all x (P(x) -> Q(x))", "exists y R(a, y)", "P(a)", "Q(c1)", "R(a, b)", "A", "a = b", "b != c2"]
PIECES = [*WHOLE * 3, "P(x)", "P", "x = a", "-", "--", "&", "|", "->", "<->", "xor", " xor ", "=", "!="]
PIECES += ["(", ")", ",", "x", "all", "all x", "exists", "exists x ", "exists c1 ", "all y "]
PIECES += [" & ", " | ", " -> ", " <-> ", "c1"]
LETTERS = "AaPxc1()&|-><=! ,"


def read_by_rules(notation: FirstOrder, claim: str) -> Formula | None:
    """None where the rule checker refuses the claim as written."""
    return ProofChecker(notation).add(Line(text=claim, number=0, claim=claim)).formula


def read_sealed(reader: SealedReader, claim: str) -> Formula | None:
    try:
        return reader.read_claim(claim)
    except Unreadable:
        return None


def read_both(premises: list[str], question: str) -> tuple[FirstOrder, SealedReader] | None:
    """None where both refuse the problem; fails where one does, or where they read it differently."""
    try:
        notation = FirstOrder(premises)
        asked = notation.read_question(question)
    except NotationError:
        with pytest.raises(Unreadable):
            SealedReader("first_order", premises).read_question(question)
        return None
    reader = SealedReader("first_order", premises)
    assert list(notation.premises) == reader.premises, premises
    assert reader.read_question(question) == asked, (premises, question)
    return notation, reader


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_both_readings_of_random_problems_are_one(seed: int) -> None:
    rng, num_read, num_claims = random.Random(seed), 0, 0
    for _ in range(2_500):
        texts = ["".join(rng.choices(PIECES, k=rng.choice((1, 1, 2, 3, 4, 5)))) for _ in range(2)]
        texts[:0] = rng.sample(WHOLE, 3)
        both = read_both(texts[: 3 + rng.randrange(2)], texts[-1])
        if both is None:
            continue
        num_read += 1
        notation, reader = both
        for _ in range(8):
            claim = "".join(rng.choices(PIECES, k=rng.choice((1, 1, 1, 2, 3))))
            found = read_by_rules(notation, claim)
            assert read_sealed(reader, claim) == found, (texts, claim)
            num_claims += found is not None
    assert num_read > 200 and num_claims > 300, (num_read, num_claims)


@pytest.mark.parametrize("seed", range(3))
def test_both_readings_of_a_claim_are_one(seed: int) -> None:
    rng, num_read = random.Random(seed), 0
    premises = ["A", "B", "P(a)", "Q(b)", "R(a, b)"]
    first, second = FirstOrder(premises), SealedReader("first_order", premises)
    for _ in range(600):
        text = first.show(random_formula(rng, 4, constants=("a", "b", "c1", "c2")))
        assert second.read_claim(text) == first.parse(text)
        broken = mutate(text, rng, LETTERS)
        found = read_by_rules(first, broken)
        assert read_sealed(second, broken) == found, broken
        num_read += found is not None
    assert num_read > 50

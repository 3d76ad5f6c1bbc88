"""Attacks on the rule checker: every known way to an unearned PASS, each with the reason that it meets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.records import Status
from engine.verify.rules import verify
from tests.support.attacks import ANSWER, ATTACKS, FIRST, LOGIC
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem, proof


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused_with_its_reason(name: str) -> None:
    attack = ATTACKS[name]
    asked = problem(attack.premises, attack.question, attack.gold, notation=attack.notation)
    verdict = verify(asked, attempt(attack.text))
    assert verdict.status is Status.FAIL
    assert not (proof(verdict).valid and verdict.right)
    assert verdict.fault == attack.fault, verdict.reason
    assert attack.reason in verdict.reason
    assert len(verdict.reason) < 300


def test_the_proof_that_is_attacked_passes() -> None:
    asked = problem(CHAIN, "Max is sour.", "False", notation="english")
    assert verify(asked, attempt(PROOF)).status is Status.PASS
    assert verify(asked, attempt(PROOF + "\n")).status is Status.PASS


def test_padding_does_not_count_twice() -> None:
    """The same claim again and again, or assumption upon assumption, does not raise the count."""
    asked = problem(CHAIN, "Max is sour.", "False", notation="english")
    repeated = "\n".join([FIRST, *(f"Max is a tumpus. [1 4 mp] [{n}]" for n in range(6, 100)), ANSWER])
    assert proof(verify(asked, attempt(repeated))).num_valid == 1
    assumed = "\n".join([*(f"Max is sour. [assume] [{n}]" for n in range(5, 100)), ANSWER])
    assert proof(verify(asked, attempt(assumed))).num_valid == 0


@given(st.lists(st.tuples(st.integers(0, len(PROOF)), st.integers(0, 2), st.text(max_size=2)), max_size=3))
def test_no_edit_of_a_proof_passes_but_in_letter_case_and_blanks(edits: list[tuple[int, int, str]]) -> None:
    text = PROOF
    for start, removed, put in edits:
        text = text[:start] + put + text[start + removed :]
    asked = problem(CHAIN, "Max is sour.", "False", notation="english")
    verdict = verify(asked, attempt(text))
    assert (verdict.status is Status.PASS) == (verdict.reason == "")
    if verdict.status is Status.PASS:
        assert "".join(text.split()).lower() == "".join(PROOF.split()).lower()


@given(st.text())
def test_any_text_gets_a_verdict(text: str) -> None:
    asked = problem(LOGIC, "C")
    assert verify(asked, attempt(text)).status is Status.FAIL
    assert verify(asked, attempt(f"{text} [1 2 mp] [6]\nAnswer: True")).status is Status.FAIL

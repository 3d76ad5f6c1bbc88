"""The rules of two pawls: what is carried, when a proof is due, and when a working line is given up."""

import math

import pytest

from engine.gate import carry
from engine.gate.arithmetic import Pair
from engine.gate.carry import Move, Standing


def pairs(wins: int, losses: int, num: int = 100) -> list[Pair]:
    return [(False, True)] * wins + [(True, False)] * losses + [(True, True)] * (num - wins - losses)


@pytest.mark.parametrize(
    ("wins", "losses", "carried"), [(6, 5, True), (5, 5, False), (0, 0, False), (4, 5, False)]
)
def test_a_challenger_is_carried_when_it_wins_more_than_it_loses(
    wins: int, losses: int, carried: bool
) -> None:
    check = carry.looks_better(pairs(wins, losses))
    assert check.passed is carried
    assert check.observed == f"{wins} won, {losses} lost of 100 problems against its parent"
    assert check.value is not None and check.limit is not None and carried is (check.value >= check.limit)


def test_a_carried_challenger_is_not_called_better() -> None:
    checks = [carry.looks_better(pairs(6, 5))]
    decision = carry.decide(checks, parent_id="a", challenger_id="b", entropy=3, second_verifier="none")
    assert decision.accepted and (decision.level, decision.looks) == (0, ())
    assert decision.reason == (
        "Looks better, which is not proven: 6 won, 5 lost of 100 problems against its parent."
    )
    refused = carry.decide(
        [carry.looks_better(pairs(5, 6))],
        parent_id="a",
        challenger_id="b",
        entropy=3,
        second_verifier="none",
    )
    assert not refused.accepted and refused.reason.endswith("needed: more won than lost.")


@pytest.mark.parametrize(
    ("wins", "losses", "standing"),
    [
        (10, 2, Standing.READY),
        (9, 5, Standing.UNCLEAR),
        (5, 5, Standing.UNCLEAR),
        (0, 0, Standing.UNCLEAR),
        (5, 6, Standing.WORSE),
        (0, 9, Standing.WORSE),
    ],
)
def test_how_a_working_model_stands(wins: int, losses: int, standing: Standing) -> None:
    check, found = carry.readiness(pairs(wins, losses), 0.05)
    assert found is standing and check.passed is (standing is Standing.READY)
    speaking = wins + losses
    exact = sum(math.comb(speaking, k) for k in range(wins, speaking + 1)) / 2**speaking
    assert check.value == pytest.approx(exact)


@pytest.mark.parametrize(
    ("standing", "last", "move"),
    [
        (Standing.READY, False, Move.PROVE),
        (Standing.READY, True, Move.PROVE),
        (Standing.UNCLEAR, False, Move.WAIT),
        (Standing.UNCLEAR, True, Move.PROVE),
        (Standing.WORSE, False, Move.GO_BACK),
        (Standing.WORSE, True, Move.GO_BACK),
    ],
)
def test_what_follows_from_it(standing: Standing, last: bool, move: Move) -> None:
    assert carry.next_move(standing, last) is move


def test_a_proof_is_due_every_so_many_rounds_and_in_the_last() -> None:
    assert [number for number in range(1, 13) if carry.due(number, 5, number == 12)] == [5, 10, 12]
    assert [number for number in range(1, 4) if carry.due(number, 1, number == 3)] == [1, 2, 3]


def test_visible_harm_is_judged_by_what_was_seen() -> None:
    """Four points of a hundred are within a margin of five, though no proof that it is no more."""
    assert carry.no_visible_drop("requests", pairs(0, 4), 0.05).passed
    assert not carry.no_visible_drop("requests", pairs(0, 5), 0.05).passed
    assert carry.no_visible_drop("requests", pairs(3, 7), 0.05).passed
    for value in (math.nan, math.inf):
        check = carry.no_visible_rise("prose", [100.0, 100.0], [100.0, value], [50, 50], 1.15)
        assert not check.passed
    close, far = math.log(1.14) * 50, math.log(1.16) * 50
    assert carry.no_visible_rise("prose", [100.0] * 2, [100.0 + close] * 2, [50, 50], 1.15).passed
    assert not carry.no_visible_rise("prose", [100.0] * 2, [100.0 + far] * 2, [50, 50], 1.15).passed

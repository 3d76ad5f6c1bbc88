"""Equal learnt tokens: rows are taken whole, and what is too little is refused."""

from dataclasses import replace

import pytest

from engine.records import Funnel, Role, Station, TrainingRow, TrainingSet, Turn
from tune.budget import TooFewTokens, cut


def rows(num: int) -> TrainingSet:
    turns = [(Turn(role="user", text=f"question {number}"),) for number in range(num)]
    made = [TrainingRow(problem_id=f"p{i}", chat=chat, chosen="yes") for i, chat in enumerate(turns)]
    return TrainingSet.of(made, Funnel(stations=(Station(name="rows", num_in=num, num_out=num, why=""),)))


def kept(lengths: list[int], num_tokens: int) -> list[str]:
    return [row.problem_id for row in cut(rows(len(lengths)), lengths, num_tokens).rows]


def test_the_first_rows_are_taken_whole() -> None:
    assert kept([10, 10, 10, 10], 30) == ["p0", "p1", "p2"]
    assert kept([10, 0, 15, 5, 30, 5], 35) == ["p0", "p2", "p3", "p5"], "what does not fit in is passed over"


def test_rows_that_hold_the_model_stay() -> None:
    held = [
        replace(row, role=Role.HOLD) if place in (1, 3) else row for place, row in enumerate(rows(4).rows)
    ]
    part = cut(TrainingSet.of(held), [10, 0, 30, 0], 10)
    assert [row.problem_id for row in part.rows] == ["p0", "p1", "p3"] and part.num_held == 2


def test_the_set_is_named_by_what_is_left_and_keeps_its_funnel() -> None:
    whole = rows(4)
    part = cut(whole, [5] * 4, 10)
    assert part.id != whole.id and part.id == TrainingSet.of(whole.rows[:2]).id
    assert part.funnel == whole.funnel and cut(whole, [5] * 4, 20) == whole


@pytest.mark.parametrize("lengths", [[10, 10], [0, 0], [], [40, 10]])
def test_too_little_is_refused(lengths: list[int]) -> None:
    with pytest.raises(TooFewTokens, match="learnt tokens of the 30 that every arm learns"):
        kept(lengths, 30)


def test_a_twentieth_may_be_missing() -> None:
    assert kept([19, 19], 40) == ["p0", "p1"]

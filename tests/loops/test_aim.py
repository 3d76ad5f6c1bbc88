"""Draws of a round on a finite task: what is aimed is of weak slices, and nothing comes twice."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from configs.loops import ErrorDriven
from engine.records import Station, Weakness
from engine.tasks.fixed import Fixed
from loops.aim import Aim, ids_of
from tests.support.provers import PARENT
from tests.support.records_files import suite_of_rows, sums

WEAK = Weakness(
    slice="rare", fault="wrong_answer", rate=0.8, elsewhere=0.2, low=0.6, high=0.9, p_adjusted=0.01, quota=40
)


def aim_on(suite: Fixed, number: int = 1) -> Aim:
    context: Any = SimpleNamespace(suite=suite, config=SimpleNamespace(seed=3))
    return Aim(context=context, settings=ErrorDriven(), parent=PARENT, number=number, seen=frozenset())


def test_a_small_weak_slice_is_not_filled_up_with_others(tmp_path: Path) -> None:
    rows = [row | {"slice": "common" if i % 10 else "rare"} for i, row in enumerate(sums(100, split="train"))]
    suite = suite_of_rows(tmp_path / "my.jsonl", rows)
    seen: frozenset[str] = frozenset()
    for number in (1, 2):
        aim = aim_on(suite, number)
        aimed, stations = aim.aimed([WEAK], None, seen)
        assert [each.slice for each in aimed] == ["rare"] * 10
        (short,) = stations
        assert isinstance(short, Station) and (short.name, short.num_in, short.num_out) == ("aimed", 40, 10)
        rest = aim.rest(70, seen, ids_of(aimed))
        assert len(ids_of([*aimed, *rest])) == 80, "nobody is asked twice in a round"
        left = ids_of(record.problem for record in suite.records("train")) - seen
        assert number == 1 or left <= ids_of(rest), "what is new comes first"
        seen |= ids_of([*aimed, *rest])
    assert aim_on(suite).aimed([], None, seen) == ([], [])


def test_a_slice_that_has_enough_is_drawn_by_its_quota(tmp_path: Path) -> None:
    rows = [row | {"slice": "common" if i % 2 else "rare"} for i, row in enumerate(sums(200, split="train"))]
    suite = suite_of_rows(tmp_path / "my.jsonl", rows)
    aimed, stations = aim_on(suite).aimed([WEAK], None, frozenset())
    assert {each.slice for each in aimed} == {"rare"} and len(ids_of(aimed)) == 40 and not stations
    plain = suite.draw(30, split="propose-1", seed=3, exclude=ids_of(aimed))
    assert aim_on(suite).rest(30, frozenset(), ids_of(aimed)) == plain

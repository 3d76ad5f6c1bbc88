"""What a line was trained and judged on is kept with it, record by record."""

from pathlib import Path

import pytest

from engine.registry.registry import Registry
from engine.registry.spent import keep_spent, spent_by
from engine.registry.store import RegistryError

LINE = "mine/tiny"


def test_every_part_is_kept_and_nothing_is_lost(tmp_path: Path) -> None:
    assert spent_by(tmp_path, LINE) == {}
    keep_spent(tmp_path, LINE, run_id="a", part="train", problems=["p1", "p2"])
    keep_spent(tmp_path, LINE, run_id="a", part="gate", problems=["p3"], once=True)
    keep_spent(tmp_path, LINE, run_id="b", part="train", problems=["p2", "p4"])
    assert spent_by(tmp_path, LINE) == {"train": {"p1", "p2", "p4"}, "gate": {"p3"}}
    assert spent_by(tmp_path, "mine/other") == {}


def test_a_run_does_not_count_what_it_used_itself(tmp_path: Path) -> None:
    """So that it draws the same after an interruption."""
    keep_spent(tmp_path, LINE, run_id="a", part="gate", problems=["p1"], once=True)
    keep_spent(tmp_path, LINE, run_id="a", part="gate", problems=["p1"], once=True)
    assert spent_by(tmp_path, LINE, apart_from="a") == {"gate": frozenset()}
    assert spent_by(tmp_path, LINE, apart_from="b") == {"gate": {"p1"}}


def test_two_runs_cannot_judge_on_one_record(tmp_path: Path) -> None:
    keep_spent(tmp_path, LINE, run_id="a", part="gate", problems=["p1"], once=True)
    with pytest.raises(RegistryError) as error:
        keep_spent(tmp_path, LINE, run_id="b", part="gate", problems=["p2", "p1"], once=True)
    assert str(error.value) == (
        "line mine/tiny: run a has used records of the gate part that this run draws: two campaigns of a "
        "line cannot judge on the same records"
    )
    assert spent_by(tmp_path, LINE) == {"gate": {"p1"}}
    keep_spent(tmp_path, LINE, run_id="b", part="gate", problems=["p2", "p1"])
    assert spent_by(tmp_path, LINE) == {"gate": {"p1", "p2"}}


def test_a_line_is_not_used_by_that(tmp_path: Path) -> None:
    keep_spent(tmp_path, LINE, run_id="a", part="train", problems=["p1"])
    registry = Registry(tmp_path)
    assert registry.lines() == () and registry.line(LINE).epoch == 0


def test_a_damaged_file_and_a_malformed_line_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="a line is named like"):
        spent_by(tmp_path, "../x")
    keep_spent(tmp_path, LINE, run_id="a", part="train", problems=["p1"])
    (tmp_path / "registry" / "lines" / LINE / "spent.json").write_text("[]")
    with pytest.raises(
        RegistryError, match=r"the used records of a line are damaged: .*spent.json: top level"
    ):
        spent_by(tmp_path, LINE)

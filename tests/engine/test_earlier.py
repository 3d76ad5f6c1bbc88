"""Runs of the version before: a finished one and an unfinished one are refused in different words."""

import json
from pathlib import Path

from configs.load import load
from engine.earlier import begun_by_earlier, config_of
from engine.records import End, RoundRecord, from_json, to_json
from tests.support.registry import decision


def test_only_an_unfinished_run_is_to_be_finished_with_its_own_version(tmp_path: Path) -> None:
    run = tmp_path / "old"
    run.mkdir()
    config = run / "config.yaml"
    config.write_text("name: old\nline: a/b\nloop: oak_dpo\npropose: {samples: 8}\n")
    unfinished = begun_by_earlier(run)
    assert unfinished and "finish it with that version (git checkout 558b134" in unfinished
    (run / "summary.json").write_text("{}")
    assert begun_by_earlier(run) == (
        "run old was begun and finished by an earlier version of Ratchet: nothing of it is left to do, that "
        "version wrote its report.html, and its line and models in the registry are read by this one"
    )
    config.write_text("name: new\nline: a/b\nloop: {name: oak_dpo}\n")
    assert begun_by_earlier(run) is None


def test_a_run_that_was_begun_before_models_were_carried_carries_none(tmp_path: Path) -> None:
    config = "name: a\nline: a/b\nstop: {rounds: 4}\ngate: {planned_tests: 2}\n"
    (tmp_path / "config.yaml").write_text(config)
    before = config_of(tmp_path)
    assert before.carry is None and before.num_tests == 2
    assert "carry" in before.gate.model_fields_set, "a resolved config says so"
    (tmp_path / "config.yaml").write_text(config.replace("planned_tests: 2", "carry: {problems: 50}"))
    carries = config_of(tmp_path).carry
    assert carries is not None and carries.problems == 50
    assert load(tmp_path / "config.yaml", ["stop.rounds=1"]).carry is None


def test_a_record_of_a_round_before_models_were_carried_is_read() -> None:
    record = RoundRecord(
        round=1,
        champion_before="m0",
        champion_after="m1",
        challenger=None,
        failure=None,
        weaknesses=(),
        funnel=None,
        measured=(),
        decision=decision(True),
        samples=(),
        seconds={},
    )
    since = {"carries", "working_before", "working_after", "due"}
    tree = {key: value for key, value in json.loads(to_json(record)).items() if key not in since}
    read = from_json(RoundRecord, json.dumps(tree))
    assert read == record and read.parent == "m0"
    assert (read.end, read.proven, read.num_moves) == (End.PROVEN, True, 1)

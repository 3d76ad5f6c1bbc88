"""Campaigns on a file of records: only proofs use records up, and a line never judges on one twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from configs.schema import Config
from engine.preflight.blocks import require_records
from engine.preflight.power import PowerError
from engine.registry.spent import spent_by
from engine.tasks import suite_of
from engine.tasks.fixed import Fixed
from engine.tasks.lines import PARTS
from engine.tasks.suite import DataError
from loops.spent import suite_in_sweep
from tests.support.records_files import sums, write_rows
from tests.support.scripted import Script
from tests.support.scripted_campaign import ends
from tests.support.scripted_records import LINE, asked_in, config_on, empty_model, play

pytestmark = pytest.mark.slow

SCRIPTS = {
    "m0": Script(skill=0.2),
    "c1": Script(skill=0.6, nll=99.0),
    "c2": Script(skill=0.9, nll=98.0),
    "c3": Script(skill=0.9, nll=97.0),
    "c4": Script(skill=1.0, nll=96.0),
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return empty_model(tmp_path / "base")


def config_for(tmp_path: Path, base: Path, num: int = 300, rounds: int = 4, **task: Any) -> Config:
    file = write_rows(tmp_path / "my.jsonl", sums(num))
    return config_on(base, file, rounds, task, entropy=5)


def parts_of(config: Config) -> dict[str, set[str]]:
    suite = suite_of(config)
    assert isinstance(suite, Fixed)
    return {part: {record.problem.id for record in suite.records(part)} for part in PARTS}


def test_only_proofs_use_records_up(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, home = config_for(tmp_path, base), tmp_path / "home"
    records = play(home, config, SCRIPTS, monkeypatch)
    assert ends(records) == ["carried", "proven trial", "dropped", "carried trial"]
    parts, spent = parts_of(config), spent_by(home, LINE)
    carried = {*asked_in(home, "r", "carry-look"), *asked_in(home, "r", "carry-pass-at-k")}
    assert carried and carried <= parts["probe"]
    trials = [{*asked_in(home, "r", f"{stage}")} for stage in ("look-*", "pass-at-k")]
    judged = set().union(*trials)
    assert judged <= parts["gate"]
    assert spent["gate"] == judged and spent["probe"] == carried
    assert spent["train"] <= parts["train"] and "sealed" not in spent
    # Each problem of a trial was judged on in one round only.
    rounds = [set(asked_in_round(home, number)) for number in (2, 4)]
    assert all(rounds) and not rounds[0] & rounds[1]


def asked_in_round(home: Path, number: int) -> list[str]:
    folder = home / "runs" / "r" / "rounds" / f"{number:03d}"
    files = [*folder.glob("look-*.jsonl"), *folder.glob("pass-at-k.jsonl")]
    return [json.loads(line)["problem"]["id"] for file in files for line in file.read_text().splitlines()]


def test_a_later_campaign_of_the_line_judges_on_none_of_it(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, home = config_for(tmp_path, base, rounds=2), tmp_path / "home"
    config = config.model_copy(update={"gate": config.gate.model_copy(update={"planned_tests": 4})})
    play(home, config, SCRIPTS | {"c2": Script(skill=0.5, nll=98.0)}, monkeypatch)
    before = spent_by(home, LINE)["gate"]
    assert before
    again = {"c7": Script(skill=0.9, nll=90.0), "c8": Script(skill=1.0, nll=89.0)}
    again |= {"m0": SCRIPTS["m0"], "c1": SCRIPTS["c1"], "c2": Script(skill=0.5, nll=98.0)}
    play(home, config, again, monkeypatch, run_id="r2", first=7)
    later = {*asked_in(home, "r2", "look-*"), *asked_in(home, "r2", "pass-at-k")}
    assert later and not later & before
    assert spent_by(home, LINE)["gate"] == before | later
    # Records that carried a challenger may do so again.
    assert {*asked_in(home, "r2", "carry-look")} & spent_by(home, LINE, apart_from="r2")["probe"]


@pytest.mark.parametrize("calls", [1, 3, 6, 8])
def test_an_interrupted_campaign_goes_on_with_the_same_records(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    config = config_for(tmp_path, base, rounds=2)
    whole = play(tmp_path / "whole", config, SCRIPTS, monkeypatch)
    home = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        play(home, config, SCRIPTS, monkeypatch, interrupted=calls)
    resumed = play(home, config, SCRIPTS, monkeypatch)
    assert [record.decision for record in resumed] == [record.decision for record in whole]
    assert spent_by(home, LINE) == spent_by(tmp_path / "whole", LINE)


def test_a_config_that_would_run_out_is_refused_before_it_runs(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, home = config_for(tmp_path, base, num=200), tmp_path / "home"
    suite = suite_of(config)
    require_records(config, suite, home)
    play(home, config, SCRIPTS, monkeypatch)
    with pytest.raises(DataError) as error:
        require_records(config, suite, home, "r2")
    assert "of 200 the gate part has " in str(error.value)
    assert f"line {LINE} has used " in str(error.value)
    assert "52 are needed (2 tests of gate.looks 2 x look_size 10 + pass_at_k.num_problems 6)" in str(
        error.value
    )
    assert "with task.per_test=true tests share records" in str(error.value)
    # The run itself, resumed, is not refused for what it used.
    require_records(config, suite, home, "r")
    sharing = config_for(tmp_path, base, num=200, per_test=True)
    require_records(sharing, suite_of(sharing), home, "r2")


def test_a_decision_on_shared_records_says_so(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_for(tmp_path, base, rounds=2, per_test=True)
    records = play(tmp_path / "home", config, SCRIPTS, monkeypatch)
    trial = records[1].trial
    assert trial is not None and trial.level
    (check,) = [check for check in trial.checks if check.name == "fresh problems"]
    assert check.passed and check.observed.endswith("per-test level only")
    assert all(check.name != "fresh problems" for check in records[0].decision.checks)


def test_records_that_change_under_a_run_end_it(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, home = config_for(tmp_path, base, rounds=2), tmp_path / "home"
    with pytest.raises(KeyboardInterrupt):
        play(home, config, SCRIPTS, monkeypatch, interrupted=2)
    write_rows(tmp_path / "my.jsonl", [*sums(299), {"prompt": "What is 1 + 0?", "answer": 1}])
    with pytest.raises(DataError, match="the records have changed since run r began, so it cannot go on"):
        play(home, config, SCRIPTS, monkeypatch)
    with pytest.raises(DataError, match="the records have changed"):
        suite_in_sweep(config, home, "r")
    write_rows(tmp_path / "my.jsonl", sums(300)[::-1])
    play(home, config, SCRIPTS, monkeypatch)


def test_trials_of_a_sweep_keep_what_they_use_with_the_line(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, home = config_for(tmp_path, base, rounds=2), tmp_path / "home"
    play(home, config, SCRIPTS, monkeypatch)
    before = spent_by(home, LINE)["probe"]
    trial = suite_in_sweep(config, home, "r")
    selection = {problem.id for problem in trial.draw(30, split="selection", seed=1)}
    assert selection <= parts_of(config)["probe"]
    assert spent_by(home, LINE)["probe"] == before | selection


def test_sentinels_are_asked_in_every_round_never_learnt_and_kept_with_the_line(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row | ({"split": "sentinel"} if i < 60 else {}) for i, row in enumerate(sums(360))]
    file, home = write_rows(tmp_path / "my.jsonl", rows), tmp_path / "home"
    config = config_on(base, file, 2, {}, sentinels={"margin": 0.15})
    with pytest.raises(PowerError, match="too small for the sentinel suite kept-records"):
        play(home, config_on(base, file, 2, {}), SCRIPTS, monkeypatch, run_id="weak")
    suite = suite_of(config)
    assert isinstance(suite, Fixed)
    kept = {problem.id for problem in suite.sentinels}
    records = play(home, config, SCRIPTS, monkeypatch)
    for record in records:
        (check,) = [each for each in record.decision.checks if each.name == "kept-records"]
        assert check.ran and check.passed
    asked = {file.stem for file in (home / "runs" / "r" / "sentinels" / "kept-records").glob("*.json")}
    assert {"m0", "c1", "c2"} < asked and len(asked) == 4  # and the base, once a run each
    spent = spent_by(home, LINE)
    assert spent["sentinel"] == kept
    assert not kept & set().union(*(spent.get(part, frozenset()) for part in PARTS))
    # In a later file they are no records of a test that moves the champion.
    later = suite_of(config_on(base, write_rows(tmp_path / "later.jsonl", sums(360)), 2, {}))
    assert isinstance(later, Fixed)
    left = later.without(spent)
    assert not kept & {record.problem.id for part in ("gate", "sealed") for record in left.records(part)}

"""Sweeps through the real Ray Tune, Train and vLLM on a tiny model; killed half-way, and judged once."""

import json
from pathlib import Path

import pytest

from engine.records import RoundRecord, from_json
from tests.support.golden import assert_as_golden
from tests.support.kept import Here
from tests.support.runs import journal, kill_when, ratchet
from tune.outcome import TrialRecord

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CONFIG = "tests/support/tiny_sweep.yaml"


def trials_of(run: Path) -> list[TrialRecord]:
    return [from_json(TrialRecord, line) for line in (run / "trials.jsonl").read_text().splitlines()]


def test_a_sweep_killed_half_way_tries_the_same_and_judges_the_winner_once(
    tiny_model: Path, tmp_path: Path, here: Here
) -> None:
    run = tmp_path / "runs" / "s"
    settings = (f"set.base={tiny_model}", "run_id=s")
    process = ratchet(tmp_path, "sweep", CONFIG, *settings)
    kill_when(process, lambda: (run / "trials/001/rungs/0/select.json").exists())
    tried = (run / "tried.jsonl").read_text()
    made = {file: file.read_bytes() for file in run.glob("trials/*/rungs/*/*.json")}
    out = here(tmp_path, "sweep", "--resume", "s", "--json")
    summary = json.loads(out.strip().splitlines()[-1])
    assert (run / "tried.jsonl").read_text().startswith(tried)
    assert {file: file.read_bytes() for file in made} == made, "what was done is not done again"
    trials = trials_of(run)
    assert [trial.number for trial in trials] == [0, 1]
    assert trials[0].values == {} and trials[0].status == "finished"
    assert [json.loads(line)["number"] for line in (run / "tried.jsonl").read_text().splitlines()] == [0, 1]
    assert trials[1].values == {"warm_start.train.learning_rate": 1e-6}, "as it is, it was tried already"
    assert [trial.status for trial in trials] == ["finished", "stopped"], "ASHA leaves the worse"
    assert len(list((run / "material").iterdir())) == 1, "all learn from the same proofs"
    for trial in trials:
        assert len(journal(run / "trials" / f"{trial.number:03d}")) == 2 * len(trial.rungs)
        assert {rung.suite for rung in trial.rungs} == {trials[0].rungs[0].suite}
    records = [from_json(RoundRecord, f.read_bytes()) for f in sorted(run.glob("rounds/*/round.json"))]
    assert records[0].decision.accepted and records[0].challenger == trials[0].challenger
    assert len(records) <= 2 and summary["champion"] == records[-1].champion_after
    assert not list(run.glob("trials/*/rungs/*/training")), "weights of trials are not left behind"
    assert_as_golden(run, "sweep")

"""A campaign on real parts, killed before, inside and after every one of its stages, one after the other."""

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import CONFIG, essence, finish, journal, problem_ids, ratchet, rounds

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3 * 3600)]


@pytest.mark.parametrize("config", [CONFIG, "tests/support/tiny_sleep.yaml"])
def test_killed_at_every_point(tiny_model: Path, tmp_path: Path, config: str) -> None:
    start = ("run", config, f"base={tiny_model}", "run_id=r")
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    finish(ratchet(undisturbed, *start))
    expected, run = undisturbed / "runs" / "r", disturbed / "runs" / "r"
    stages = journal(expected)
    for number, stage in enumerate(stages):
        for when in ("before", "inside", "after"):
            finish(ratchet(disturbed, *start, RATCHET_FAULT=f"{stage}:{when}"), -signal.SIGKILL)
            done = journal(run) if (run / "journal.jsonl").exists() else []
            assert done == stages[: number + (when == "after")], (stage, when)
    finish(ratchet(disturbed, *start))
    print(f"{3 * len(stages)} kills")
    assert journal(run) == stages
    assert [essence(record) for record in rounds(run)] == [essence(record) for record in rounds(expected)]
    for file in sorted(expected.glob("rounds/*/*.jsonl")):
        stage = str(file.relative_to(expected).with_suffix(""))
        if stage.endswith(("probe", "sample")):
            assert problem_ids(run, stage) == problem_ids(expected, stage)
    steps = [(entry["round"], entry["step"]) for entry in _rows(run / "metrics.jsonl")]
    assert steps == [(entry["round"], entry["step"]) for entry in _rows(expected / "metrics.jsonl")]
    assert max(Counter(steps).values()) == 1
    assert _registry(disturbed) == _registry(undisturbed)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _registry(home: Path) -> Any:
    """Lines with their ledgers and decisions, and the models stored."""
    return json.loads(finish(ratchet(home, "models", "--json")))

"""Runs of the tiny campaign: started, killed and read."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.disk.steps import Run
from engine.records import RoundRecord, Summary, from_json

CONFIG = "tests/support/tiny.yaml"


def ratchet(home: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ratchet", *arguments],
        cwd=ROOT,
        env=os.environ | {"RATCHET_HOME": str(home)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    out, err = process.communicate(timeout=600)
    assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err[-4000:]}"
    return out


def kill_when(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 400
    while not ready():
        assert process.poll() is None, process.communicate()[1][-4000:]
        assert time.monotonic() < deadline, "the moment to kill never came"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def journal(run: Path) -> list[str]:
    return [json.loads(line)["stage"] for line in (run / "journal.jsonl").read_text().splitlines()]


def rounds(run: Path) -> list[RoundRecord]:
    return [from_json(RoundRecord, file.read_bytes()) for file in sorted(run.glob("rounds/*/round.json"))]


def essence(record: RoundRecord) -> tuple[Any, ...]:
    """What a kill must not change; times may differ."""
    decision = record.decision
    checks = [(check.name, check.observed, check.passed) for check in decision.checks]
    return record.round, decision.accepted, decision.looks, checks, record.funnel, record.champion_after


def problem_ids(run: Path, stage: str) -> list[tuple[str, int]]:
    rows = [json.loads(line) for line in (run / f"{stage}.jsonl").read_text().splitlines()]
    return [(row["attempt"]["problem_id"], row["attempt"]["sample"]) for row in rows]


def ended(run_id: str = "one", *, accepted: int = 1) -> Summary:
    """How a campaign of one round came out."""
    return Summary(
        run_id=run_id,
        line="a/b",
        champion="abc",
        rounds=1,
        accepted=accepted,
        refused=1 - accepted,
        stop_reason="The one round is done.",
        seconds=1.0,
        ledgers_opened=1,
        headline="strict",
        base=None,
        baseline=0.25,
        best=0.5,
        report=f"runs/{run_id}/report.html",
    )


def reopened(run: Run) -> Run:
    """The run as a later process finds it; the lock is given back as at a process's end."""
    path = run.path
    run._lock.close()
    return Run(path)


ROOT = Path(__file__).parents[2]

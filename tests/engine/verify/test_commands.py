"""`ratchet verify` where nobody gives or reads: the exit code still says what was found.

Each starts the command and a checker, which takes seconds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.verify.commands import app
from tests.support.proof_files import RECORD, write

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def closed(path: Path, redirection: str) -> subprocess.CompletedProcess[str]:
    command = f'exec "{sys.executable}" -m ratchet verify --verifier rules "{path}" {redirection}'
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.mark.parametrize("redirection", ["<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_closed_stream_keeps_no_checker_from_starting(tmp_path: Path, redirection: str) -> None:
    bad = {**RECORD, "proof": "Answer: True"}
    done = closed(write(tmp_path / "proofs.jsonl", RECORD, bad), redirection)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ([] if ">&-" in redirection else ["PASS", "FAIL"])
    if redirection == "<&- >&-":
        assert closed(write(tmp_path / "proofs.jsonl", RECORD), redirection).returncode == 0


def test_its_help_names_every_checker_of_proofs() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    assert all(f"`{name}`" in shown for name in ("rules", "z3", "rules + z3", "unlabelled"))


def test_it_ends_with_its_reader() -> None:
    """As before `head`: the records here never end, and nobody wants more verdicts."""
    command = (
        f"yes '{json.dumps(RECORD)}' | \"{sys.executable}\" -m ratchet verify --verifier rules /dev/stdin"
        " | head -n 3; echo ${PIPESTATUS[1]}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=120)
    *rows, code = done.stdout.splitlines()
    assert [json.loads(row)["status"] for row in rows] == ["PASS"] * 3
    assert code == "0" and done.stderr == ""


def test_a_file_may_be_larger_than_memory(tmp_path: Path) -> None:
    """2 GiB, nearly all of them one line, where the command may have half as much; takes some seconds."""
    path, record = tmp_path / "proofs.jsonl", json.dumps(RECORD).encode() + b"\n"
    with open(path, "wb") as file:
        file.write(record)
        file.seek(2**31, os.SEEK_CUR)
        file.write(b"\n" + record)
    command = f'ulimit -v {2**20}; exec "{sys.executable}" -m ratchet verify --verifier rules "{path}"'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=300)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["PASS", "UNDECIDED", "PASS"], done.stderr
    assert rows[1]["reason"] == "line 2: it has more than 16,777,216 bytes" and done.returncode == 1

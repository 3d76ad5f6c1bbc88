"""What an experiment takes: its sessions added up."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tune.meter import SessionMeter, Spent, spent

PLAN: Any = SimpleNamespace(num_cpus=4, num_gpus=1)


def test_sessions_are_added_up_and_a_night_between_costs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "meter.jsonl"
    assert spent(file) == Spent()
    rows = [
        {"session": 1.0, "seconds": 1800.0, "cores": 2, "gpus": 0, "cpu_joules": 40.0, "gpu_joules": None},
        {"session": 1.0, "seconds": 3600.0, "cores": 2, "gpus": 0, "cpu_joules": 90.0, "gpu_joules": None},
        {"session": 9e5, "seconds": 1800.0, "cores": 4, "gpus": 1, "cpu_joules": 10.0, "gpu_joules": 5.0},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"session": 9e5, "seco')
    assert spent(file) == Spent(
        wall_seconds=5400.0, core_hours=4.0, gpu_hours=0.5, cpu_joules=100.0, gpu_joules=None
    )


def test_a_meter_writes_what_its_session_took(tmp_path: Path) -> None:
    file, used = tmp_path / "meter.jsonl", iter([1.0, 2.5])
    file.write_text('{"torn')
    with SessionMeter(file, PLAN, cpu=lambda: next(used)) as meter:
        meter.write()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["cpu_joules"] for row in rows] == [1.0, 2.5] and rows[0]["session"] == rows[1]["session"]
    assert rows[1]["seconds"] >= rows[0]["seconds"] >= 0
    assert (rows[1]["cores"], rows[1]["gpus"], rows[1]["gpu_joules"]) == (4, 1, None)

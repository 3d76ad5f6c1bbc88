"""What an experiment takes: sessions added up, energy where it is reported, and nothing made up where not."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tune.meter import Meter, Spent, nvml, rapl, spent

PLAN: Any = SimpleNamespace(num_cpus=4, num_gpus=1)


def zone(root: Path, name: str, energy: int, kind: str = "package-0") -> Path:
    place = root / name
    place.mkdir(parents=True)
    (place / "name").write_text(kind + "\n")
    (place / "max_energy_range_uj").write_text("999999\n")
    (place / "energy_uj").write_text(f"{energy}\n")
    return place


def test_packages_are_added_up_through_counters_that_run_over(tmp_path: Path) -> None:
    first, second = zone(tmp_path, "intel-rapl:0", 100), zone(tmp_path, "intel-rapl:1", 0, "package-1")
    zone(tmp_path, "intel-rapl:2", 0, "psys")
    zone(tmp_path, "intel-rapl:0:0", 0, "core")
    joules = rapl(tmp_path)
    assert joules and joules() == 0.0
    (first / "energy_uj").write_text("999900")
    (second / "energy_uj").write_text("200")
    assert joules() == pytest.approx(1.0)
    (first / "energy_uj").write_text("900")
    assert joules() == pytest.approx(1.001), "it ran over at 999,999"
    (second / "energy_uj").unlink()
    assert joules() is None


def test_what_is_not_reported_is_not_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rapl(tmp_path) is None
    (zone(tmp_path, "intel-rapl:0", 0) / "energy_uj").write_text("secret")
    assert rapl(tmp_path) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml() is None


class Driver:
    """Stands in for NVML's Python package."""

    class NVMLError(Exception):
        pass

    def __init__(self, *used: int) -> None:
        self.used = list(used)
        self.tells = True

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return len(self.used)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        if not self.tells:
            raise self.NVMLError
        return self.used[handle]


def test_gpus_are_added_up_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(5_000, 7_000)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    joules = nvml()
    driver.used = [6_000, 9_000]
    assert joules and joules() == 3.0
    driver.tells = False
    assert joules() is None and nvml() is None


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
    with Meter(file, PLAN, cpu=lambda: next(used)) as meter:
        meter.write()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["cpu_joules"] for row in rows] == [1.0, 2.5] and rows[0]["session"] == rows[1]["session"]
    assert rows[1]["seconds"] >= rows[0]["seconds"] >= 0
    assert (rows[1]["cores"], rows[1]["gpus"], rows[1]["gpu_joules"]) == (4, 1, None)

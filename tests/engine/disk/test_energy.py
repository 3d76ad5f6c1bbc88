"""Energy where the machine reports it, through counters that run over, and nothing made up where not."""

import sys
from pathlib import Path

import pytest

from engine.disk.energy import nvml, rapl


def zone(root: Path, name: str, energy: int, kind: str = "package-0") -> Path:
    place = root / name
    place.mkdir(parents=True)
    (place / "name").write_text(kind + "\n")
    (place / "max_energy_range_uj").write_text("999999\n")
    (place / "energy_uj").write_text(f"{energy}\n")
    return place


def test_packages_and_memory_are_added_up_through_counters_that_run_over(tmp_path: Path) -> None:
    first, second = zone(tmp_path, "intel-rapl:0", 100), zone(tmp_path, "intel-rapl:1", 0, "package-1")
    memory = zone(tmp_path, "intel-rapl:0:1", 7, "dram")
    others = zone(tmp_path, "intel-rapl:2", 0, "psys"), zone(tmp_path, "intel-rapl:0:0", 0, "core")
    joules = rapl(tmp_path)
    assert joules and joules() == 0.0
    for other in others:
        (other / "energy_uj").write_text("500000")
    (first / "energy_uj").write_text("999900")
    (second / "energy_uj").write_text("200")
    assert joules() == pytest.approx(1.0)
    (first / "energy_uj").write_text("900")
    (memory / "energy_uj").write_text("500007")
    assert joules() == pytest.approx(1.501), "it ran over at 999,999"
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

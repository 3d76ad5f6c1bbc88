"""What an experiment takes while it runs: time, and energy where the machine reports it.

A processor reports the energy of its packages through RAPL (`/sys/class/powercap`), which many systems let
only root read; NVIDIA's driver reports that of its GPUs through NVML. Both count what the whole machine uses,
and only on the machine of the driver. A line is written from time to time, so that a kill loses half a
minute.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine.disk.journal import append_line, drop_torn_line
from engine.plan.plan import Plan
from engine.report.data import rows_of

METER = "meter.jsonl"
POWERCAP = Path("/sys/class/powercap")
_EVERY = 30.0
"""Seconds between two lines."""
Joules = Callable[[], float | None]
"""The energy used since the function was made, in joules; None where a counter can no longer be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What all sessions of a run have taken; None where it is not reported."""

    wall_seconds: float = 0.0
    core_hours: float = 0.0
    """Cores that the plan reserves, whether busy or not, times the time."""
    gpu_hours: float = 0.0
    cpu_joules: float | None = None
    gpu_joules: float | None = None


class Meter:
    """Writes what a session takes to a file, until the context ends."""

    def __init__(self, file: Path, plan: Plan, cpu: Joules | None = None, gpu: Joules | None = None) -> None:
        """`cpu` and `gpu` read energy, where anything does."""
        self._file, self._plan, self._cpu, self._gpu = file, plan, cpu, gpu
        self._began, self._since = time.time(), time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        drop_torn_line(file)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.write()

    def write(self) -> None:
        """Add a line with what the session has taken so far."""
        append_line(
            self._file,
            {
                "session": round(self._began, 3),
                "seconds": round(time.monotonic() - self._since, 3),
                "cores": self._plan.num_cpus,
                "gpus": self._plan.num_gpus,
                "cpu_joules": self._cpu() if self._cpu else None,
                "gpu_joules": self._gpu() if self._gpu else None,
            },
        )

    def _follow(self) -> None:
        while not self._over.wait(_EVERY):
            self.write()


def spent(file: Path) -> Spent:
    """Sum up the sessions of a meter's file; energy is None if any of them lacks it."""
    last = {row["session"]: row for row in rows_of(file)}

    def total(key: str) -> float | None:
        values = [row[key] for row in last.values()]
        return None if not values or None in values else sum(values)

    rows = last.values()
    return Spent(
        wall_seconds=sum(row["seconds"] for row in rows),
        core_hours=sum(row["seconds"] * row["cores"] for row in rows) / 3600,
        gpu_hours=sum(row["seconds"] * row["gpus"] for row in rows) / 3600,
        cpu_joules=total("cpu_joules"),
        gpu_joules=total("gpu_joules"),
    )


def rapl(root: Path = POWERCAP) -> Joules | None:
    """Read the energy of all processor packages; None where this process cannot.

    Other zones are parts of a package, or hold all of them once more. Counters run over within minutes to
    hours, so they must be read more often.
    """
    try:
        zones = [
            (zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
            for zone in sorted(root.glob("intel-rapl:*"))
            if (zone / "name").read_text().startswith("package")
        ]
        last = [int(counter.read_text()) for counter, _ in zones]
    except (OSError, ValueError):
        return None
    if not zones:
        return None
    used = 0

    def joules() -> float | None:
        nonlocal used
        for place, (counter, most) in enumerate(zones):
            try:
                now = int(counter.read_text())
            except (OSError, ValueError):
                return None
            # A counter that has run over goes on from 0.
            used += (now - last[place]) % (most + 1)
            last[place] = now
        return used / 1e6

    return joules


def nvml() -> Joules | None:
    """Read the energy of all GPUs; None where NVML or its Python package is missing, or they do not tell."""
    try:
        nvml: Any = import_module("pynvml")
    except ImportError:
        return None

    def millijoules() -> int | None:
        try:
            return sum(
                nvml.nvmlDeviceGetTotalEnergyConsumption(nvml.nvmlDeviceGetHandleByIndex(number))
                for number in range(nvml.nvmlDeviceGetCount())
            )
        except nvml.NVMLError:
            return None

    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    if (first := millijoules()) is None:
        return None

    def joules() -> float | None:
        now = millijoules()
        return None if now is None else (now - first) / 1e3

    return joules

"""What an experiment takes while it runs: time, and energy where the machine reports it (`disk/energy.py`).

A line is written from time to time, so that a kill loses half a minute.
"""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.disk.energy import OFTEN, Joules
from engine.disk.journal import append_line, drop_torn_line
from engine.plan.plan import Plan
from engine.report.data import rows_of

METER = "meter.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What all sessions of a run have taken; None where it is not reported."""

    wall_seconds: float = 0.0
    core_hours: float = 0.0
    """Cores that the plan reserves, whether busy or not, times the time."""
    gpu_hours: float = 0.0
    cpu_joules: float | None = None
    gpu_joules: float | None = None


class SessionMeter:
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
        while not self._over.wait(OFTEN):
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

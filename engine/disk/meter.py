"""What a stage of a run takes: time, energy where the machine reports it, memory of the driver's process."""

import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from engine.disk.energy import OFTEN, Joules, nvml, rapl

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""What Linux sets the highest resident size back to the present one for."""


class Meter:
    """Counts up from the moment at which it is made."""

    def __init__(self, cpu: Joules | None, gpu: Joules | None, often: float = OFTEN) -> None:
        """`cpu` and `gpu` read energy, where anything does."""
        self._energy = {"cpu_joules": cpu, "gpu_joules": gpu}
        self._often = often
        self._reading = threading.Lock()
        if cpu or gpu:
            # A stage may last longer than a counter takes to run over.
            threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while True:
            time.sleep(self._often)
            self._now()

    def _now(self) -> dict[str, float]:
        with self._reading:
            energy = {key: joules() for key, joules in self._energy.items() if joules}
        return {"seconds": time.monotonic()} | {key: it for key, it in energy.items() if it is not None}

    def reading(self, done: Collection[Mapping[str, Any]]) -> dict[str, float]:
        """What has been taken so far, less what the journal's entries `done` say already.

        So of a stage made inside of another nothing counts twice: `since` compares two such readings.
        """
        return {key: it - sum(entry.get(key, 0.0) for entry in done) for key, it in self._now().items()}

    def since(self, before: Mapping[str, float], done: Collection[Mapping[str, Any]]) -> dict[str, float]:
        """What a stage has taken that began at the reading `before`: ``seconds``, ``cpu_joules`` and
        ``gpu_joules`` where these are reported, and ``peak_mib`` of this process since the last call."""
        now = self.reading(done)
        taken = {key: round(now[key] - it, 3) for key, it in before.items() if key in now}
        peak = _peak_mib()
        return taken if peak is None else taken | {"peak_mib": peak}


@cache
def meter() -> Meter:
    """The meter of this process."""
    return Meter(rapl(), nvml())


def _peak_mib() -> int | None:
    """The most memory that this process has held since the last call; None where the system does not say.

    Where it cannot be set back, it is that of the whole process.
    """
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    with suppress(OSError):
        CLEAR_REFS.write_text(_RESET_PEAK)
    return None if peak is None else int(peak) >> 10

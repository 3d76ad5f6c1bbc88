"""Energy as the machine reports it: nothing is estimated.

A processor reports the energy of its packages through RAPL (`/sys/class/powercap`), which many systems let
only root read; NVIDIA's driver reports that of its GPUs through NVML. Both count what the whole machine uses,
whoever uses it, and only on the machine of the driver.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
OFTEN = 30.0
"""Seconds after which a counter must have been read again: it may run over within minutes."""
Joules = Callable[[], float | None]
"""The energy used since the function was made, in joules; None where a counter can no longer be read."""


def rapl(root: Path = POWERCAP) -> Joules | None:
    """Read the energy of all processor packages, and of memory where it is counted; None if not possible.

    Other zones are parts of a package, or hold all of them once more. Counters run over within minutes to
    hours, so they must be read more often.
    """
    try:
        zones = [
            (zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
            for zone in sorted(root.glob("intel-rapl:*"))
            if (zone / "name").read_text().startswith(("package", "dram"))
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

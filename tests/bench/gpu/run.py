"""Whether a check is run, and how: alone, with a time limit, and gone when it has ended."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from engine.disk.jsonl import objects
from engine.plan.footprint import GIB
from tests.bench.gpu.checks import Check
from tests.bench.gpu.guard import OVER
from tests.bench.gpu.machine import Gpu, environment, installed
from tests.bench.gpu.record import Figure, Outcome, Record
from tests.bench.gpu.work import said_in

ROOT = Path(__file__).parents[3]
_BF16 = 8.0
"""Least compute capability of a GPU that multiplies in bf16, in which all checks sample and train."""
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What checks find here."""

    gpu: Gpu | None
    no_gpu: str = ""
    """Why there is none."""
    model: Path
    no_model: str = ""
    """Why the small model cannot be used; empty where it can."""
    place: Path
    """Where checks leave their logs, and those that fail their files."""


def reason_to_skip(check: Check, setting: Setting, seconds: float) -> str:
    """Why a check cannot run here in the `seconds` that are left; empty where it can."""
    if setting.gpu is None:
        return setting.no_gpu
    if missing := [package for package in check.packages if installed(package) is None]:
        packages = ", ".join(missing)
        return f"not installed: {packages}"
    if setting.no_model:
        return setting.no_model
    gpu = setting.gpu
    if float(gpu.capability) < _BF16:
        return f"bf16 needs compute capability {_BF16:g}, and {gpu.name} has {gpu.capability}"
    free = (gpu.memory - gpu.used) / GIB
    if free < check.gib:
        return f"needs {check.gib:g} GiB of GPU memory, and {free:.1f} are free"
    if seconds < check.least:
        left = f"{max(seconds, 0):.0f} s are left, and it needs {check.least}"
        return f"{left}: `--only {check.name}` runs it alone"
    return ""


def run_check(check: Check, setting: Setting, seconds: float) -> Record:
    """Run a check for `seconds` at most, in a process of which nothing is left afterwards.

    Its log stays in any case, its files where it failed.
    """
    place, log = setting.place / check.name, setting.place / f"{check.name}.log"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.bench.gpu.guard", str(seconds)]
    command += [sys.executable, "-m", "tests.bench.gpu.alone", check.where, str(place), str(setting.model)]
    variables = os.environ | _OFFLINE | {"RATCHET_HOME": str(place / "home")}
    if setting.gpu:
        variables |= environment(setting.gpu)
    began = time.monotonic()
    with log.open("wb") as out:
        guard = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            code = guard.wait()
        finally:
            # It ends what it runs before it ends itself.
            guard.terminate()
            guard.wait()
    took = time.monotonic() - began
    said = objects(said_in(place), growing=True)
    outcome, why = _ended(said, code, seconds, log)
    failed = outcome is Outcome.FAILED
    if not failed:
        shutil.rmtree(place, ignore_errors=True)
    return Record(
        check=check.name,
        shows=check.shows,
        outcome=outcome,
        why=why,
        seconds=round(took, 1),
        figures=tuple(Figure(**line["figure"]) for line in said if "figure" in line),
        left=f"{log}, {place}" if failed else "",
    )


def _ended(said: list[dict[str, object]], code: int, seconds: float, log: Path) -> tuple[Outcome, str]:
    """How a check ended, in its own words where it came to say them."""
    last = said[-1] if said else {}
    if "outcome" in last:
        return Outcome(str(last["outcome"])), str(last["why"])
    if code == OVER:
        return Outcome.FAILED, f"it had not ended after {seconds:.0f} s, and was stopped"
    number = abs(code) if code < 0 else code - 128
    how = signal.Signals(number).name if number in signal.valid_signals() else f"code {code}"
    lines = log.read_text(errors="replace").strip().splitlines() or ["its log is empty"]
    return Outcome.FAILED, f"its process ended with {how}: {lines[-1][:300]}"

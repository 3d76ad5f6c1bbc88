"""Checks that end in every way, for the tests of `make gpu`; none needs a GPU."""

import importlib
import os
import signal
import subprocess
import time
from typing import Any

from engine.plan.footprint import GIB
from tests.bench.gpu.checks import Check
from tests.bench.gpu.machine import Gpu
from tests.bench.gpu.work import Failed, Skipped, Work

GPU = Gpu(id="0", name="NVIDIA H100 80GB HBM3", memory=80 * GIB, used=0, driver="570.1", capability="9.0")


def check(name: str, **keys: Any) -> Check:
    """A check whose function is the one of this name below."""
    whole: dict[str, Any] = {
        "name": name,
        "shows": "a test",
        "where": f"{__name__}:{name}",
        "most": 60,
        "least": 1,
    }
    return Check(**(whole | keys))


def finds(work: Work) -> None:
    work.found("speed", 1234.5, "tokens/s")
    work.found("ratio", 0.971)


def crashes(work: Work) -> None:
    work.found("before", 1)
    print("the last line", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def raises(_: Work) -> None:
    raise ValueError("a log\nand what | it came to\x1b[31m")


def is_wrong(_: Work) -> None:
    raise Failed("the figures differ")


def is_unsuited(_: Work) -> None:
    raise Skipped("the model is of another kind")


def lacks_a_package(_: Work) -> None:
    importlib.import_module("no_such_package.part")


def lacks_a_part(_: Work) -> None:
    importlib.import_module("json.no_such_part")


def hangs(work: Work) -> None:
    leaves_orphans(work)
    work.found("begun", 1)
    time.sleep(600)


def leaves_orphans(work: Work) -> None:
    """A process in a session of its own whose parent has ended, as Ray and vLLM leave them."""
    command = f"setsid sleep 600 >/dev/null 2>&1 & echo $! > {work.place.parent}/orphan"
    subprocess.run(["sh", "-c", command], check=True)

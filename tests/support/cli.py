"""Runs the command line as a user does."""

import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from tests.support import zygote

ROOT = Path(__file__).parents[2]
QUICKSTART = "configs/quickstart.yaml"
SECONDS = 120
"""What a call may take."""


def cli(home: Path | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `ratchet` in the repository, with `home` as RATCHET_HOME and little else of this environment."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        code = zygote.call(
            forking(),
            arguments,
            directory=str(ROOT),
            environment=_environment(home, environment),
            out=out.fileno(),
            err=err.fileno(),
            seconds=SECONDS,
        )
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(["ratchet", *arguments], code, out.read(), err.read())


def cli_anew(home: Path | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same in an interpreter of its own, which imports all that it needs."""
    return subprocess.run(
        [sys.executable, "-m", "ratchet", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=_environment(home, environment),
        timeout=SECONDS,
    )


def forking() -> str:
    """The socket of a process that forks itself for calls, for as long as this one lives."""
    return _forking()[0]


@cache
def _forking() -> tuple[str, subprocess.Popen[bytes]]:
    path = f"{tempfile.mkdtemp(prefix='cli-', dir='/tmp')}/socket"  # sockets have short names
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.zygote", path],
        cwd=ROOT,
        env=_environment(None, {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )

    deadline = time.monotonic() + SECONDS
    while not os.path.exists(path):
        assert process.poll() is None and time.monotonic() < deadline, "the command line cannot be imported"
        time.sleep(0.01)
    return path, process


def _environment(home: Path | None, more: dict[str, str]) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return inherited | ({"RATCHET_HOME": str(home)} if home else {}) | more

"""The process that a user starts takes the signals for a server, which is in a session of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.cli import ROOT

pytestmark = pytest.mark.slow

SERVER = """
import pathlib, subprocess, sys, time
from engine.disk.interruption import interruptible
from serve.front import in_own_session

print("front", flush=True)
in_own_session()
at = pathlib.Path(sys.argv[1])
part = subprocess.Popen(["sleep", "600"])
try:
    with interruptible():
        try:
            (at / "ready").write_text(f"{part.pid}")
            time.sleep(600)
        finally:
            (at / "told").write_text("")
            while not (at / "may_end").exists():
                time.sleep(0.02)
            (at / "part").write_text(str(part.poll()))
            part.kill()
            (at / "ended").write_text("")
except KeyboardInterrupt:
    sys.exit(7)
"""
"""Starts a part, as a server starts Ray, and lets it work on after a signal until it `may_end`."""


@contextmanager
def started(at: Path, *before: str) -> Iterator[subprocess.Popen[str]]:
    """The front process of such a server, in a process group of its own, when the server is ready."""
    process = subprocess.Popen(
        [*before, sys.executable, "-c", SERVER, str(at)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        await_file(at / "ready")
        yield process
    finally:
        (at / "may_end").write_text("")
        process.wait(20)
        assert process.stdout
        process.stdout.close()


def await_file(path: Path, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_group_reaches_no_part_of_the_server(
    tmp_path: Path, number: signal.Signals, default_sigint: None
) -> None:
    with started(tmp_path) as process:
        os.killpg(process.pid, number)
        await_file(tmp_path / "told")
        os.killpg(process.pid, number)  # at once again: it is the same
        time.sleep(0.2)
        assert process.poll() is None and not (tmp_path / "ended").exists()
        (tmp_path / "may_end").write_text("")
        assert process.wait(20) == 7, "the exit code is the server's"
        assert (tmp_path / "part").read_text() == "None", "the part still ran when the server let it go"
        assert process.stdout and process.stdout.read() == "front\n", "nothing is written twice"


def test_timeout_ends_a_server_as_one_signal_does(tmp_path: Path) -> None:
    with started(tmp_path, "timeout", "600") as process:
        process.send_signal(signal.SIGTERM)  # which it passes on, to its child and to its group
        await_file(tmp_path / "told")
        time.sleep(0.2)
        assert not (tmp_path / "ended").exists()
        (tmp_path / "may_end").write_text("")
        assert process.wait(20) == 7


def test_a_server_whose_front_is_killed_ends_by_itself(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        (server,) = psutil.Process(process.pid).children()
        process.kill()
        await_file(tmp_path / "told")
        (tmp_path / "may_end").write_text("")
        server.wait(20)
    assert (tmp_path / "ended").exists()


def test_a_server_that_is_killed_gives_its_front_the_code_of_a_shell(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        part = psutil.Process(int((tmp_path / "ready").read_text()))
        (server,) = psutil.Process(process.pid).children()
        server.kill()
        assert process.wait(20) == 128 + signal.SIGKILL
        part.kill()

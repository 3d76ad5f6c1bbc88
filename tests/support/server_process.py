"""A real server in its own process, for tests and load: `ratchet serve` on a registry of tiny models."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from engine.disk.home import ratchet_home
from engine.models.base import fetch_embedded
from engine.models.identity import model_id
from engine.registry.registry import Registry
from serve.keys import Keys
from tests.support.registry import manifest
from tests.support.tiny_model import make_tiny_model

LINE = "test/tiny"


def make_home(home: Path, num_models: int) -> list[str]:
    """Create a registry of tiny models with different weights, the first one champion; return their ids."""
    ids = make_home_of(home, [make_tiny_model(home / "tiny" / str(seed), seed) for seed in range(num_models)])
    shutil.rmtree(home / "tiny")
    return ids


def make_embedded_home(at: Path) -> None:
    """Create a registry whose champion is the embedded model, for measurements."""
    make_home_of(at, [fetch_embedded(ratchet_home())])


def make_home_of(home: Path, models: Sequence[Path]) -> list[str]:
    """Create a registry of models, the first one champion; return their ids."""
    registry, ids = Registry(home), [model_id(model) for model in models]
    for model, version in zip(models, ids, strict=True):
        registry.add(model, manifest(version))
    registry.promote(LINE, ids[0], run_id="setup", round=0, expected_epoch=0, baseline=True)
    return ids


def promote(home: Path, version: str) -> None:
    """Make a stored model the champion, as a one-round campaign would."""
    registry = Registry(home)
    line = registry.line(LINE)
    run_id = f"run{line.epoch}-{len(registry.history(LINE))}"
    registry.open_ledger(LINE, alpha=0.05, planned_tests=1, run_id=run_id, fresh=True)
    registry.commit_test(LINE, run_id=run_id, round=1, challenger_id=version)
    registry.settle_test(LINE, run_id=run_id, round=1, rejected_null=True)
    registry.promote(LINE, version, run_id=run_id, round=1, expected_epoch=line.epoch)


@dataclass
class Server:
    """A running server and two of its keys."""

    process: subprocess.Popen[str]
    home: Path
    url: str
    key: str
    """A key with the scope infer."""
    admin: str
    """A key with the scope admin."""
    log: Path

    def state(self) -> dict:
        """Return what `/admin/state` returns."""
        request = urllib.request.Request(
            f"{self.url}/admin/state", headers={"authorization": f"Bearer {self.admin}"}
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    def kill(self, name: str) -> None:
        """SIGKILL the server's first process whose name starts with `name`, such as ``ray::ProxyActor``."""
        for each in psutil.Process(self.process.pid).children(recursive=True):
            if " ".join(each.cmdline()).startswith(name):
                each.kill()
                return
        raise AssertionError(f"the server has no process named {name}")

    def memory(self, *names: str) -> int:
        """Return the unshared bytes of the server's processes whose names start with one of `names`."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return sum(
            each.memory_full_info().uss for each in found if " ".join(each.cmdline()).startswith(names)
        )

    def await_champion(self, version: str, seconds: float = 180) -> None:
        """Wait until the server answers as `version`. Raises AssertionError with its state if it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            slots = self.state()["slots"]
            if slots["versions"][slots["active"]] == version and not slots["loading"]:
                return
            time.sleep(0.1)
        raise AssertionError(f"{version} is not served after {seconds} s: {slots}")


def call(
    server: Server, path: str, method: str = "GET", key: str = "", body: bytes | None = None
) -> tuple[int, Any]:
    """Send a request; return the status and the body as text."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{server.url}{path}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def serving(
    home: Path, *overrides: str, under: Sequence[str] = (), module: str = "ratchet", **variables: str
) -> Iterator[Server]:
    """Run a server of `LINE` in `home`, and stop it with SIGTERM; it must exit with 0.

    It runs in a process group of its own, and below the command `under`, if there is one. `module` is the
    command line to run, with further environment `variables`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config, log = home / "serve.yaml", home / "serve.log"
    config.write_text(f"line: {LINE}\nport: {port}\n")
    command = [*under, sys.executable, "-m", module, "serve", str(config), *overrides]
    environment = {**os.environ, "RATCHET_HOME": str(home), **variables}
    keys = Keys(home)
    suffix = len(keys.all())
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, text=True, env=environment, process_group=0
        )
        try:
            server = Server(
                process=process,
                home=home,
                url=f"http://127.0.0.1:{port}",
                key=keys.create(f"asks{suffix}", ["infer"], 1_000_000, 1_000_000_000)[1],
                admin=keys.create(f"looks{suffix}", ["admin"], 1_000_000, 1_000_000_000)[1],
                log=log,
            )
            _await_line(process, log, "is served at")
            yield server
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert process.returncode == 0, log.read_text()[-3000:]


def _await_line(process: subprocess.Popen[str], log: Path, text: str, seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while text not in log.read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)

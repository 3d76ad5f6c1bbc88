"""A server that cannot start says why, after one try; a replica that was lost is left to Serve."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from serve import deploying
from serve.deploying import deploy, why_failed
from tests.support.server_process import LINE, make_home

pytestmark = pytest.mark.slow

RAISED = """A replica failed to start with exception. Retrying 2 more time(s). Error:
ray::ServeReplica:ratchet:Engine-a.initialize() (pid=16566, ip=192.0.2.2)
  File "replica.py", line 1928, in initialize
RuntimeError: Traceback (most recent call last):
  File "engine.py", line 65, in __init__
"""
DIED = "The actor died unexpectedly before finishing this task."
LOST = (
    "A replica failed to start with exception. Retrying 2 more time(s). Error:\n"
    f"{DIED}\n\tclass_name: ServeReplica:ratchet:Engine-a"
)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", ""),
        (LOST, ""),
        (f"{RAISED}engine.sample.starting.EngineKilled: a process of vLLM was killed", ""),
        (f"{RAISED}TimeoutError", ""),
        (f"{RAISED}engine.sample.starting.EngineError: vLLM does not start", "vLLM does not start"),
        (f"{RAISED}serve.slots.SlotsError: line a/b is already served", "line a/b is already served"),
        (f"{RAISED}ValueError: no such thing", "ValueError: no such thing"),
    ],
)
def test_what_a_replica_raised_is_told_from_what_was_lost(message: str, reason: str) -> None:
    assert why_failed(message) == reason


@pytest.mark.parametrize(
    ("messages", "ended", "reason"),
    [
        (["", "", ""], "RUNNING", ""),
        (["", LOST, LOST, ""], "RUNNING", ""),
        (["", f"{RAISED}ValueError: no", "not looked at"], "RUNNING", "ValueError: no"),
        (
            ["", LOST],
            "DEPLOY_FAILED",
            f"the application failed {DIED} class_name: ServeReplica:ratchet:Engine-a",
        ),
        (["", ""], "DEPLOY_FAILED", "the application failed"),
    ],
)
def test_a_failure_ends_the_wait_and_a_loss_does_not(
    messages: list[str], ended: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def states() -> Iterator[Any]:
        for number, message in enumerate(messages):
            status = ended if number == len(messages) - 1 else "DEPLOYING"
            deployments = {
                "Keeper": SimpleNamespace(message=""),
                "Engine-a": SimpleNamespace(message=message),
            }
            app = SimpleNamespace(status=status, deployments=deployments, message="the application failed")
            yield SimpleNamespace(applications={"ratchet": app})

    seen = states()
    monkeypatch.setattr(deploying, "_LOOK_SECONDS", 0)
    monkeypatch.setattr("ray.serve.run_many", lambda targets, **_: None)
    monkeypatch.setattr("ray.serve.status", lambda: next(seen))
    app: Any = None
    assert deploy(app, "ratchet") == reason
    assert len(list(seen)) == (messages[-1:] == ["not looked at"])


@pytest.mark.engine
def test_an_engine_that_cannot_start_ends_the_server_with_vllms_sentence(tmp_path: Path) -> None:
    """vLLM starts it in a process of its own, and finds there that the KV cache holds 800 of 2,048 tokens."""
    make_home(tmp_path, 1)
    (tmp_path / "serve.yaml").write_text(f"line: {LINE}\nport: 8531\n")
    done = subprocess.run(
        [sys.executable, "-m", "ratchet", "serve", str(tmp_path / "serve.yaml")]
        + ["engines.kv_cache_gib=0.0002", "engines.resident=1", "engines.dtype=bfloat16"],
        env={**os.environ, "RATCHET_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=350,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    began = "ratchet: the server did not start: vLLM does not start with "
    assert done.stderr.startswith(began) and ": To serve at least one request with " in done.stderr
    assert " estimated maximum model length is 800." in done.stderr
    keys = "engines.kv_cache_gib (on a GPU gpu_memory), engines.max_model_len"
    assert f"; in the config: {keys}; its logs are in /" in done.stderr
    logs = Path(done.stderr.rpartition(" ")[2].strip()) / "serve"
    assert len([*logs.glob("replica_ratchet_Engine-a_*.log")]) <= 2, "a second one may have been begun"

"""Ray as `connect` starts it on this machine, and a cluster as `connect` joins and counts it."""

import http.server
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster import connect
from cluster.connect import ConnectError, ray_dashboard


def test_workers_have_the_niceness_of_the_driver(local_ray: None) -> None:
    import ray

    task = ray.remote(lambda: os.nice(0)).options(resources={"sampler": 1})
    assert ray.get(task.remote()) == os.nice(0)


def test_what_only_a_ray_of_ones_own_is_told_stays_from_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "ray.init", lambda *_, **options: asked.update(options) or SimpleNamespace(dashboard_url=None)
    )
    inherited = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    monkeypatch.setattr(os, "environ", dict(inherited))
    connect.connect(SimpleNamespace(num_cpus=1, num_gpus=0, resources={}))
    assert os.environ.items() >= (connect._ENVIRONMENT | connect._ALONE).items()
    monkeypatch.setattr(os, "environ", dict(inherited))
    connect._join()
    assert os.environ == inherited | connect._ENVIRONMENT
    assert asked["runtime_env"]["env_vars"] == connect._ENVIRONMENT


@pytest.mark.parametrize(
    ("fault", "tries"), [("The current node timed out during startup. This", 2), ("no such thing", 1)]
)
def test_ray_has_a_second_try_where_its_node_was_slow_to_start(
    fault: str, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def init(*_: str, **options: Any) -> None:
        asked.append(options)
        raise Exception(fault)

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("ray.shutdown", lambda: asked.append({}))
    monkeypatch.setattr("os.environ", os.environ | {"RATCHET_HOME": str(tmp_path)})
    with pytest.raises(Exception, match=fault):
        connect.connect(SimpleNamespace(num_cpus=1, num_gpus=0, resources={}))
    assert asked == [asked[0], {}, asked[0]][: 2 * tries - 1]


def test_a_cluster_is_counted_node_by_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 96.0, "GPU": 8.0}},
        {"Alive": False, "Resources": {}},
        {"Alive": True, "Resources": {"memory": 1.0}},
        {"Alive": True, "Resources": {"CPU": 4.0}},
    ]
    monkeypatch.setattr(connect, "_join", lambda: None)
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 100.0, "GPU": 8.0})
    machine = connect.cluster_machine(tmp_path)
    assert (machine.num_cpus, machine.num_gpus) == (100, 8)
    assert (machine.node_cpus, machine.node_gpus) == ((4, 96), (0, 8))


def leave(number: int, _: object) -> None:
    sys.exit(number)


def test_sigterm_while_ray_starts_is_an_interruption() -> None:
    """Ray installs a handler of its own before anything else, and leaves it there."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), connect._keeping_sigterm():
            signal.signal(signal.SIGTERM, leave)
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with connect._keeping_sigterm():
            signal.signal(signal.SIGTERM, leave)
        assert signal.getsignal(signal.SIGTERM) is leave, "nothing else would end Ray's processes"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_cluster_of_another_python_is_named_with_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    said += "This process on node 10.0.0.2 was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"

    def init(**_: Any) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("os.environ", os.environ | {"RAY_ADDRESS": "10.0.0.1:6379"})
    with pytest.raises(ConnectError, match=r"joined: Version mismatch.* 3\.11\.7 This .* Python: 3\.12\.1$"):
        connect._join()


@pytest.mark.parametrize(
    ("of_job", "python", "told"),
    [
        ({}, "/opt/env/bin/python", {}),
        ({}, "/opt/mit Leerzeichen/python", {"py_executable": "'/opt/mit Leerzeichen/python'"}),
        ({"py_executable": "python"}, "/opt/mit Leerzeichen/python", {}),
    ],
)
def test_workers_of_a_job_are_started_by_a_path_that_a_shell_reads(
    of_job: dict[str, str], python: str, told: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def init(*, runtime_env: dict[str, Any], **_: Any) -> Any:
        seen.update(runtime_env)
        return type("Joined", (), {"dashboard_url": "[fd00::1]:8265"})

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("sys.executable", python)
    job = json.dumps({"runtime_env": of_job})
    given = {"RAY_ADDRESS": "10.0.0.1:6379", "RAY_JOB_CONFIG_JSON_ENV_VAR": job}
    monkeypatch.setattr("os.environ", os.environ | given)
    assert connect._join() == "http://[fd00::1]:8265"
    assert {name: value for name, value in seen.items() if name != "env_vars"} == told


@pytest.mark.parametrize(
    ("status", "said", "found"),
    [
        (200, '{"ray_version": "2.60.0"}', True),
        (200, "3", False),
        (200, "<html>", False),
        (401, "Unauthorized: Missing authentication token", True),
        (403, "Forbidden: Invalid authentication token", True),
        (403, "<html>Forbidden by the proxy</html>", False),
    ],
)
def test_a_dashboard_is_found_past_a_proxy_and_told_from_one(
    status: int, said: str, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"{address}/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert ray_dashboard() == (address if found else None)
    server.shutdown()
    server.server_close()


def test_what_speaks_no_http_is_no_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer() -> None:
        client, _ = listening.accept()
        client.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
        client.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{listening.getsockname()[1]}")
        assert ray_dashboard() is None

"""A Ray cluster of several nodes on this machine, with token auth, in a process of its own.

Ray reads its settings once a process: tests that start a Ray of their own must not share one with it.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
OBJECT_STORE = 80 << 20
NODE = {"num_cpus": 1, "resources": {"sampler": 1}}


def can_hide() -> bool:
    """Whether a process may be given a view of the disk of its own (needs root, or the like)."""
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True)
    return tried.returncode == 0


class Started(NamedTuple):
    """A cluster, as those see it who use it."""

    process: subprocess.Popen[str]
    address: str
    """Of the dashboard."""
    environment: dict[str, str]
    """What a client of the cluster needs."""

    def ask(self, *command: str) -> Any:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def add(self, name: str) -> None:
        self.ask("add", name)

    def add_without(self, name: str, hidden: Path, cache: Path) -> None:
        """A node that does not see what is in the directory `hidden`, with a cache of its own."""
        self.ask("add_without", name, str(hidden), str(cache))

    def kill(self, name: str) -> None:
        """As when a machine loses its power."""
        self.ask("kill", name)

    def node_of(self, actor_class: str) -> str:
        """Name of the node where an actor of this class is alive."""
        return self.ask("node_of", actor_class)


@contextmanager
def cluster(at: Path) -> Iterator[Started]:
    """A head that runs nothing but drivers; nodes are added to it."""
    token = at / "token"
    token.write_text("0123456789abcdef" * 4)
    token.chmod(0o600)
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as place:  # sockets have short names
        environment = os.environ | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_TMPDIR": place,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "180",
            # A lost node refuses connections, and is given up after five of them: in 2.5 s instead of 15. One
            # that is slow to answer has as long as ever.
            "RAY_health_check_period_ms": "500",
            # Ray Train looks at its workers every two seconds by default.
            "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
            # None of our processes could use them, see `cluster/connect.py`.
            "RAY_prestart_worker_first_driver": "0",
        }
        log = open(at / "cluster.log", "w")  # noqa: SIM115  the process writes to it
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.cluster_process"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout
        try:
            address = json.loads(process.stdout.readline() or '""')
            assert address, (at / "cluster.log").read_text()[-3000:]
            yield Started(process, address, environment)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(60)


class Nodes:
    """The nodes of one cluster, by names of ours."""

    def __init__(self, ray_cluster: Any) -> None:
        self._cluster = ray_cluster
        self._handles: dict[str, Any] = {}
        self._ids: dict[str, str] = {}

    def add(self, name: str) -> None:
        before = self._alive()
        self._handles[name] = self._cluster.add_node(
            **NODE,
            object_store_memory=OBJECT_STORE,
            dashboard_agent_listen_port=_free_port(),
            temp_dir=_place_of(name),
        )
        (self._ids[name],) = self._alive() - before

    def add_without(self, name: str, hidden: str, cache: str) -> None:
        before = self._alive()
        resources = json.dumps(NODE["resources"])
        # The environment is not activated, and the `python` of a job is its own all the same.
        ray = Path(sys.executable).parent / "ray"
        start = (
            f"{ray} start --address={self._cluster.address} --block --num-cpus={NODE['num_cpus']} "
            f"--resources='{resources}' --object-store-memory={OBJECT_STORE} "
            f"--min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port={_free_port()} "
            f"--temp-dir={_place_of(name)}"
        )
        self._handles[name] = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none {hidden} && exec {start}"],
            env=os.environ | {"XDG_CACHE_HOME": cache},
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not (new := self._alive() - before):
            assert self._handles[name].poll() is None and time.monotonic() < deadline, "no node came up"
            time.sleep(0.2)
        (self._ids[name],) = new

    def kill(self, name: str) -> None:
        handle = self._handles.pop(name)
        del self._ids[name]
        if isinstance(handle, subprocess.Popen):
            import psutil

            starter = psutil.Process(handle.pid)
            for process in [starter, *starter.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            handle.wait()
        else:
            self._cluster.remove_node(handle, allow_graceful=False)

    def node_of(self, actor_class: str) -> str | None:
        for actor in self._cluster.global_state.actor_table(None, None, "ALIVE").values():
            if actor["ActorClassName"] == actor_class:
                return next(name for name, id in self._ids.items() if id == actor["Address"]["NodeID"])
        return None

    def end(self) -> None:
        for name in list(self._handles):
            self.kill(name)
        self._cluster.shutdown()

    def _alive(self) -> set[str]:
        return {node["NodeID"] for node in self._cluster.global_state.node_table() if node["Alive"]}


def _free_port() -> int:
    """Without an agent that listens no job is taken, and the usual port may be another Ray's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _place_of(name: str) -> str:
    """Of a node's own: in one for all each would unpack a job's working directory over the others'."""
    return f"{os.environ['RAY_TMPDIR']}/{name}"


def main() -> None:
    # Standard output is for answers; Ray prints to it.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from ray.cluster_utils import Cluster

    ray_cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": True,
            "object_store_memory": OBJECT_STORE,
            "dashboard_agent_listen_port": _free_port(),
        },
    )
    nodes = Nodes(ray_cluster)
    print(json.dumps(f"http://{ray_cluster.webui_url}"), file=answers, flush=True)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(getattr(nodes, command)(*arguments)), file=answers, flush=True)
    nodes.end()


if __name__ == "__main__":
    main()

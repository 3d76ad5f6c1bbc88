"""Whether all nodes of a cluster share the driver's RATCHET_HOME, and its locks; tried before a job works."""

import fcntl
import uuid
from pathlib import Path

from engine.disk.storage import StorageError, is_locked, probe, require_storage

_SECONDS = 120
"""For all nodes to answer; each starts a process for it."""


def require_shared(home: Path) -> None:
    """Every node sees what the driver writes, the driver what a node writes, and a lock holds on both.

    Ray is there. Raises StorageError that names the first node where it is not so.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    require_storage(home)
    own, told = ray.get_runtime_context().get_node_id(), uuid.uuid4().hex
    with probe(home) as at, open(at / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (at / "told").write_text(told)
        asked = {
            ray.remote(_tried)
            .options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            )
            .remote(str(at), node["NodeID"]): node
            for node in ray.nodes()
            if node["Alive"] and node["NodeID"] != own
        }
        _, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_SECONDS) if asked else ([], [])
        for answer, node in asked.items():
            if answer in silent:
                continue  # it is overloaded, or just gone: not what is asked here
            try:
                seen, locked = ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                complaint = f"cannot be used there: {error.cause}"
            except ray.exceptions.RayError:
                continue  # gone meanwhile
            else:
                complaint = _complaint(seen == told == _read(at / node["NodeID"]), locked)
            if complaint:
                raise StorageError(f"node {node['NodeManagerAddress']}: RATCHET_HOME {home} {complaint}")


def _complaint(same: bool, locked: bool) -> str:
    """What is wrong with a node's view of the directory; empty where nothing is."""
    if not same:
        return "is not the same directory there: mount it on every node"
    if not locked:
        return (
            "is mounted there without locks across nodes: mount it with them (NFS without nolock or "
            "local_lock, Lustre with flock)"
        )
    return ""


def _tried(at: str, name: str) -> tuple[str, bool]:
    """On a node: what was told, repeated into a file of its own; and whether the driver's lock is seen."""
    directory = Path(at)
    seen = _read(directory / "told")
    if not seen:
        return "", False
    (directory / name).write_text(seen)
    return seen, is_locked(directory / "lock")


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""

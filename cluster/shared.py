"""Check, before a job works, that all nodes of a cluster share the driver's RATCHET_HOME and its locks."""

import fcntl
import uuid
from pathlib import Path

from engine.disk.storage import StorageError, is_locked, probe, require_storage

_SECONDS = 120
"""How long all nodes together may take to answer; each starts a process for it."""


def require_shared(home: Path) -> None:
    """Check that nodes read the driver's files, that it reads theirs, and that they see its locks.

    Ray must be running. Raises StorageError naming the first node that fails.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    require_storage(home)
    own, token = ray.get_runtime_context().get_node_id(), uuid.uuid4().hex
    with probe(home) as at, open(at / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (at / "token").write_text(token)
        answers = {
            ray.remote(_copy_token)
            .options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            )
            .remote(str(at), node["NodeID"]): node
            for node in ray.nodes()
            if node["Alive"] and node["NodeID"] != own
        }
        silent: list[ray.ObjectRef] = []
        if answers:
            _, silent = ray.wait(list(answers), num_returns=len(answers), timeout=_SECONDS)
        for answer, node in answers.items():
            if answer in silent:
                continue  # the node is overloaded or lost, which says nothing about its disk
            try:
                seen, locked = ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                complaint = f"cannot be used there: {error.cause}"
            except ray.exceptions.RayError:
                continue  # the node was lost meanwhile
            else:
                complaint = _complaint(seen == token == _read(at / node["NodeID"]), locked)
            if complaint:
                raise StorageError(f"node {node['NodeManagerAddress']}: RATCHET_HOME {home} {complaint}")


def _complaint(same: bool, locked: bool) -> str:
    """What is wrong with a node's view of the directory; empty if nothing is."""
    if not same:
        return "is not the same directory there: mount it on every node"
    if not locked:
        return (
            "is mounted there without locks across nodes: mount it with them (NFS without nolock or "
            "local_lock, Lustre with flock)"
        )
    return ""


def _copy_token(at: str, name: str) -> tuple[str, bool]:
    """Copy the driver's token into a file named after this node; returns it, and whether the lock is seen."""
    directory = Path(at)
    seen = _read(directory / "token")
    if not seen:
        return "", False
    (directory / name).write_text(seen)
    return seen, is_locked(directory / "lock")


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""

"""Models on nodes that do not share a disk with the driver: a node that lacks a model fetches it by its hash.

Shared storage is the normal case. A node recognises it by the inode, size and time of each file and reads
nothing. A node with a copy of its own uses it after hashing it. Any other node fetches the files from the
driver's node through Ray, a few blocks at a time, and keeps them if their hash is right.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.disk.files import make_dirs
from engine.models.identity import ALLOWED_SUFFIXES, FilesState, ModelError, files_state, model_id

log = logging.getLogger(__name__)

_BLOCK_BYTES = 8 << 20
_BLOCKS_AHEAD = 2
"""Blocks sent before the first is taken, which limits how much of the object store a transfer holds."""


class ModelRef(NamedTuple):
    """A model as the driver names it to actors and workers on any node."""

    path: str
    id: str
    state: FilesState
    """State of its files as the driver sees them."""
    node: str | None
    """Ray's id of the driver's node; None without Ray."""


def refer_to(model: Path) -> ModelRef:
    """Name a complete model directory on the driver's node. Raises ModelError."""
    import ray

    node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else None
    return ModelRef(str(model), model_id(model), files_state(model), node)


def local_copy(ref: ModelRef) -> Path:
    """The model's directory on this node: the driver's path, or this node's cache after fetching it once.

    Raises ModelError where another model arrived, OSError where it cannot be kept.
    """
    path = Path(ref.path)
    if files_state(path) == ref.state or _holds(path, ref.id):
        return path
    make_dirs(cache())
    kept = cache() / ref.id
    with open(cache() / f".{ref.id}.lock", "w") as lock:
        # The lock lets one process of this node fetch it for all.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _holds(kept, ref.id):
            _fetch(ref, kept)
    return kept


def cache() -> Path:
    """Directory of models fetched to this node: `XDG_CACHE_HOME`/ratchet/models, by default in ~/.cache.

    Where there is no home that can be written to it is a directory of this user's in the temporary one.
    """
    home = os.path.expanduser("~")
    if not (os.path.isabs(home) and os.access(home, os.W_OK | os.X_OK)):
        home = os.path.join(tempfile.gettempdir(), f"ratchet-{os.getuid()}")
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")) / "ratchet" / "models"


def _holds(path: Path, wanted: str) -> bool:
    try:
        return model_id(path) == wanted
    except (ModelError, OSError):
        return False


def _fetch(ref: ModelRef, kept: Path) -> None:
    log.warning("model %s is not at %s on this node and is fetched", ref.id, ref.path)
    arriving = Path(tempfile.mkdtemp(prefix=f".{ref.id}.", dir=kept.parent))
    try:
        for name, block in _blocks(ref):
            with open(arriving / name, "ab") as file:
                file.write(block)
        if (got := model_id(arriving)) != ref.id:
            raise ModelError(f"model {ref.id} was fetched from {ref.path}, but {got} arrived")
        shutil.rmtree(kept, ignore_errors=True)
        os.rename(arriving, kept)
    finally:
        shutil.rmtree(arriving, ignore_errors=True)


def _blocks(ref: ModelRef) -> Iterator[tuple[str, bytes]]:
    """File names with their next bytes, read by a task on the driver's node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    read = ray.remote(_read).options(
        num_cpus=0,
        num_returns="streaming",
        scheduling_strategy=NodeAffinitySchedulingStrategy(ref.node, soft=False),
        _generator_backpressure_num_objects=_BLOCKS_AHEAD,
    )
    for block in read.remote(ref.path):
        yield ray.get(block)


def _read(path: str) -> Iterator[tuple[str, bytes]]:
    for file in sorted(Path(path).iterdir()):
        if file.is_file() and file.suffix in ALLOWED_SUFFIXES:
            with open(file, "rb") as stream:
                while block := stream.read(_BLOCK_BYTES):
                    yield file.name, block

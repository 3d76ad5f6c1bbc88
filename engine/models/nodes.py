"""Models on nodes that do not share a disk with the driver: a node without a model gets it by its hash.

Shared storage is the normal path, and is known by a look at the files (inode, size and time of each): nothing
is read for it. A node with a copy of its own is believed once it has hashed it. Any other fetches the files
from the driver's node through Ray, a few blocks at a time, and keeps what has the right hash.
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
"""Sent before the first of them is taken: what a transfer holds of the object store."""


class Told(NamedTuple):
    """A model as the driver names it to actors and workers on any node."""

    path: str
    id: str
    state: FilesState
    """What the driver sees of its files."""
    node: str | None
    """Ray's id of the driver's node; None without Ray."""


def tell(model: Path) -> Told:
    """Name a directory that is whole here, on the driver's node. Raises ModelError."""
    import ray

    node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else None
    return Told(str(model), model_id(model), files_state(model), node)


def at_hand(told: Told) -> Path:
    """The model's directory on this node: where the driver has it, else in this node's cache, fetched once.

    Raises ModelError where what arrived is another model, OSError where it cannot be kept.
    """
    path = Path(told.path)
    if files_state(path) == told.state or _holds(path, told.id):
        return path
    make_dirs(cache())
    kept = cache() / told.id
    with open(cache() / f".{told.id}.lock", "w") as lock:
        # Several processes of one node fetch it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _holds(kept, told.id):
            _fetch(told, kept)
    return kept


def cache() -> Path:
    """Models fetched to this node: `XDG_CACHE_HOME`/ratchet/models, by default under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ratchet" / "models"


def _holds(path: Path, wanted: str) -> bool:
    try:
        return model_id(path) == wanted
    except (ModelError, OSError):
        return False


def _fetch(told: Told, kept: Path) -> None:
    log.warning("this node has no model %s at %s: it is fetched", told.id, told.path)
    arriving = Path(tempfile.mkdtemp(prefix=f".{told.id}.", dir=kept.parent))
    try:
        for name, block in _blocks(told):
            with open(arriving / name, "ab") as file:
                file.write(block)
        if (got := model_id(arriving)) != told.id:
            raise ModelError(f"model {told.id} of {told.path} was fetched, but what arrived is {got}")
        shutil.rmtree(kept, ignore_errors=True)
        os.rename(arriving, kept)
    finally:
        shutil.rmtree(arriving, ignore_errors=True)


def _blocks(told: Told) -> Iterator[tuple[str, bytes]]:
    """Name of a file and its next bytes, read by a task on the driver's node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    read = ray.remote(_read).options(
        num_cpus=0,
        num_returns="streaming",
        scheduling_strategy=NodeAffinitySchedulingStrategy(told.node, soft=False),
        _generator_backpressure_num_objects=_BLOCKS_AHEAD,
    )
    for block in read.remote(told.path):
        yield ray.get(block)


def _read(path: str) -> Iterator[tuple[str, bytes]]:
    for file in sorted(Path(path).iterdir()):
        if file.is_file() and file.suffix in ALLOWED_SUFFIXES:
            with open(file, "rb") as stream:
                while block := stream.read(_BLOCK_BYTES):
                    yield file.name, block

"""The registry's immutable model directories.

A model is stored by content. `models/<id>/` holds its files and a `manifest.json`, which is written last and
records the size and hash of each file and where the model came from. `registry.py` decides which models are
kept, and holds the lock while anything here writes.
"""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from engine.disk.files import make_dirs, replace_file, sync_dir
from engine.errors import Mistake
from engine.models.identity import ALLOWED_SUFFIXES, WEIGHTS
from engine.records import Decision, fault_in, from_json, to_json

MANIFEST = "manifest.json"
_CHUNK_BYTES = 1 << 20


class RegistryError(Mistake):
    """The registry refuses a request; the message names the model, line or file, and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a stored model."""

    path: str
    """Path relative to the model's directory, with forward slashes."""
    size: int
    """Size in bytes."""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A question of the task that a model was trained for, to try the model with."""

    system: str
    """System message; empty for none."""
    turns: tuple[str, ...]
    """The user's turns: one for a question, several for a dialogue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files of a model, and what produced it."""

    model_id: str
    """Content hash, from `engine.models.identity.model_id`."""
    parent_id: str
    """The model it was trained from; empty for a base."""
    training_set_id: str
    """Empty if nothing was trained."""
    config_hash: str
    seed: int
    code_version: str
    decision: Decision | None
    """None for a model that was never judged, such as a base."""
    files: tuple[FileEntry, ...] = ()
    """Filled in when the model is added."""
    example: Example | None = None
    """None in a manifest that an earlier version wrote."""
    reference: tuple[float, ...] = ()
    """The trainer's scores of `engine.models.liveness.TEXTS`, in nats; empty for a base, and in a manifest
    that an earlier version wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A model of the registry, with or without its weights."""

    manifest: Manifest
    num_bytes: int
    """Size of all files when the model was added."""
    freed: bool
    """True if the weights are gone."""
    lines: tuple[str, ...]
    """The lines that point to this model."""


class Store:
    """The model directories under one root."""

    def __init__(self, root: Path) -> None:
        self._models = root / "models"
        self._staging = root / "staging"

    def path(self, model_id: str) -> Path:
        """Return a model's directory, which need not exist. Raises RegistryError for a malformed id."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", model_id):
            raise RegistryError(f"a model id is a hash of letters and digits, got {model_id!r}")
        return self._models / model_id

    def holds(self, model_dir: Path) -> bool:
        """Whether a directory is that of a stored model."""
        return model_dir.resolve().parent == self._models.resolve()

    def ids(self) -> list[str]:
        """List all models with a manifest in the order of their ids, including those without weights."""
        return sorted(path.parent.name for path in self._models.glob(f"*/{MANIFEST}"))

    def manifest(self, model_id: str) -> Manifest:
        """Read a model's manifest. Raises RegistryError if the model is unknown or the manifest damaged."""
        path = self.path(model_id) / MANIFEST
        try:
            return from_json(Manifest, path.read_bytes())
        except FileNotFoundError:
            raise RegistryError(f"model {model_id} is not in the registry at {self._models}") from None
        except ValidationError as error:
            raise RegistryError(f"the manifest {path} is damaged: {fault_in(error)}") from None

    def lineage(self, model_id: str) -> tuple[Manifest, ...]:
        """List the manifests of a model and its ancestors, the model first, as far as they are stored."""
        found, known = [], self.ids()
        while model_id in known:
            found.append(self.manifest(model_id))
            model_id = found[-1].parent_id
        return tuple(found)

    def whole(self, model_id: str) -> bool:
        """Whether every file of a stored model exists with its size; `verify` checks the contents."""
        root = self.path(model_id)
        if not (root / MANIFEST).exists():
            return False
        files = self.manifest(model_id).files
        return all((at := root / entry.path).is_file() and at.stat().st_size == entry.size for entry in files)

    def add(self, model_dir: Path, manifest: Manifest) -> Path:
        """Copy a finished model into the store and return its directory; a whole model is left as it is.

        Files are copied and not linked, because an immutable model must not change when the run's own files
        do. The model appears by one rename, so a crash leaves all of it or nothing. Raises RegistryError for
        a directory that is not a model or holds files of a kind that is not allowed.
        """
        target = self.path(manifest.model_id)
        if self.whole(manifest.model_id):
            return target
        sources = _model_files(model_dir)
        # The lock is held, so anything in staging was left by a crash.
        shutil.rmtree(self._staging, ignore_errors=True)
        try:
            self._stage(model_dir, sources, manifest)
            make_dirs(self._models)
            if target.exists():
                os.rename(target, self._staging / "replaced")
            os.rename(self._staging / manifest.model_id, target)
            sync_dir(self._models)
        finally:
            # Half a model must not keep a full disk full.
            shutil.rmtree(self._staging, ignore_errors=True)
        return target

    def _stage(self, model_dir: Path, sources: list[Path], manifest: Manifest) -> None:
        staged = self._staging / manifest.model_id
        make_dirs(staged)
        entries = []
        for source in sources:
            name = source.relative_to(model_dir).as_posix()
            make_dirs((staged / name).parent)
            entries.append(_copy(source, staged / name, name))
        for folder in {(staged / entry.path).parent for entry in entries}:
            sync_dir(folder)
        replace_file(staged / MANIFEST, to_json(replace(manifest, files=tuple(entries))).encode())

    def verify(self, model_id: str) -> Manifest:
        """Hash every file again. Raises RegistryError naming the first missing, changed or unlisted one."""
        manifest, root = self.manifest(model_id), self.path(model_id)
        for entry in manifest.files:
            at = root / entry.path
            if not at.is_file():
                why = "its weights were freed" if entry.path.endswith(WEIGHTS) else "the registry is damaged"
                raise RegistryError(f"model {model_id} lacks {entry.path}: {why}")
            if at.stat().st_size != entry.size or _sha256(at) != entry.sha256:
                raise RegistryError(f"model {model_id}: {entry.path} does not match the manifest")
        known = {entry.path for entry in manifest.files} | {MANIFEST}
        for at in sorted(root.rglob("*")):
            if not at.is_dir() and at.relative_to(root).as_posix() not in known:
                raise RegistryError(f"model {model_id}: {at.relative_to(root)} is not in the manifest")
        return manifest

    def free(self, model_id: str) -> int:
        """Delete a model's weights but keep its manifest, configs and tokenizer. Returns the bytes freed."""
        freed = 0
        for entry in self.manifest(model_id).files:
            at = self.path(model_id) / entry.path
            if entry.path.endswith(WEIGHTS) and at.exists():
                at.unlink()
                sync_dir(at.parent)
                freed += entry.size
        return freed


def _model_files(model_dir: Path) -> list[Path]:
    files = sorted(path for path in model_dir.rglob("*") if not path.is_dir() and path.name != MANIFEST)
    for path in files:
        if path.suffix not in ALLOWED_SUFFIXES:
            raise RegistryError(f"{path} cannot be part of a model; allowed: {', '.join(ALLOWED_SUFFIXES)}")
    if not any(path.suffix == WEIGHTS for path in files):
        raise RegistryError(f"{model_dir} is not a model directory: it has no {WEIGHTS} file")
    return files


def _copy(source: Path, target: Path, name: str) -> FileEntry:
    """Copy and hash a file in one pass, and sync the copy. Raises OSError that names the copy."""
    digest, size = hashlib.sha256(), 0
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with source.open("rb") as reading, os.fdopen(handle, "wb") as writing:
            while chunk := reading.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                writing.write(chunk)
            writing.flush()
            os.fsync(writing.fileno())
    except OSError as error:
        error.filename = error.filename or str(target)
        raise
    return FileEntry(path=name, size=size, sha256=digest.hexdigest())


def _sha256(path: Path) -> str:
    with path.open("rb") as reading:
        return hashlib.file_digest(reading, "sha256").hexdigest()

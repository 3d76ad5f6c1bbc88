"""The server's state: which version each resident engine holds and which one answers, in one small file.

Only the keeper writes the file (`serve/keeper.py`), and replaces it atomically; gateways and engines read it.
A replica that restarts finds out what its fellows run, and a keeper that restarts continues where the last
one stopped.
"""

import asyncio
import fcntl
import hashlib
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO, TypeAlias

from pydantic import ValidationError

from engine.disk.files import make_dirs, replace_file
from engine.errors import Lost
from engine.records import from_json, to_json
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from serve.keys import OWN

log = logging.getLogger("ray.serve")

NAMES = ("a", "b")
_KEEPER = ".keeper"
_HANDOVER_SECONDS = 30
"""How long the keeper being replaced may still hold its lock."""

Counts: TypeAlias = dict[str, dict[str, tuple[int, int]]]
"""Requests, and those of them that failed, by gateway and version."""


class SlotsError(Lost):
    """The state of a server is damaged, or another server owns it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A new champion that first answers only a share of the keys."""

    slot: str
    share: float
    since: float
    """Seconds since the epoch."""
    before: Counts = field(default_factory=dict)
    """What the gateways had counted when the canary began."""

    def failures(self, version: str, counts: Counts) -> tuple[int, float]:
        """Count a version's requests since the canary began, and return the share of them that failed."""
        num = failed = 0
        for gateway, now in counts.items():
            # A gateway that was started since then has counted from 0, and has another id.
            before = self.before.get(gateway, {})
            num += now.get(version, (0, 0))[0] - before.get(version, (0, 0))[0]
            failed += now.get(version, (0, 0))[1] - before.get(version, (0, 0))[1]
        return num, failed / num if num else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A version that could not be served; a new promotion gives it another try."""

    reason: str
    epoch: int
    """Epoch of the line when the version was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The state of one line's server."""

    line: str
    epoch: int
    """Epoch of the line when the active version became its champion."""
    active: str
    """Name of the slot that answers as `champion`."""
    versions: dict[str, str | None]
    """The version that each slot answers for; None while the slot is empty or loading."""
    canary: Canary | None = None
    loading: str | None = None
    """The version that is being loaded and tested, if any."""
    holding: bool = False
    """True while the only resident engine reloads; requests wait meanwhile."""
    refused: dict[str, Refusal] = field(default_factory=dict)
    """Refusals by version."""

    @property
    def champion(self) -> str | None:
        return self.versions[self.active]

    @property
    def previous(self) -> str | None:
        """The version that answered before and is still loaded; never one that is still being tested."""
        tried = [self.active, self.canary.slot if self.canary else ""]
        others = (v for slot, v in self.versions.items() if slot not in tried)
        return next((v for v in others if v and v != self.loading), None)

    def find(self, model: str, key_id: str) -> tuple[str, str] | None:
        """Return slot and version for the name that a client asks for; None if it is not loaded."""
        if model == "champion":
            model = self.champion_for(key_id) or model
        elif model == "previous":
            model = self.previous_for(key_id) or model
        for slot, version in self.versions.items():
            # Only the server itself may ask a version under test. A champion that is loaded again after its
            # engine was lost is not under test.
            tried = version == self.loading and slot != self.active
            if version == model and (not tried or key_id == OWN):
                return slot, version
        return None

    def champion_for(self, key_id: str) -> str | None:
        """The champion as a key sees it: the canary, if the key belongs to its share."""
        if self.canary and in_share(key_id, self.canary.share):
            # It is gone while its engine stands in for the champion's.
            return self.versions[self.canary.slot] or self.champion
        return self.champion

    def previous_for(self, key_id: str) -> str | None:
        """The previous version as a key sees it; for a key that gets the canary, the others' champion."""
        if self.canary and in_share(key_id, self.canary.share):
            return self.champion
        return self.previous


def in_share(key_id: str, share: float) -> bool:
    """Whether a key belongs to the share that gets a canary; the choice of keys is always the same."""
    digest = hashlib.sha256(key_id.encode()).digest()
    return int.from_bytes(digest[:4]) < share * 2**32


class SlotsFile:
    """Reads and writes the state file of one line's server."""

    def __init__(self, home: Path, line: str, names: Collection[str] | None = None) -> None:
        """`names` are those of the slots; the state of a server that had others counts as none."""
        self.path = home / "serve" / line / "slots.json"
        self._home, self._line, self._names = home, line, names
        self._stamp: tuple[int, int, int] | None = None
        self._slots: Slots | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other servers of the line from starting. Raises SlotsError if there is one already."""
        with self._hold(".lock"):
            # One that `serve deploy` started has only a keeper.
            self._hold(_KEEPER).close()
            yield

    async def acquire(self) -> TextIO:
        """Acquire the right to write the file, until this process ends or closes what it gets.

        Raises SlotsError if the keeper of another server holds it.
        """
        for _ in range(_HANDOVER_SECONDS):
            with suppress(SlotsError):
                return self._hold(_KEEPER)
            await asyncio.sleep(1)
        return self._hold(_KEEPER)

    def _hold(self, name: str) -> TextIO:
        make_dirs(self.path.parent)
        handle = open(self.path.parent / name, "a")  # noqa: SIM115  the lock is held as long as it is open
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            raise SlotsError(
                f"line {self._line} is already served from {self._home}: stop that server first"
            ) from None
        return handle

    def read(self) -> Slots | None:
        """Return the current state, or the last readable one; None until a keeper has written it.

        Raises SlotsError if the file is damaged and was never read before.
        """
        try:
            state = self.path.stat()
        except FileNotFoundError:
            return None
        stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
        if stamp != self._stamp:
            try:
                self._slots = from_json(Slots, self.path.read_bytes())
            except ValidationError:
                error = SlotsError(f"the server's state file {self.path} is damaged: delete it")
                if self._slots is None:
                    raise error from None
                log.error("%s", error)
            self._stamp = stamp
        has_others = self._slots and self._names is not None and set(self._slots.versions) != set(self._names)
        return None if has_others else self._slots

    def drop_stale(self, registry: Registry) -> None:
        """Delete the state if its champion is no longer in the registry; only the keeper may."""
        if slots := self.read():
            try:
                registry.path(slots.champion or "")
            except RegistryError:
                self.path.unlink()
                self._stamp = None

    def write(self, slots: Slots) -> None:
        make_dirs(self.path.parent)
        replace_file(self.path, to_json(slots).encode())

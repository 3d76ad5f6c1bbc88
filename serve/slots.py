"""Which version each resident engine holds, and which of them answers: one small file, replaced atomically.

The keeper alone writes it (`serve/keeper.py`); gateways and engines read it. So a replica that is started
anew finds what its fellows run, and a keeper that is started anew goes on where the last one ended.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from engine.disk.files import make_dirs, replace_file
from engine.records import from_json, to_json
from engine.registry.registry import Registry, RegistryError
from serve.keys import OWN

log = logging.getLogger("ray.serve")

NAMES = ("a", "b")


class SlotsError(RuntimeError):
    """The state of a server is not there, or damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A new champion that answers a share of the keys first."""

    slot: str
    share: float
    since: float
    """Seconds since the epoch."""
    before: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Version to its requests, and those that failed, when the canary began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A version that could not be served; it is tried again where it is promoted again."""

    reason: str
    epoch: int
    """Of the line, when it was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    line: str
    epoch: int
    """Of the line, when the active version became its champion."""
    active: str
    """Name of the slot that is `champion`."""
    versions: dict[str, str | None]
    """Slot to the version that it may be asked for; None while it is empty or being loaded."""
    canary: Canary | None = None
    loading: str | None = None
    """Version that is being taken in, if any."""
    holding: bool = False
    """With one resident engine: requests wait while it reloads."""
    refused: dict[str, Refusal] = field(default_factory=dict)
    """By version."""

    @property
    def champion(self) -> str | None:
        return self.versions[self.active]

    @property
    def previous(self) -> str | None:
        """What answered before, and still could at once; not one that is still to be tried."""
        tried = [self.active, self.canary.slot if self.canary else ""]
        others = (v for slot, v in self.versions.items() if slot not in tried)
        return next((v for v in others if v and v != self.loading), None)

    def find(self, model: str, key_id: str) -> tuple[str, str] | None:
        """Slot and version for a model's name as a client gives it; None for what is not loaded."""
        if model == "champion":
            model = self.champion_for(key_id) or model
        elif model == "previous":
            model = self.previous_for(key_id) or model
        for slot, version in self.versions.items():
            # What is loading only the server itself may ask; the champion may be, where its engine was lost.
            tried = version == self.loading and slot != self.active
            if version == model and (not tried or key_id == OWN):
                return slot, version
        return None

    def champion_for(self, key_id: str) -> str | None:
        if self.canary and in_share(key_id, self.canary.share):
            return self.versions[self.canary.slot]
        return self.champion

    def previous_for(self, key_id: str) -> str | None:
        """To a key that tries a canary, the champion of all others is the version before."""
        if self.canary and in_share(key_id, self.canary.share):
            return self.champion
        return self.previous


def in_share(key_id: str, share: float) -> bool:
    """Whether a key belongs to the share that tries a canary; the same keys each time."""
    digest = hashlib.sha256(key_id.encode()).digest()
    return int.from_bytes(digest[:4]) < share * 2**32


class SlotsFile:
    """The file of one line's server."""

    def __init__(self, home: Path, line: str) -> None:
        self.path = home / "serve" / line / "slots.json"
        self._stamp: tuple[int, int, int] | None = None
        self._slots: Slots | None = None

    def read(self) -> Slots | None:
        """The state as it is now, or was before it was damaged; None before a keeper wrote it.

        Raises SlotsError where it is damaged and was never read.
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
                error = SlotsError(f"the state of the server {self.path} is damaged: delete it")
                if self._slots is None:
                    raise error from None
                log.error("%s", error)
            self._stamp = stamp
        return self._slots

    def fit(self, names: Sequence[str], registry: Registry) -> None:
        """Forget the state of a server that had other slots than `names`, or whose champion is gone."""
        slots = self.read()
        if slots is None:
            return
        try:
            registry.path(slots.champion or "")
        except RegistryError:
            gone = True
        else:
            gone = set(slots.versions) != set(names)
        if gone:
            self.path.unlink()
            self._stamp = None

    def write(self, slots: Slots) -> None:
        make_dirs(self.path.parent)
        replace_file(self.path, to_json(slots).encode())

"""API keys: bearer tokens with scopes and limits, stored as hashes.

    ratchet keys create laptop --scope infer

A key is `rk-` followed by 256 random bits and is shown only once. `RATCHET_HOME/keys.json` (mode 0600) stores
its SHA-256; a slow password hash would add nothing, because a random token cannot be guessed. A server reads
the file again whenever it has changed.
"""

import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from engine.disk.files import make_dirs, replace_file
from engine.errors import Mistake
from engine.records import from_json, to_json

PREFIX = "rk-"
OWN = "self"
"""Id of the key with which a server asks itself."""


class KeysError(Mistake):
    """A key cannot be created or found, or the key file is damaged."""


class Scope(StrEnum):
    """What a key permits."""

    INFER = "infer"
    """Ask models."""
    FEEDBACK = "feedback"
    """Say something of the answers that the key was given, where the server keeps it."""
    ADMIN = "admin"
    """Ask models, and see the metrics, the server's state and its decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The stored part of a key."""

    id: str
    """Names the key in logs and for `revoke`."""
    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    created: str
    """UTC, ISO 8601."""
    revoked: str = ""
    """UTC, ISO 8601; empty while the key is active."""
    requests_per_minute: int | None = None
    """None for the server's own limit."""
    tokens_per_minute: int | None = None
    """None for the server's own limit."""

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


class Keys:
    """The keys of one RATCHET_HOME."""

    def __init__(self, home: Path) -> None:
        self._path = home / "keys.json"
        self._stamp: tuple[int, int, int] | None = None
        self._read: tuple[Key, ...] = ()

    def all(self) -> tuple[Key, ...]:
        """Return all keys, revoked ones included, oldest first.

        Raises KeysError if the file is damaged or cannot be read.
        """
        try:
            state = self._path.stat()
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp != self._stamp:
                self._read = from_json(tuple[Key, ...], self._path.read_bytes())
                self._stamp = stamp
        except FileNotFoundError:
            return ()
        except ValidationError:
            raise KeysError(f"the key file {self._path} is damaged") from None
        except OSError as error:
            raise KeysError(f"the key file {self._path} cannot be read: {error.strerror}") from None
        return self._read

    def find(self, token: str) -> Key | None:
        """Find the active key of a token, in a time that does not depend on which key it is, if any."""
        digest, found = hash_of(token), None
        for key in self.all():
            if hmac.compare_digest(key.sha256, digest) and not key.revoked:
                found = key
        return found

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
    ) -> tuple[Key, str]:
        """Create a key, and return it with its token, which is not stored anywhere.

        Raises KeysError for an invalid scope, an invalid name, or a name in use.
        """
        unknown = sorted(set(scopes) - set(Scope))
        if unknown or not scopes:
            raise KeysError(f"a scope must be {' or '.join(Scope)}, got {', '.join(unknown) or 'none'}")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise KeysError(
                "a key's name must be 1 to 64 letters, digits or . _ - and begin with a letter or digit, "
                f"got {name!r}"
            )
        with self._locked():
            if any(key.name == name and not key.revoked for key in self.all()):
                raise KeysError(f"a key named {name} already exists: revoke it, or choose another name")
            token = PREFIX + secrets.token_urlsafe(32)
            key = Key(
                id=secrets.token_hex(4),
                name=name,
                sha256=hash_of(token),
                scopes=tuple(Scope(scope) for scope in dict.fromkeys(scopes)),
                created=_now(),
                requests_per_minute=requests_per_minute,
                tokens_per_minute=tokens_per_minute,
            )
            self._write((*self.all(), key))
            return key, token

    def revoke(self, name: str) -> Key:
        """Revoke a key by its id or name; servers refuse it from the next request on.

        Raises KeysError if no active key has that id or name.
        """
        with self._locked():
            active = [key for key in self.all() if not key.revoked]
            for key in active:
                if name in (key.id, key.name):
                    ended = replace(key, revoked=_now())
                    self._write(tuple(ended if each.id == key.id else each for each in self.all()))
                    return ended
            known = ", ".join(key.name for key in active) or "none"
            raise KeysError(f"there is no active key {name!r}; active keys: {known}")

    def _write(self, keys: tuple[Key, ...]) -> None:
        replace_file(self._path, to_json(keys).encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        home = self._path.parent
        try:
            make_dirs(home)
            handle = os.open(home / ".keys.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise KeysError(f"RATCHET_HOME {home} cannot be written to: {error.strerror}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def hash_of(token: str) -> str:
    """Hash a token as `Key.sha256` stores it."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""Who may ask: bearer keys with scopes and limits, kept hashed.

    ratchet keys create laptop --scope infer

A key is `rk-` and 256 random bits, shown once; `RATCHET_HOME/keys.json` (mode 0600) keeps its SHA-256. That
is no password hash, because there is nothing to guess. A server reads the file again when it has changed.
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
from engine.records import from_json, to_json

PREFIX = "rk-"
OWN = "self"
"""Id of the key by which a server asks itself."""


class KeysError(ValueError):
    """A key that cannot be made or found, or a damaged file."""


class Scope(StrEnum):
    INFER = "infer"
    """Ask models."""
    ADMIN = "admin"
    """See metrics, and the state and decisions of what is served; also ask models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is kept of a key."""

    id: str
    """To speak of it: in logs and for `revoke`."""
    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    created: str
    """UTC, ISO 8601."""
    revoked: str = ""
    """When; empty while the key is good."""
    requests_per_minute: int | None = None
    """None: the server's own limit."""
    tokens_per_minute: int | None = None
    """Likewise."""

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


class Keys:
    """The keys of one RATCHET_HOME."""

    def __init__(self, home: Path) -> None:
        self._path = home / "keys.json"
        self._stamp: tuple[int, int, int] | None = None
        self._read: tuple[Key, ...] = ()

    def all(self) -> tuple[Key, ...]:
        """All keys ever made, oldest first. Raises KeysError where the file is damaged, or cannot be read."""
        try:
            state = self._path.stat()
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp != self._stamp:
                self._read = from_json(tuple[Key, ...], self._path.read_bytes())
                self._stamp = stamp
        except FileNotFoundError:
            return ()
        except ValidationError:
            raise KeysError(f"the file of keys {self._path} is damaged") from None
        except OSError as error:
            raise KeysError(f"the file of keys {self._path} cannot be read: {error.strerror}") from None
        return self._read

    def find(self, token: str) -> Key | None:
        """The good key that `token` is, in the same time whether and where it is found."""
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
        """A new key and its token, which is kept nowhere.

        Raises KeysError for a name in use, or a name or scope that is none.
        """
        unknown = sorted(set(scopes) - set(Scope))
        if unknown or not scopes:
            raise KeysError(f"a scope is one of {', '.join(Scope)}, got {', '.join(unknown) or 'none'}")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise KeysError(f"a key's name is up to 64 letters, digits and . _ -, got {name!r}")
        with self._locked():
            if any(key.name == name and not key.revoked for key in self.all()):
                raise KeysError(f"there is a key named {name}: revoke it, or choose another name")
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
        """End a key, by its id or name; servers refuse it from their next look at the file.

        Raises KeysError where there is no such good key.
        """
        with self._locked():
            good = [key for key in self.all() if not key.revoked]
            for key in good:
                if name in (key.id, key.name):
                    ended = replace(key, revoked=_now())
                    self._write(tuple(ended if each.id == key.id else each for each in self.all()))
                    return ended
            known = ", ".join(key.name for key in good) or "there is none"
            raise KeysError(f"no good key {name!r}: {known}")

    def _write(self, keys: tuple[Key, ...]) -> None:
        replace_file(self._path, to_json(keys).encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_dirs(self._path.parent)
        handle = os.open(self._path.with_name(".keys.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

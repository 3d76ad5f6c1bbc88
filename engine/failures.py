"""The kinds of failure, in one table: how each is known, and whether what it ended is tried again.

What is tried again is only what can go away: a process or a node that was lost, a kill for want of memory, a
connection. How often, the config says (`sampler.max_restarts`, a training's `max_failures`, `judge.retries`).
Anything else would happen again: it ends at once what it happened in, with its own words. `cluster/README.md`
shows what people read of each kind. Errors of libraries are known by their names, so that none is imported.
"""

import builtins
import dis
import errno
import os
import re
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import Broken, Lost, Mistake, cause_of
from engine.plugins import PluginError

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("configs", "engine", "loops", "tune", "serve", "cluster", "ratchet.py")
_OURS = tuple(_ROOT / name for name in _PACKAGES)
_LIBRARY = Path(sysconfig.get_paths()["stdlib"])
_LONGEST = 600
"""Characters of another program's message that a sentence takes."""

GONE_NAMES = frozenset(
    {
        "ray.exceptions.RayActorError",
        "ray.exceptions.ActorDiedError",
        "ray.exceptions.ActorUnavailableError",
        "ray.exceptions.WorkerCrashedError",
        "ray.exceptions.NodeDiedError",
        "ray.exceptions.LocalRayletDiedError",
        "ray.exceptions.ObjectLostError",
        "ray.train.v2._internal.exceptions.WorkerHealthCheckTimeoutError",
        "ray.train.v2._internal.exceptions.WorkerGroupStartupFailedError",
        "ray.train.v2._internal.exceptions.WorkerGroupStartupTimeoutError",
        "concurrent.futures.process.BrokenProcessPool",
        "engine.sample.starting.EngineKilled",
    }
)
KILLED_NAMES = frozenset({"ray.exceptions.OutOfMemoryError"})
CONNECTION_NAMES = frozenset(
    {
        "builtins.ConnectionError",
        "builtins.TimeoutError",
        "httpx.TransportError",
        "httpx.DecodingError",
        "torch.distributed.DistNetworkError",
        "torch.distributed.DistStoreError",
    }
)
FOR_GOOD_NAMES = frozenset({"httpx.ProxyError", "httpx.UnsupportedProtocol", "httpx.LocalProtocolError"})
"""Errors of a connection that say what will be said again: a proxy's refusal, a wrong address."""
_BUSY = ("500", "502", "503", "504")
"""Statuses with which a proxy refuses for now."""
MEMORY_NAMES = frozenset({"builtins.MemoryError", "torch.OutOfMemoryError"})
NO_ROOM_NAMES = frozenset(
    {
        "ray.exceptions.RuntimeEnvSetupError",
        "ray.exceptions.ActorUnschedulableError",
        "ray.exceptions.TaskUnschedulableError",
    }
)
_PEER = re.compile(
    r"(?i)connection (closed|reset|refused) by (remote )?peer|pair closure|socket closed|broken pipe|remote "
    r"process exit|ncclRemoteError|communicator was aborted|connectFullMesh failed|timed out waiting \d+ ?ms"
    r"|collective operation timeout"
)
"""How gloo and NCCL speak of another worker that they can no longer reach."""


class Kind(NamedTuple):
    """A kind of failure."""

    name: str
    again: bool
    """Whether whoever meets it tries again what it ended."""
    tries: str
    """How often, in words; a training out of memory is tried again in another way."""
    fits: Callable[[BaseException], bool]
    """Whether an error, unwrapped, is of this kind where it is of none before it."""


def _named(*names: str) -> Callable[[BaseException], bool]:
    return lambda error: not {*names}.isdisjoint(_names_of(error))


def _names_of(error: BaseException) -> Iterator[str]:
    return (f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__)


def _is_gone(error: BaseException) -> bool:
    # Ray gives one name to an actor that died and to one whose code failed to start.
    return _named(*GONE_NAMES)(error) and not getattr(error, "actor_init_failed", False)


def _is_connection(error: BaseException) -> bool:
    if _named(*FOR_GOOD_NAMES)(error):
        return str(error).startswith(_BUSY)
    lost = isinstance(error, RuntimeError) and bool(_PEER.search(str(error)))
    if not (lost or _named(*CONNECTION_NAMES)(error)):
        return False
    if _raised_by_own(error):
        # What such a file says of a connection is its own, unless it passes on what it has met.
        return any(map(_is_connection, [*_chain(error)][1:]))
    return lost or not any(map(_is_for_good, _chain(error)))


def _is_for_good(error: BaseException) -> bool:
    """Whether there is no such host, a certificate is bad, or vLLM's own processes were not ready in time."""
    import socket

    unknown = isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME
    slow = "waiting for engine core processes" in str(error)
    return unknown or slow or _named("ssl.SSLCertVerificationError")(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that led to it."""
    for _ in range(16):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _raised_by_own(error: BaseException) -> bool:
    """Whether a `raise` in a user's file made it; what a file calls in C, such as a socket, has no frame."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_code[trace.tb_lasti] != dis.opmap["RAISE_VARARGS"]:
        return False
    return not any(is_its(trace.tb_frame.f_code.co_filename) for is_its in (_is_library, _is_ours))


def _is_full_disk(error: BaseException) -> bool:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or _named("ray.exceptions.OutOfDiskError")(error)


def _is_memory(error: BaseException) -> bool:
    said = isinstance(error, RuntimeError) and "allocate memory" in str(error)
    return said or _named(*MEMORY_NAMES)(error)


def _is_own(error: BaseException) -> bool:
    """Whether a user's file raised it: code of ours was not called from there before it was raised."""
    for file, _ in reversed(_frames(error)):
        if not _is_library(file):
            return not _is_ours(file)
    return False


_AGAIN = "as often as `sampler.max_restarts` and a training's `max_failures` say, a trial once"
_HALF = "of a training once, with half the micro-batch"

GONE = Kind("a process or a node is gone", True, _AGAIN, _is_gone)
KILLED = Kind(
    "killed, because its machine's memory was used up", True, f"{_AGAIN}; then {_HALF}", _named(*KILLED_NAMES)
)
CONNECTION = Kind(
    "a connection failed",
    True,
    "as often as `judge.retries` says, of a benchmark for five minutes, of a training's workers as above",
    _is_connection,
)
DISK = Kind("a full disk", False, "no", _is_full_disk)
MEMORY = Kind("a process's own memory is used up", False, _HALF, _is_memory)
MISTAKE = Kind("a mistake", False, "no", lambda error: isinstance(error, Mistake))
LOST = Kind("given up, after all tries", False, "no", lambda error: isinstance(error, Lost))
INTEGRITY = Kind("a failed integrity check", False, "no", lambda error: isinstance(error, Broken))
NO_ROOM = Kind("no place or environment for a process", False, "no", _named(*NO_ROOM_NAMES))
OWN_FILE = Kind("a user's own file", False, "no", _is_own)
BUG = Kind("a bug", False, "no", lambda error: True)
KINDS = (GONE, KILLED, CONNECTION, DISK, MEMORY, MISTAKE, LOST, INTEGRITY, NO_ROOM, OWN_FILE, BUG)
"""All kinds, in the order in which an error is held against them."""


def kind_of(error: Exception) -> Kind:
    """The kind of an error, also of one that Ray has wrapped."""
    error = cause_of(error)
    return next(kind for kind in KINDS if kind.fits(error))


def can_go_away(error: Exception) -> bool:
    """Whether what an error ended may be tried again."""
    return kind_of(error).again


def named_again(name: str) -> bool:
    """The same of an error of which there is only its class's name, as a traceback shows it."""
    builtin = getattr(builtins, name, None)
    names = {f"builtins.{each.__qualname__}" for each in getattr(builtin, "__mro__", ())} or {name}
    return not names.isdisjoint(GONE_NAMES | KILLED_NAMES | CONNECTION_NAMES)


def said_by(error: BaseException) -> str:
    """An error in one line: its class, and what it says; of pydantic the first fault alone."""
    said = str(error)
    faults: Any = getattr(error, "errors", None)
    if type(error).__name__ == "ValidationError" and callable(faults):
        return one_line(faults()[0]["msg"].removeprefix("Value error, "))
    name = type(error).__name__
    return f"{name}: {one_line(said)}" if said.strip() else name


def first_line(error: BaseException) -> str:
    """What an error says in its first line, and in its last where the first only announces another error."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{lines[0]} {lines[-1].strip()}" if lines[0].endswith(":") and lines[1:] else lines[0]


def one_line(text: str) -> str:
    """A message of another program in one line, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def origin_of(error: BaseException) -> str:
    """An error in one line with where it comes from: the line of a user's file, else that of ours."""
    frames = [frame for frame in _frames(error) if not _is_library(frame[0])]
    own = [frame for frame in frames if not _is_ours(frame[0])]
    if not frames:
        return said_by(error)
    file, line = (own or frames)[-1]
    shown = file if own else os.path.relpath(file, _ROOT)
    return f"{said_by(error)} ({shown}, line {line})"


def fault_of_own_file(error: BaseException) -> PluginError | None:
    """The sentence on an error that a user's file raised; None for any other error.

    It has to be asked in the process where it was raised: a traceback does not leave it.
    """
    if not isinstance(error, Exception) or kind_of(error) is not OWN_FILE:
        return None
    file, line = [frame for frame in _frames(error) if not (_is_library(frame[0]) or _is_ours(frame[0]))][-1]
    return PluginError(f"{file} fails in line {line}: {said_by(error)}")


def _frames(error: BaseException) -> list[tuple[str, int]]:
    """Files and lines that an error came through, the one that raised it last."""
    found, trace = [], error.__traceback__
    while trace:
        found.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return found


def _is_ours(file: str) -> bool:
    return any(Path(file).is_relative_to(each) for each in _OURS)


def _is_library(file: str) -> bool:
    path = Path(file)
    if _is_ours(file):
        return False
    # What is no file, such as `<frozen importlib>` and `<template>`, belongs to a library.
    is_file = path.is_absolute() and path.suffix == ".py"
    return not is_file or "site-packages" in path.parts or path.is_relative_to(_LIBRARY)


class Raised(NamedTuple):
    """An exception at the end of a traceback that was printed."""

    name: str
    """The class, with its module."""
    said: str
    follows: bool
    """Whether it was raised while the one before it was handled, or because of it."""


_BEFORE = re.compile(r"^(\([^()]*pid=\d+\) ?)?([A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")
"""What vLLM's processes print at the beginning of a line."""
_BEGINS = "Traceback (most recent call last):"
_FOLLOWS = ("During handling of the above exception", "The above exception was the direct cause")
_LAST = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?$")


def raised_in(text: str) -> list[Raised]:
    """The exceptions whose tracebacks a program has printed, in their order."""
    found: list[Raised] = []
    in_traceback = follows = False
    for line in text.splitlines():
        line = _BEFORE.sub("", line)
        if line.startswith(_FOLLOWS):
            # Ray puts a line of its own in place of the one with which a traceback begins.
            in_traceback = follows = True
        elif line.endswith(_BEGINS):
            in_traceback = True
        elif in_traceback and (last := _LAST.match(line)):
            found.append(Raised(last[1], one_line(last[2] or ""), follows))
            in_traceback = follows = False
    return found

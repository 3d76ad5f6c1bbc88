"""Finds what Ray and its engines need on a machine, also where it is not in the usual place.

They need a home directory, a directory whose path is short, and a Python that a shell finds.
"""

import hashlib
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engine.disk.files import make_dirs

_MOST_BYTES = 107
"""The longest path that a socket can have."""
_SESSION = f"session_{'2026-01-31_12-00-00_000000'}_4194304/sockets"
"""Where Ray's sockets are in its directory; the last number is a process id."""
_ENGINE = "0123abcd-0123-abcd-0123-0123456789ab"
"""The name of an engine's socket."""
_READ = {"HF_HOME": ".cache/huggingface", "RAY_AUTH_TOKEN_PATH": ".ray/auth_token"}
"""What a home may have that can be read, by the variable that names it."""


def settle_home(instead: Path) -> None:
    """Give this process, and all that it starts, a HOME that can be written to: its own, else `instead`.

    Ray keeps its token there, and engines what they compile. What a home that is only read has stays in use.
    Raises OSError where `instead` cannot be made.
    """
    home = Path(os.path.expanduser("~"))  # without the variable it is that of the user's entry in passwd
    if home.is_absolute() and os.path.isdir(home) and os.access(home, os.W_OK | os.X_OK):
        os.environ["HOME"] = str(home)  # compiled code asks for the variable only
        return
    for variable, part in _READ.items():
        if home.is_absolute() and os.path.exists(home / part):
            os.environ.setdefault(variable, str(home / part))
    make_dirs(instead)
    os.environ["HOME"] = str(instead)


def directories() -> Iterator[Path]:
    """Where Ray may keep its files on this machine, the usual place first.

    Its commands name the place, so it has no character that a shell would take for something else.
    """
    for root in _roots():
        yield root / "ray"
        yield root / f"ray-{os.getuid()}"


def _roots() -> Iterator[Path]:
    for root in (os.environ.get("TMPDIR"), "/tmp"):
        if root and shlex.quote(root) == root:
            yield Path(root).absolute()


def unfit(directory: Path, *, dashboard: bool) -> str:
    """Why Ray cannot keep its files in a directory, which need not exist yet; empty if it can."""
    socket = directory / _SESSION / ("dash_TaskEventsHead" if dashboard else "plasma_store")
    if (too_many := len(os.fsencode(socket)) - _MOST_BYTES) > 0:
        return f"its path is {too_many} bytes too long, because Ray's sockets are in it"
    there = directory
    while not os.path.exists(there):
        there = there.parent
    if not there.is_dir():
        return f"{there} is no directory"
    if there == directory and there.stat().st_uid != os.getuid():
        # Who owns it could replace what Ray runs from it.
        return "it belongs to another user"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"{there} cannot be written to"


def settle_temporary(sockets: Path) -> None:
    """Let engines use the temporary directory only for what works there.

    Where its path is too long for sockets, these go to the directory `sockets`. Where a shell would misread
    it, as compilers do, which are given paths as they are, all goes to a directory of this user's.
    """
    temporary = tempfile.gettempdir()
    if len(os.fsencode(f"{temporary}/{_ENGINE}")) > _MOST_BYTES:
        os.environ.setdefault("VLLM_RPC_BASE_PATH", str(sockets))
    if shlex.quote(temporary) != temporary and (own := _own()):
        os.environ["TMPDIR"] = str(own)


def python_for_workers(*, here: bool) -> dict[str, str]:
    """What Ray's runtime environment must say of this Python: nothing, unless a shell would misread its path.

    Ray starts each worker through a shell, with the path as it is, and so do workers with compilers, which
    find torch by it. On one machine (`here`) a link leads to the environment; on another there is none.
    """
    if shlex.quote(sys.executable) == sys.executable:
        return {}
    # Those that Ray starts ahead of the first task may not be told: they would fail, and hold up the others.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    return {"py_executable": shlex.quote(_linked() if here else sys.executable)}


def _linked() -> str:
    """This Python, by a link with a plain path to its environment; as it is where none can be made."""
    own, prefix, python = _own(), Path(sys.prefix), Path(sys.executable)
    if own is None or not python.is_relative_to(prefix):
        return sys.executable
    link = own / f"env-{hashlib.sha256(os.fsencode(prefix)).hexdigest()[:12]}"
    if not (link.is_symlink() and os.readlink(link) == str(prefix)):
        new = link.with_name(f".{link.name}.{os.getpid()}")
        new.symlink_to(prefix)
        os.replace(new, link)
    return str(link / python.relative_to(prefix))


def _own() -> Path | None:
    """A directory with a plain path that only this user can change; None where there can be none."""
    name = f"ratchet-{os.getuid()}"
    for root in _roots():
        own = root if root.name == name else root / name  # it may be the temporary one already
        with suppress(OSError):
            own.mkdir(mode=0o700, exist_ok=True)
            found = own.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
                return own
    return None

"""A checker process of the pool, both ends. Only the pool starts `python -m engine.verify.process`.

The process gives up what a checker does not need (files to write, memory, processor time), replies ``R``,
then answers batches. A batch is a line with its number of items, then for each item a line with the problem
and one with the attempt. Answers are one line each, in order: ``V`` and the verdict, ``U`` and why there is
none, ``F`` and how a user's own file fails, or ``L`` and why this process has to be replaced. A process that
cannot load its verifier replies ``E`` and the reason in place of ``R``.
"""

import ctypes
import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import BinaryIO

from engine.errors import Mistake
from engine.failures import fault_of_own_file, origin_of, said_by
from engine.plugins import PluginError
from engine.records import Attempt, Fault, Problem, Status, Verdict, from_json, to_json
from engine.verify import Verifier, faults_of, least_mib, load_verifier

START_SECONDS = 60.0
"""How long a child may take to import its verifier."""
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "PYTHONUTF8", "HOME", "TMPDIR")
"""The environment of a checker has only these, so that no secrets reach it."""
MAX_OPEN_FILES = 32
_PR_SET_PDEATHSIG = 1
MAX_ITEM_BYTES = 2**24
"""Longest item on its way to a process; a checker has some fifteen times as much memory at the least."""


@dataclass(frozen=True, slots=True)
class Item:
    """One attempt to verify; the pool knows it by its ticket."""

    ticket: int
    problem: Problem
    attempt: Attempt
    was_lost: bool = False
    """A process ended over it, or over what it did before: it is tried once more, alone in a fresh one."""

    def encode(self) -> bytes:
        """Two lines for the process. Raises ValueError for an item that is no text, or too large."""
        if sum(map(len, self.attempt.replies)) <= MAX_ITEM_BYTES:
            data = f"{to_json(self.problem)}\n{to_json(self.attempt)}\n".encode()
            if len(data) <= MAX_ITEM_BYTES:
                return data
        raise ValueError(f"it has more than {MAX_ITEM_BYTES:,} bytes")

    def undecided(self, verifier: str, reason: str, fault: Fault = Fault.VERIFIER_LIMIT) -> Verdict:
        """The verdict where the checker, and not the model, is at fault."""
        return Verdict(
            problem_id=self.problem.id,
            sample=self.attempt.sample,
            status=Status.UNDECIDED,
            right=False,
            answer="",
            fault=fault,
            verifier=verifier,
            reason=reason,
        )


class CheckerProcess:
    """One checker process: its pipes, the batch that it works on, and the time by which it must answer."""

    def __init__(self, verifier: str, seconds: float, memory_mib: int) -> None:
        self.batch: deque[Item] = deque()
        self.is_ready = False
        self.is_fresh = True
        """Nothing was sent to it yet."""
        self.last_words = ""
        """Why it has to be replaced, where it says so itself."""
        self.deadline = time.monotonic() + START_SECONDS
        self._seconds = seconds
        self._unread = b""
        self._has_ended = False
        requests, self._requests = _pipe()
        self.replies, replies = _pipe()
        arguments = [requests, replies, os.getpid(), ceil(seconds), memory_mib, verifier]
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        # The child finds the same modules as this process, in whatever directory that was started.
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path)
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine.verify.process", *map(str, arguments)],
            pass_fds=(requests, replies),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # the parent handles Ctrl-C; a kill reaches what a checker started
        )
        os.close(requests)
        os.close(replies)

    def send(self, batch: Sequence[tuple[Item, bytes]]) -> None:
        """Hand a batch to an idle child, which reads it whole before it answers. Raises BrokenPipeError."""
        data = memoryview(b"".join([f"{len(batch)}\n".encode(), *(encoded for _, encoded in batch)]))
        while data:
            data = data[os.write(self._requests, data) :]
        self.is_fresh = False
        self.batch.extend(item for item, _ in batch)
        self.renew()

    def renew(self) -> None:
        self.deadline = time.monotonic() + self._seconds

    def receive(self) -> list[bytes] | None:
        """The whole lines of reply received so far; None where the child has ended."""
        data = os.read(self.replies, 2**20)
        if not data:
            self._has_ended = True
            return None
        *lines, self._unread = (self._unread + data).split(b"\n")
        self.renew()
        return lines

    def end(self) -> str:
        """Kill the process with all that it started; returns how it ended: ``exit code 3``, ``SIGSEGV``."""
        if self._has_ended:
            with suppress(subprocess.TimeoutExpired):  # its pipe is closed: its exit code is on the way
                self._process.wait(1.0)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        os.close(self._requests)
        os.close(self.replies)
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _pipe() -> tuple[int, int]:
    """The ends of a pipe, for reading and for writing, of which none is a standard stream.

    Where one of those is closed, its number is the next that is given out, and the process gets a new one.
    """
    reader, writer = (_above_streams(end) for end in os.pipe())
    return reader, writer


def _above_streams(descriptor: int) -> int:
    if descriptor > 2:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return moved


def main() -> None:
    """Arguments: descriptors of requests and replies, the parent's process id, seconds, MiB, verifier."""
    requests_fd, replies_fd, parent, seconds, memory_mib = map(int, sys.argv[1:6])
    _die_with(parent)
    _give_up(max(memory_mib, least_mib(sys.argv[6])))
    with open(requests_fd, "rb") as requests, open(replies_fd, "wb", buffering=0) as replies:
        try:
            verifier, declared = load_verifier(sys.argv[6]), faults_of(sys.argv[6])
        except Exception as error:  # noqa: BLE001 - a user's file may raise anything; the parent reports it
            _reply(replies, b"E", str(error) if isinstance(error, Mistake) else said_by(error))
            return
        _reply(replies, b"R", "")
        while header := requests.readline():
            if not _answer(requests, replies, verifier, declared, num=int(header), seconds=seconds):
                return


def _answer(
    requests: BinaryIO,
    replies: BinaryIO,
    verifier: Verifier,
    declared: Mapping[str, str],
    *,
    num: int,
    seconds: int,
) -> bool:
    """Answer a batch; False where this process should be replaced."""
    try:
        # The whole batch is read before the first answer: otherwise each side could wait for the other.
        items = [(requests.readline(), requests.readline()) for _ in range(num)]
        for problem, attempt in items:
            _limit_processor(seconds)
            _reply(replies, *_judge(verifier, declared, problem, attempt))
    except MemoryError:
        _reply(replies, b"L", "the checker ran out of memory")
        return False
    return True


def _judge(
    verifier: Verifier, declared: Mapping[str, str], problem_json: bytes, attempt_json: bytes
) -> tuple[bytes, str]:
    """The reply to one item. Raises MemoryError."""
    try:
        verdict = verifier(from_json(Problem, problem_json), from_json(Attempt, attempt_json))
        if not isinstance(verdict, Verdict):
            return b"F", f"the verifier gave no verdict, got {type(verdict).__name__}"
        if not isinstance(verdict.fault, str) or verdict.fault not in {*Fault, *declared}:
            names = ", ".join(declared) or "none"
            return b"F", f"the verifier gave the fault {verdict.fault!r:.60}; its FAULTS declare {names}"
        return b"V", to_json(verdict)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a user's verifier may raise anything: data, not a crash
        is_own = isinstance(error, PluginError) or fault_of_own_file(error) is not None
        said = str(error) if isinstance(error, Mistake) else f"the verifier raised {origin_of(error)}"
        return (b"F" if is_own else b"U"), said


def _reply(replies: BinaryIO, kind: bytes, text: str) -> None:
    body = " ".join(text.splitlines()) if kind != b"V" else text
    data = memoryview(kind + body.encode("utf-8", "replace") + b"\n")
    while data:
        data = data[replies.write(data) :]


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the line above
        os._exit(1)


def _give_up(memory_mib: int) -> None:
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_AS, memory_mib * 2**20),
    ):
        hard = resource.getrlimit(limit)[1]  # only root could go above it
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (least, least))


def _limit_processor(seconds: int) -> None:
    """Limit the processor time of the next item, behind the parent's clock, by a soft limit that moves."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(usage.ru_utime + usage.ru_stime) + seconds + 2
    if hard == resource.RLIM_INFINITY or soft < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


if __name__ == "__main__":
    main()

"""A checker process of the pool, both ends. Only the pool starts `python -m engine.verify.process`.

The process gives up what a checker does not need (files to write, memory, processor time), replies ``R``,
then answers batches. A batch is a line with its number of items, then for each item a line with the problem
and one with the attempt. Answers are one line each, in order: ``V`` and the verdict, ``U`` and why there is
none, or ``L`` and why this process has to be replaced. A process that cannot load its verifier replies ``E``
and the reason in place of ``R``.
"""

import ctypes
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

from engine.records import Attempt, Fault, Problem, Status, Verdict, from_json, to_json
from engine.verify import Verifier, faults_of, least_mib, load_verifier

START_SECONDS = 60.0
"""How long a child may take to import its verifier."""
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "HOME", "TMPDIR")
"""The environment of a checker has only these, so that no secrets reach it."""
MAX_OPEN_FILES = 32
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One attempt to verify; the pool knows it by its ticket."""

    ticket: int
    problem: Problem
    attempt: Attempt

    def undecided(self, verifier: str, reason: str) -> Verdict:
        """The verdict where the checker, and not the model, is at fault."""
        return Verdict(
            problem_id=self.problem.id,
            sample=self.attempt.sample,
            status=Status.UNDECIDED,
            right=False,
            answer="",
            fault=Fault.VERIFIER_LIMIT,
            verifier=verifier,
            reason=reason,
        )


class CheckerProcess:
    """One checker process: its pipes, the batch that it works on, and the time by which it must answer."""

    def __init__(self, verifier: str, seconds: float, memory_mib: int) -> None:
        self.batch: deque[Item] = deque()
        self.is_ready = False
        self.is_leaving = False
        self.deadline = time.monotonic() + START_SECONDS
        self._seconds = seconds
        self._unread = b""
        self._has_ended = False
        requests, self._requests = os.pipe()
        self.replies, replies = os.pipe()
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

    def send(self, batch: Sequence[Item]) -> None:
        """Hand a batch to an idle child, which reads it whole before it answers. Raises BrokenPipeError."""
        rows = [str(len(batch))]
        for item in batch:
            rows += [to_json(item.problem), to_json(item.attempt)]
        data = memoryview("\n".join([*rows, ""]).encode())
        while data:
            data = data[os.write(self._requests, data) :]
        self.batch.extend(batch)
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


def main() -> None:
    """Arguments: descriptors of requests and replies, the parent's process id, seconds, MiB, verifier."""
    requests_fd, replies_fd, parent, seconds, memory_mib = map(int, sys.argv[1:6])
    _die_with(parent)
    _give_up(max(memory_mib, least_mib(sys.argv[6])))
    with open(requests_fd, "rb") as requests, open(replies_fd, "wb", buffering=0) as replies:
        try:
            verifier, declared = load_verifier(sys.argv[6]), faults_of(sys.argv[6])
        except Exception as error:  # noqa: BLE001 - a user's file may raise anything; the parent reports it
            _reply(replies, b"E", f"{type(error).__name__}: {error}")
            return
        _reply(replies, b"R", "")
        while header := requests.readline():
            # The whole batch is read before the first answer: otherwise each side could wait for the other.
            items = [(requests.readline(), requests.readline()) for _ in range(int(header))]
            for problem, attempt in items:
                _limit_processor(seconds)
                if not _answer(replies, verifier, declared, problem, attempt):
                    return


def _answer(
    replies: BinaryIO,
    verifier: Verifier,
    declared: Mapping[str, str],
    problem_json: bytes,
    attempt_json: bytes,
) -> bool:
    """Answer one item; False where this process should be replaced."""
    problem, attempt = from_json(Problem, problem_json), from_json(Attempt, attempt_json)
    try:
        verdict = verifier(problem, attempt)
    except MemoryError:
        _reply(replies, b"L", "the checker ran out of memory")
        return False
    except Exception as error:  # noqa: BLE001 - a user's verifier may raise anything: data, not a crash
        _reply(replies, b"U", f"the verifier raised {type(error).__name__}: {error}")
        return True
    if not isinstance(verdict, Verdict):
        _reply(replies, b"U", f"the verifier gave no verdict, got {type(verdict).__name__}")
    elif not isinstance(verdict.fault, str) or verdict.fault not in {*Fault, *declared}:
        names = ", ".join(declared) or "none"
        _reply(
            replies, b"U", f"the verifier gave the fault {verdict.fault!r:.60}; its FAULTS declare {names}"
        )
    else:
        _reply(replies, b"V", to_json(verdict))
    return True


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
        resource.setrlimit(limit, (value, value))


def _limit_processor(seconds: int) -> None:
    """Limit the processor time of the next item, behind the parent's clock, by a soft limit that moves."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(usage.ru_utime + usage.ru_stime) + seconds + 2
    if hard == resource.RLIM_INFINITY or soft < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


if __name__ == "__main__":
    main()

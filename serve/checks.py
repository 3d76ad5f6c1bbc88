"""What a chat may ask to have checked, and the limited processes that check it.

Texts of clients and of models are hostile, so they are judged in a pool of child processes with limits on
time and memory (`engine/verify/pool.py`). A thread of its own drives the pool, because the processes end with
the thread that started them, and because a gateway's event loop must not wait.
"""

import asyncio
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from configs.serving import Checking
from engine.prove.search import ROUND, VERIFIER
from engine.records import Attempt, Problem, Verdict
from engine.verify.pool import VerifierPool

_EACH = 2
"""Replies that a process is given beforehand. The others wait here, and end with who waits for them."""
_POLL_SECONDS = 0.02
"""Longest time that a reply waits to be sent to a process while others are judged, in seconds."""


class Verify(BaseModel):
    """The field `verify` of a chat: its answer is a reply that the checkers accept, or a refusal."""

    model_config = ConfigDict(extra="forbid")
    task: Annotated[str, Field(max_length=100)] | None = None
    """Which task reads the question; None: the one that can."""
    samples: Annotated[int, Field(ge=1)] = 8
    """Most replies that are drawn for it."""

    @property
    def at_once(self) -> int:
        """Replies that are drawn at a time."""
        return min(self.samples, ROUND)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A reply to be judged, and who waits for the verdict."""

    problem: Problem
    attempt: Attempt
    waiting: "asyncio.Future[Verdict]"

    @property
    def name(self) -> tuple[str, int]:
        return self.problem.id, self.attempt.sample

    def end(self, found: Verdict | Exception) -> None:
        """Tell who waits, from another thread."""

        def tell() -> None:
            if self.waiting.done():
                return  # the client has left
            if isinstance(found, Verdict):
                self.waiting.set_result(found)
            else:
                self.waiting.set_exception(found)

        with suppress(RuntimeError):  # the loop has ended
            self.waiting.get_loop().call_soon_threadsafe(tell)


class Checks:
    """The checkers of a gateway. Their processes start with the first reply that is to be judged."""

    def __init__(self, limits: Checking | None = None) -> None:
        self._limits = limits or Checking()
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        """Held while jobs come in, and while the thread ends, so that no job is left without a thread."""

    async def verdicts(self, items: Sequence[tuple[Problem, Attempt]]) -> list[Verdict]:
        """The verdicts in the order of `items`, of which no other under way has the problem and the sample.

        Raises engine.verify.pool.VerifierError where the checkers cannot be started.
        """
        loop = asyncio.get_running_loop()
        jobs = [_Job(problem, attempt, loop.create_future()) for problem, attempt in items]
        with self._lock:
            for job in jobs:
                self._jobs.put(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="checks", daemon=True)
                self._thread.start()
        return await asyncio.gather(*(job.waiting for job in jobs))

    def _run(self) -> None:
        limits, open_jobs = self._limits, dict[tuple[str, int], _Job]()
        try:
            with VerifierPool(
                VERIFIER, num_processes=limits.processes, seconds=limits.seconds, memory_mib=limits.memory_mib
            ) as pool:
                while True:
                    self._take(pool, open_jobs)
                    for verdict in pool.poll(_POLL_SECONDS):
                        open_jobs.pop((verdict.problem_id, verdict.sample)).end(verdict)
        except Exception as error:  # noqa: BLE001  who waits gets it, and the next one starts the checkers anew
            with self._lock:
                self._thread = None
                while not self._jobs.empty():
                    job = self._jobs.get()
                    open_jobs[job.name] = job
            for job in open_jobs.values():
                job.end(error)

    def _take(self, pool: VerifierPool, open_jobs: dict[tuple[str, int], _Job]) -> None:
        """Give the pool what has come in; waits for something where nothing is under way."""
        most = _EACH * (self._limits.processes or 1)
        while len(open_jobs) < most and not (open_jobs and self._jobs.empty()):
            job = self._jobs.get()
            if job.waiting.done():
                continue  # its client has left
            open_jobs[job.name] = job
            pool.submit(job.problem, job.attempt)

"""Verification in child processes with limits on time and memory.

A checker that hangs, dies or runs out of memory costs only the item that it was working on, which becomes
UNDECIDED with its reason: the process is replaced and the other items go on.

No verdict depends on the items before it. What one of them left behind, memory above all, may be why a
process ended over the next; so an item over which a process ended is tried once more, alone in a fresh one,
and only what happens there is held against it. Time that ran out is its own: the clock starts with each item.
"""

import select
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from math import ceil
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from engine.errors import Mistake
from engine.records import Attempt, Fault, Problem, Verdict, from_json
from engine.verify.process import START_SECONDS, CheckerProcess, Item

BATCH = 32
"""Items sent at once, enough that the pipes do not limit the rate."""
BATCH_BYTES = 2**20
"""A batch that has so many bytes takes no further item: a process holds it whole."""
MAX_IDLE_ENDS = 3
"""Processes that may end in a row before they were asked anything; more of them will not do better."""


class VerifierError(Mistake):
    """A verifier that cannot be loaded or started."""


class VerifierPool:
    """Verifies attempts in `num_processes` child processes.

    `verifier` is a name for `engine.verify.load_verifier`. Each item has `seconds` of wall clock, each
    process `memory_mib` MiB of address space. Use the pool as a context manager and from one thread, which
    must outlive it: the children die with the thread that started them. Entering raises VerifierError where
    the verifier cannot be loaded.
    """

    def __init__(self, verifier: str, *, num_processes: int, seconds: float, memory_mib: int) -> None:
        self._name, self._seconds, self._memory_mib = verifier, seconds, memory_mib
        self._num_processes = num_processes
        self._children: list[CheckerProcess] = []
        self._queue: deque[Item] = deque()
        self._lost: deque[Item] = deque()
        """Items over which a process ended. For each of them a fresh process was started, or is free."""
        self._finished: dict[int, Verdict] = {}
        self._num_submitted = 0
        self._num_pending = 0
        self._num_idle_ends = 0

    def __enter__(self) -> Self:
        self._children = [self._start() for _ in range(self._num_processes)]
        try:
            while not all(child.is_ready for child in self._children):
                self._step(START_SECONDS)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all children and drop what is unfinished."""
        for child in self._children:
            child.end()
        self._children = []

    @property
    def num_pending(self) -> int:
        """The number of items submitted and not yet finished."""
        return self._num_pending

    def submit(self, problem: Problem, attempt: Attempt) -> None:
        """Queue one attempt; `poll` or `drain` returns its verdict."""
        self._add(problem, attempt)
        self._dispatch()

    def poll(self, timeout: float = 0.0) -> list[Verdict]:
        """Verdicts finished since the last call, in any order; waits up to `timeout` s for the first."""
        ends = time.monotonic() + timeout
        self._step(0.0)
        while not self._finished and self._num_pending and (left := ends - time.monotonic()) > 0:
            self._step(left)
        return self._take()

    def drain(self) -> list[Verdict]:
        """All verdicts not yet returned, in any order; waits until nothing is pending."""
        while self._num_pending:
            self._step(self._seconds)
        return self._take()

    def verify(self, items: Iterable[tuple[Problem, Attempt]]) -> list[Verdict]:
        """Verdicts in the order of `items`; those of earlier calls of `submit` stay for `poll`."""
        tickets = [self._add(problem, attempt) for problem, attempt in items]
        while self._num_pending:
            self._step(self._seconds)
        return [self._finished.pop(ticket) for ticket in tickets]

    def _add(self, problem: Problem, attempt: Attempt) -> int:
        self._num_submitted += 1
        self._num_pending += 1
        self._queue.append(Item(self._num_submitted, problem, attempt))
        return self._num_submitted

    def _take(self) -> list[Verdict]:
        verdicts, self._finished = list(self._finished.values()), {}
        return verdicts

    def _start(self) -> CheckerProcess:
        return CheckerProcess(self._name, self._seconds, self._memory_mib)

    def _dispatch(self) -> None:
        for child in list(self._children):
            if child.batch or not child.is_ready:
                continue
            batch = self._next_batch(child)
            if not batch:
                continue
            try:
                child.send(batch)
            except BrokenPipeError:  # the child died while idle and has seen nothing of the batch
                for item, _ in reversed(batch):
                    (self._lost if item.was_lost else self._queue).appendleft(item)
                self._replace(child)

    def _next_batch(self, child: CheckerProcess) -> list[tuple[Item, bytes]]:
        """The items to send to an idle child, each with its bytes."""
        if self._lost and child.is_fresh:
            item = self._lost.popleft()
            return [(item, item.encode())]
        most = ceil(len(self._queue) / self._num_processes)
        batch: list[tuple[Item, bytes]] = []
        num_bytes = 0
        while self._queue and len(batch) < min(BATCH, most) and num_bytes < BATCH_BYTES:
            item = self._queue.popleft()
            try:
                data = item.encode()
            except ValueError as error:
                self._finish(item, f"the attempt cannot be checked: {error}")
                continue
            if batch and num_bytes + len(data) > BATCH_BYTES:
                self._queue.appendleft(item)
                break
            batch.append((item, data))
            num_bytes += len(data)
        return batch

    def _step(self, wait: float) -> None:
        """Send what can be sent, wait for a reply or a deadline, at most `wait` seconds, and act on it."""
        assert self._children, "a pool is a context manager"
        self._dispatch()
        now = time.monotonic()
        busy = [child for child in self._children if child.batch or not child.is_ready]
        wait = max(0.0, min([wait, *(child.deadline - now for child in busy)])) if busy else 0.0
        poller = select.poll()  # select.select refuses descriptors above 1023
        for child in self._children:
            poller.register(child.replies, select.POLLIN)
        readable = {descriptor for descriptor, _ in poller.poll(ceil(wait * 1000))}
        for child in list(self._children):
            if child.replies in readable:
                lines = child.receive()
                for line in lines or ():
                    self._handle(child, line)
                if lines is None or child.last_words:
                    self._replace(child, child.last_words)
            # By the clock before the look: this process may have slept since, while the answer came.
            elif (child.batch or not child.is_ready) and now >= child.deadline:
                self._replace(child, f"the checker ran longer than {self._seconds:g} s", is_sure=True)
        self._dispatch()

    def _handle(self, child: CheckerProcess, line: bytes) -> None:
        kind, body = line[:1], line[1:]
        if kind == b"R":
            child.is_ready = True
        elif kind == b"E":
            raise VerifierError(
                f"the verifier '{self._name}' cannot be loaded: {body.decode(errors='replace')}"
            )
        elif kind == b"L":
            child.last_words = body.decode(errors="replace")
        elif child.batch:
            item, said = child.batch.popleft(), body.decode(errors="replace")
            if kind == b"V":
                self._finish(item, self._read(item, body))
            else:
                fault = Fault.VERIFIER_FAILED if kind == b"F" else Fault.VERIFIER_LIMIT
                self._finish(item, item.undecided(self._name, said, fault))

    def _read(self, item: Item, body: bytes) -> Verdict | str:
        try:
            verdict = from_json(Verdict, body)
        except ValidationError:
            return "the checker sent no readable verdict"
        if (verdict.problem_id, verdict.sample) != (item.problem.id, item.attempt.sample):
            return "the verifier answered for another attempt"
        return verdict

    def _finish(self, item: Item, outcome: Verdict | str) -> None:
        verdict = outcome if isinstance(outcome, Verdict) else item.undecided(self._name, outcome)
        self._finished[item.ticket] = verdict
        self._num_pending -= 1
        self._num_idle_ends = 0

    def _replace(self, child: CheckerProcess, reason: str = "", *, is_sure: bool = False) -> None:
        """Replace a process that ended or must end, and queue again what it had not finished.

        The first of that is what it was working on: it is blamed where it `is_sure` that it must be, or where
        a process ended over it before.
        """
        self._children.remove(child)
        ended = child.end()
        if not child.is_ready:
            raise VerifierError(f"the verifier '{self._name}' did not start ({ended})")
        if child.batch:
            item = child.batch.popleft()
            if is_sure or item.was_lost:
                self._finish(item, reason or f"the checker died ({ended})")
            else:
                self._lost.append(replace(item, was_lost=True))
        else:
            self._num_idle_ends += 1
            if self._num_idle_ends > MAX_IDLE_ENDS:
                raise VerifierError(
                    f"the verifier '{self._name}' ends again and again before it is asked ({ended})"
                )
        self._queue.extendleft(reversed(child.batch))
        self._children.append(self._start())

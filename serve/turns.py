"""Who may ask an engine now, who waits, and who is sent away: the bounded queue of a gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from configs.serving import Engines
from serve.metrics import Metrics
from serve.requests import RequestError


def seats(settings: Engines) -> int:
    """Requests that an engine answers at a time, with all the replicas that it may have."""
    return (settings.max_replicas or settings.replicas) * settings.max_num_seqs


class Turns:
    """Room for `running` requests in engines and `queue` more that wait for it, first come first served."""

    def __init__(self, running: int, queue: int, metrics: Metrics) -> None:
        self._free, self._queue, self._metrics = asyncio.Semaphore(running), queue, metrics
        self.waiting = self.running = 0
        self.closed = False
        """True while the server ends: what waits or runs goes on, nothing more comes in."""

    def check(self) -> None:
        """Raises RequestError: 429 where the queue is full, 503 while the server ends."""
        if self.closed:
            raise RequestError(
                503, "the server is ending", type="server_error", headers={"retry-after": "10"}
            )
        if self._free.locked() and self.waiting >= self._queue:
            raise RequestError(
                429,
                f"the server is busy: {self.running} requests run and {self.waiting} wait",
                type="overloaded_error",
                code="queue_full",
                headers={"retry-after": "1"},
            )

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Raises RequestError as `check`."""
        self.check()
        self.waiting += 1
        self._metrics.load(self.waiting, self.running)
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        self._metrics.load(self.waiting, self.running)
        try:
            yield
        finally:
            self.running -= 1
            self._free.release()
            self._metrics.load(self.waiting, self.running)

"""The bounded queue of a gateway: which request may run now, which waits, and which is turned away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from configs.serving import Engines
from serve.metrics import Metrics
from serve.requests import RequestError


def num_seats(settings: Engines) -> int:
    """Number of answers that an engine can generate at a time, with all the replicas it may have."""
    return (settings.max_replicas or settings.replicas) * settings.max_num_seqs


@dataclass(eq=False, slots=True)
class _Asking:
    key: str
    num: int
    granted: asyncio.Future[None]


class Seats:
    """Room for `num_seats` answers in the engines, and for `queue` requests that wait for a seat.

    The next request comes from the key that holds the fewest seats; among its requests the oldest goes first.
    A key that sends many requests therefore delays others only until the next seat is free.
    """

    def __init__(self, num_seats: int, queue: int, metrics: Metrics | None) -> None:
        """Without `metrics`, nobody is told how many requests wait and run."""
        self._num_seats = self._num_free = num_seats
        self._queue, self._metrics = queue, metrics
        self._line: list[_Asking] = []
        self._taken: Counter[str] = Counter()
        self.running = 0
        self.closed = False
        """True while the server shuts down: waiting and running requests go on, new ones are refused."""

    @property
    def waiting(self) -> int:
        return len(self._line)

    def check(self) -> None:
        """Raise RequestError if the queue is full (429) or the server is shutting down (503)."""
        if self.closed:
            raise RequestError(
                503, "the server is shutting down", type="server_error", headers={"retry-after": "10"}
            )
        if self.waiting >= self._queue and (self._line or not self._num_free):
            raise RequestError(
                429,
                f"the server is busy: {self.running} requests are running and {self.waiting} are waiting",
                type="overloaded_error",
                code="queue_full",
                headers={"retry-after": "1"},
            )

    @asynccontextmanager
    async def held(self, key: str, num_answers: int) -> AsyncIterator[None]:
        """Wait for a seat per answer, but at most all seats, and hold them. Raises what `check` raises."""
        self.check()
        asking = _Asking(key, min(num_answers, self._num_seats), asyncio.get_running_loop().create_future())
        self._line.append(asking)
        self._advance()
        try:
            await asking.granted
        except asyncio.CancelledError:
            if asking in self._line:
                self._line.remove(asking)
            else:
                self._leave(asking)
            self._advance()
            raise
        try:
            yield
        finally:
            self._leave(asking)
            self._advance()

    def _advance(self) -> None:
        # A waiter that was cancelled in this tick is in the line until it wakes.
        while waiting := [each for each in self._line if not each.granted.done()]:
            asking = min(waiting, key=lambda each: self._taken[each.key])
            if asking.num > self._num_free:
                break  # nobody overtakes it, or it would never find enough free seats
            self._line.remove(asking)
            self._num_free -= asking.num
            self._taken[asking.key] += asking.num
            self.running += 1
            asking.granted.set_result(None)
        if self._metrics:
            self._metrics.load(self.waiting, self.running)

    def _leave(self, asking: _Asking) -> None:
        self.running -= 1
        self._num_free += asking.num
        self._taken[asking.key] -= asking.num
        self._taken += Counter()  # drops keys that hold no seat

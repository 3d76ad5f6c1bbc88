"""Who may ask an engine now, who waits, and who is sent away: the bounded queue of a gateway."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from configs.serving import Engines
from serve.metrics import Metrics
from serve.requests import RequestError


def seats(settings: Engines) -> int:
    """Answers that an engine writes at a time, with all the replicas that it may have."""
    return (settings.max_replicas or settings.replicas) * settings.max_num_seqs


@dataclass(eq=False, slots=True)
class _Turn:
    key: str
    num: int
    come: asyncio.Future[None]


class Turns:
    """Room for `num_seats` answers in engines, and for `queue` requests that wait for it.

    Of those that wait, one of the key that has the fewest seats is next, first come first served: who asks
    for much does not keep others waiting longer than until a seat is free.
    """

    def __init__(self, num_seats: int, queue: int, metrics: Metrics) -> None:
        self._num_seats = self._num_free = num_seats
        self._queue, self._metrics = queue, metrics
        self._line: list[_Turn] = []
        self._taken: Counter[str] = Counter()
        self.running = 0
        self.closed = False
        """True while the server ends: what waits or runs goes on, nothing more comes in."""

    @property
    def waiting(self) -> int:
        return len(self._line)

    def check(self) -> None:
        """Raises RequestError: 429 where the queue is full, 503 while the server ends."""
        if self.closed:
            raise RequestError(
                503, "the server is ending", type="server_error", headers={"retry-after": "10"}
            )
        if self.waiting >= self._queue and (self._line or not self._num_free):
            raise RequestError(
                429,
                f"the server is busy: {self.running} requests run and {self.waiting} wait",
                type="overloaded_error",
                code="queue_full",
                headers={"retry-after": "1"},
            )

    @asynccontextmanager
    async def one(self, key: str, num_answers: int) -> AsyncIterator[None]:
        """A seat for each answer, as far as there are so many. Raises RequestError as `check`."""
        self.check()
        turn = _Turn(key, min(num_answers, self._num_seats), asyncio.get_running_loop().create_future())
        self._line.append(turn)
        self._go_on()
        try:
            await turn.come
        except asyncio.CancelledError:
            if turn in self._line:
                self._line.remove(turn)
            else:
                self._leave(turn)
            self._go_on()
            raise
        try:
            yield
        finally:
            self._leave(turn)
            self._go_on()

    def _go_on(self) -> None:
        while self._line:
            turn = min(self._line, key=lambda each: self._taken[each.key])
            if turn.num > self._num_free:
                break  # nobody passes it: it would never find enough seats free
            self._line.remove(turn)
            self._num_free -= turn.num
            self._taken[turn.key] += turn.num
            self.running += 1
            turn.come.set_result(None)
        self._metrics.load(self.waiting, self.running)

    def _leave(self, turn: _Turn) -> None:
        self.running -= 1
        self._num_free += turn.num
        self._taken[turn.key] -= turn.num
        self._taken += Counter()  # keys without seats are forgotten

"""The queue of a gateway: seats for answers, which request is next, which is turned away."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from serve.requests import RequestError
from serve.seats import Seats


class Load:
    """Stands in for a gateway's metrics and keeps every load that it is given."""

    def __init__(self) -> None:
        self.loads: list[tuple[int, int]] = []

    def load(self, waiting: int, running: int) -> None:
        self.loads.append((waiting, running))


class Tried:
    """Seats, with requests that record when they get theirs and end on demand."""

    def __init__(self, num_seats: int, queue: int) -> None:
        self.metrics: Any = Load()
        self.seats = Seats(num_seats, queue, self.metrics)
        self.came: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, num: int = 1) -> None:
        """Send a request by the key that is the name's first letter."""
        self.ends[name] = asyncio.Event()

        async def request() -> None:
            async with self.seats.held(name[0], num):
                self.came.append(name)
                await self.ends[name].wait()

        self.tasks[name] = asyncio.create_task(request())
        await asyncio.sleep(0)

    async def end(self, *names: str) -> None:
        for name in names:
            self.ends[name].set()
            await self.tasks[name]
        await asyncio.sleep(0.001)


def run(tried: Coroutine[Any, Any, None]) -> None:
    asyncio.run(tried)


def test_first_come_first_served_while_keys_have_the_same() -> None:
    async def tried() -> None:
        it = Tried(2, queue=4)
        for name in ("a1", "b1", "c1", "d1"):
            await it.ask(name)
        assert it.came == ["a1", "b1"] and (it.seats.waiting, it.seats.running) == (2, 2)
        await it.end("b1")
        assert it.came == ["a1", "b1", "c1"]
        await it.end("a1", "c1", "d1")
        assert it.seats.running == 0 and it.metrics.loads[-1] == (0, 0)

    run(tried())


def test_the_key_with_the_fewest_seats_is_next() -> None:
    async def tried() -> None:
        it = Tried(4, queue=9)
        for name, num in (("a1", 2), ("a2", 2), ("a3", 2), ("a4", 2), ("b1", 1)):
            await it.ask(name, num)
        assert it.came == ["a1", "a2"]
        await it.end("a1")
        assert it.came == ["a1", "a2", "b1"], "a has seats, b has none"
        await it.end("a2")
        assert it.came[3:] == ["a3"] and it.seats.waiting == 1
        await it.end("b1", "a3", "a4")
        assert it.seats.running == 0

    run(tried())


def test_a_request_for_many_seats_is_not_overtaken_and_gets_at_most_all_seats() -> None:
    async def tried() -> None:
        it = Tried(3, queue=9)
        for name, num in (("a1", 1), ("b1", 99), ("c1", 1)):
            await it.ask(name, num)
        assert it.came == ["a1"], "all three seats are kept for b"
        await it.end("a1")
        assert it.came == ["a1", "b1"]
        await it.end("b1")
        assert it.came == ["a1", "b1", "c1"]
        await it.end("c1")

    run(tried())


def test_a_full_queue_turns_requests_away_and_one_that_leaves_makes_room() -> None:
    async def tried() -> None:
        it = Tried(1, queue=1)
        await it.ask("a1")
        await it.ask("b1")
        with pytest.raises(RequestError, match="1 requests are running and 1 are waiting") as refused:
            it.seats.check()
        assert refused.value.status == 429
        it.tasks["b1"].cancel()
        await asyncio.sleep(0.001)
        it.seats.check()
        it.seats.closed = True
        with pytest.raises(RequestError, match="shutting down"):
            it.seats.check()
        await it.end("a1")

    run(tried())


def test_a_request_that_leaves_as_its_turn_comes_gives_its_seats_back() -> None:
    async def tried() -> None:
        it = Tried(1, queue=4)
        await it.ask("a1")
        await it.ask("b1")
        it.ends["a1"].set()
        await asyncio.sleep(0)  # a1 ends, b1 has the seat, and b1 does not know yet
        assert it.seats.waiting == 0
        it.tasks["b1"].cancel()
        await asyncio.sleep(0.001)
        assert it.seats.running == 0 and it.came == ["a1"]
        await it.ask("c1")
        assert it.came == ["a1", "c1"]
        await it.end("c1")

    run(tried())


def test_a_request_that_leaves_as_another_ends_does_the_other_no_harm() -> None:
    async def tried() -> None:
        it = Tried(1, queue=4)
        for name in ("a1", "b1", "c1"):
            await it.ask(name)
        it.ends["a1"].set()
        it.tasks["b1"].cancel()  # b1 is still in the line when a1 gives its seat back
        await it.tasks["a1"]
        await asyncio.sleep(0.001)
        assert it.came == ["a1", "c1"] and (it.seats.waiting, it.seats.running) == (0, 1)
        await it.end("c1")

    run(tried())

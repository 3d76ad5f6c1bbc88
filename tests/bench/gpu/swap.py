"""The server on a GPU: promotions and a rollback while requests come at a constant rate."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from engine.plan.footprint import GIB
from engine.registry.registry import Registry
from tests.bench.gpu.machine import memory_used
from tests.bench.gpu.models import varied
from tests.bench.gpu.work import Failed, Work
from tests.support.load import Done, constant_rate
from tests.support.server_process import LINE, Server, make_home_of, promote, serving

RATE = 10.0
"""Requests a second."""
SETTINGS = ("poll_seconds=0.2", "engines.max_model_len=1024")
_BODY = {"model": "champion", "prompt": "Max is a wumpus.", "max_tokens": 24, "temperature": 0}
_BODIES = [_BODY, _BODY | {"stream": True}]


def swap_under_load(work: Work) -> None:
    """Start a server, promote one of two versions in turn, roll back, and count what became of requests."""
    home = work.place / "server"
    first, second = make_home_of(home, [work.model, varied(work.model, work.place / "varied")])
    before, began = memory_used(), time.monotonic()
    swaps: dict[str, list[float]] = {"promotion": [], "rollback": []}
    with serving(home, *SETTINGS) as server:
        work.found("start, to the first answer", time.monotonic() - began, "s")
        work.found("GPU memory of two engines", (memory_used() - before) / GIB, "GiB")
        with _load(server) as done:
            time.sleep(3)
            for version in (second, first, second):
                began = time.monotonic()
                promote(home, version)
                server.await_champion(version)
                swaps["promotion"].append(time.monotonic() - began)
            began = time.monotonic()
            Registry(home).rollback(LINE, "bench")
            server.await_champion(Registry(home).champion(LINE))
            swaps["rollback"].append(time.monotonic() - began)
            time.sleep(1)
    for kind, seconds in swaps.items():
        work.found(f"slowest {kind}", max(seconds), "s")
    failed = [each for each in done if each.status != 200 or not each.whole]
    work.found("requests", len(done))
    work.found("failed or cut", len(failed))
    work.found("slowest request", max(each.seconds for each in done), "s")
    if failed:
        raise Failed(f"{len(failed)} of {len(done)} requests failed, one with {failed[0].status}")
    if {each.version for each in done} != {first, second}:
        raise Failed(f"only {', '.join({each.version for each in done})} answered, of {first} and {second}")


@contextmanager
def _load(server: Server) -> Iterator[list[Done]]:
    """Requests meanwhile, every other one streamed; afterwards all of them are in the list."""
    over, done = threading.Event(), list[Done]()

    def ask() -> None:
        done.extend(asyncio.run(constant_rate(server.url, server.key, RATE, over.is_set, _BODIES)))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()

"""GPU memory over time: what all processes on the GPU hold, as the driver sees it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.bench.gpu.machine import memory_used

_EVERY = 0.4
"""Seconds between two readings."""


class Reading(NamedTuple):
    time: float
    """Seconds since the epoch."""
    used: int
    """Bytes."""


@contextmanager
def readings() -> Iterator[list[Reading]]:
    """What a thread reads meanwhile; the list grows."""
    over, read = threading.Event(), list[Reading]()

    def follow() -> None:
        while not over.is_set():
            read.append(Reading(time.time(), memory_used()))
            over.wait(_EVERY)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield read
    finally:
        over.set()
        thread.join()

"""Interruptions of a run: SIGTERM as Ctrl-C, and the places where a test has it die as by `kill -9`."""

import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

ONE_SIGNAL = 1.0
"""Seconds within which signals are one: `timeout` sends its own to a process and again to its group."""


def fault_point(stage: str, when: str) -> None:
    """Die here as by `kill -9` where a test asks for it: RATCHET_FAULT="<stage>:<before|inside|after>"."""
    if os.environ.get("RATCHET_FAULT") == f"{stage}:{when}":
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def interruptible() -> Iterator[None]:
    """Make SIGTERM end the run as Ctrl-C does, so that actors are let go and the journal stays whole.

    KeyboardInterrupt itself, not an exception of ours: the only one for which Ray's compiled code leaves off
    waiting.
    """

    last = -math.inf

    def stop(*_: object) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > ONE_SIGNAL:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

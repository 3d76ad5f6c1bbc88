"""Interruptions of a run: SIGTERM as Ctrl-C, and the places where a test has it die as by `kill -9`."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


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

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

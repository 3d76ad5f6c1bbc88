"""Runs a command for so many seconds at most, and leaves nothing of what it started behind.

    python -m tests.bench.gpu.guard SECONDS COMMAND…

Ray's and vLLM's processes outlive their parents, in sessions of their own: killing a process group does not
reach them. Here every orphan becomes this process's child (Linux: a subreaper), and so can be found. It also
ends all of them when it is told to (SIGTERM, SIGINT), and when its own parent is lost.
"""

import ctypes
import signal
import subprocess
import sys
from contextlib import suppress

import psutil  # type: ignore[import-untyped]

OVER = 124
"""Exit code where the time was over."""
_PDEATHSIG, _SUBREAPER = 1, 36
"""Of prctl(2)."""
_TRIES = 5
"""How often what does not end is killed again: a process that hangs in a driver cannot be waited for."""


def main() -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(_SUBREAPER, 1)
    libc.prctl(_PDEATHSIG, signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        process = subprocess.Popen(sys.argv[2:], start_new_session=True)
        code = process.wait(float(sys.argv[1]))
    except subprocess.TimeoutExpired:
        code = OVER
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        _end_all()
    # As shells do for a process that a signal has ended.
    sys.exit(code if code >= 0 else 128 - code)


def _stop(number: int, _: object) -> None:
    sys.exit(128 + number)


def _end_all() -> None:
    for _ in range(_TRIES):
        # What was killed may have started something meanwhile.
        found = [each for each in psutil.Process().children(recursive=True) if _runs(each)]
        if not found:
            return
        for each in found:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(found, timeout=5)
    print("these processes do not end:", [each.pid for each in found], file=sys.stderr)


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


if __name__ == "__main__":
    main()

"""The front process of a server: it takes the signals, and the server runs in a session of its own.

`timeout`, shells and supervisors send SIGTERM to a whole process group. Ray's processes end at once by it,
and with them the answers that they are giving. So the server leaves the group with all that it starts. The
process that the user started stays there, passes signals on to the server alone, and ends with the server's
exit code.
"""

import os
import signal
import sys
import threading
from contextlib import suppress


def in_own_session() -> None:
    """Go on in a child process that has a session of its own; the process itself waits for it, and exits.

    The child gets SIGTERM for every SIGTERM and Ctrl-C, and when the process itself is lost, as by `kill -9`.
    Call it before anything starts a thread, which a fork would not have. Raises SystemExit with the child's
    exit code, in the process itself alone.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who ignores it cannot wait for a child
    front, held = os.pipe()
    child = os.fork()
    if child:
        os.close(front)
        sys.exit(_attend(child))
    os.close(held)
    os.setsid()
    threading.Thread(target=_end_after, args=(front,), daemon=True).start()


def _attend(child: int) -> int:
    """Pass signals on to the child until it has ended. Returns its exit code, as a shell would give it."""

    def pass_on(*_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM):
        # What a shell starts in the background ignores Ctrl-C.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    ended = status = 0
    while ended != child:
        # As the first process of a container, this one also inherits what others leave.
        ended, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _end_after(front: int) -> None:
    """End this process by SIGTERM when the other end of a pipe is closed, as it is when its holder ends."""
    os.read(front, 1)
    os.kill(os.getpid(), signal.SIGTERM)

"""The command line without the second that every call of it takes to import it.

One process imports it and forks itself for each call. A fork has the working directory, the environment, the
output and the exit code of a process of its own, and what it changes ends with it.

    python -m tests.support.zygote SOCKET                          # the one process
    python -IS tests/support/zygote.py SOCKET compare a.jsonl ...  # a call, from a shell
"""

import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence

COMMANDS = (
    "ratchet",
    "cluster.order",
    "cluster.submit",
    "engine.gate.compare_text",
    "engine.gate.loop_ledger",
    "engine.gate.loop_text",
    "engine.gate.outcome_files",
    "engine.measure.asking",
    "engine.measure.readings",
    "engine.preflight.dry_page",
    "engine.preflight.dry_plan",
    "engine.registry.registry",
    "engine.tasks.prontoqa",
    "engine.verify.proof_file",
    "loops.oak_dpo",
    "loops.ready",
    "tune.ready",
)
"""What commands import before they start anything."""


def serve(path: str) -> None:
    """Answer calls at a socket until standard input ends, as it does with the process that started this."""
    for module in COMMANDS:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # else a collection in a call would copy every page of what is imported here
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # calls that have ended need no farewell
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        os.rename(f"{path}.new", path)  # who sees it can connect
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            client, _ = listener.accept()
            if not os.fork():
                _answer(client)
            client.close()
    os.unlink(path)
    os.rmdir(os.path.dirname(path))


def _answer(client: socket.socket) -> None:
    """Be the process of one call, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    random.seed()
    message, files, _, _ = socket.recv_fds(client, 1 << 20, 2)
    call = json.loads(message)
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), *files)):
        os.dup2(file, number)
    os.chdir(call["directory"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.modules["__main__"] = ratchet = sys.modules["ratchet"]
    sys.argv = [str(ratchet.__file__), *call["arguments"]]
    code = 1
    try:
        ratchet.main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  as the interpreter does
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    client.send(str(code).encode())
    os._exit(code)


def call(
    path: str,
    arguments: Sequence[str],
    *,
    directory: str,
    environment: Mapping[str, str],
    out: int,
    err: int,
    seconds: float | None = None,
) -> int:
    """Have a call done with the output in two open files. Returns its exit code; raises TimeoutError."""
    told = {"arguments": list(arguments), "directory": directory, "environment": dict(environment)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(seconds)
        client.connect(path)
        socket.send_fds(client, [json.dumps(told).encode()], [out, err])
        return int(client.recv(16) or -signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[2:]:
        sys.exit(call(sys.argv[1], sys.argv[2:], directory=os.getcwd(), environment=os.environ, out=1, err=2))
    serve(sys.argv[1])

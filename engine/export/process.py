"""The process in which llama.cpp runs one GGUF file: `python -m engine.export.process`.

`engine/export/runtime.py` starts it, with a line of JSON on its standard input (`runtime.Order`), and it ends
when that input does: none outlives the process that started it.
"""

import json
import os
import sys
import time
from typing import Any


def main() -> None:
    """Load the file and answer on a unix socket until the standard input ends."""
    order = json.loads(sys.stdin.readline())
    try:
        server = _server(order)
    except Exception as error:  # noqa: BLE001  the package raises errors of any kind
        # llama.cpp says why in its log, which it writes from a thread.
        time.sleep(0.2)
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
    print(f"answering at {server.listening_address}", flush=True)
    sys.stdin.read()
    # Not by returning: llama.cpp would wait for answers that nobody waits for any more.
    os._exit(0)


def _server(order: dict[str, Any]) -> Any:
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = order["file"]
    params.model_alias = [order["name"]]
    # A name that ends in .sock is a unix socket, which only this user can reach.
    params.hostnames = [order["socket"]]
    params.n_parallel = order["num_parallel"]
    # Each answer has a context of its own, so that no answer is cut because others are long.
    params.kv_unified = False
    params.n_ctx = order["num_parallel"] * order["context"]
    params.fit_params = False
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = order["threads"]
    # By default, prompts that were answered before may take 8 GiB besides.
    params.cache_ram_mib = 0
    params.sse_ping_interval = -1
    params.endpoint_slots = False
    params.ui = False
    params.verbosity = 1
    return Server(params)


if __name__ == "__main__":
    main()

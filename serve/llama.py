"""A GGUF file served on CPUs: llama.cpp behind the API, keys, limits, filters and metrics of the server.

    ratchet serve configs/serve.yaml --runtime llama.cpp llama.file=out/model-q4_k_m.gguf

Routes, guard, desk, queue, limits, filters and metrics are those of `serve/app.py`, in one process (uvicorn)
without Ray; llama.cpp runs in another one (`serve/llama_engine.py`). While it is started again after it was
lost, requests wait; a stream that had begun ends with an error event. A file is one version, named by its
hash, so that nothing is swapped and no keeper runs.
"""

import asyncio
import logging
import secrets
import socket
import sys
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import NamedTuple

from configs.serving import Serving
from engine.export.exported import ID_LENGTH, RECORD, read_exported
from engine.export.gguf import Facts, facts_of, file_id, require_runtime
from engine.export.runtime import Llama, Order, within
from engine.plan.footprint import GIB
from engine.plan.machine import Machine
from engine.terminal import counted, printable
from serve import routes
from serve.app import ServeError, bound, check_keys_and_filters
from serve.candidate import NotNow, Unservable
from serve.edge import Edge
from serve.gateway import desk_of
from serve.llama_engine import LlamaEngine
from serve.metrics import Metrics
from serve.single import CONNECTIONS, Attended, Named, Server, SingleGateway
from serve.slots import Slots, SlotsFile
from serve.smoke import ask

_SLOT = "a"
_USED = {"max_num_seqs", "max_model_len", "kv_cache_gib"}
"""Keys of `engines` that mean the same here; the others are vLLM's."""
_UNUSED = ("canary", "canary_minutes", "embeddings", "gateways", "poll_seconds")
_LOG_BYTES = 10 << 20


class Served(NamedTuple):
    """A file that can be served, and how."""

    serving: Serving
    """For this file: a line of its own, and as many answers at a time as its memory holds."""
    order: Order
    version: str
    line: str
    """The line that the file was exported from; empty where it does not say."""


def serve_file(serving: Serving, home: Path, machine: Machine, ready: Callable[[str], None]) -> None:
    """Serve `serving.llama.file`, call `ready` with the address, and let requests finish when interrupted.

    Raises KeyboardInterrupt then, and before it starts ServeError, ExportError, FilterError, KeysError,
    SlotsError and engine.sample.protocol.SamplerError.
    """
    served = check_file(serving, home, machine)
    slots = SlotsFile(home, served.serving.line)
    with bound(serving) as listening, slots.alone():
        listening.listen(CONNECTIONS)
        _log_to(slots.path.with_name("server.log"))
        with Llama(served.order) as llama:
            asyncio.run(_serve(served, home, llama, listening, ready))
    raise KeyboardInterrupt


def check_file(serving: Serving, home: Path, machine: Machine) -> Served:
    """Refuse what could not be served, before anything starts.

    Raises ServeError, ExportError, FilterError and KeysError.
    """
    require_runtime()
    if not serving.llama.file:
        raise ServeError("--runtime llama.cpp serves a GGUF file: set llama.file to its path")
    unused = sorted(serving.engines.model_fields_set - _USED)
    names = [*(f"engines.{key}" for key in unused), *(k for k in _UNUSED if k in serving.model_fields_set)]
    if names:
        raise ServeError(f"{names[0]} has no effect with --runtime llama.cpp, which serves one file on CPUs")
    file = Path(serving.llama.file)
    facts = facts_of(file)
    if not facts.has_template:
        raise ServeError(f"{file} has no chat template, so that chats cannot be answered")
    digest = file_id(file)
    _require_as_judged(file, digest)
    check_keys_and_filters(serving, home)
    version = digest[:ID_LENGTH]
    order = _order(serving, file, facts, version, machine)
    engines = serving.engines.model_copy(update={"max_num_seqs": order.num_parallel})
    own = serving.model_copy(update={"line": f"gguf/{version}", "engines": engines})
    return Served(own, order, version, facts.notes.get("line", ""))


def _require_as_judged(file: Path, digest: str) -> None:
    """Say what the export beside the file says of it. Raises ServeError where the file is another one now."""
    exported = read_exported(file.parent)
    found = next((each for each in exported.files if each.name == file.name), None) if exported else None
    if found is None:
        said = f"no {RECORD} beside {file} describes it: nobody has shown that it answers as a champion does"
    elif found.sha256 != digest:
        raise ServeError(f"{file} is not the file that {RECORD} beside it describes: it was changed since")
    elif found.judged is None:
        said = f"{file} was exported unjudged: nobody has shown that it answers as its champion does"
    elif not found.judged.accepted:
        said = f"{file} was refused: it was not shown to be as good as its champion"
    else:
        return
    print(printable(f"ratchet: {said}"), file=sys.stderr, flush=True)


def _order(serving: Serving, file: Path, facts: Facts, version: str, machine: Machine) -> Order:
    """What llama.cpp is started with. Raises ServeError and ExportError for what memory does not hold."""
    settings = serving.engines
    wanted = Order(
        file=file.resolve(),
        name=version,
        num_parallel=settings.max_num_seqs,
        context=settings.max_model_len,
        threads=serving.llama.threads or machine.num_cpus,
    )
    cache = int(settings.kv_cache_gib * GIB)
    order, needed = within(wanted, facts, cache), file.stat().st_size + cache
    if machine.memory is not None and needed > machine.memory:
        raise ServeError(
            f"{file.name} and its KV cache need {needed / GIB:.1f} GiB of memory, but only "
            f"{machine.memory / GIB:.1f} GiB are free: serve a smaller level, or lower engines.kv_cache_gib"
        )
    if order.num_parallel < wanted.num_parallel:
        answers = counted(order.num_parallel, "answer")
        held = f"engines.kv_cache_gib={settings.kv_cache_gib:g} holds {answers} at a time"
        print(f"ratchet: {held}, of {wanted.num_parallel} asked for", file=sys.stderr, flush=True)
    return order


def _log_to(file: Path) -> None:
    """Write what Ray Serve would write to its logs: ids, counts and times, never a prompt or a key."""
    handler = RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=2)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("ray.serve")
    log.setLevel(logging.INFO)
    log.propagate = False
    for other in log.handlers:
        other.setLevel(logging.ERROR)  # Ray's own, which writes to the terminal
    log.addHandler(handler)


async def _serve(
    served: Served, home: Path, llama: Llama, listening: socket.socket, ready: Callable[[str], None]
) -> None:
    """Answer until a signal comes and requests have finished. Raises ServeError where no answer is right."""
    serving, own = served.serving, secrets.token_urlsafe(32)
    slots = Slots(line=served.line or serving.line, epoch=0, active=_SLOT, versions={_SLOT: served.version})
    SlotsFile(home, serving.line).write(slots)
    async with LlamaEngine(llama, served.version, serving.limits.max_tokens).watched() as engine:
        desk = desk_of(serving, home, {_SLOT: engine}, Metrics("llama.cpp"))
        gateway = SingleGateway(desk, own)
        app = Attended(routes.build(desk, own, gateway.everyone))
        server = Server(Edge(Named(app)), desk.seats, serving)
        running = asyncio.get_running_loop().create_task(server.serve(sockets=[listening]))
        while not (server.started or running.done()):
            await asyncio.sleep(0.02)
        try:
            await asyncio.to_thread(ask, serving.own_url, own, served.version)
            ready(serving.url)
        except BaseException as error:
            # Whatever it is: nobody else would end the server, which is waited for below.
            server.should_exit = True
            if isinstance(error, Unservable | NotNow):
                raise ServeError(f"{served.order.file} cannot be served: {error}") from None
            raise
        finally:
            await running

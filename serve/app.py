"""The Serve application: engines, gateway and keeper, from a config.

ratchet serve                       on this machine, until Ctrl-C
serve deploy cluster/serve.yaml     on a cluster: `serve.app:build` with the same keys as arguments
"""

import contextlib
import fcntl
import json
import logging
import os
import secrets
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.serving import Engines, Serving
from engine.disk.files import make_dirs
from engine.plan.footprint import GIB, PROCESS, shape_of, width
from engine.plan.machine import Machine
from engine.registry.registry import Registry
from serve import filters
from serve.keys import Keys
from serve.slots import NAMES, SlotsFile
from serve.smoke import DIRECT
from serve.turns import seats

if TYPE_CHECKING:
    from ray.serve import Application

log = logging.getLogger(__name__)

APP = "ratchet"
_LOGS = "/tmp/ray/session_latest/logs"
_SPARE = 8
"""Requests that a gateway takes beyond those that run and wait: for health, metrics, the page, refusals."""


_WATCHED: dict[str, Any] = {"health_check_period_s": 1, "health_check_timeout_s": 30}
"""A replica that is lost is missed at its next check, and only then started anew."""


class ServeError(RuntimeError):
    """A server that cannot be started, or did not come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """What Ray is started with, or asked for, by a server."""

    num_cpus: int
    num_gpus: int
    resources: dict[str, float] = field(default_factory=dict)


def check(serving: Serving, home: Path, machine: Machine) -> None:
    """Refuse, before anything starts, what could not be served.

    Raises ServeError, FilterError, KeysError or RegistryError.
    """
    registry = Registry(home)
    champion = registry.used_line(serving.line).champion
    if champion is None:
        raise ServeError(f"line {serving.line} has no champion yet: a campaign makes one")
    registry.verify(champion)
    path = registry.path(champion)
    Keys(home).all()
    for chain in (serving.filters.input, serving.filters.output):
        filters.build(chain)
    settings = serving.engines
    context = json.loads((path / "config.json").read_bytes()).get("max_position_embeddings")
    if context and settings.max_model_len > context:
        raise ServeError(
            f"engines.max_model_len must be at most the model's own {context}, got {settings.max_model_len}"
        )
    if settings.tensor_parallel > max(1, machine.num_gpus):
        raise ServeError(
            f"engines.tensor_parallel={settings.tensor_parallel} needs as many GPUs, but there are "
            f"{machine.num_gpus}"
        )
    _check_room(settings, path, machine)


def _check_room(settings: Engines, path: Path, machine: Machine) -> None:
    """That all replicas there may be have their memory, or their shares of GPUs. Raises ServeError."""
    most = settings.max_replicas or settings.replicas
    engines = f"{settings.resident} x {most} engines need"
    hint = (
        "set engines.resident=1, where a swap waits for a reload"
        if settings.resident == 2
        else "set engines.kv_cache_gib, engines.replicas or engines.max_replicas lower"
    )
    if machine.num_gpus:
        share = _gpu_share(settings, machine)
        workers = settings.resident * most * settings.tensor_parallel
        room = machine.num_gpus * int(1 / share + 1e-9)
        if workers > room:
            raise ServeError(
                f"{engines} {workers} shares of {share:g} of a GPU, but there are {room}: {hint}"
            )
        return
    shape = shape_of(str(path))
    if shape and machine.memory is not None:
        each = PROCESS + shape.num_parameters * width(settings.dtype) + int(settings.kv_cache_gib * GIB)
        needed = each * most * settings.resident
        if needed > machine.memory:
            raise ServeError(
                f"{engines} {needed / GIB:.1f} GiB of memory, but {machine.memory / GIB:.1f} are free: {hint}"
            )


def _gpu_share(settings: Engines, machine: Machine) -> float:
    """Of a GPU, for each of vLLM's workers; 0 on a CPU."""
    if not machine.num_gpus:
        return 0.0
    # Two workers of one replica must not meet on one GPU.
    return settings.gpu_memory if settings.tensor_parallel == 1 else 1.0


def prepare(serving: Serving, home: Path, machine: Machine) -> Footing:
    """As `check`, and that the address is free; what Ray is to be started with."""
    check(serving, home, machine)
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((serving.host, serving.port))
    except OSError as error:
        raise ServeError(
            f"http://{serving.host}:{serving.port} cannot be served: {error.strerror}; set host or port"
        ) from None
    return Footing(num_cpus=machine.num_cpus, num_gpus=machine.num_gpus)


@contextlib.contextmanager
def alone(serving: Serving, home: Path) -> Iterator[None]:
    """Keeps a second server from the same line of the same home, whose state the two would share.

    Raises ServeError where there is one.
    """
    folder = SlotsFile(home, serving.line).path.parent
    make_dirs(folder)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServeError(
                f"line {serving.line} is served already from {home}: end that server first"
            ) from None
        yield
    finally:
        os.close(handle)


def run(serving: Serving, home: Path, machine: Machine, ready: Callable[[str], None]) -> None:
    """Start the server, tell `ready` its address, serve until interrupted, and let running requests end."""
    import ray
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(http_options={"host": serving.host, "port": serving.port, "request_timeout_s": None})
    try:
        try:
            serve.run(application(serving, home, machine), name=APP, route_prefix="/")
        except RuntimeError as error:
            raise ServeError(f"the server did not start: {error}; its logs are in {_LOGS}") from None
        url = f"http://{serving.host}:{serving.port}"
        try:
            _await_ready(url)
            ready(url)
            while True:
                time.sleep(3600)
        finally:
            _drain(serving)
    finally:
        # Ray prints that calls to Serve's controller have failed, which has just been ended.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            serve.shutdown()
            ray.shutdown()


def _await_ready(url: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with DIRECT.open(f"{url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ServeError(f"the server did not become ready within {seconds:g} s: see its logs in {_LOGS}")


def _drain(serving: Serving) -> None:
    """New requests are answered 503, those that run go on to their end or the time allowed."""
    from ray import serve
    from ray.exceptions import RayError

    try:
        gateways = serve.get_deployment_handle("Gateway", APP)
        deadline = time.monotonic() + serving.drain_seconds
        while sum(gateways.broadcast("drain").results(timeout_s=5)) and time.monotonic() < deadline:
            time.sleep(0.1)
    except (RayError, RuntimeError, TimeoutError):
        log.warning("the gateways could not be drained")


def application(serving: Serving, home: Path, machine: Machine) -> "Application":
    """All deployments of a server, bound to each other."""
    from ray import serve
    from ray.serve.config import BackpressureConfig

    from serve.engine import Engine, engine_name, placement
    from serve.gateway import Gateway
    from serve.keeper import Keeper

    settings = serving.engines
    gpus = _gpu_share(settings, machine)
    threads = machine.num_cpus
    own = secrets.token_urlsafe(32)
    scaling: dict[str, Any] = {"num_replicas": settings.replicas}
    if settings.max_replicas and settings.max_replicas > settings.replicas:
        scaling = {
            "autoscaling_config": {
                "min_replicas": settings.replicas,
                "max_replicas": settings.max_replicas,
                "target_ongoing_requests": max(1, settings.max_num_seqs // 2),
            }
        }
    slots, engines = NAMES[: settings.resident], {}
    SlotsFile(home, serving.line).fit(slots, Registry(home))
    for slot in slots:
        options = placement(settings, threads, gpus) | scaling
        options |= {
            "name": engine_name(slot),
            "max_ongoing_requests": settings.max_num_seqs + 8,
            "graceful_shutdown_timeout_s": serving.drain_seconds,
            **_WATCHED,
        }
        engines[slot] = serve.deployment(Engine, **options).bind(serving, slot, str(home), threads, gpus)
    keeper = serve.deployment(Keeper, name="Keeper", num_replicas=1, ray_actor_options={"num_cpus": 0}).bind(
        serving, str(home), engines, ("Gateway", APP), own
    )
    limits = serving.limits
    room = seats(settings) + limits.queue
    return serve.deployment(
        serve.ingress()(Gateway),
        name="Gateway",
        num_replicas=serving.gateways,
        # Its own queue is the bound, and who comes beyond it reaches the gateway to be refused in OpenAI's
        # words; of a flood, most is refused by the proxy, which is cheaper.
        max_ongoing_requests=-(-room // serving.gateways) + _SPARE,
        # Also for who comes while a gateway that was lost is started anew.
        max_queued_requests=4 * _SPARE,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        graceful_shutdown_timeout_s=serving.drain_seconds,
        ray_actor_options={"num_cpus": 0},
        **_WATCHED,
    ).bind(serving, str(home), engines, own, keeper)


def build(arguments: dict[str, Any]) -> "Application":
    """For `serve deploy`: the application, with a config's keys as arguments.

    Raises what `check` raises, and ConfigError.
    """
    from configs.load import validate
    from engine.disk.home import ratchet_home
    from engine.plan.machine import detect_machine

    serving = validate(Serving, arguments, "the arguments")
    machine = _with_cluster(detect_machine(ratchet_home()))
    check(serving, ratchet_home(), machine)
    return application(serving, ratchet_home(), machine)


def _with_cluster(machine: Machine) -> Machine:
    """`machine`, with the memory and the GPUs of all nodes of the cluster it belongs to."""
    import ray

    there = ray.cluster_resources() if ray.is_initialized() else {}
    memory = int(there.get("memory", 0)) or machine.memory
    return replace(machine, num_gpus=int(there.get("GPU", machine.num_gpus)), memory=memory)

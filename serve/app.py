"""The Ray Serve application: builds engines, gateways and keeper from a config, and runs them.

ratchet serve                      serves on this machine until Ctrl-C
serve deploy cluster/serve.yaml    serves on a cluster: `serve.app:build` takes the same keys as arguments
"""

import contextlib
import http.client
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.serving import Engines, Serving
from engine.errors import Mistake
from engine.models.check import check_model
from engine.models.suitable import require_room
from engine.plan.footprint import GIB, PROCESS, shape_of, width
from engine.plan.machine import Machine
from engine.registry.registry import Registry
from serve import embedder, filters
from serve.deploying import deploy
from serve.keys import Keys
from serve.parsers import check_parser
from serve.seats import num_seats
from serve.slots import NAMES, SlotsFile
from serve.smoke import DIRECT

if TYPE_CHECKING:
    from ray.serve import Application

log = logging.getLogger(__name__)

APP = "ratchet"
_SPARE = 8
"""Requests that a gateway accepts beyond those that run and wait: health, metrics, the page, refusals."""
_WATCHED: dict[str, Any] = {"health_check_period_s": 1, "health_check_timeout_s": 30}
"""Serve restarts a lost replica only after its next health check fails, so checks are frequent."""


class ServeError(Mistake):
    """The server cannot be started, or did not become ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """The resources with which a server starts Ray, or which it asks a running Ray for."""

    num_cpus: int
    num_gpus: int
    resources: dict[str, float] = field(default_factory=dict)


def check(serving: Serving, home: Path, machine: Machine) -> None:
    """Refuse a config that could not be served, before anything starts.

    Raises ServeError, ModelError, ParserError, EmbeddingsError, FilterError, KeysError, RegistryError, or
    SlotsError for a damaged state.
    """
    SlotsFile(home, serving.line).read()
    registry = Registry(home)
    champion = registry.used_line(serving.line).champion
    if champion is None:
        raise ServeError(f"line {serving.line} has no champion yet: run a campaign on it first")
    registry.verify(champion)
    path = registry.path(champion)
    check_model(path)
    check_keys_and_filters(serving, home)
    embedder.check(serving.embeddings)
    settings = serving.engines
    require_room(path, settings.max_model_len, "engines.max_model_len")
    check_parser(settings.tool_parser, path)
    if settings.tensor_parallel > max(1, machine.num_gpus):
        raise ServeError(
            f"engines.tensor_parallel={settings.tensor_parallel} needs as many GPUs, but this machine has "
            f"{machine.num_gpus}"
        )
    _check_room(settings, path, machine)


def check_keys_and_filters(serving: Serving, home: Path) -> None:
    """Read them as a gateway does. Raises FilterError and KeysError."""
    Keys(home).all()
    for chain in (serving.filters.input, serving.filters.output):
        filters.build(chain)


def _check_room(settings: Engines, path: Path, machine: Machine) -> None:
    """Check that all possible replicas fit into memory, or into the GPUs. Raises ServeError."""
    most = settings.max_replicas or settings.replicas
    engines = f"{settings.resident} x {most} engines need"
    hint = (
        "set engines.resident=1, with which requests wait during a swap"
        if settings.resident == 2
        else "lower engines.kv_cache_gib, engines.replicas or engines.max_replicas"
    )
    if machine.num_gpus:
        share = _gpu_share(settings, machine)
        workers = settings.resident * most * settings.tensor_parallel
        room = machine.num_gpus * int(1 / share + 1e-9)
        if workers > room:
            raise ServeError(
                f"{engines} {workers} shares of {share:g} GPU, but only {room} are available: {hint}"
            )
        return
    shape = shape_of(str(path))
    if shape and machine.memory is not None:
        each = PROCESS + shape.num_parameters * width(settings.dtype) + int(settings.kv_cache_gib * GIB)
        needed = each * most * settings.resident
        if needed > machine.memory:
            raise ServeError(
                f"{engines} {needed / GIB:.1f} GiB of memory, but only {machine.memory / GIB:.1f} GiB are "
                f"free: {hint}"
            )


def _gpu_share(settings: Engines, machine: Machine) -> float:
    """Return the share of a GPU that each of vLLM's workers takes; 0 on a CPU."""
    if not machine.num_gpus:
        return 0.0
    # Two workers of one replica must not share a GPU.
    return settings.gpu_memory if settings.tensor_parallel == 1 else 1.0


def prepare(serving: Serving, home: Path, machine: Machine) -> Footing:
    """Check the config and that the address is free, and return the resources to start Ray with.

    Raises what `check` raises.
    """
    check(serving, home, machine)
    bound(serving).close()
    return Footing(num_cpus=machine.num_cpus, num_gpus=machine.num_gpus)


def bound(serving: Serving) -> socket.socket:
    """Bind a socket to the server's address. Raises ServeError where the address is taken, or not ours."""
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    try:
        with contextlib.ExitStack() as closed:
            made = closed.enter_context(socket.socket(family))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((serving.host, serving.port))
            closed.pop_all()
    except OSError as error:
        raise ServeError(
            f"cannot listen on {serving.url}: {error.strerror}; set another host or port"
        ) from None
    return made


def run(serving: Serving, home: Path, machine: Machine, ready: Callable[[str], None]) -> None:
    """Start the server, call `ready` with its address, serve until interrupted, and let requests finish.

    Raises ServeError if the server does not start.
    """
    import ray
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(http_options={"host": serving.host, "port": serving.port, "request_timeout_s": None})
    try:
        if reason := deploy(application(serving, home, machine), APP):
            raise ServeError(f"the server did not start: {reason}; its logs are in {_logs()}")
        try:
            _await_ready(serving.own_url)
            ready(serving.url)
            while True:
                time.sleep(3600)
        finally:
            _drain(serving)
    finally:
        # Ray would print that calls to Serve's controller fail, although shutdown has just ended it.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            serve.shutdown()
            ray.shutdown()


def _await_ready(url: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with DIRECT.open(f"{url}/readyz", timeout=5):
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)
    raise ServeError(f"the server did not become ready within {seconds:g} s; its logs are in {_logs()}")


def _logs() -> str:
    """Where Ray keeps its logs, on this machine."""
    import ray

    return f"{ray.get_runtime_context().get_temp_dir()}/session_latest/logs"


def _drain(serving: Serving) -> None:
    """Refuse new requests with 503, and wait until the others finish or their time is up."""
    from ray import serve
    from ray.exceptions import RayError
    from ray.serve.exceptions import RayServeException

    try:
        gateways = serve.get_deployment_handle("Gateway", APP)
        deadline = time.monotonic() + serving.drain_seconds
        while sum(gateways.broadcast("drain").results(timeout_s=5)) and time.monotonic() < deadline:
            time.sleep(0.1)
    except (RayError, RayServeException, RuntimeError, TimeoutError):
        log.warning("the gateways could not be drained")


def application(serving: Serving, home: Path, machine: Machine) -> "Application":
    """Bind all deployments of a server to each other."""
    from ray import serve
    from ray.serve.config import BackpressureConfig

    from serve.engine import Engine, engine_name
    from serve.gateway import Gateway
    from serve.keeper import Keeper
    from serve.settings import placement

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
    room = num_seats(settings) + limits.queue
    return serve.deployment(
        serve.ingress()(Gateway),
        name="Gateway",
        num_replicas=serving.gateways,
        # The gateway's own queue is the bound. A few requests beyond it still reach the gateway and are
        # refused in OpenAI's format; in a flood the proxy refuses most of them, which is cheaper.
        max_ongoing_requests=-(-room // serving.gateways) + _SPARE,
        # Also holds requests that arrive while a lost gateway restarts.
        max_queued_requests=4 * _SPARE,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        graceful_shutdown_timeout_s=serving.drain_seconds,
        ray_actor_options={"num_cpus": 0},
        **_WATCHED,
    ).bind(serving, str(home), engines, own, keeper, embedder.bound_embedder(serving.embeddings, threads))


def build(arguments: dict[str, Any]) -> "Application":
    """Build the application for `serve deploy`, with a config's keys as arguments.

    Raises what `check` raises, and ConfigError.
    """
    from configs.load import validate
    from engine.disk.home import ratchet_home
    from engine.plan.machine import detect_machine
    from engine.plan.precision import settle

    machine = _with_cluster(detect_machine(ratchet_home()))
    serving = settle(validate(Serving, arguments, "the arguments"), machine)
    check(serving, ratchet_home(), machine)
    return application(serving, ratchet_home(), machine)


def _with_cluster(machine: Machine) -> Machine:
    """Count the memory and the GPUs of all nodes of the cluster that this machine belongs to."""
    import ray

    cluster = ray.cluster_resources() if ray.is_initialized() else {}
    memory = int(cluster.get("memory", 0)) or machine.memory
    return replace(machine, num_gpus=int(cluster.get("GPU", machine.num_gpus)), memory=memory)

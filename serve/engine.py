"""One resident engine: a vLLM engine behind Ray Serve LLM whose weights can be swapped in place.

Each replica belongs to a slot (`serve/slots.py`) and starts with the version that the slot holds. It answers
only for the version that a request asks for. A request that finds another version here is handed back
untouched, so every answer comes from exactly one version.
"""

import asyncio
import logging
import math
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from configs.serving import Engines, Serving
from engine.models.identity import model_id
from engine.models.templates import system_in_turn, takes_system_message
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from engine.sample.vllm_setup import TakesWeights, engine_environment, engine_settings
from serve import internals
from serve.answers import Begun, Endpoint, Refused, Stale
from serve.slots import Slots, SlotsFile

if TYPE_CHECKING:
    from ray.serve.llm import LLMConfig

log = logging.getLogger("ray.serve")

_CHUNKS = 30
"""Stream chunks per second that one core can forward: each costs about a millisecond on its way to the
client. Above that rate, several tokens share a chunk."""
_LONGEST = 0.25
"""Longest time a token may wait for its chunk, in seconds. The first token of an answer never waits."""


class Engine:
    """A replica of one slot's engine.

    The class holds an `LLMServer` instead of inheriting from it, so that a process which only deploys engines
    does not have to import vLLM.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, serving: Serving, slot: str, home: str, threads: int, gpus: float
    ) -> None:
        self._registry = Registry(Path(home))
        self._version: str | None = None
        self._answering, self._chunks = 0, _CHUNKS * threads
        version = self._first_version(slot, SlotsFile(Path(home), serving.line).read(), serving.line)
        path = self._registry.path(version)
        from ray.serve.llm.deployment import LLMServer

        # Versions that take each other's place have one chat template.
        self._takes_system = await asyncio.to_thread(takes_system_message, path)
        if not self._takes_system:
            log.info("%s takes no system message: its text goes to the first user's turn", version)
        self._api = internals.api_models()
        config = llm_config(serving, path, gpus)
        self._server = LLMServer.sync_init(config, engine_cls=internals.engine_class())
        await self._server.start()
        self._set_version(version, await asyncio.to_thread(model_id, path))

    def _first_version(self, slot: str, slots: Slots | None, line: str) -> str:
        """Return the slot's version if it can still be loaded, otherwise the champion.

        The first swap replaces a champion that was loaded this way.
        """
        if slots and (version := slots.versions.get(slot)):
            try:
                self._registry.verify(version)
            except RegistryError as error:
                log.warning("version %s cannot be loaded again: %s", version, error)
            else:
                return version
        return self._registry.champion(line)

    async def take(self, version: str, seconds: float) -> str:
        """Load a registered version's weights in place and return its id, hashed from the files.

        Requests that arrive meanwhile are handed back; those in flight have `seconds` to finish. Raises
        RegistryError for a version that is missing or incomplete, and TimeoutError.
        """
        path = self._registry.path(version)
        before, self._version = self._version, None
        try:
            async with asyncio.timeout(seconds):
                while self._answering:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            self._version = before
            raise TimeoutError(
                f"{self._answering} requests in flight did not finish within {seconds:g} s"
            ) from None
        found = await asyncio.to_thread(model_id, path)
        await self._server.collective_rpc("take_weights", args=(str(path),))
        await self._server.reset_prefix_cache()
        self._set_version(version, found)
        return found

    def _set_version(self, version: str, found: str) -> None:
        if found != version:
            raise RuntimeError(f"the files of model {version} hash to {found}, not to its id")
        internals.rename_model(self._server, version)
        self._version = version

    async def check_health(self) -> None:
        """End this replica if vLLM's process has ended, so that Serve replaces it at once."""
        try:
            await self._server.check_health()
        except Exception:  # vLLM raises errors of any kind here
            log.exception("vLLM has ended, so this replica ends too")
            os._exit(1)

    async def running(self) -> int:
        """Count the requests that vLLM has started and not finished."""
        return internals.num_unfinished(self._server)

    async def version(self) -> str | None:
        return self._version

    async def answer(
        self, endpoint: Endpoint, version: str, body: dict[str, Any]
    ) -> AsyncIterator[Begun | Stale | Refused | bytes]:
        """Yield server-sent events or one JSON document, or the reason why there is no answer."""
        if version != self._version:
            yield Stale(self._version)
            return
        # Counted before anything is awaited: the weights stay from here on.
        self._answering += 1
        try:
            yield Begun()
            pending, sent = "", -math.inf
            try:
                request = self._request(endpoint, {**body, "model": version})
            except Exception as error:  # noqa: BLE001  vLLM rejects a request with errors of any kind
                reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
                yield Refused(400, reason, "invalid_request_error", None)
                return
            stream = await (self._server.chat if endpoint == "chat" else self._server.completions)(request)
            async for item in stream:
                # A stream yields lists of one event each.
                part = item[0] if isinstance(item, list) else item
                if isinstance(part, self._api.ErrorResponse):
                    failure = part.error
                    if failure.code >= 500:
                        raise RuntimeError(f"vLLM answered {failure.code}: {failure.type}")
                    yield Refused(failure.code, failure.message, failure.type, failure.param)
                    return
                pending += part if isinstance(part, str) else part.model_dump_json(exclude_none=False)
                if time.monotonic() - sent >= min(_LONGEST, self._answering / self._chunks):
                    yield pending.encode()
                    pending, sent = "", time.monotonic()
            if pending:
                yield pending.encode()
        except Exception:
            await self.check_health()
            raise
        finally:
            self._answering -= 1

    def _request(self, endpoint: Endpoint, body: dict[str, Any]) -> Any:
        if endpoint == "chat":
            chat = body["messages"] if self._takes_system else system_in_turn(body["messages"])
            return self._api.ChatCompletionRequest(**{**body, "messages": chat})
        return self._api.CompletionRequest(**body)


def engine_name(slot: str) -> str:
    """Name of the Serve deployment that runs a slot's engine."""
    return f"Engine-{slot}"


def placement(settings: Engines, threads: int, gpus: float) -> dict[str, Any]:
    """Build the deployment options that place a replica and vLLM's workers and set their environment.

    `gpus` is the share of a GPU that each worker takes; it is 0 on a CPU.
    """
    environment = server_environment(threads, compiles=settings.compile or gpus > 0)
    return {
        # No whole core is reserved, so an idle engine leaves all of them to the other one.
        "ray_actor_options": {"num_cpus": 0, "runtime_env": {"env_vars": environment}},
        "placement_group_bundles": [_bundle(gpus)] * settings.tensor_parallel,
        "placement_group_strategy": "PACK",
    }


def _bundle(gpus: float) -> dict[str, float]:
    return {"GPU": gpus} if gpus else {"CPU": 0.001}


def llm_config(serving: Serving, model: Path, gpus: float) -> "LLMConfig":
    """Build Ray Serve LLM's config for an engine that starts with `model`."""
    from ray.serve.llm import LLMConfig

    settings, on_gpu = serving.engines, gpus > 0
    return LLMConfig(
        model_loading_config={"model_id": model.name, "model_source": str(model)},
        accelerator_config={"kind": "gpu" if on_gpu else "cpu"},
        placement_group_config={"bundle_per_worker": _bundle(gpus)},
        log_engine_metrics=False,
        # `Engine.answer` does the batching, by load.
        experimental_configs={"stream_batching_interval_ms": 0},
        engine_kwargs={
            "dtype": settings.dtype,
            "tensor_parallel_size": settings.tensor_parallel,
            "max_model_len": settings.max_model_len,
            "max_num_seqs": settings.max_num_seqs,
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            "seed": 0,
            # Sampling defaults come from the request, not from the model's generation config.
            "generation_config": "vllm",
            # A chat that sets no limit gets this many tokens, or what is left of the context.
            "override_generation_config": {"max_new_tokens": serving.limits.max_tokens},
            "worker_extension_cls": TakesWeights.WHERE,
            **engine_settings(settings, on_gpu=on_gpu, sleeps=False),
        },
    )


def server_environment(threads: int, *, compiles: bool) -> dict[str, str]:
    """Environment variables of an engine's replica and of the vLLM processes below it."""
    environment = engine_environment(threads, compiles=compiles)
    # An asynchronous engine needs a process of its own.
    environment["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
    # When vLLM configures logging it closes Serve's log file, and Serve's next controller then takes that
    # file for lost.
    environment["VLLM_CONFIGURE_LOGGING"] = "0"
    environment["RAYLLM_ENABLE_REQUEST_PROMPT_LOGS"] = "0"
    return environment

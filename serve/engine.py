"""One resident engine: Ray Serve LLM's server around vLLM, which takes another version's weights in place.

A replica belongs to a slot (`serve/slots.py`) and starts with what the slot holds. It answers only for the
version that it was asked for: a request that meets an engine with another one is handed back untouched, so
every answer is of exactly one version.
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
from engine.registry.registry import Registry, RegistryError
from engine.sample.vllm_setup import TakesWeights, engine_environment, engine_settings
from serve.answers import Begun, Endpoint, Refused, Stale
from serve.slots import Slots, SlotsFile

if TYPE_CHECKING:
    from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
    from ray.serve.llm import LLMConfig

log = logging.getLogger("ray.serve")

_CHUNKS = 30
"""Parts of streams a second that a core hands on: each costs about a millisecond on its way to the client.
Where there are more, tokens are sent several at a time."""
_LONGEST = 0.25
"""Seconds that a token is kept back at most; the first of an answer never is."""


class Engine:
    """A replica of one slot's engine.

    It holds an `LLMServer` rather than being one, so that who only deploys it need not import vLLM.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, serving: Serving, slot: str, home: str, threads: int, gpus: float
    ) -> None:
        self._registry = Registry(Path(home))
        self._version: str | None = None
        self._answering, self._chunks = 0, _CHUNKS * threads
        version = self._first_version(slot, SlotsFile(Path(home), serving.line).read(), serving.line)
        path = self._registry.path(version)
        # Refusals come as this class, not as the public one below it.
        from ray.llm._internal.serve.core.configs import openai_api_models
        from ray.serve.llm.deployment import LLMServer

        self._api = openai_api_models
        config = llm_config(serving, path, gpus)
        self._server = LLMServer.sync_init(config, engine_cls=_engine_class())
        await self._server.start()
        self._name(version, await asyncio.to_thread(model_id, path))

    def _first_version(self, slot: str, slots: Slots | None, line: str) -> str:
        """What a slot holds, if it is still there; else the champion, which the first swap replaces."""
        if slots and (version := slots.versions.get(slot)):
            try:
                self._registry.verify(version)
            except RegistryError as error:
                log.warning("%s cannot be taken in again: %s", version, error)
            else:
                return version
        return self._registry.champion(line)

    async def take(self, version: str, seconds: float) -> str:
        """Take a registered version's weights; the id of what is now run, hashed from the files.

        Requests that come meanwhile are handed back; those in flight have `seconds` to end. Raises
        RegistryError for a version that is not wholly there, and TimeoutError.
        """
        path = self._registry.path(version)
        before, self._version = self._version, None
        try:
            async with asyncio.timeout(seconds):
                while self._answering:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            self._version = before
            raise TimeoutError(f"{self._answering} requests in flight did not end") from None
        found = await asyncio.to_thread(model_id, path)
        await self._server.collective_rpc("take_weights", args=(str(path),))
        await self._server.reset_prefix_cache()
        self._name(version, found)
        return found

    def _name(self, version: str, found: str) -> None:
        if found != version:
            raise RuntimeError(f"model {version} is not what its name says: its files hash to {found}")
        # vLLM names the model in its answers, and refuses requests for any other.
        for path in self._server.engine._oai_models.base_model_paths:
            path.name = version
        self._version = version

    async def check_health(self) -> None:
        """Ends the replica where vLLM's process has ended, so that Serve starts it anew at once."""
        try:
            await self._server.check_health()
        except Exception:  # of vLLM, of whatever kind
            log.exception("vLLM has ended, and this replica with it")
            os._exit(1)

    async def running(self) -> int:
        """Requests that vLLM itself has begun and not ended."""
        return self._server.engine._engine_client.output_processor.get_num_unfinished_requests()

    async def version(self) -> str | None:
        return self._version

    async def answer(
        self, endpoint: Endpoint, version: str, body: dict[str, Any]
    ) -> AsyncIterator[Begun | Stale | Refused | bytes]:
        """Server-sent events as they come, or one JSON document; or why there is no answer."""
        if version != self._version:
            yield Stale(self._version)
            return
        # Counted before anything is awaited: from here on the weights stay.
        self._answering += 1
        try:
            yield Begun()
            held, sent = "", -math.inf
            try:
                asked = self._request(endpoint, {**body, "model": version})
            except Exception as error:  # noqa: BLE001  of whatever kind: it is how vLLM judges a request
                reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
                yield Refused(400, reason, "invalid_request_error", None)
                return
            stream = await (self._server.chat if endpoint == "chat" else self._server.completions)(asked)
            async for item in stream:
                # A stream comes in lists, of one event each.
                said = item[0] if isinstance(item, list) else item
                if isinstance(said, self._api.ErrorResponse):
                    told = said.error
                    if told.code >= 500:
                        raise RuntimeError(f"vLLM answered {told.code}: {told.type}")
                    yield Refused(told.code, told.message, told.type, told.param)
                    return
                held += said if isinstance(said, str) else said.model_dump_json(exclude_none=False)
                if time.monotonic() - sent >= min(_LONGEST, self._answering / self._chunks):
                    yield held.encode()
                    held, sent = "", time.monotonic()
            if held:
                yield held.encode()
        except Exception:
            await self.check_health()
            raise
        finally:
            self._answering -= 1

    def _request(self, endpoint: Endpoint, body: dict[str, Any]) -> Any:
        if endpoint == "chat":
            return self._api.ChatCompletionRequest(**body)
        return self._api.CompletionRequest(**body)


def _engine_class() -> type["VLLMEngine"]:
    from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
    from vllm.platforms import current_platform

    class InOneProcess(VLLMEngine):
        """On a CPU vLLM gives its one worker a process of its own, for threads' settings that ours get from
        `engine_environment`. In the engine's process it answers sooner and takes a gigabyte less."""

        def _start_async_llm_engine(self, args: Any, config: Any, placement_group: Any) -> Any:
            if current_platform.is_cpu() and config.parallel_config.world_size == 1:
                config.parallel_config.distributed_executor_backend = "uni"
            return super()._start_async_llm_engine(args, config, placement_group)

    return InOneProcess


def engine_name(slot: str) -> str:
    """Of a slot's deployment."""
    return f"Engine-{slot}"


def placement(settings: Engines, threads: int, gpus: float) -> dict[str, Any]:
    """Options of a replica's deployment: where it and vLLM's workers run, and what their processes need set.

    `gpus` is the share of a GPU that each of the workers takes; 0 on a CPU.
    """
    environment = server_environment(threads)
    return {
        # No whole core is reserved: an idle engine leaves them all to the other.
        "ray_actor_options": {"num_cpus": 0, "runtime_env": {"env_vars": environment}},
        "placement_group_bundles": [_bundle(gpus)] * settings.tensor_parallel,
        "placement_group_strategy": "PACK",
    }


def _bundle(gpus: float) -> dict[str, float]:
    return {"GPU": gpus} if gpus else {"CPU": 0.001}


def llm_config(serving: Serving, model: Path, gpus: float) -> "LLMConfig":
    """Ray Serve LLM's config of an engine that starts with `model`."""
    from ray.serve.llm import LLMConfig

    settings, on_gpu = serving.engines, gpus > 0
    return LLMConfig(
        model_loading_config={"model_id": model.name, "model_source": str(model)},
        accelerator_config={"kind": "gpu" if on_gpu else "cpu"},
        placement_group_config={"bundle_per_worker": _bundle(gpus)},
        log_engine_metrics=False,
        # Parts are put together in `Engine.answer`, by load.
        experimental_configs={"stream_batching_interval_ms": 0},
        engine_kwargs={
            "dtype": settings.dtype,
            "tensor_parallel_size": settings.tensor_parallel,
            "max_model_len": settings.max_model_len,
            "max_num_seqs": settings.max_num_seqs,
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            "seed": 0,
            # The model's own defaults of sampling are left out: a request says what it wants.
            "generation_config": "vllm",
            # Where a chat does not say how much, so much, or what is left of the context.
            "override_generation_config": {"max_new_tokens": serving.limits.max_tokens},
            "worker_extension_cls": TakesWeights.WHERE,
            **engine_settings(settings, on_gpu=on_gpu, sleeps=False),
        },
    )


def server_environment(threads: int) -> dict[str, str]:
    """What an engine's replica, and vLLM's processes below it, need set."""
    environment = engine_environment(threads)
    # An asynchronous engine has a process of its own.
    environment["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
    # Setting up logging, vLLM closes the log file of Serve, whose next controller then takes it for lost.
    environment["VLLM_CONFIGURE_LOGGING"] = "0"
    environment["RAYLLM_ENABLE_REQUEST_PROMPT_LOGS"] = "0"
    return environment

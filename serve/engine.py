"""One resident engine: Ray Serve LLM's server around vLLM, which takes another version's weights in place.

A replica belongs to a slot (`serve/slots.py`) and starts with what the slot holds. It answers only for the
version that it was asked for: a request that meets an engine with another one is handed back untouched, so
every answer is of exactly one version.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from ray.llm._internal.serve.core.server.llm_server import LLMServer
from ray.serve.llm import LLMConfig

from configs.serving import Engines
from engine.models import model_id
from engine.registry import Registry
from engine.vllm_setup import TakesWeights, engine_environment, engine_settings
from serve.answers import Endpoint, Refused, Stale
from serve.slots import SlotsFile


class Engine(LLMServer):
    """A replica of one slot's engine."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it, as LLMServer's own
        self, settings: Engines, slot: str, line: str, home: str, threads: int, gpus: float
    ) -> None:
        self._registry = Registry(Path(home))
        self._version: str | None = None
        slots = SlotsFile(Path(home), line).read()
        # A slot that nothing was loaded into yet starts with the champion: the first swap replaces it.
        version = (slots.versions.get(slot) if slots else None) or self._registry.champion(line)
        path = self._registry.path(version)
        await super().__init__(llm_config(settings, path, threads, gpus))
        self._name(version, await asyncio.to_thread(model_id, path))

    async def take(self, version: str) -> str:
        """Take a registered version's weights; the id of what is now run, hashed from the files.

        Requests that come meanwhile are handed back; those in flight must be over. Raises RegistryError for a
        version that is not wholly there.
        """
        path = self._registry.path(version)
        self._version = None
        found = await asyncio.to_thread(model_id, path)
        await self.collective_rpc("take_weights", args=(str(path),))
        await self.reset_prefix_cache()
        self._name(version, found)
        return found

    def _name(self, version: str, found: str) -> None:
        if found != version:
            raise RuntimeError(f"model {version} is not what its name says: its files hash to {found}")
        # vLLM names the model in its answers, and refuses requests for any other.
        for path in self.engine._oai_models.base_model_paths:
            path.name = version
        self._version = version

    async def running(self) -> int:
        """Requests that vLLM has begun and not ended."""
        return self.engine._engine_client.output_processor.get_num_unfinished_requests()

    async def version(self) -> str | None:
        return self._version

    async def answer(
        self, endpoint: Endpoint, version: str, body: dict[str, Any]
    ) -> AsyncIterator[Stale | Refused | bytes]:
        """Server-sent events as they come, or one JSON document; or why there is no answer."""
        if version != self._version:
            yield Stale(self._version)
            return
        from ray.llm._internal.serve.core.configs.openai_api_models import (
            ChatCompletionRequest,
            CompletionRequest,
            ErrorResponse,
        )

        body = {**body, "model": version}
        if endpoint == "chat":
            stream = await self.chat(ChatCompletionRequest(**body))
        else:
            stream = await self.completions(CompletionRequest(**body))
        async for item in stream:
            items = item if isinstance(item, list) else [item]
            if isinstance(items[0], ErrorResponse):
                error = items[0].error
                yield Refused(error.code, error.message, error.type, error.param)
                return
            if isinstance(items[0], str):
                yield "".join(items).encode()
            else:
                yield items[0].model_dump_json(exclude_none=False).encode()


def llm_config(settings: Engines, model: Path, threads: int, gpus: float) -> LLMConfig:
    """Ray Serve LLM's config of an engine that starts with `model`."""
    on_gpu = gpus > 0
    bundle = {"GPU": gpus} if on_gpu else {"CPU": 0.001}
    return LLMConfig(
        model_loading_config={"model_id": model.name, "model_source": str(model)},
        accelerator_config={"kind": "gpu" if on_gpu else "cpu"},
        placement_group_config={"bundle_per_worker": bundle},
        runtime_env={"env_vars": server_environment(threads)},
        # No whole core is reserved: an idle engine leaves them all to the other.
        deployment_config={"ray_actor_options": {"num_cpus": 0}},
        log_engine_metrics=False,
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
            "worker_extension_cls": TakesWeights.WHERE,
            **engine_settings(settings, on_gpu=on_gpu, sleeps=False),
        },
    )


def server_environment(threads: int) -> dict[str, str]:
    """What an engine's replica, and vLLM's processes below it, need set."""
    environment = engine_environment(threads)
    # An asynchronous engine has a process of its own.
    environment["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
    environment["RAYLLM_ENABLE_REQUEST_PROMPT_LOGS"] = "0"
    return environment

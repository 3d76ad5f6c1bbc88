"""The private parts of Ray and vLLM that the server relies on, all in one place.

Neither project offers a public way to do what these functions do, so an upgrade may break any of them.
`tests/serve/test_internals.py` fails as soon as a name used here disappears.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
    from ray.serve.llm.deployment import LLMServer


def api_models() -> ModuleType:
    """The module of request and response classes that `LLMServer` itself uses.

    vLLM's refusals arrive as this module's `ErrorResponse`, not as the public subclass in `ray.serve.llm`.
    """
    from ray.llm._internal.serve.core.configs import openai_api_models

    return openai_api_models


def engine_class() -> type["VLLMEngine"]:
    """Ray's vLLM engine, except that on a CPU its single worker runs in the engine's own process.

    By default vLLM starts a separate process for the worker so that it can set thread options there, but
    `engine_environment` sets those already. A single process answers sooner and saves a gigabyte of memory.
    """
    from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
    from vllm.platforms import current_platform

    class InOneProcess(VLLMEngine):
        def _start_async_llm_engine(self, args: Any, config: Any, placement_group: Any) -> Any:
            if current_platform.is_cpu() and config.parallel_config.world_size == 1:
                config.parallel_config.distributed_executor_backend = "uni"
            return super()._start_async_llm_engine(args, config, placement_group)

    return InOneProcess


def rename_model(server: "LLMServer", name: str) -> None:
    """Change the name that vLLM gives in its answers and accepts in requests."""
    for path in server.engine._oai_models.base_model_paths:
        path.name = name


def num_unfinished(server: "LLMServer") -> int:
    """Count the requests that vLLM has started and not finished."""
    return server.engine._engine_client.get_num_unfinished_requests()

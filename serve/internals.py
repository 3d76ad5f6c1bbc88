"""The private parts of Ray and vLLM that the server relies on, all in one place.

Neither project offers a public way to do what these functions do, so an upgrade may break any of them.
`tests/serve/test_internals.py` fails as soon as a name used here disappears.
"""

import re
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
    Nor does Ray start a process on each node to download the model, which would import vLLM first: a version
    is a directory that all nodes see. Also, Ray looks for what tokenizes under a name that vLLM has changed.
    """
    from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
    from vllm.platforms import current_platform

    class InOneProcess(VLLMEngine):
        def _start_async_llm_engine(self, args: Any, config: Any, placement_group: Any) -> Any:
            if current_platform.is_cpu() and config.parallel_config.world_size == 1:
                config.parallel_config.distributed_executor_backend = "uni"
            return super()._start_async_llm_engine(args, config, placement_group)

        async def start(self) -> None:
            self.llm_config.get_or_create_callback().ctx.run_init_node = False
            await super().start()
            self._oai_serving_tokenization = self._app_state.serving_tokenization

    return InOneProcess


def is_failed_generation(error: Exception) -> bool:
    """Whether vLLM gave up one answer, while the engine goes on."""
    from vllm.exceptions import GenerationError

    return isinstance(error, GenerationError)


def is_failed_generation_error(failure: Any) -> bool:
    """Whether an error in a stream, which has only a sentence, says that vLLM gave up one answer."""
    from vllm.exceptions import GenerationError

    return failure.code == GenerationError().status_code and failure.message == str(GenerationError())


def rename_model(server: "LLMServer", name: str) -> None:
    """Change the name that vLLM gives in its answers and accepts in requests."""
    for path in server.engine._oai_models.base_model_paths:
        path.name = name


def num_unfinished(server: "LLMServer") -> int:
    """Count the requests that vLLM has started and not finished."""
    return server.engine._engine_client.get_num_unfinished_requests()


async def forget_prefixes(server: "LLMServer") -> bool:
    """Let vLLM forget what it has computed of prompts; False while a request still uses it.

    `LLMServer` has a method of this kind that does not say whether anything was forgotten.
    """
    return await server.engine._engine_client.reset_prefix_cache()


def plain(message: str) -> str:
    """A message of vLLM's without the time and place of its compiler, and without the field beside it."""
    message = re.sub(r"\[\d\d:\d\d:\d\d\] \S+:\d+: ", "", message)
    return re.sub(r" \(parameter=.*\)$", "", message, flags=re.DOTALL).strip()

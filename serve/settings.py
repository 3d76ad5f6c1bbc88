"""How an engine of the server is set up: vLLM's settings, where its processes run, and their environment."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.serving import Engines, Serving
from engine.sample.vllm_setup import TakesWeights, engine_environment, engine_settings
from serve.fields import MOST_STOPS

if TYPE_CHECKING:
    from ray.serve.llm import LLMConfig


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


def llm_config(serving: Serving, model: Path, gpus: float, parser: str) -> "LLMConfig":
    """Build Ray Serve LLM's config for an engine that starts with `model`.

    `parser` is the name by which vLLM knows the parser of tool calls.
    """
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
            # One compiler for all structures: vLLM would otherwise keep the one that the first request chose.
            # Without blanks between its parts, JSON cannot end in blanks without end.
            "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
            "enable_auto_tool_choice": True,
            "tool_call_parser": parser,
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
    environment["VLLM_MAX_STOP_STRINGS"] = str(MOST_STOPS)
    # MiB that compiled structures may take.
    environment["VLLM_XGRAMMAR_CACHE_MB"] = "64"
    return environment

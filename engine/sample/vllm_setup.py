"""How vLLM is set up on a CPU and on a GPU, and how an engine takes other weights in place."""

from typing import Any

from configs.schema import Sampler
from configs.serving import Engines


def engine_settings(config: Sampler | Engines, *, on_gpu: bool, sleeps: bool) -> dict[str, Any]:
    """Arguments of `vllm.LLM` that differ by device."""
    if on_gpu:
        return {"gpu_memory_utilization": config.gpu_memory, "enable_sleep_mode": sleeps}
    return {
        # Sized in bytes: the share-of-memory default counts other processes' memory.
        "kv_cache_memory_bytes": int(config.kv_cache_gib * 2**30),
        "enforce_eager": not config.compile,
        "block_size": 32,
        # A prompt cut in two makes vLLM rewind the seeded generator, which CPUs' cannot.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(2048, config.max_model_len),
    }


def engine_environment(threads: int, *, compiles: bool = True) -> dict[str, str]:
    """Environment variables that a process needs before it imports vLLM.

    `compiles` is whether vLLM may compile anything: on a CPU it need not.
    """
    # Whatever the engine's settings, vLLM compiles the function that ranks log-probabilities: some seconds in
    # every process, and a dozen where torch has not cached it.
    compiler = {} if compiles else {"TORCHDYNAMO_DISABLE": "1"}
    return compiler | {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_CONFIGURE_LOGGING": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
    }


class TakesWeights:
    """An extension of vLLM's workers (`worker_extension_cls`) that loads another model's weights in place."""

    WHERE = "engine.sample.vllm_setup.TakesWeights"

    def take_weights(self, model: str) -> None:
        """Load the weights in the directory `model`, which have the shapes of those in place."""
        self.reload_weights(weights_path=model)  # type: ignore[attr-defined]  # the worker's own
        # On a CPU vLLM multiplies by packed copies of weights, and a reload does not renew the copy of a head
        # that is tied to the embedding: half of the old model would answer.
        head = getattr(self.get_model(), "lm_head", None)  # type: ignore[attr-defined]
        if head is not None and hasattr(head, "cpu_linear"):
            head.quant_method.process_weights_after_loading(head)

"""The checks of `make gpu`, the most valuable first."""

from dataclasses import dataclass

SECONDS = 480
"""For all checks together."""
TRAINS = ("torch", "transformers", "safetensors", "ray", "trl", "peft", "accelerate", "datasets")
SERVES = ("torch", "transformers", "safetensors", "ray", "vllm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check, which runs in a process of its own."""

    name: str
    """For `--only`, and of the files that it leaves."""
    shows: str
    where: str
    """``module:function``; the function is given a `work.Work`."""
    most: int
    """Seconds after which it is stopped."""
    least: int
    """Seconds below which it is not begun, because it could not end."""
    packages: tuple[str, ...] = ()
    """Distributions that it needs; where one is missing it is skipped."""
    gib: float = 0
    """GPU memory that has to be free."""


CHECKS = (
    Check(
        name="loop",
        shows="one-gpu.yaml on a small model: sampler and trainer in turns, vLLM asleep while it trains",
        where="tests.bench.gpu.loop:run_campaign",
        most=210,
        least=90,
        # A model is registered with the version of the code that made it.
        packages=("ratchet", *TRAINS, "vllm", "z3-solver"),
        gib=10,
    ),
    Check(
        name="sft-8b",
        shows="throughput of LoRA SFT, as in one-gpu.yaml, of a random model with the shape of Qwen3-8B",
        where="tests.bench.gpu.large:sft",
        most=120,
        least=45,
        packages=TRAINS,
        gib=40,
    ),
    Check(
        name="swap",
        shows="`ratchet serve`: promotions and a rollback under 10 requests a second, two engines on the GPU",
        where="tests.bench.gpu.swap:swap_under_load",
        most=120,
        least=60,
        packages=SERVES,
        gib=10,
    ),
    Check(
        name="sampler",
        shows="our sampler against raw `vllm.LLM`; that it sleeps, wakes and takes other weights whole",
        where="tests.bench.gpu.sampler:compare",
        most=150,
        least=60,
        packages=SERVES,
        gib=24,
    ),
    Check(
        name="zero2",
        shows="full SFT of the small model by our driver, with DeepSpeed's ZeRO-2 and without it",
        where="tests.bench.gpu.zero2:train_both_ways",
        most=120,
        least=45,
        packages=(*TRAINS, "deepspeed"),
        gib=10,
    ),
    Check(
        name="dpo-8b",
        shows="throughput of LoRA DPO of the same model",
        where="tests.bench.gpu.large:dpo",
        most=180,
        least=75,
        packages=TRAINS,
        gib=48,
    ),
)

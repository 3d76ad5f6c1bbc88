"""What starting up takes and what it is made of: Ray and samplers once a campaign, a worker once a training.

`python -m tests.bench.bench_start`. Imports are timed in fresh processes, beside what they are a part of.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.sample.group import SamplerGroup
from tests.bench.harness import Spread, keep
from tests.bench.work import draw, gold_rows, settings, train_ours

REPEATS = 3

IMPORTS = {
    "an interpreter": "pass",
    "  with ray": "import ray",
    "  with vLLM": "from vllm import LLM",
    "  with Ray Train": "import ray.train.torch",
    "  with TRL's trainers": "from trl import DPOTrainer, SFTTrainer",
}


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def anew(*arguments: str) -> float:
    return seconds(lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True))


def main() -> None:
    import ray

    from cluster.connect import connect

    config, plan, base = settings("loop.train.epochs=1", "loop.train.rehearsal_share=0")
    rows = gold_rows(config, draw(config, config.loop.train.batch_size, "bench-start"))
    parts: dict[str, list[float]] = {}

    def timed(part: str, took: float) -> None:
        parts.setdefault(part, []).append(took)

    for _ in range(REPEATS):
        timed("`ratchet --help`", anew("-m", "ratchet", "--help"))
        for part, statement in IMPORTS.items():
            timed(part, anew("-c", statement))
        timed("Ray, from the call to its first task", seconds(lambda: (connect(plan), _task())))
        with SamplerGroup(
            config.sampler, base, threads=plan.samplers.threads, gpus=0, share_gpu=False
        ) as group:
            timed("a sampler, to its first score", seconds(lambda: group.score(base, ["It is there."])))
        with tempfile.TemporaryDirectory() as scratch:
            began = time.perf_counter()
            challenger = train_ours(config, plan, base, rows, Path(scratch) / "out")
            timed(
                "a training of one step, all but the step", time.perf_counter() - began - challenger.seconds
            )
        ray.shutdown()
    print(f"start-up (seconds; median and range of {REPEATS})")
    for part, values in parts.items():
        print(f"  {part:<42} {Spread.of(values)}")
    keep("start", {"unit": "s", "values": parts})


def _task() -> Any:
    import ray

    @ray.remote(num_cpus=0)
    def nothing() -> None:
        return None

    return ray.get(nothing.remote())


if __name__ == "__main__":
    main()

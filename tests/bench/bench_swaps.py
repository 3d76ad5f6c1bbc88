"""What the proof of an engine's weights adds to a swap: the embedded model and one that is near to it.

`python -m tests.bench.bench_swaps`
"""

import os
import tempfile
import time
from pathlib import Path

from engine.models.nodes import refer_to
from engine.models.reference import References, computed
from engine.sample.actor import SamplerActor
from engine.sample.vllm_setup import engine_environment
from tests.bench.harness import side_by_side
from tests.bench.work import settings
from tests.support.stale import neighbour

REPEATS = 10
DISTANCE = 0.02
"""Of the weights, in units of their spread: about what a few steps of training do."""


def main() -> None:
    config, plan, base = settings()
    threads = plan.samplers.threads
    os.environ.update(engine_environment(threads))
    with tempfile.TemporaryDirectory() as folder:
        models = [neighbour(base, Path(folder) / "near", DISTANCE, seed=1), base]
        refs, references = [refer_to(model) for model in models], References()
        for ref, model in zip(refs, models, strict=True):
            began = time.perf_counter()
            if reference := computed(model):
                references.keep(ref.id, reference)
            print(f"  a reference computed from the files in {time.perf_counter() - began:.1f} s")
        plain = SamplerActor.__ray_metadata__.modified_class  # type: ignore[attr-defined]
        engine = plain(config.sampler, refs[1], threads, False, references.get(refs[1].id))

        def proved() -> float:
            began = time.perf_counter()
            for ref in refs:
                proof, _ = engine.swap(ref, references.get(ref.id), False)
                assert proof.complete, proof.sentence
            return 2 / (time.perf_counter() - began)

        def bare() -> float:
            began = time.perf_counter()
            for model in models:
                engine.llm.collective_rpc("take_weights", args=(str(model),))
                engine.llm.reset_prefix_cache()
            return 2 / (time.perf_counter() - began)

        proved(), bare()  # the first swap also measures the engine's rounding
        side_by_side("swaps", "swaps/s", {"proved": proved, "bare": bare}, repeats=REPEATS, least=None)


if __name__ == "__main__":
    main()

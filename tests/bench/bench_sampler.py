"""Our sampler, a Ray actor that streams into the driver, against raw `vllm.LLM` on the same prompts.

`python -m tests.bench.bench_sampler`
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from engine.models.prompts import messages
from engine.sample.group import SamplerGroup
from engine.sample.protocol import Request, Sampling
from engine.sample.vllm_setup import engine_environment
from tests.bench.harness import side_by_side
from tests.bench.work import as_chat, draw, raw_engine, settings, system_of

NUM_PROMPTS = 128
MAX_NEW_TOKENS = 80

_llm: Any = None


def start_raw(model: str, settings: dict[str, Any], environment: dict[str, str]) -> None:
    """In a process of its own: vLLM's engine as its documentation starts it, sized as ours."""
    import os

    os.environ.update(environment)
    global _llm
    from vllm import LLM

    _llm = LLM(model=model, **settings)


def sample_raw(chats: Sequence[Any]) -> float:
    """Output tokens a second."""
    from vllm import SamplingParams

    params = SamplingParams(temperature=0, max_tokens=MAX_NEW_TOKENS)
    began = time.perf_counter()
    outputs = _llm.chat(chats, params, use_tqdm=False)
    seconds = time.perf_counter() - began
    return sum(len(output.outputs[0].token_ids) for output in outputs) / seconds


def main() -> None:
    from cluster.connect import connect

    # As raw vLLM does unasked.
    config, plan, model = settings("sampler.compile=true")

    def batches() -> Iterator[list[Request]]:
        """Other prompts at every call, so that no prefix cache knows them."""
        for start in itertools.count(0, NUM_PROMPTS):
            problems = draw(config, NUM_PROMPTS, "bench", start)
            yield [Request(problem_id=p.id, messages=messages(system_of(config), p.turns)) for p in problems]

    connect(plan)
    mine, theirs = batches(), batches()
    threads = plan.samplers.threads
    with (
        SamplerGroup(config.sampler, model, threads=threads, gpus=0, share_gpu=False) as ours,
        ProcessPoolExecutor(
            1, get_context("spawn"), start_raw, (str(model), raw_engine(config), engine_environment(threads))
        ) as raw,
    ):

        def sample_ours() -> float:
            requests = next(mine)
            began = time.perf_counter()
            attempts = list(ours.sample(model, requests, Sampling(max_new_tokens=MAX_NEW_TOKENS)))
            seconds = time.perf_counter() - began
            return sum(attempt.num_tokens for attempt in attempts) / seconds

        def sample_theirs() -> float:
            return raw.submit(sample_raw, [as_chat(request.messages) for request in next(theirs)]).result()

        sample_ours(), sample_theirs()  # both started and warm
        variants = {"ours": sample_ours, "raw vllm.LLM": sample_theirs}
        side_by_side("sampler", "output tokens/s", variants, repeats=6, least=0.95)


if __name__ == "__main__":
    main()

"""Our sampler against raw vLLM on one GPU; and whether ours sleeps, wakes and takes other weights whole."""

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from configs.schema import Config
from engine.models.prompts import messages
from engine.plan.footprint import GIB
from engine.sample.group import SamplerGroup
from engine.sample.protocol import Request, Sampling
from engine.sample.vllm_setup import engine_environment
from tests.bench.bench_sampler import MAX_NEW_TOKENS, sample_raw, start_raw
from tests.bench.gpu.machine import memory_used
from tests.bench.gpu.models import varied
from tests.bench.gpu.work import Failed, Work
from tests.bench.work import as_chat, draw, raw_engine, settings, system_of

NUM_PROMPTS, REPEATS = 1024, 3
_TEXTS = ("Every wumpus is a vumpus.", "Max is a wumpus, and so he is a vumpus.", "The cat sat on the mat.")
_SAME, _OTHER = 0.01, 0.05
"""Relative differences of likelihood: at most that of the same weights asked again, at least of others."""


def overrides(model: Path) -> list[str]:
    """Both engines fit beside each other: ours takes its share of the GPU, raw vLLM a KV cache of 8 GiB."""
    return [
        f"base={json.dumps(str(model))}",
        "resources.num_gpus=1",
        "sampler.max_num_seqs=256",
        "sampler.gpu_memory=0.4",
        "sampler.kv_cache_gib=8",
        "sampler.compile=true",
    ]


def compare(work: Work) -> None:
    """Measure both in turn, then ours alone."""
    import ray

    from cluster.connect import connect

    config, plan, model = settings(*overrides(work.model))
    other = varied(model, work.place / "varied")
    environment, threads = engine_environment(plan.samplers.threads), plan.samplers.threads
    connect(plan)
    try:
        # With a cache of fixed size vLLM measures nothing, but wants its share to be free when it starts.
        sized = raw_engine(config) | {"gpu_memory_utilization": config.sampler.gpu_memory}
        start = (str(model), sized, environment)
        group = SamplerGroup(
            config.sampler, model, threads=threads, gpus=plan.samplers.gpus, share_gpu=plan.take_turns
        )
        with group as ours:
            with ProcessPoolExecutor(1, get_context("spawn"), start_raw, start) as raw:
                _in_turn(work, config, ours, raw, model)
            _sleep_and_swap(work, ours, model, other)
    finally:
        ray.shutdown()


def _in_turn(work: Work, config: Config, ours: SamplerGroup, raw: ProcessPoolExecutor, model: Path) -> None:
    system, began = system_of(config), time.monotonic()

    def batches() -> Iterator[list[Request]]:
        """Other prompts at every call, so that no prefix cache knows them."""
        for start in itertools.count(0, NUM_PROMPTS):
            problems = draw(config, NUM_PROMPTS, "bench", start)
            yield [Request(problem_id=each.id, messages=messages(system, each.turns)) for each in problems]

    mine, theirs = batches(), batches()

    def sample_ours(requests: list[Request]) -> float:
        began = time.perf_counter()
        attempts = list(ours.sample(model, requests, Sampling(max_new_tokens=MAX_NEW_TOKENS)))
        return sum(attempt.num_tokens for attempt in attempts) / (time.perf_counter() - began)

    # One after the other: an engine that measures what is free must not see another one take it.
    sample_ours(next(mine))
    work.found("our sampler, to the end of its first answers", time.monotonic() - began, "s")
    raw.submit(sample_raw, [as_chat(request.messages) for request in next(theirs)]).result()
    rates: list[tuple[float, float]] = []
    for _ in range(REPEATS):
        chats = [as_chat(request.messages) for request in next(theirs)]
        rates.append((sample_ours(next(mine)), raw.submit(sample_raw, chats).result()))
    work.found("ours", median(each for each, _ in rates), "tokens/s")
    work.found("raw vllm.LLM", median(each for _, each in rates), "tokens/s")
    work.found(f"ours / raw, median of {REPEATS}", median(each / other for each, other in rates))


def _sleep_and_swap(work: Work, ours: SamplerGroup, model: Path, other: Path) -> None:
    """Sleep with each of two weights, as in a campaign, and score the same texts before and after."""

    def likelihood(of: Path) -> tuple[float, float]:
        """Nats of all texts, and the seconds that it took to say so."""
        began = time.perf_counter()
        nats = sum(score.nll for score in ours.score(of, _TEXTS))
        return nats, time.perf_counter() - began

    first, awake, began = likelihood(model)[0], memory_used(), time.perf_counter()
    ours.sleep()
    work.found("falls asleep in", time.perf_counter() - began, "s")
    freed = (awake - memory_used()) / GIB
    work.found("frees", freed, "GiB")
    if freed < 1:
        raise Failed(f"the sampler sleeps and frees {freed:.2f} GiB of GPU memory")
    again, seconds = likelihood(model)
    work.found("wakes and scores in", seconds, "s")
    changed, seconds = likelihood(other)
    work.found("takes other weights and scores in", seconds, "s")
    ours.sleep()
    awoken, back = likelihood(other)[0], likelihood(model)[0]
    for what, same in (
        ("the first weights after sleep", near(again, first)),
        ("other weights", abs(changed - first) >= _OTHER * first),
        ("other weights after sleep", near(awoken, changed)),
        ("the first weights once more", near(back, first)),
    ):
        if not same:
            nats = ", ".join(f"{each:.4f}" for each in (first, again, changed, awoken, back))
            raise Failed(f"the sampler does not run {what}, by the nats that it scores: {nats}")


def near(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME * other

"""Measures how long requests take in vLLM, for the endpoints of `tests/support/simulated_samplers.py`.

    python -m tests.bench.latencies

The embedded model answers short requests at temperature 1, `AT_ONCE` at a time: as one ends the next begins,
until all of the first `NUM` have ended (the first to end would be the short ones). The seconds that each took
and its tokens are written to `tests/support/latencies.json`.
"""

import json
import os
import statistics
import time
from pathlib import Path

from engine.curate.rehearse import requests
from engine.disk.home import ratchet_home
from engine.models.base import resolve_base
from engine.models.prompts import messages, prompt_ids
from engine.sample.vllm_setup import engine_environment

AT_ONCE, NUM, MAX_NEW_TOKENS = 16, 100, 256


def main() -> None:
    os.environ.update(engine_environment(1))
    from vllm import LLM, SamplingParams
    from vllm.sampling_params import RequestOutputKind

    llm = LLM(
        model=str(resolve_base("embedded", ratchet_home())),
        dtype="bfloat16",
        max_model_len=1024,
        max_num_seqs=AT_ONCE,
        kv_cache_memory_bytes=1 << 30,
        enforce_eager=True,
        block_size=32,
        enable_chunked_prefill=False,
        max_num_batched_tokens=2048,
    )
    tokenizer, prompts, engine = llm.get_tokenizer(), requests(), llm.llm_engine
    began: dict[str, float] = {}
    found: dict[int, tuple[float, int]] = {}

    def begin() -> None:
        number = len(began)
        ids = prompt_ids(tokenizer, messages("", [prompts[number % len(prompts)]]))
        params = SamplingParams(
            temperature=1.0,
            seed=number,
            max_tokens=MAX_NEW_TOKENS,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        began[str(number)] = time.perf_counter()
        engine.add_request(str(number), {"prompt_token_ids": ids}, params)

    for _ in range(AT_ONCE):
        begin()
    while len(found) < NUM:
        for output in engine.step():
            if output.finished:
                seconds = time.perf_counter() - began[output.request_id]
                if int(output.request_id) < NUM:
                    num_tokens = len(output.outputs[0].token_ids)
                    found[int(output.request_id)] = (round(seconds, 3), num_tokens)
                begin()
    seconds, tokens = zip(*found.values(), strict=True)
    cuts = statistics.quantiles(seconds, n=100)
    print(
        f"median {cuts[49]:.2f} s, p95 {cuts[94]:.2f} s, p99 {cuts[98]:.2f} s, longest {max(seconds):.2f} s"
    )
    source = (
        f"embedded model, vLLM, two cores, {AT_ONCE} at once, temperature 1, {MAX_NEW_TOKENS} tokens at most"
    )
    kept = {"source": source, "seconds": seconds, "tokens": tokens}
    file = Path(__file__).parents[1] / "support" / "latencies.json"
    file.write_text(json.dumps(kept) + "\n")
    print(f"kept in {file}")


if __name__ == "__main__":
    main()

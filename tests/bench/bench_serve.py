"""Our server against bare `vllm serve` on the same model: tokens a second at saturation, latency when quiet.

`python -m tests.bench.bench_serve`. Both are up at once and asked in turn.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from configs.serving import Serving
from engine.disk.home import ratchet_home
from engine.models.base import fetch_embedded
from engine.sample.vllm_setup import engine_environment
from tests.bench.harness import side_by_side
from tests.support.server_process import LINE, make_embedded_home, serving

CLIENTS, REQUESTS, MAX_TOKENS = 16, 64, 64


@contextmanager
def bare(model: Path, settings: Serving) -> Iterator[tuple[str, psutil.Process]]:
    """`vllm serve`, sized as ours: its address and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engines = settings.engines
    # What `vllm serve` runs; the command itself looks for a package named vllm, which the CPU build is not.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += [
        "--port",
        str(port),
        "--served-model-name",
        "champion",
        "--dtype",
        engines.dtype,
        "--enforce-eager",
    ]
    command += ["--max-model-len", str(engines.max_model_len), "--max-num-seqs", str(engines.max_num_seqs)]
    command += ["--kv-cache-memory-bytes", str(int(engines.kv_cache_gib * 2**30))]
    environment = (
        os.environ | engine_environment(os.cpu_count() or 1) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
    )
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert process.poll() is None, "vllm serve has ended"
            try:
                httpx.get(f"{url}/health").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def body(number: int, max_tokens: int) -> dict[str, object]:
    """Another prompt each time, so that no prefix cache knows it."""
    prompt = (
        f"Story {number} {time.time_ns()}: once upon a time there were {number} wumpuses, and each of them"
    )
    return {
        "model": "champion",
        "prompt": prompt,
        "max_tokens": max_tokens,
        "temperature": 1.0,
        "seed": number,
    }


@contextmanager
def halted(process: psutil.Process) -> Iterator[None]:
    """A process and its children do nothing: idle workers of vLLM go on polling, and slow the other side."""
    all_of_it = [process, *process.children(recursive=True)]
    for each in all_of_it:
        each.suspend()
    try:
        yield
    finally:
        for each in all_of_it:
            each.resume()


async def saturate(url: str, key: str, streams: bool) -> float:
    """Output tokens a second."""
    headers = {"authorization": f"Bearer {key}"}
    numbers, tokens = iter(range(REQUESTS)), 0
    async with httpx.AsyncClient(timeout=600, headers=headers) as client:

        async def worker() -> None:
            nonlocal tokens
            for number in numbers:
                asked = body(number, MAX_TOKENS)
                if streams:
                    asked |= {"stream": True, "stream_options": {"include_usage": True}}
                reply = (await client.post(f"{url}/v1/completions", json=asked)).raise_for_status()
                # Of a stream, the last event but [DONE].
                last = reply.text.split("data: ")[-2] if streams else reply.text
                tokens += json.loads(last)["usage"]["completion_tokens"]

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(CLIENTS)))
        return tokens / (time.perf_counter() - began)


def quiet(url: str, key: str) -> float:
    """Requests of one token a second, one after the other."""
    with httpx.Client(timeout=60, headers={"authorization": f"Bearer {key}"}) as client:
        began, num = time.perf_counter(), 40
        for number in range(num):
            client.post(f"{url}/v1/completions", json=body(number, 1)).raise_for_status()
        return num / (time.perf_counter() - began)


def main() -> None:
    embedded = fetch_embedded(ratchet_home())
    settings = Serving(line=LINE)
    with tempfile.TemporaryDirectory() as scratch:
        at = Path(scratch)
        make_embedded_home(at)
        with serving(at) as ours, bare(embedded, settings) as (url, theirs):

            def both(measure: Callable[[str, str], float]) -> dict[str, Callable[[], float]]:
                def of_ours() -> float:
                    with halted(theirs):
                        return measure(ours.url, ours.key)

                return {"ours": of_ours, "vllm serve": lambda: measure(url, "none")}

            for streams in (False, True):
                variants = both(lambda *side, streams=streams: asyncio.run(saturate(*side, streams)))
                for warm_up in variants.values():
                    warm_up()
                what = "serving streams at saturation" if streams else "serving at saturation"
                side_by_side(what, "output tokens/s", variants, repeats=5, least=0.9)
            side_by_side(
                "serving one request at a time",
                "requests of one token/s",
                both(quiet),
                repeats=5,
                least=None,
            )


if __name__ == "__main__":
    main()

"""The server under volume: swaps and rollbacks under load, overload, clients that leave, hostile requests."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from engine.registry import Registry
from tests.load import Done, ask, constant_rate, quantile
from tests.server_process import LINE, Server, make_home, promote, serving

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

SETTINGS = ("poll_seconds=0.2", "engines.max_model_len=512", "limits.max_tokens=400")


def body(**more: Any) -> dict[str, Any]:
    return {"model": "champion", "prompt": "Max is a wumpus.", "max_tokens": 24, "temperature": 0} | more


def test_twenty_promotions_and_five_rollbacks_under_load(tmp_path: Path) -> None:
    ids = make_home(tmp_path, 6)
    over = threading.Event()
    done: list[Done] = []
    swaps: list[tuple[float, float]] = []
    with serving(tmp_path, *SETTINGS, "engines.max_num_seqs=16") as server:

        def load() -> None:
            bodies = [body(stream=i % 2 == 0) for i in range(2)]
            done.extend(asyncio.run(constant_rate(server.url, server.key, 6.0, over.is_set, bodies)))

        thread = threading.Thread(target=load)
        thread.start()
        time.sleep(15)
        calm = time.monotonic()
        rng, current = random.Random(0), ids[0]
        for number in range(25):
            began = time.monotonic()
            if number % 5 == 4:
                Registry(tmp_path).rollback(LINE, "soak")
                current = Registry(tmp_path).champion(LINE)
            else:
                current = rng.choice([each for each in ids if each != current])
                promote(tmp_path, current)
            server.await_champion(current)
            swaps.append((began, time.monotonic()))
            time.sleep(1)
        over.set()
        thread.join()
    failed = [each for each in done if each.status != 200 or not each.whole]
    assert not failed, failed[:3]
    for each in done:
        events = [
            line.removeprefix("data: ") for line in each.text.splitlines() if line.startswith("data: {")
        ]
        models = {json.loads(event)["model"] for event in (events or [each.text])}
        assert models == {each.version}
    before = [each.seconds for each in done if each.began < calm]
    during = [each.seconds for each in done if any(a - each.seconds < each.began < b for a, b in swaps)]
    rollbacks = [b - a for number, (a, b) in enumerate(swaps) if number % 5 == 4]
    promotions = [b - a for number, (a, b) in enumerate(swaps) if number % 5 != 4]
    print(
        f"{len(done)} requests, {len({each.version for each in done})} versions; "
        f"p99 {quantile(before, 0.99):.2f} s before and {quantile(during, 0.99):.2f} s during swaps; "
        f"promotions take {quantile(promotions, 0.5):.1f} s, rollbacks {quantile(rollbacks, 0.5):.2f} s"
    )


def test_five_times_too_much_for_a_minute(tmp_path: Path) -> None:
    make_home(tmp_path, 1)
    settings = (*SETTINGS, "engines.max_num_seqs=8", "limits.queue=8")
    with serving(tmp_path, *settings) as server:
        capacity = _capacity(server)
        ordinary = _for(server, 0.8 * capacity, 20)
        memory = _memory(server)
        flood = _for(server, 5 * capacity, 60)
        grown = _memory(server) - memory
        time.sleep(5)
        after = _for(server, 0.8 * capacity, 10)
    statuses = Counter(each.status for each in flood)
    assert set(statuses) == {200, 429}, statuses
    refused = [each.seconds for each in flood if each.status == 429]
    accepted = [each.seconds for each in flood if each.status == 200]
    usual = quantile([each.seconds for each in ordinary], 0.95)
    print(
        f"capacity {capacity:.1f}/s; flood: {dict(statuses)}, "
        f"429 within {1000 * quantile(refused, 0.95):.0f} ms (p95), "
        f"accepted p95 {quantile(accepted, 0.95):.2f} s (usually {usual:.2f} s), "
        f"memory +{grown / 2**20:.0f} MiB"
    )
    assert {each.status for each in after} == {200}
    assert grown < 200 << 20


def _capacity(server: Server) -> float:
    """Answers a second at saturation, closed loop."""

    async def full() -> float:
        async with httpx.AsyncClient(timeout=120) as client:
            began, num = time.monotonic(), 0

            async def worker() -> None:
                nonlocal num
                while time.monotonic() - began < 10:
                    assert (await ask(client, server.url, server.key, body())).status == 200
                    num += 1

            await asyncio.gather(*(worker() for _ in range(8)))
            return num / (time.monotonic() - began)

    return asyncio.run(full())


def _for(server: Server, rate: float, seconds: float) -> list[Done]:
    end = time.monotonic() + seconds
    return asyncio.run(constant_rate(server.url, server.key, rate, lambda: time.monotonic() > end, [body()]))


def _memory(server: Server) -> int:
    """Resident bytes of the server's gateways and proxies."""
    total = 0
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        name = " ".join(process.info["cmdline"] or [])
        if "ServeReplica" in name and "Gateway" in name or "ProxyActor" in name:
            total += process.info["memory_info"].rss
    return total


def test_fifty_clients_that_leave(tmp_path: Path) -> None:
    make_home(tmp_path, 1)
    with serving(tmp_path, *SETTINGS) as server:

        async def leave(streams: bool) -> None:
            async with httpx.AsyncClient(timeout=60) as client:
                headers = {"authorization": f"Bearer {server.key}"}
                asked = body(max_tokens=400, stream=streams)
                if streams:
                    async with client.stream(
                        "POST", f"{server.url}/v1/completions", json=asked, headers=headers
                    ) as reply:
                        await anext(reply.aiter_bytes())
                    return
                task = asyncio.create_task(
                    client.post(f"{server.url}/v1/completions", json=asked, headers=headers)
                )
                await asyncio.sleep(0.3)
                task.cancel()

        slowest = 0.0
        for number in range(50):
            asyncio.run(leave(number % 2 == 0))
            left = time.monotonic()
            while server.state()["queue"]["running"]:
                assert time.monotonic() - left < 1, number
                time.sleep(0.02)
            slowest = max(slowest, time.monotonic() - left)
        print(f"50 left; the last place was free after {slowest:.2f} s at most")


def test_two_thousand_hostile_requests(tmp_path: Path) -> None:
    """What `schemathesis` makes of the OpenAPI document, and bytes that nothing makes."""
    make_home(tmp_path, 1)
    with serving(tmp_path, *SETTINGS, "limits.max_tokens=8") as server:
        statuses = Counter(_hostile(server, 2000))
        assert not [status for status in statuses if status >= 500 or status == 0], statuses
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert "Traceback" not in server.log.read_text()
        print(dict(statuses))


def _hostile(server: Server, num: int) -> list[int]:
    rng = random.Random(0)
    seeds = [
        json.dumps(body()).encode(),
        json.dumps({"messages": [{"role": "user", "content": "x"}]}).encode(),
    ]
    statuses = []
    with httpx.Client(timeout=60) as client:
        for _ in range(num):
            raw = bytearray(rng.choice(seeds))
            for _ in range(rng.randint(1, 6)):
                at = rng.randrange(len(raw))
                raw[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 4))
            path = rng.choice(
                ["/v1/completions", "/v1/chat/completions", "/v1/models/" + rng.choice(["%00", "a/b", "é"])]
            )
            method = rng.choice(["POST", "POST", "POST", "GET", "PUT"])
            reply = client.request(
                method,
                server.url + path,
                content=bytes(raw),
                headers={"authorization": f"Bearer {server.key}"},
            )
            assert "Traceback" not in reply.text and 'File "' not in reply.text, reply.text
            statuses.append(reply.status_code)
    return statuses

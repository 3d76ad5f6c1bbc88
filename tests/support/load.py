"""Open-loop load on a server: requests start at a constant rate, whether or not earlier ones have ended."""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True, slots=True)
class Done:
    """One request."""

    began: float
    """Seconds of the monotonic clock."""
    seconds: float
    status: int
    """0 where the connection broke."""
    version: str
    text: str
    whole: bool
    """Ended as an answer ends; False where a stream was cut."""


async def ask(client: aiohttp.ClientSession, url: str, key: str, body: dict[str, Any]) -> Done:
    """One completion, streamed or not."""
    began = time.monotonic()
    headers = {"authorization": f"Bearer {key}"}
    try:
        async with client.post(f"{url}/v1/completions", json=body, headers=headers) as reply:
            content = await reply.text()
        whole = content.rstrip().endswith("data: [DONE]") if body.get("stream") else content.endswith("}")
        version = reply.headers.get("x-ratchet-model", "")
        return Done(began, time.monotonic() - began, reply.status, version, content, whole)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Done(began, time.monotonic() - began, 0, "", repr(error), False)


def session() -> aiohttp.ClientSession:
    """As many connections as it takes."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=120)
    )


async def constant_rate(
    url: str, key: str, rate: float, until: Callable[[], bool], bodies: Sequence[dict[str, Any]]
) -> list[Done]:
    """`rate` requests a second, `bodies` in turn, until told to stop; all that were begun."""
    tasks: list[asyncio.Task[Done]] = []
    async with session() as client:
        started = time.monotonic()
        while not until():
            tasks.append(asyncio.create_task(ask(client, url, key, bodies[len(tasks) % len(bodies)])))
            await asyncio.sleep(max(0.0, started + len(tasks) / rate - time.monotonic()))
        return list(await asyncio.gather(*tasks))


def quantile(values: Sequence[float], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(100 * share) - 1]

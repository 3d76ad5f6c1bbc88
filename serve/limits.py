"""Rate limits of a key: one token bucket for requests and one for tokens, each holding a minute's worth.

A bucket refills at the rate of its limit. A request reserves tokens before it runs (its estimated prompt and
the most it may generate) and gives back those that it did not use.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """A bucket that refills at `limit` per minute."""

    limit: float
    level: float
    filled: float
    """Time of the clock at which `level` was correct, in seconds."""

    def fill(self, now: float) -> None:
        self.level = min(self.limit, self.level + (now - self.filled) * self.limit / 60)
        self.filled = now

    def wait(self, amount: float) -> float:
        """Seconds until the bucket holds `amount`; infinite for more than a minute's worth."""
        if amount > self.limit:
            return math.inf
        return max(0.0, (amount - self.level) * 60 / self.limit)


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limiter's answer to one request."""

    granted: bool
    retry_after: float
    """Seconds; 0 if granted, infinite if the request is larger than the limit itself."""
    headers: dict[str, str]
    """The `x-ratelimit-*` headers, named as OpenAI does."""


class Limiter:
    """Holds the buckets of all keys, in the memory of one gateway."""

    def __init__(self, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._clock = share, clock
        self._buckets: dict[str, tuple[Bucket, Bucket]] = {}

    def ask(self, key_id: str, requests: int, tokens: int, cost: int, num_requests: int = 1) -> Allowance:
        """Take requests and `cost` tokens from a key's buckets, or nothing if either has too little.

        `requests` and `tokens` are the key's limits per minute.
        """
        now = self._clock()
        limits = (max(1.0, requests * self._share), max(1.0, tokens * self._share))
        pair = self._buckets.get(key_id)
        if pair is None or (pair[0].limit, pair[1].limit) != limits:
            pair = (Bucket(limits[0], limits[0], now), Bucket(limits[1], limits[1], now))
            self._buckets[key_id] = pair
        for bucket in pair:
            bucket.fill(now)
        wait = max(pair[0].wait(num_requests), pair[1].wait(cost))
        if wait == 0:
            pair[0].level -= num_requests
            pair[1].level -= cost
        return Allowance(wait == 0, wait, _headers(*pair))

    def give_back(self, key_id: str, tokens: int) -> None:
        """Return reserved tokens that were not used; a negative number takes more instead."""
        if pair := self._buckets.get(key_id):
            pair[1].level = min(pair[1].limit, pair[1].level + tokens)


def _headers(requests: Bucket, tokens: Bucket) -> dict[str, str]:
    headers = {}
    for name, bucket in (("requests", requests), ("tokens", tokens)):
        headers[f"x-ratelimit-limit-{name}"] = str(int(bucket.limit))
        headers[f"x-ratelimit-remaining-{name}"] = str(max(0, int(bucket.level)))
        headers[f"x-ratelimit-reset-{name}"] = f"{(bucket.limit - bucket.level) * 60 / bucket.limit:.1f}s"
    return headers

"""How much one key may ask for: token buckets for requests and for tokens, a minute's worth each.

A bucket fills at its limit's rate and holds one minute of it. Tokens are reserved before a request (its
prompt as estimated, and what it may generate) and what it did not use is given back.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """`limit` a minute."""

    limit: float
    level: float
    filled: float
    """When `level` was right, in seconds of the clock."""

    def fill(self, now: float) -> None:
        self.level = min(self.limit, self.level + (now - self.filled) * self.limit / 60)
        self.filled = now

    def wait(self, amount: float) -> float:
        """Seconds until `amount` is there; infinite for more than a minute's worth."""
        if amount > self.limit:
            return math.inf
        return max(0.0, (amount - self.level) * 60 / self.limit)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a limiter says to one request."""

    granted: bool
    retry_after: float
    """Seconds; 0 where granted, infinite where the request is larger than the limit itself."""
    headers: dict[str, str]
    """`x-ratelimit-*`, as OpenAI names them."""


class Limiter:
    """The buckets of all keys, in the memory of one gateway."""

    def __init__(self, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._clock = share, clock
        self._buckets: dict[str, tuple[Bucket, Bucket]] = {}

    def ask(self, key_id: str, requests: int, tokens: int, cost: int) -> Allowance:
        """Take one request and `cost` tokens from the buckets of a key, whose limits a minute are given.

        Nothing is taken where it is not granted.
        """
        now = self._clock()
        limits = (max(1.0, requests * self._share), max(1.0, tokens * self._share))
        pair = self._buckets.get(key_id)
        if pair is None or (pair[0].limit, pair[1].limit) != limits:
            pair = (Bucket(limits[0], limits[0], now), Bucket(limits[1], limits[1], now))
            self._buckets[key_id] = pair
        for bucket in pair:
            bucket.fill(now)
        wait = max(pair[0].wait(1), pair[1].wait(cost))
        if wait == 0:
            pair[0].level -= 1
            pair[1].level -= cost
        return Allowance(wait == 0, wait, _headers(*pair))

    def give_back(self, key_id: str, tokens: int) -> None:
        """Tokens that were reserved and not used; a negative number were used beyond."""
        if pair := self._buckets.get(key_id):
            pair[1].level = min(pair[1].limit, pair[1].level + tokens)


def _headers(requests: Bucket, tokens: Bucket) -> dict[str, str]:
    headers = {}
    for name, bucket in (("requests", requests), ("tokens", tokens)):
        headers[f"x-ratelimit-limit-{name}"] = str(int(bucket.limit))
        headers[f"x-ratelimit-remaining-{name}"] = str(max(0, int(bucket.level)))
        headers[f"x-ratelimit-reset-{name}"] = f"{(bucket.limit - bucket.level) * 60 / bucket.limit:.1f}s"
    return headers

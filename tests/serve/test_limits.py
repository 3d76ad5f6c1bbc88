"""Token buckets: what a minute allows, when a bucket has refilled, and what unused tokens do."""

import pytest

from serve.limits import Limiter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_minutes_requests_and_then_one_a_second() -> None:
    clock = Clock()
    limiter = Limiter(clock=clock)

    def ask() -> bool:
        return limiter.ask("key", requests=60, tokens=10_000, cost=1).granted

    assert sum(ask() for _ in range(100)) == 60
    clock.now = 0.5
    assert not ask()
    clock.now = 1.0
    assert ask() and not ask()


def test_tokens_wait_for_as_long_as_retry_after_says() -> None:
    clock = Clock()
    limiter = Limiter(clock=clock)
    assert limiter.ask("key", 1000, 600, cost=600).granted
    refused = limiter.ask("key", 1000, 600, cost=100)
    assert not refused.granted and refused.retry_after == pytest.approx(10)
    clock.now = 9.9
    assert not limiter.ask("key", 1000, 600, cost=100).granted
    clock.now = 10.0
    assert limiter.ask("key", 1000, 600, cost=100).granted


def test_a_refused_request_takes_nothing_and_unused_tokens_come_back() -> None:
    clock = Clock()
    limiter = Limiter(clock=clock)
    assert limiter.ask("key", 1000, 600, cost=500).granted
    for _ in range(50):
        assert not limiter.ask("key", 1000, 600, cost=200).granted
    limiter.give_back("key", 450)
    allowed = limiter.ask("key", 1000, 600, cost=200)
    assert allowed.granted
    assert allowed.headers["x-ratelimit-remaining-tokens"] == "350"
    assert allowed.headers["x-ratelimit-remaining-requests"] == "998"


def test_a_request_larger_than_the_limit_is_never_granted() -> None:
    assert Limiter().ask("key", 10, 100, cost=101).retry_after == float("inf")


def test_keys_do_not_share_and_gateways_do() -> None:
    clock = Clock()
    limiter = Limiter(share=0.5, clock=clock)
    assert sum(limiter.ask("a", 20, 10_000, cost=1).granted for _ in range(30)) == 10
    assert limiter.ask("b", 20, 10_000, cost=1).granted


def test_a_changed_limit_counts_at_once() -> None:
    clock = Clock()
    limiter = Limiter(clock=clock)
    assert sum(limiter.ask("a", 2, 100, cost=1).granted for _ in range(5)) == 2
    assert sum(limiter.ask("a", 4, 100, cost=1).granted for _ in range(5)) == 4


def test_tokens_alone_take_no_request_and_a_request_no_tokens() -> None:
    limiter = Limiter(clock=Clock())
    assert limiter.ask("a", 1, 100, cost=0).granted
    assert not limiter.ask("a", 1, 100, cost=0).granted
    assert limiter.ask("a", 1, 100, cost=100, num_requests=0).granted

"""The real controller before simulated endpoints, small; `tests/soak/test_scale.py` has the volume."""

import pytest

from engine.measure.bench import Bench
from engine.measure.evaluate import answers
from engine.sample.group import _Asks, _Seat
from engine.sample.protocol import Sampling
from engine.verify.pool import VerifierPool
from tests.support.proof_helpers import CHAIN, problem
from tests.support.simulated_samplers import (
    LATENCIES,
    Requests,
    SimulatedGroup,
    drive,
    ideal_seconds,
    latency,
)

pytestmark = pytest.mark.slow


def test_ideal_is_all_latencies_over_the_endpoints() -> None:
    names = [(f"p{i}", j) for i in range(50) for j in range(2)]
    by_hand = sum(latency(name, j) for name, j in names)
    assert ideal_seconds(Requests(50), 2, 4, 10.0) == pytest.approx(by_hand / 40)
    assert {latency("p1", 0), latency("p2", 0)} <= set(LATENCIES)
    assert max(LATENCIES) > 2 * sorted(LATENCIES)[len(LATENCIES) // 2]  # a long tail


def test_asks_go_by_blocks_and_what_comes_back_goes_first() -> None:
    asks = _Asks(Requests(5), range(2), block=2)
    first = asks.take(3)
    assert [(ask.problem_id, ask.sample) for ask in first] == [("p0", 0), ("p1", 0), ("p0", 1)]
    assert asks.num_left == 7
    asks.put_back(first[1:])
    rest = [(ask.problem_id, ask.sample) for ask in asks.take(100)]
    assert rest[:3] == [("p1", 0), ("p0", 1), ("p1", 1)] and len(rest) == 9 == len(set(rest))
    assert asks.num_left == 0 and asks.take(5) == []


def test_an_actor_gets_its_share_and_never_stands_still() -> None:
    asks, seat = _Asks(Requests(1000), range(1), block=1000), _Seat(None, {})
    assert len(seat.plan(8, 500, asks) or ()) == 16 and seat.keep == 8
    assert len(seat.plan(8, 500, asks) or ()) == 8 and seat.keep == 8
    small, rest = _Seat(None, {}), _Asks(Requests(5), range(1), block=5)
    assert len(small.plan(8, 3, rest) or ()) == 3 and small.keep == 1
    assert small.plan(8, 3, rest) is None  # it has its share, and a call under way
    small.num_calls = 0
    for left in (1, 0):
        while len(small.open) > small.keep:
            small.open.popitem()
        small.num_calls = 0
        assert small.plan(8, 1, _Asks(Requests(0), range(1), block=1)) == ([] if left else None)


@pytest.mark.timeout(240)
def test_endpoints_are_busy_and_a_lost_actor_loses_nothing(local_ray: None) -> None:
    import ray

    # About four seconds of work for 32 endpoints, and of it the longest request a fifth at most.
    requests = Requests(1200)
    speedup = ideal_seconds(requests, 2, 32, 1.0) / 4
    with SimulatedGroup(2, 32, speedup) as group:
        group.wait_until_started()
        found = drive(group, requests, samples=2)
        assert found.ideal == pytest.approx(4.0)
        assert found.ideal <= found.seconds, "faster than the ideal: the simulation is wrong"
        assert found.efficiency > 0.6  # half a second of Ray's own is much of four

        victim = group._actors[0]
        again = drive(group, requests, samples=2, at={700: lambda: ray.kill(victim)})
        assert victim not in group._actors and len(group._actors) == 2
        assert again.requests == 2400  # `drive` has seen each once

        # What is abandoned does not come up in what is asked next.
        stream = group.sample(group.model, Requests(300), Sampling())
        next(stream)
        stream.close()
        assert drive(group, Requests(64)).requests == 64


def test_answers_come_in_order_while_others_are_sampled(local_ray: None) -> None:
    problems = [problem(CHAIN, "Max is sour.", "False", notation="english", name=f"p{i}") for i in range(600)]
    speedup = ideal_seconds(Requests(600), 2, 16, 1.0) / 2
    with (
        SimulatedGroup(2, 16, speedup) as group,
        VerifierPool("rules", num_processes=1, seconds=5, memory_mib=512) as pool,
    ):
        group.wait_until_started()
        seen, num_sampled = [], []
        for each in answers(Bench(group, pool, "", 0.05), group.model, problems, Sampling(samples=2)):
            assert (each.verdict.problem_id, each.verdict.sample) == (
                each.attempt.problem_id,
                each.attempt.sample,
            )
            seen.append((each.attempt.problem_id, each.attempt.sample))
            num_sampled.append(pool._num_submitted)
    assert seen == [(asked.id, sample) for asked in problems for sample in range(2)]
    assert num_sampled[0] < 600, "the first was held back until the last were there"

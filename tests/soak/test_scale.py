"""A million problems before 1,024 simulated endpoints: the driver keeps them busy, and its memory is flat."""

import statistics
import time

import pytest
import ray

from tests.bench.bench_scale import measure, scaled, show
from tests.support.simulated_samplers import Requests, SimulatedGroup, drive

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def test_a_million_problems_on_1024_endpoints(local_ray: None) -> None:
    found = measure(1024, 8, 1_000_000, 2000)
    show(found)
    assert 0.90 <= found.efficiency <= 1.0
    # From a fifth on: before, buffers fill that are kept.
    settled = found.memory[3:]
    growth = statistics.linear_regression(range(len(settled)), settled).slope * len(settled)
    print(f"growth over the last four fifths: {growth:+.1f} MiB")
    assert growth < 20


@pytest.mark.parametrize(("endpoints", "actors", "rate"), [(64, 8, 1500), (256, 8, 1500), (64, 32, 800)])
def test_fewer_endpoints_and_more_actors(local_ray: None, endpoints: int, actors: int, rate: int) -> None:
    found = measure(endpoints, actors, 100_000, rate)
    show(found)
    assert 0.90 <= found.efficiency <= 1.0


def test_actors_that_are_killed_in_the_middle_lose_nothing(local_ray: None) -> None:
    num, rate = 200_000, 1500
    with SimulatedGroup(8, 1024, scaled(1024, rate), max_restarts=4) as group:
        group.wait_until_started()
        victims = list(group._actors)[:4]
        at = {num * (i + 1) // 6: lambda i=i: ray.kill(victims[i]) for i in range(4)}
        began = time.perf_counter()
        found = drive(group, Requests(num), at=at)
        show(found)
        print(f"4 actors of 8 killed in {time.perf_counter() - began:.0f} s")
        assert not set(victims) & set(group._actors)
    assert found.efficiency >= 0.8

"""How many endpoints one driver keeps busy: the real controller before simulated ones.

`python -m tests.bench.bench_scale [THOUSANDS OF PROBLEMS]`

`tests/support/simulated_samplers.py` explains what an endpoint's time is and what is scaled. First rates: how
fast requests go through the driver where endpoints take no time, alone and with verification by the rules.
Then efficiency: the ideal time over that taken, with 64, 256 and 1,024 endpoints in 8 actors, and 64 in 32.
"""

import sys
import time
from dataclasses import asdict

from engine.measure.bench import Bench
from engine.measure.evaluate import answers
from engine.records import Problem
from engine.sample.protocol import Sampling
from engine.verify.pool import VerifierPool
from tests.bench.harness import keep
from tests.support.proof_helpers import CHAIN, problem
from tests.support.simulated_samplers import (
    LATENCIES,
    Measured,
    Requests,
    SimulatedGroup,
    drive,
)

NO_TIME = 1e9
RATE = 1500
"""Requests a second that the endpoints are scaled to ask for, together."""
LAYOUTS = ((64, 8), (256, 8), (1024, 8), (64, 32))
"""Endpoints and actors."""


def scaled(endpoints: int, rate: float) -> float:
    """The speedup at which ideal endpoints finish `rate` requests a second."""
    return rate * sum(LATENCIES) / len(LATENCIES) / endpoints


def measure(endpoints: int, actors: int, num: int, rate: float) -> Measured:
    with SimulatedGroup(actors, endpoints, scaled(endpoints, rate)) as group:
        group.wait_until_started()
        return drive(group, Requests(num))


def dispatch_rate(endpoints: int, actors: int, num: int) -> float:
    """Requests a second where endpoints take no time."""
    with SimulatedGroup(actors, endpoints, NO_TIME) as group:
        group.wait_until_started()
        return drive(group, Requests(num)).rate


def answer_rate(endpoints: int, actors: int, num: int) -> float:
    """The same with verification by the rules, in one process."""
    problems: list[Problem] = [
        problem(CHAIN, "Max is sour.", "False", notation="english", name=f"p{i}") for i in range(num)
    ]
    with (
        SimulatedGroup(actors, endpoints, NO_TIME) as group,
        VerifierPool("rules", num_processes=1, seconds=5, memory_mib=512) as pool,
    ):
        group.wait_until_started()
        began = time.perf_counter()
        given = sum(1 for _ in answers(Bench(group, pool, "", 0.05), group.model, problems, Sampling()))
        assert given == num
        return num / (time.perf_counter() - began)


def show(found: Measured) -> None:
    memory = found.memory
    print(
        f"  {found.endpoints:>5} endpoints in {found.actors:>2} actors, {found.requests:>9,} requests: "
        f"{found.efficiency:6.1%} of the ideal ({found.seconds:,.1f} s for {found.ideal:,.1f}); "
        f"{found.rate:,.0f} requests/s; the slowest cost {found.lost / found.seconds:.1%}; driver "
        f"{found.driver_cpu / found.seconds:.0%} of a core, {memory[0]:,.0f} MiB after a twentieth, "
        f"{max(memory):,.0f} at most, {memory[-1]:,.0f} at the end",
        flush=True,
    )


def main() -> None:
    import ray

    thousands = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    print(f"scale ({len(LATENCIES)} measured latencies)")
    rates = {"dispatch": dispatch_rate(1024, 8, 60_000), "answers, verified": answer_rate(1024, 8, 20_000)}
    for name, rate in rates.items():
        print(f"  {name}, endpoints that take no time: {rate:,.0f} a second", flush=True)
    kept: dict[str, object] = {"rates": rates}
    for endpoints, actors in LAYOUTS:
        found = measure(endpoints, actors, thousands * 1000, RATE)
        show(found)
        kept[f"{endpoints} in {actors}"] = asdict(found) | {"efficiency": found.efficiency}
    keep("scale", kept)


if __name__ == "__main__":
    main()

"""Carrying on real models: short rounds of the quickstart with `gate.carry` on and off, for the same time.

    python -m tests.bench.carry_seeds [SEEDS] [HOURS]

What counts is the gain on sealed problems of each campaign's last champion over its warm start.
"""

import sys

from tests.bench.harness import Spread, keep
from tests.bench.seeds import campaign, home_of

CONFIG = "configs/quickstart.yaml"
SHORT = (
    "baseline=null",
    "loop.probe.num_problems=24",
    "loop.num_problems=150",
    "gate.pass_at_k.num_problems=24",
    "stop.rounds=6",
    "final.num_problems=240",
)
ARMS = {"carry": "gate.carry={problems: 100, prove_every: 6}", "no carry": "gate.carry=false"}


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    hours = float(sys.argv[2]) if len(sys.argv) > 2 else 0.3
    home = home_of("carry")
    gains: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for seed in range(seeds):
        for arm in list(ARMS)[:: -1 if seed % 2 else 1]:
            run_id = f"{arm.replace(' ', '-')}-{seed}"
            more = (ARMS[arm], f"seed={seed}", f"stop.hours={hours}", f"line=bench/{run_id}")
            ended = campaign(home, CONFIG, run_id, *SHORT, *more)
            gains[arm].append(ended.gain)
            print(f"seed {seed}, {arm}: {ended}", flush=True)
    for arm, values in gains.items():
        print(f"{arm:<9} {Spread.of([100 * value for value in values])} points")
    keep("carry", gains)


if __name__ == "__main__":
    main()

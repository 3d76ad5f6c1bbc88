"""Carrying on real models: short rounds of the quickstart with `gate.carry` on and off, for the same time.

    python -m tests.bench.carry_seeds [SEEDS] [HOURS]

Each campaign is a run of its own under ``$RATCHET_HOME/bench-carry``, so an interrupted measurement goes on.
What counts is the gain on sealed problems, paired, of each campaign's last champion over its warm start.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from engine.disk.home import ratchet_home
from engine.measure.paired import paired_drop_bound
from engine.records import Final, RoundRecord, from_json
from tests.bench.harness import Spread, keep

CONFIG = "configs/quickstart.yaml"
SHORT = (
    "baseline=null",
    "warm_start.proofs=120",
    "loop.probe.num_problems=24",
    "loop.num_problems=96",
    "loop.train.epochs=2",
    "gate.pass_at_k.num_problems=32",
    "stop.rounds=6",
    "final.num_problems=240",
)
ARMS = {"carry": "gate.carry={problems: 100, prove_every: 6}", "no carry": "gate.carry=false"}


def run(home: Path, arm: str, seed: int, hours: float) -> Path:
    """The finished run of an arm: begun, continued, or there already."""
    run_id = f"{arm.replace(' ', '-')}-{seed}"
    command = [
        *(sys.executable, "-m", "ratchet", "run", CONFIG, *SHORT, ARMS[arm]),
        *(f"seed={seed}", f"stop.hours={hours}", f"line=bench/{run_id}", f"run_id={run_id}", "--json"),
    ]
    subprocess.run(command, check=True, env=_environment(home), stdout=subprocess.DEVNULL)
    return home / "runs" / run_id


def _environment(home: Path) -> dict[str, str]:
    """A home of its own with the models that are there."""
    models = home / "models"
    if not models.exists():
        home.mkdir(parents=True, exist_ok=True)
        models.symlink_to(ratchet_home() / "models")
    return os.environ | {"RATCHET_HOME": str(home)}


def gain_of(run_dir: Path) -> tuple[float, float, float]:
    """Points gained on the sealed problems, with the two-sided 95 % interval."""
    final = from_json(Final, (run_dir / "final.json").read_bytes())
    num = final.champion.num_problems
    low = -paired_drop_bound(final.losses, final.wins, num, level=0.025)
    high = paired_drop_bound(final.wins, final.losses, num, level=0.025)
    return (final.wins - final.losses) / num, low, high


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    hours = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
    home = ratchet_home() / "bench-carry"
    gains: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for seed in range(seeds):
        for arm in list(ARMS)[:: -1 if seed % 2 else 1]:
            run_dir = run(home, arm, seed, hours)
            files = sorted(run_dir.glob("rounds/*/round.json"))
            records = [from_json(RoundRecord, file.read_bytes()) for file in files]
            ends = Counter(record.end.value for record in records if record.round)
            gain, low, high = gain_of(run_dir)
            seconds = json.loads((run_dir / "summary.json").read_text())["seconds"]
            gains[arm].append(gain)
            print(
                f"seed {seed}, {arm}: {100 * gain:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}), "
                f"{dict(ends)}, {seconds / 60:.0f} min",
                flush=True,
            )
    for arm, values in gains.items():
        print(f"{arm:<9} {Spread.of([100 * value for value in values])} points")
    keep("carry", gains)


if __name__ == "__main__":
    main()

"""The shipped quickstart over several seeds: what one run of it can be expected to gain.

python -m tests.bench.quickstart_seeds [SEEDS] [key=value ...]
"""

import sys

from engine.measure.paired import paired_drop_bound
from tests.bench.harness import keep
from tests.bench.seeds import campaign, home_of

CONFIG = "configs/quickstart.yaml"


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    overrides = sys.argv[2:]
    home, ended = home_of("quickstart"), []
    for seed in range(seeds):
        run_id = f"seed-{seed}"
        ended.append(campaign(home, CONFIG, run_id, f"seed={seed}", f"line=bench/{run_id}", *overrides))
        print(f"seed {seed}: {ended[-1]}", flush=True)
    won, lost = sum(each.final.wins for each in ended), sum(each.final.losses for each in ended)
    num = sum(each.final.champion.num_problems for each in ended)
    low = -paired_drop_bound(lost, won, num, level=0.025)
    high = paired_drop_bound(won, lost, num, level=0.025)
    gain = (won - lost) / num
    print(
        f"pooled: {100 * gain:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}) of {num} sealed problems"
    )
    accepted = sum(each.summary.accepted > 0 for each in ended)
    print(f"with an accepted round: {accepted} of {seeds}")
    keep("quickstart", {"gain": [each.gain for each in ended]})


if __name__ == "__main__":
    main()

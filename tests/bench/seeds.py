"""Whole campaigns of a shipped config over several seeds, and what each gained on its sealed problems.

Each campaign is a run of its own under ``$RATCHET_HOME/bench-NAME``, so an interrupted measurement goes on.
"""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from engine.disk.home import ratchet_home
from engine.measure.paired import paired_drop_bound
from engine.records import Final, RoundRecord, Summary, from_json


@dataclass(frozen=True, slots=True)
class Campaign:
    """A finished campaign in figures."""

    final: Final
    summary: Summary
    ends: Counter[str]
    """How its rounds ended: proven, carried, dropped."""

    @property
    def gain(self) -> float:
        """Share of the sealed problems gained by the last champion over the warm start."""
        return (self.final.wins - self.final.losses) / self.final.champion.num_problems

    @property
    def interval(self) -> tuple[float, float]:
        """The gain's two-sided 95 % interval, paired."""
        wins, losses, num = self.final.wins, self.final.losses, self.final.champion.num_problems
        return (
            -paired_drop_bound(losses, wins, num, level=0.025),
            paired_drop_bound(wins, losses, num, level=0.025),
        )

    def __str__(self) -> str:
        first, last = self.final.baseline.head.number, self.final.champion.head.number
        low, high = self.interval
        ends = ", ".join(f"{num} {end}" for end, num in self.ends.items())
        return (
            f"{100 * first:.1f} -> {100 * last:.1f} %, {100 * self.gain:+.1f} points "
            f"({100 * low:+.1f} to {100 * high:+.1f}); {ends}; {self.summary.seconds / 60:.1f} min"
        )


def campaign(home: Path, config: str, run_id: str, *overrides: str) -> Campaign:
    """The finished campaign of this id in `home`: begun, continued, or there already."""
    command = [sys.executable, "-m", "ratchet", "run", config, *overrides, f"run_id={run_id}", "--json"]
    subprocess.run(
        command, check=True, env=os.environ | {"RATCHET_HOME": str(home)}, stdout=subprocess.DEVNULL
    )
    run_dir = home / "runs" / run_id
    files = sorted(run_dir.glob("rounds/*/round.json"))
    records = [from_json(RoundRecord, file.read_bytes()) for file in files]
    return Campaign(
        final=from_json(Final, (run_dir / "final.json").read_bytes()),
        summary=from_json(Summary, (run_dir / "summary.json").read_bytes()),
        ends=Counter(record.end.value for record in records if record.round),
    )


def home_of(name: str) -> Path:
    """A RATCHET_HOME for one measurement, with the models that are there."""
    home = ratchet_home() / f"bench-{name}"
    models = home / "models"
    if not models.exists():
        home.mkdir(parents=True, exist_ok=True)
        models.symlink_to(ratchet_home() / "models")
    return home

"""Measuring side by side: variants of one piece of work in turn, medians with intervals, a table and JSON.

Machines are noisy, so variants are never timed one after the other in blocks: each repeat runs all of them,
every second one in reverse, and what counts are the ratios within a repeat.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.disk.files import make_dirs, replace_file
from engine.disk.home import ratchet_home


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the range of its repeats: of n, it covers the true median but for a chance of 2^(1-n)."""

    median: float
    low: float
    high: float
    num: int

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        return Spread(statistics.median(values), min(values), max(values), len(values))

    def __str__(self) -> str:
        return f"{self.median:,.4g} ({self.low:,.4g} to {self.high:,.4g})"


def side_by_side(
    name: str, unit: str, variants: Mapping[str, Callable[[], float]], *, repeats: int, least: float | None
) -> None:
    """Time `variants`, ours first, show them with the ratio of ours to each other one, and keep the figures.

    A variant returns a rate in `unit`. `least` is what the ratio is meant to reach, shown beside it.
    """
    values: dict[str, list[float]] = {variant: [] for variant in variants}
    for repeat in range(repeats):
        for variant in list(variants)[:: -1 if repeat % 2 else 1]:
            values[variant].append(variants[variant]())
            print(f"  {name}, repeat {repeat + 1}: {variant} {values[variant][-1]:,.4g} {unit}", flush=True)
    ours, *others = variants
    print(f"\n{name} ({unit}; median and range of {repeats})")
    for variant in variants:
        print(f"  {variant:<28} {Spread.of(values[variant])}")
    kept: dict[str, object] = {"unit": unit, "values": values}
    for other in others:
        ratios = [mine / theirs for mine, theirs in zip(values[ours], values[other], strict=True)]
        wanted = f", meant to be {least:g} or more" if least else ""
        print(f"  {f'{ours} / {other}':<28} {Spread.of(ratios)}{wanted}")
        kept[f"{ours} / {other}"] = ratios
    keep(name, kept)


def keep(name: str, figures: Mapping[str, object]) -> None:
    """Write a measurement's figures, and say where they are."""
    print(f"  kept in {write(name, figures)}\n", flush=True)


def write(name: str, figures: Mapping[str, object]) -> Path:
    """Replace ``$RATCHET_HOME/bench/NAME.json`` by a measurement's figures, and return its path."""
    path: Path = ratchet_home() / "bench" / f"{name.replace(' ', '-')}.json"
    make_dirs(path.parent)
    replace_file(path, json.dumps(figures, indent=1).encode() + b"\n")
    return path

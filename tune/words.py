"""Differences and ratios in words, as the conclusion, the log and the list of experiments write them."""

import math
from typing import Literal

from engine.terminal import counted
from tune.effects import Effect, Range, Ratio

Unit = Literal["share", "nats"]
UNITS: dict[Unit, str] = {"share": "points", "nats": "nats a token"}


def number(value: float, unit: Unit, sign: str = "+") -> str:
    """A difference without its unit: points with one decimal, or nats with three."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    text = f"{100 * value:{sign}.1f}" if unit == "share" else f"{value:{sign}.3f}"
    return text.replace("-", "−")


def spread(interval: Range, unit: Unit) -> str:
    """An interval in words, such as ``2.1 to 14.5``."""
    return f"{number(interval.low, unit, '')} to {number(interval.high, unit, '')}"


def difference_text(effect: Effect, unit: Unit) -> str:
    """A difference with its interval, such as ``+8.3 points (2.1 to 14.5)``."""
    return f"{number(effect.mean, unit)} {UNITS[unit]} ({spread(effect.both, unit)})"


def basis_text(effect: Effect) -> str:
    """What a difference rests on."""
    return f"{counted(effect.num_seeds, 'seed')}, {counted(effect.num_problems, 'problem')}"


def ratio_text(value: float) -> str:
    """A ratio with two significant digits at the least."""
    return "unbounded" if math.isinf(value) else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def saving(ratio: Ratio) -> str:
    """A data ratio with its interval, such as ``3.1 (1.6 to unbounded)``."""
    if ratio.value is None:
        return "none, as neither arm gains"
    return f"{ratio_text(ratio.value)} ({ratio_text(ratio.both.low)} to {ratio_text(ratio.both.high)})"


def lacking(more_seeds: int, more_problems: int) -> str:
    """What an undecided experiment lacks; empty where nobody can tell."""
    parts = [
        f"{counted(num, f'more {noun}')}"
        for num, noun in ((more_seeds, "seed"), (more_problems, "problem"))
        if num
    ]
    return f"about {' and '.join(parts)}" if parts else ""

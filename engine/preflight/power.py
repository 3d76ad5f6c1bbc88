"""How surely the gate's checks come out as they should, worked out before anything is run.

Shown by `ratchet doctor configs/quickstart.yaml`; what a run is refused for is here too.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

from configs.schema import PassAtK, Sentinels

CHANGED = 0.10
"""Assumed share of items that a harmless model answers otherwise, half of them each way."""
SPREAD = 0.1
"""Assumed standard deviation, in nats per token, of how a harmless model's documents change."""
ENOUGH = 0.8
"""A test with less power than this is not worth running."""


class SentinelPower(NamedTuple):
    """What a sentinel suite can show before it is run."""

    suite: str
    key: str
    """Where the config sets its margin."""
    design: str
    """Its size, its margin, and what is assumed of a harmless model."""
    power: float
    """Chance that a harmless model passes."""


def sentinel_powers(settings: Sentinels) -> list[SentinelPower]:
    """Chance of a harmless model to pass each suite: too small a suite, or margin, refuses good models.

    Exact for proportions; for perplexity the mean of the documents is taken as normal.
    """
    from engine.gate.sentinels import SUITES, english, instructions
    from engine.measure.stats import paired_drop_power

    powers = []
    for suite in settings.suites:
        if SUITES[suite] == "perplexity":
            key = "gate.sentinels.perplexity_ratio"
            num, margin = len(english()), f"perplexity ratio under {settings.perplexity_ratio:g}"
            room = math.log(settings.perplexity_ratio) * math.sqrt(num) / SPREAD
            power = NormalDist().cdf(room - NormalDist().inv_cdf(0.95))
            design = f"{num} documents, {margin}, changes spread by {SPREAD:g} nats a token"
        else:
            key = "gate.sentinels.margin"
            num, margin = len(instructions()), f"drop under {100 * settings.margin:g} %"
            power = paired_drop_power(num, settings.margin, CHANGED)
            design = f"{num} requests, {margin}, {100 * CHANGED:g} % answered otherwise"
        powers.append(SentinelPower(suite=suite, key=key, design=design, power=power))
    return powers


def require_power(settings: Sentinels) -> None:
    """Refuse sentinel suites too small to show no harm within their margins. Raises GateError."""
    from engine.gate.arithmetic import GateError

    for suite, key, design, power in sentinel_powers(settings):
        if power < ENOUGH:
            raise GateError(
                f"{key} is too small for the sentinel suite {suite}: a harmless model would pass with a "
                f"chance of {percent(power)} ({design}), needed are {percent(ENOUGH)}"
            )


def pass_at_k_power(settings: PassAtK) -> tuple[float, str]:
    """Chance of a harmless model to pass the check of pass@k, exactly, and what is assumed of it.

    Nothing is refused for it: a challenger that got better, which alone comes so far, passes more surely.
    """
    from engine.measure.stats import paired_drop_power

    design = f"{settings.num_problems} problems, drop under {100 * settings.margin:g} %"
    power = paired_drop_power(settings.num_problems, settings.margin, CHANGED)
    return power, f"{design}, {100 * CHANGED:g} % solved otherwise"


def percent(share: float) -> str:
    """Whole percents; only certainty is written as 100."""
    return f"{math.floor(100 * share)} %" if share < 0.99 else "over 99 %"

"""The values that a sweep tries. Trial 0 is the campaign as it is."""

import importlib.util
import itertools
import math
import random
from collections.abc import Collection, Iterator

from configs.load import ConfigError
from configs.sweep import Campaign, SearchDomain, Sweep, Value
from engine.errors import Mistake

Values = dict[str, Value]
METRIC = "headline"
"""Name of a trial's score: the headline figure on the selection split, of which more is better."""
LISTED = ("grid", "random")
"""Searches that fix all their trials at the start."""
_DIGITS = 4
"""Significant digits of a drawn number, so that a value can be copied from the report into a config."""
DRAWS = 1000
"""Consecutive invalid or repeated draws before a search gives up."""


class SpaceError(Mistake):
    """The space cannot be searched as asked."""


def draw_trials(sweep: Sweep, campaign: Campaign) -> list[Values]:
    """Draw all trials of a grid or a random search, reproducibly for a seed. The campaign itself comes first.

    Combinations that make no valid config are left out. Raises SpaceError if nothing is left, if a grid has
    more combinations than `trials`, or if it is made of anything but lists.
    """
    num = sweep.trials - 1
    found: list[Values] = []
    if sweep.search == "grid":
        for values in _grid(sweep):
            if is_new(campaign, values, found):
                found.append(values)
        if len(found) > num:
            raise SpaceError(
                f"the grid has {len(found)} combinations beside the campaign itself, but trials="
                f"{sweep.trials}: set trials={len(found) + 1}, or search=random to draw some of them"
            )
    else:
        in_vain = 0
        for values in _random(sweep):
            if len(found) == num or in_vain == DRAWS:
                break
            in_vain += 1
            if is_new(campaign, values, found):
                found.append(values)
                in_vain = 0
    if not found:
        raise SpaceError("no combination of values in space makes a valid config")
    return [{}, *found]


def likely_trials(sweep: Sweep, campaign: Campaign) -> list[Values]:
    """List what trials may be, to check that they fit: every trial of a grid or a random search.

    Optuna's trials are not known beforehand; random ones of the same space stand in for them. Raises
    SpaceError as `draw_trials` does.
    """
    if sweep.search in LISTED:
        return draw_trials(sweep, campaign)
    return [values for values in itertools.islice(_random(sweep), DRAWS) if possible(campaign, values)]


def _grid(sweep: Sweep) -> Iterator[Values]:
    keys = dict(sweep.domains())
    for key, domain in keys.items():
        if domain.choice is None:
            raise SpaceError(f"space.{key}: a grid is made of lists (choice); for ranges set search=random")
    levels = [[(key, value) for value in domain.choice or ()] for key, domain in keys.items()]
    for combination in itertools.product(*levels):
        yield dict(combination)


def _random(sweep: Sweep) -> Iterator[Values]:
    rng = random.Random(sweep.seed)
    while True:
        yield {key: _draw(domain, rng) for key, domain in sweep.domains()}


def _draw(domain: SearchDomain, rng: random.Random) -> Value:
    if domain.choice is not None:
        return rng.choice(domain.choice)
    if domain.integers is not None:
        return rng.randint(*domain.integers)
    if domain.uniform is not None:
        return rounded(rng.uniform(*domain.uniform))
    assert domain.log_uniform is not None
    low, high = map(math.log, domain.log_uniform)
    return rounded(math.exp(rng.uniform(low, high)))


def describe(values: Values) -> str:
    """Write a trial's values as people read them."""
    return ", ".join(f"{key}={value}" for key, value in values.items()) or "as the campaign is"


def rounded(value: float) -> float:
    """Round a drawn number to as many digits as a report shows."""
    return float(f"{value:.{_DIGITS}g}")


def possible(campaign: Campaign, values: Values) -> bool:
    """Whether these values together make a valid config."""
    try:
        campaign.varied(values)
    except ConfigError:
        return False
    return True


def is_new(campaign: Campaign, values: Values, tried: Collection[Values]) -> bool:
    """Whether these values make a valid config that none of `tried` is, nor the campaign, the first trial."""
    return values not in tried and possible(campaign, values) and campaign.varied(values) != campaign.config


def require_installed(sweep: Sweep) -> None:
    """Raise SpaceError if the log needs a package that is not installed."""
    if sweep.mlflow and not importlib.util.find_spec("mlflow"):
        raise SpaceError("mlflow needs MLflow, which is not installed: pip install mlflow-skinny")

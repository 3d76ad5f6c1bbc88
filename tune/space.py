"""What a sweep tries: lists of values of keys. The first trial (number 0) is the campaign as it is."""

import importlib.util
import itertools
import math
import random
from collections.abc import Iterator

from configs.load import ConfigError
from configs.sweep import Campaign, Domain, Sweep, Value

Values = dict[str, Value]
METRIC = "strict"
LISTED = ("grid", "random")
"""Searches whose trials are all known at the start."""
_DIGITS = 4
"""Significant ones of a drawn number: what is tried can be written into a config as it is shown."""
DRAWS = 1000
"""That may in a row be impossible or drawn before."""


class SpaceError(ValueError):
    """A space that cannot be searched as asked."""


def drawn(sweep: Sweep, campaign: Campaign) -> list[Values]:
    """All trials of a grid or of a random search, the campaign as it is first; the same for a seed.

    Combinations that no config may have are left out. Raises SpaceError where too many are, or where a grid
    has more than are to be tried, or is to be made of more than lists.
    """
    base = campaign.config

    def new(values: Values) -> bool:
        """What the campaign is already is drawn: the first."""
        return possible(campaign, values) and campaign.varied(values) != base

    num = sweep.trials - 1
    if sweep.search == "grid":
        found = [values for values in _grid(sweep) if new(values)]
        if len(found) > num:
            raise SpaceError(
                f"the grid has {len(found)} combinations beside the campaign itself, but trials="
                f"{sweep.trials}: set trials={len(found) + 1}, or search=random to draw some of them"
            )
    else:
        found = []
        in_vain = 0
        for values in _random(sweep):
            if len(found) == num or in_vain == DRAWS:
                break
            in_vain += 1
            if values not in found and new(values):
                found.append(values)
                in_vain = 0
    if not found:
        raise SpaceError("no combination of values in space makes a config that can be")
    return [{}, *found]


def likely(sweep: Sweep, campaign: Campaign) -> list[Values]:
    """What trials may be: all of a grid or of a random search, and of Optuna's, which are not known before,
    random ones of the same space. Raises SpaceError as `drawn`."""
    if sweep.search in LISTED:
        return drawn(sweep, campaign)
    return [values for values in itertools.islice(_random(sweep), DRAWS) if possible(campaign, values)]


def _grid(sweep: Sweep) -> Iterator[Values]:
    keys = dict(sweep.domains())
    for key, domain in keys.items():
        if domain.choice is None:
            raise SpaceError(f"space.{key}: a grid is made of lists (choice); for ranges set search=random")
    for combination in itertools.product(*(domain.choice or () for domain in keys.values())):
        yield dict(zip(keys, combination, strict=True))


def _random(sweep: Sweep) -> Iterator[Values]:
    rng = random.Random(sweep.seed)
    while True:
        yield {key: _draw(domain, rng) for key, domain in sweep.domains()}


def _draw(domain: Domain, rng: random.Random) -> Value:
    if domain.choice is not None:
        return rng.choice(domain.choice)
    if domain.integers is not None:
        return rng.randint(*domain.integers)
    if domain.uniform is not None:
        return rounded(rng.uniform(*domain.uniform))
    assert domain.log_uniform is not None
    low, high = map(math.log, domain.log_uniform)
    return rounded(math.exp(rng.uniform(low, high)))


def told(values: Values) -> str:
    """For people."""
    return ", ".join(f"{key}={value}" for key, value in values.items()) or "as the campaign is"


def rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def possible(campaign: Campaign, values: Values) -> bool:
    """Whether a config may have these values together."""
    try:
        campaign.varied(values)
    except ConfigError:
        return False
    return True


def require_installed(sweep: Sweep) -> None:
    """Refuse a search or a log that needs a package which is not here. Raises SpaceError."""
    if sweep.search not in LISTED and not importlib.util.find_spec("optuna"):
        raise SpaceError(f"search={sweep.search} needs Optuna, which is not installed: pip install optuna")
    if sweep.mlflow and not importlib.util.find_spec("mlflow"):
        raise SpaceError("mlflow needs MLflow, which is not installed: pip install mlflow-skinny")

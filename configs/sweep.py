"""The settings of a sweep, with every default in this file: `ratchet sweep configs/sweeps/quick.yaml`."""

import copy
from collections.abc import Collection, Iterator, Mapping
from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from configs.base import Count, Leaf, Name, RunId
from configs.load import ConfigError, from_tree, load_as, parse_file, validate
from configs.schema import Config

Value = int | float | bool | str


class SearchDomain(Leaf):
    """The values that a sweep tries for one key: exactly one of these is given."""

    choice: Annotated[list[Value], Field(min_length=1)] | None = None
    """One of a list; a grid takes each."""
    uniform: tuple[float, float] | None = None
    """A number between two bounds, every number equally likely."""
    log_uniform: tuple[float, float] | None = None
    """A number between two bounds, every order of magnitude equally likely."""
    integers: tuple[int, int] | None = None
    """A whole number from the first to the last."""

    @model_validator(mode="after")
    def _one_kind(self) -> "SearchDomain":
        given = self.model_dump(exclude_none=True)
        if len(given) != 1:
            kinds = ", ".join(type(self).model_fields)
            raise ValueError(f"a key is searched by exactly one of {kinds}, got {', '.join(given) or 'none'}")
        if self.choice is None:
            ((kind, (low, high)),) = given.items()
            if not low < high or (kind == "log_uniform" and low <= 0):
                least = "0 < low < high" if kind == "log_uniform" else "low < high"
                raise ValueError(f"{kind} must be [low, high] with {least}, got [{low:g}, {high:g}]")
        return self


class Sweep(Leaf):
    """A search for hyperparameters of one campaign."""

    name: Name
    run_id: RunId | None = None
    """Directory under `runs/`; the same id and sweep resumes. None: the Ray job's id, else time and name."""
    campaign: str
    """The config that is varied, relative to the sweep's own file. Unchanged, it is the first trial."""
    set: dict[str, Any] = {}
    """Changes to the campaign that all trials share."""
    space: dict[str, Any]
    """Domains by key, nested as in a campaign's config."""
    search: Literal["grid", "random", "tpe", "gp", "cmaes", "qmc"] = "random"
    """``grid`` and ``random`` draw all trials at the start; the others are samplers of Optuna, which learn
    from earlier trials."""
    trials: Annotated[int, Field(ge=2, le=10_000)] = 12
    """Number of trials, the first one included; a smaller grid ends earlier."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    num_problems: Annotated[int, Field(ge=20)] = 120
    """Problems of the selection split, on which every trial is measured and none is trained."""
    rungs: Annotated[int, Field(ge=1, le=6)] = 2
    """How often a trial is measured: once after its whole training, and each earlier time after `keep` times
    fewer steps."""
    keep: Annotated[float, Field(ge=1.5, le=16)] = 3.0
    """ASHA: a trial passes a rung if it is among the best 1/keep of the trials that have reached it."""
    concurrent: Count | None = None
    """Trials that run at the same time. None: as many as the resources hold."""
    mlflow: str | None = None
    """An MLflow server that logs the trials as well: its address or ``sqlite:///FILE``. Needs the extra
    `mlflow`."""

    @model_validator(mode="after")
    def _searches_something(self) -> "Sweep":
        keys = [key for key, _ in self.domains()]
        if not keys:
            raise ValueError("space must name one key or more of the campaign, got none")
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"space names {twice[0]} twice, once with a dot and once in levels")
        return self

    def domains(self) -> Iterator[tuple[str, SearchDomain]]:
        """Dotted keys of the campaign's config with their domains, in the order of the file."""
        yield from _domains(self.space, "")

    def share(self, rung: int) -> float:
        """Share of a trial's training steps after which `rung`, counted from 0, measures it."""
        return self.keep ** (rung + 1 - self.rungs)


def _domains(node: dict[str, Any], level: str) -> Iterator[tuple[str, SearchDomain]]:
    kinds = set(SearchDomain.model_fields)
    for name, below in node.items():
        key = f"{level}.{name}" if level else name
        if not isinstance(below, dict) or not below:
            raise ConfigError(f"space.{key} must be a mapping such as {{choice: [1, 2]}}, got {below!r}")
        if kinds & set(below):
            yield key, validate(SearchDomain, below, f"space.{key}")
        else:
            yield from _domains(below, key)


FIXED = ("num_workers", "deepspeed", "dtype")
"""Settings of a training that the plan of resources rests on."""
_COMBINATIONS = 1000
"""Combinations to try before a value that is invalid on its own is refused."""


class Campaign:
    """The campaign that a sweep or an experiment varies."""

    def __init__(self, tree: dict[str, Any], source: str) -> None:
        """Raises ConfigError."""
        self._tree, self._source = tree, source
        self.config = self.varied({})

    @property
    def training(self) -> str:
        """Dotted key of the training that a trial runs: the campaign's first."""
        return next(iter(self.config.trains))

    @property
    def section(self) -> str:
        """The section of the config that a trial depends on; other keys cannot be searched.

        It is ``loop`` where a trial is a round: of the line's champion, or of the base without a warm start.
        """
        return self.training.partition(".")[0]

    def says_how(self, key: str) -> bool:
        """Whether a dotted key changes only how a trial learns, and not what it learns from.

        A method asks for rows of its own, so it belongs to the latter.
        """
        return any(
            key.startswith(f"{training}.") and key != f"{training}.method" for training in self.config.trains
        )

    def varied(self, values: Mapping[str, Value]) -> Config:
        """The config with other values of dotted keys.

        Raises ConfigError where they are not allowed, and where the training that a trial runs selects a
        checkpoint.
        """
        tree = copy.deepcopy(self._tree)
        for key, value in values.items():
            *levels, name = key.split(".")
            node = tree
            for level in levels:
                # What null switches off, a key of it switches on.
                if node.get(level) is None:
                    node[level] = {}
                node = node[level]
            node[name] = value
        named = ", ".join(f"{key}={value}" for key, value in values.items())
        source = f"{self._source} with {named}" if named else self._source
        config = from_tree(tree, source)
        training, train = next(iter(config.trains.items()))
        if train.select is not None:
            raise ConfigError(
                f"{source}: {training}.select must be null, as trials are measured at checkpoints"
            )
        return config


def load_sweep(path: str | Path, overrides: list[str] | None = None) -> tuple[Sweep, Campaign]:
    """A sweep's file with overrides, and its campaign.

    Raises ConfigError as `configs.load.load` does, for a key that cannot be searched or a value that its key
    cannot have, and for rounds of the loop ``sleep``.
    """
    sweep = load_as(Sweep, path, overrides)
    campaign = Campaign(*campaign_tree(sweep.name, sweep.campaign, sweep.set, Path(path)))
    domains = dict(sweep.domains())
    for key in domains:
        _require_searched(campaign, key, str(path), domains)
    _require_no_days(campaign, domains, str(path))
    _require_possible(campaign, domains)
    return sweep, campaign


def campaign_tree(
    name: str, campaign: str, changes: Mapping[str, Any], path: Path
) -> tuple[dict[str, Any], str]:
    """The campaign that the file `path` varies, with changes that all trials share; and how errors name it.

    Its directory is that of the sweep or experiment, and it has one round. Raises ConfigError.
    """
    file = path.parent / campaign
    if "stop" in changes:
        raise ConfigError(
            f"{path}: set.stop is not allowed: a trial plays one round, and nothing else ends it"
        )
    tree = merged(parse_file(file), changes)
    return {**tree, "name": name, "run_id": None, "stop": {"rounds": 1}}, f"{path}: its campaign {file}"


def _require_no_days(campaign: Campaign, domains: Mapping[str, SearchDomain], source: str) -> None:
    """Refuses trials that are nights: only a campaign keeps with the line what a day has told."""
    loops = [campaign.config.loop.name]
    if searched := domains.get("loop.name"):
        loops += map(str, searched.choice or ())
    if campaign.section == "loop" and "sleep" in loops:
        raise ConfigError(
            f"{source}: rounds of loop sleep cannot be swept, as a line lives through each of its days once"
        )


def _require_searched(campaign: Campaign, key: str, source: str, searched: Collection[str]) -> None:
    level, _, name = key.rpartition(".")
    if not key.startswith(f"{campaign.section}.") or name in FIXED:
        raise ConfigError(
            f"{source}: space.{key} cannot be searched: with start={campaign.config.start}"
            f"{'' if campaign.config.warm_start else ' and no warm_start'} that is any key of "
            f"{campaign.section} but {', '.join(FIXED)}"
        )
    train = campaign.config.trains.get(level)
    if train and name.startswith("lora_") and train.tuning == "full" and f"{level}.tuning" not in searched:
        raise ConfigError(f"{source}: space.{key} changes nothing, as {level}.tuning is full: set it to lora")


def _require_possible(campaign: Campaign, domains: Mapping[str, SearchDomain]) -> None:
    """Refuses a listed value, or an end of a range, that its key cannot have whatever the other values."""
    values = {
        key: tuple(domain.choice or domain.uniform or domain.log_uniform or domain.integers or ())
        for key, domain in domains.items()
    }
    for key, own in values.items():
        others = [[(other, value) for value in values[other]] for other in values if other != key]
        for value in own:
            refused = None
            for rest in ((), *islice(product(*others), _COMBINATIONS)):
                try:
                    campaign.varied({key: value, **dict(rest)})
                except ConfigError as error:
                    refused = refused or error
                else:
                    break
            else:
                assert refused is not None
                raise refused


def merged(tree: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A tree in which the leaves of another replace its own."""
    result = dict(tree)
    for key, value in changes.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return result


def leaves(tree: Mapping[str, Any], level: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a tree by dotted key, in order; an empty mapping is a value."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{level}{key}.")
        else:
            yield f"{level}{key}", value

"""The settings of an experiment, with every default in this file.

    ratchet experiment configs/experiments/error-driven.yaml

Arms differ in how a round of one campaign makes its training data. They start from one champion, learn
equally many tokens where these are given, and answer the same problems.
"""

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args

from pydantic import Field, model_validator

from configs.base import Count, Leaf, Name, RunId
from configs.load import ConfigError, from_tree, load_as
from configs.loops import Choose, Probe
from configs.price import Price
from configs.schema import Config
from configs.sweep import FIXED, Campaign, Value, campaign_tree, leaves

CHOICES = get_args(Choose)
"""Arms whose name alone says what is learnt: ``loop.choose=NAME``."""
NONE = "none"
"""The arm that trains nothing and asks the champion again: what it seems to gain is noise."""
_DOUBLING = 2.0
_ARM = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class Experiment(Leaf):
    """Arms of one campaign, compared by training each of them with several seeds."""

    name: Name
    run_id: RunId | None = None
    """Directory under `runs/`; the same id and experiment resumes. None: the Ray job's id, else time and
    name."""
    hypothesis: Annotated[str, Field(min_length=1, max_length=2_000)]
    """What the experiment is to support, in a sentence: it is written before anything is measured."""
    campaign: str
    """The config whose round the arms vary, relative to the experiment's own file. Its warm start makes the
    champion, once; with ``start: champion`` it is that of the line."""
    set: dict[str, Any] = {}
    """Changes to the campaign that all arms share."""
    arms: dict[str, dict[str, Any] | None]
    """Changes to the campaign by arm, nested as in its config. A name of `CHOICES` needs none."""
    treatment: str | None = None
    """The arm that the hypothesis is about. None: the first that is not the control."""
    control: str = "random"
    """The arm that every other one is compared with."""
    seeds: Annotated[int, Field(ge=1, le=100)] = 5
    """Trainings of each arm; the campaign's own seed is the first, and the others follow it."""
    learnt_tokens: Count | None
    """Tokens with a loss that every trial learns in an epoch, as whole rows, for as many epochs: the same for
    all arms. None: each arm learns all that it proposes, as where arms differ in how much that is."""
    about: str | None = None
    """Where the hypothesis is judged: a slice of the task, a suite of sentinels, or something that the task
    guards. None: on the champion's weak slices, or on everything where it has none."""
    points: Annotated[int, Field(ge=1, le=7)] = 4
    """Checkpoints at which a trial is measured: at its end, and each earlier time after half as much."""
    num_problems: Annotated[int, Field(ge=20)] = 300
    """Problems that every checkpoint answers and no arm learns: half of the task's mixture and half of the
    champion's weak slices, or of the slice that `about` names; where there is neither, all of the mixture."""
    probe: Probe | None = Probe(num_problems=240)
    """Problems on which the champion's weak slices are mined. None: nothing is mined."""
    matters: Annotated[float, Field(gt=0)] = 0.03
    """Smallest difference worth having: 0.03 is 3 points of a share, or 0.03 nats a token."""
    concurrent: Count | None = None
    """Trials that run at the same time. None: as many as the resources hold."""
    price: Price | None = None

    @model_validator(mode="after")
    def _compares_two(self) -> "Experiment":
        names = ", ".join(self.arms)
        if len(self.arms) < 2:
            raise ValueError(f"arms must name two or more, got {names or 'none'}")
        if wrong := [arm for arm in self.arms if not _ARM.fullmatch(arm)]:
            raise ValueError(
                f"an arm is named with up to 40 lower-case letters, digits, '_' and '-', got {wrong[0]!r}"
            )
        for key, name in (("treatment", self.treated), ("control", self.control)):
            if name not in self.arms:
                raise ValueError(f"{key} must be one of the arms {names}, got {name!r}")
        if self.treated == self.control:
            raise ValueError(f"treatment and control must be two arms, got {self.control} for both")
        if self.arms.get(NONE):
            raise ValueError(f"arm {NONE} trains nothing, so nothing can be set for it")
        return self

    @property
    def treated(self) -> str:
        """The arm that the hypothesis is about."""
        return self.treatment or next((arm for arm in self.arms if arm != self.control), "")

    @property
    def rungs(self) -> int:
        """How often a trial is measured."""
        return self.points

    def share(self, rung: int) -> float:
        """Share of a trial's training steps after which `rung`, counted from 0, measures it."""
        return _DOUBLING ** (rung + 1 - self.points)

    def values(self, arm: str, seed: int) -> dict[str, Value]:
        """What a trial changes of the campaign, by dotted key; `seed` is the campaign's own."""
        chosen = {"loop.choose": arm} if arm in CHOICES else {}
        return {"seed": seed, **chosen, **dict(leaves(self.arms[arm] or {}))}


class Design(NamedTuple):
    """An experiment with the campaign that it varies."""

    settings: Experiment
    config: Config
    """The campaign as it begins, which may be with a warm start."""
    rounds: Campaign
    """The campaign from its champion on, which arms and seeds vary."""

    @property
    def trials(self) -> list[tuple[str, int]]:
        """Arm and seed of every trial, in an order in which each seed passes through all arms."""
        first = self.config.seed
        return [
            (arm, seed) for seed in range(first, first + self.settings.seeds) for arm in self.settings.arms
        ]

    def varied(self, arm: str, seed: int) -> Config:
        """The config of a trial. Raises ConfigError."""
        return self.rounds.varied(self.settings.values(arm, seed))


def design_of(settings: Experiment, tree: Mapping[str, Any], source: str) -> Design:
    """The design of an experiment on a campaign's tree of values. Raises ConfigError."""
    config = from_tree(dict(tree), source)
    return Design(settings, config, Campaign({**tree, "start": "champion"}, source))


def load_experiment(path: str | Path, overrides: list[str] | None = None) -> Design:
    """An experiment's file with overrides, and the campaign that it varies.

    Raises ConfigError as `configs.load.load` does, for an arm that changes anything but the loop or has a
    value that is not allowed, and for two arms that are the same.
    """
    settings = load_as(Experiment, path, overrides)
    tree, source = campaign_tree(settings.name, settings.campaign, settings.set, Path(path))
    loop = from_tree(tree, source).loop
    if "learnt_tokens" in type(loop).model_fields:
        # A loop that chooses its rows within a budget must know it; whatever a loop proposes is cut to it.
        tree["loop"] = {**(tree.get("loop") or {}), "learnt_tokens": settings.learnt_tokens}
    design = design_of(settings, tree, source)
    for arm in settings.arms:
        _require_comparable(design, arm, str(path))
    for one, other in itertools.combinations([arm for arm in settings.arms if arm != NONE], 2):
        if design.varied(one, 0) == design.varied(other, 0):
            raise ConfigError(f"{path}: arms {one} and {other} are the same")
    if settings.learnt_tokens is not None:
        _require_as_much(design, str(path))
    return design


def _require_as_much(design: Design, source: str) -> None:
    """Refuses arms that would not learn equally many tokens, which is what they are given."""
    epochs: dict[str, float] = {}
    for arm in design.settings.arms:
        if arm == NONE:
            continue
        key, train = next(iter(design.varied(arm, design.config.seed).trains.items()))
        epochs[arm] = train.epochs
        if train.validation_share:
            raise ConfigError(
                f"{source}: {key}.validation_share of arm {arm} must be 0, because with learnt_tokens every "
                f"arm learns all of its rows, got {train.validation_share:g}"
            )
    if len(set(epochs.values())) > 1:
        listed = ", ".join(f"{num:g} of {arm}" for arm, num in epochs.items())
        raise ConfigError(
            f"{source}: with learnt_tokens all arms learn for as many epochs, got {listed}: set them alike, "
            "or learnt_tokens=null"
        )


def _require_comparable(design: Design, arm: str, source: str) -> None:
    """Refuses an arm that changes more than what its round learns, and how."""
    for key, _ in leaves(design.settings.arms[arm] or {}):
        if not key.startswith("loop.") or key.rpartition(".")[2] in FIXED:
            raise ConfigError(
                f"{source}: arms.{arm}.{key} cannot differ between arms: that is any key of loop but "
                f"{', '.join(FIXED)}"
            )
    try:
        design.varied(arm, design.config.seed)
    except ConfigError as error:
        raise ConfigError(f"{source}: arm {arm}: {str(error).removeprefix(f'{source}: ')}") from None

"""Refuse a new sweep or experiment before anything of it is written, for what would end it later."""

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from configs.experiment import NONE, Design
from configs.load import ConfigError, parse_file
from configs.loops import ErrorDriven
from configs.schema import Config
from configs.sweep import Sweep
from engine.gate.sentinels import suites_of
from engine.preflight.doctor import require_parts
from engine.preflight.learnt import require_learnt
from engine.registry.lived import lived_before
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from engine.tasks.fixed import Fixed
from engine.tasks.suite import DataError, Suite, guards_of, kept_apart, of_day
from loops import loop_for
from loops.ready import require_champion, require_quantisers
from loops.weak import mining_of, num_clusters


def require_begun(sweep: Sweep, config: Config, file: Path, home: Path) -> None:
    """Refuse a sweep over rounds of a line without a champion, and say what makes one.

    `file` is the sweep's, `config` its campaign as the trials vary it. Raises RegistryError.
    """
    if not _lacks_champion(config, home):
        return
    campaign = os.path.normpath(file.parent / sweep.campaign)
    tree = parse_file(campaign)
    changes = {
        key: value for key, value in sweep.set.items() if key in ("line", "base") and value != tree.get(key)
    }
    if tree.get("start") == "champion":
        changes["start"] = "base"
    said = [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in changes.items()
    ]
    raise RegistryError(
        f"line {config.line} has no champion, and each trial of {file} is a round, which starts from one: "
        f"`{shlex.join(['ratchet', 'run', campaign, 'stop.rounds=1', *said])}` makes one"
    )


def require_unjudged(config: Config) -> None:
    """Refuse a campaign with a judge, which its trials would not ask. Raises ConfigError."""
    if config.gate.judge:
        verdicts = " and set.task.exam=verdicts" if getattr(config.task, "exam", "") == "preference" else ""
        raise ConfigError(
            "trials ask no judge, so they would learn and be measured otherwise than the campaign: set "
            f"set.gate.judge=null{verdicts}"
        )


def require_playable(trials: Iterable[Config]) -> None:
    """Refuse a sweep of which a trial cannot be played.

    Raises DataError, PluginError and ConfigError as `loop_for` and `require_parts`, and ModelError where a
    base cannot be quantised here.
    """
    known = set()
    for config in trials:
        loop_for(config)
        require_quantisers(config)
        # Of what `require_parts` looks at few trials differ, and some suites take a while to open.
        warm, methods = config.warm_start, (train.method for train in config.trains.values())
        parts = (config.loop.questions, warm and warm.questions, *methods)
        if parts not in known:
            require_parts(config)
            known.add(parts)


def require_comparable(design: Design, home: Path) -> None:
    """Refuse an experiment of which an arm, its champion or a sentinel suite cannot be used.

    Raises DataError, PluginError, ModelError and ConfigError as `loops.ready.require_ready`, DataError also
    as `require_apart`, RowError for a sentinel suite, RegistryError for a line without a champion to start
    from and ConfigError as `require_unjudged`. A place that the hypothesis is about must be there, or
    ConfigError is raised.
    """
    config = design.config
    require_unjudged(config)
    suite = require_parts(config)
    require_quantisers(config)
    if _lacks_champion(config, home):
        raise RegistryError(
            f"line {config.line} has no champion to start from; with set.start=base the experiment makes one"
        )
    require_champion(config, home)
    if about := design.settings.about:
        _require_place(about, design, suite, home)
    arms = {arm: design.varied(arm, config.seed) for arm in design.settings.arms if arm != NONE}
    _require_different(arms, suite)
    require_apart(design.settings.num_problems, suite, arms.values(), _looked_at(design))
    for varied in arms.values():
        require_parts(varied)
        require_quantisers(varied)
        require_learnt(varied, home, loop_for(varied).example)


def _require_different(arms: Mapping[str, Config], suite: Suite) -> None:
    """Refuse two arms that differ only in keys which change nothing in their task. Raises ConfigError."""
    for (one, first), (other, second) in combinations(arms.items(), 2):
        dumps = [each.loop.model_dump() for each in (first, second)]
        keys = {key for dump in dumps for key in dump if dumps[0].get(key) != dumps[1].get(key)}
        if keys and keys <= _idle(first, suite) & _idle(second, suite):
            raise ConfigError(
                f"arms {one} and {other} are the same, because loop.{min(keys)} changes nothing on task "
                f"{suite.task.name} with generate={dumps[0]['generate']}"
            )


def _idle(config: Config, suite: Suite) -> set[str]:
    """Keys of a loop that change nothing, because its task has answers or passages, or nothing is written."""
    loop = config.loop
    if not isinstance(loop, ErrorDriven):
        return set()
    idle = set() if loop.generate == "model" else {"variations"}
    if suite.task.exam != "likelihood":
        return idle | {"threshold", "quantile"}
    idle |= {"samples", "replies_per_problem"}
    return idle if loop.generate == "model" else idle | {"temperature", "top_p"}


def _looked_at(design: Design) -> int:
    """How many problems are looked at before the trials: the probe's, and those that choose a checkpoint."""
    probe, first = design.settings.probe, next(iter(design.config.trains.values()))
    return (probe.num_problems if probe else 0) + (first.select.problems if first.select else 0)


def _require_place(about: str, design: Design, suite: Suite, home: Path) -> None:
    """Refuse a place on which nothing would be measured. Raises ConfigError and DataError."""
    config = design.config
    suites = [each.name for each in suites_of(config.gate.sentinels.suites, kept_apart(suite))]
    guards = [guard.name for guard in guards_of(of_day(suite, lived_before(home, config).days + 1))]
    if about in (*suites, *guards):
        return
    if about not in suite.slices:
        places = list(dict.fromkeys([*suites, *guards, *suite.slices]))
        raise ConfigError(f"about must be one of {', '.join(places)}, got '{about}'")
    probe = design.settings.probe
    if probe and num_clusters(mining_of(config), suite, probe.num_problems):
        raise ConfigError(
            f"about={about} is a slice of the task, but other slices are found in its place: set "
            "set.loop.clusters=none, or probe=null"
        )
    if isinstance(suite, Fixed) and all(each.problem.slice != about for each in suite.records("probe")):
        raise DataError(
            f"the hypothesis is about {about}, but no {suite.unit} of the probe part, on which trials are "
            f"measured, is of this slice; a larger share: {suite.share_keys['probe']}"
        )


def require_apart(measured: int, suite: Suite, trials: Iterable[Config], beforehand: int = 0) -> None:
    """Refuse trials that would be measured on the very problems which showed what is weak.

    A finite task has no others where it has too few, and gains would look larger than they are. Each of
    `trials` looks at some by itself, and all of them share what was looked at `beforehand`. Raises DataError.
    """
    if not isinstance(suite, Fixed):
        return
    own = (each.loop.probe.num_problems for each in trials if hasattr(each.loop, "probe"))
    before, size = max([beforehand, *own]), suite.sizes["probe"]
    if measured + before > size:
        raise DataError(
            f"trials are measured on num_problems={measured}, of which none may be among the {before} that "
            f"show what is weak, but the probe part has {size} for both; a larger share: "
            f"{suite.share_keys['probe']}"
        )


def _lacks_champion(config: Config, home: Path) -> bool:
    return config.start == "champion" and Registry(home).line(config.line).champion is None

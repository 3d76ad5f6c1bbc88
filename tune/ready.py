"""Refuse a new sweep or experiment before anything of it is written, for what would end it later."""

import json
import os
import shlex
from pathlib import Path

from configs.experiment import NONE, Design
from configs.load import ConfigError, parse_file
from configs.schema import Config
from configs.sweep import Sweep
from engine.gate.sentinels import suites_of
from engine.preflight.doctor import require_parts
from engine.preflight.learnt import require_learnt
from engine.registry.lived import lived_before
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from engine.tasks.suite import guards_of, kept_apart, of_day
from loops import loop_for
from loops.ready import require_champion, require_quantisers


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


def require_comparable(design: Design, home: Path) -> None:
    """Refuse an experiment of which an arm, its champion or a sentinel suite cannot be used.

    Raises DataError, PluginError, ModelError and ConfigError as `loops.ready.require_ready`, RowError for a
    sentinel suite and RegistryError for a line without a champion to start from. A place that the hypothesis
    is about must be there, or ConfigError is raised.
    """
    config = design.config
    suite = require_parts(config)
    require_quantisers(config)
    if _lacks_champion(config, home):
        raise RegistryError(
            f"line {config.line} has no champion to start from; with set.start=base the experiment makes one"
        )
    require_champion(config, home)
    suites = [each.name for each in suites_of(config.gate.sentinels.suites, kept_apart(suite))]
    if about := design.settings.about:
        guards = [guard.name for guard in guards_of(of_day(suite, lived_before(home, config).days + 1))]
        places = list(dict.fromkeys([*suites, *guards, *suite.slices]))
        if about not in places:
            raise ConfigError(f"about must be one of {', '.join(places)}, got '{about}'")
    for arm in design.settings.arms:
        if arm != NONE:
            varied = design.varied(arm, config.seed)
            require_parts(varied)
            require_quantisers(varied)
            require_learnt(varied, home, loop_for(varied).example)


def _lacks_champion(config: Config, home: Path) -> bool:
    return config.start == "champion" and Registry(home).line(config.line).champion is None

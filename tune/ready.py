"""Refuse a new experiment before anything of it is written, for what would end it later."""

from pathlib import Path

from configs.experiment import NONE, Design
from engine.gate.sentinels import suites_of
from engine.preflight.doctor import require_parts
from engine.preflight.learnt import require_learnt
from loops import loop_for
from loops.ready import require_champion


def require_comparable(design: Design, home: Path) -> None:
    """Refuse an experiment of which an arm, its champion or a sentinel suite cannot be used.

    Raises DataError, PluginError and ConfigError as `loops.ready.require_ready`, RowError for a sentinel
    suite and RegistryError for a line without a champion to start from.
    """
    require_parts(design.config)
    require_champion(design.config, home)
    suites_of(design.config.gate.sentinels.suites)
    for arm in design.settings.arms:
        if arm != NONE:
            config = design.varied(arm, design.config.seed)
            require_parts(config)
            require_learnt(config, home, loop_for(config).example)

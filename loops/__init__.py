"""Loops: one file each, and one line in `LOOPS`. A loop is how a champion becomes a challenger."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from configs.load import validate
from configs.loops import Loop as LoopSettings
from configs.loops import OwnLoop
from engine.models.identity import Model
from engine.plugins import load_plugin
from engine.preflight.workload import Lengths, Work
from engine.records import TrainingRow
from engine.tasks.suite import Suite
from loops.context import Context
from loops.loop import Loop, Proposal

LOOPS = {"oak_dpo": "loops.oak_dpo"}
"""By name the module that is the loop, imported where it is used."""


class Loaded(NamedTuple):
    """A loop with its settings."""

    loop: Loop[Any]
    settings: Any
    """The loop's own leaf of the config; for a user's file what its ``Settings`` reads from it."""

    def propose(self, context: Context, champion: Model, number: int, seen: frozenset[str]) -> Proposal:
        """Propose what to train the champion on in a round: see `Loop.propose`."""
        return self.loop.propose(context, self.settings, champion, number, seen)

    def work(self, lengths: Lengths) -> Sequence[Work]:
        """The loop's own stages of a round: see `Loop.work`."""
        return self.loop.work(self.settings, lengths)

    def example(self, suite: Suite, system: str) -> TrainingRow:
        """A row like those that the loop trains on: see `Loop.example`."""
        return self.loop.example(self.settings, suite, system)


def load_loop(settings: LoopSettings) -> Loaded:
    """The loop that a config's ``loop`` names.

    Raises PluginError for a user's file that cannot be loaded, ConfigError for settings that it refuses.
    """
    if not isinstance(settings, OwnLoop):
        return Loaded(cast(Loop[Any], importlib.import_module(LOOPS[settings.name])), settings)
    module = load_plugin(Path(settings.name), "loop", ("Settings", "propose", "work", "example"))
    own = validate(module.Settings, settings.settings, f"loop.settings of {settings.name}")
    return Loaded(cast(Loop[Any], module), own)

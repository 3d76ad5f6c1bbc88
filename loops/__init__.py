"""Loops: one file each, and one line in `LOOPS`. A loop is how a model becomes a challenger."""

import importlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar, cast

from configs.base import Leaf
from configs.load import ConfigError, validate
from configs.loops import Loop as LoopSettings
from configs.loops import OwnLoop
from configs.schema import Config
from engine.failures import fault_of_own_file
from engine.models.identity import Model
from engine.plugins import PluginError, load_plugin, naming
from engine.preflight.workload import Lengths, Work
from engine.records import Answer, Likelihood, Panel, Problem, TrainingRow
from engine.tasks import load_task
from engine.tasks.suite import Suite, Task
from loops.context import Context
from loops.loop import Loop, Proposal

LOOPS = {
    "oak_dpo": "loops.oak_dpo",
    "error_driven": "loops.error_driven",
    "sleep": "loops.sleep",
    "domain": "loops.domain",
}
"""By name the module that is the loop, imported where it is used."""


T = TypeVar("T")
_VERDICTS = ("verdicts",)
"""The exams that a loop can learn from where its module has no ``EXAMS``."""


class Loaded(NamedTuple):
    """A loop with its settings."""

    loop: Loop[Any]
    settings: Any
    """The loop's own leaf of the config; for a user's file what its ``Settings`` reads from it."""

    def propose(self, context: Context, parent: Model, number: int, seen: frozenset[str]) -> Proposal:
        """Propose what to train a round's parent on: see `Loop.propose`.

        Raises PluginError for what a user's file raises or returns, and whatever the engine does.
        """
        try:
            returned = self.loop.propose(context, self.settings, parent, number, seen)
        except Exception as error:
            if own := fault_of_own_file(error):
                raise own from None
            raise
        proposal = self._returned("propose", returned, Proposal)
        trains = context.config.loop.trains
        if proposal.data is not None and proposal.train not in trains:
            file = cast(ModuleType, self.loop).__file__
            raise PluginError(
                f"propose of the loop file {file}: Proposal.train must be one of {', '.join(trains)}, got "
                f"{proposal.train!r}"
            )
        return proposal

    def work(self, lengths: Lengths) -> Sequence[Work]:
        """The loop's own stages of a round: see `Loop.work`."""
        with self._naming("work"):
            work = self.loop.work(self.settings, lengths)
            return [self._returned("work", each, Work) for each in work]

    def example(self, suite: Suite, system: str) -> TrainingRow:
        """A row like those that the loop trains on: see `Loop.example`."""
        with self._naming("example"):
            row = self.loop.example(self.settings, suite, system)
            return self._returned("example", row, TrainingRow)

    def require(self, task: Task) -> None:
        """Refuse settings that `task` cannot serve, where the module has a ``require(settings, task)``.

        Raises ConfigError.
        """
        require = getattr(self.loop, "require", None)
        if require is not None:
            with self._naming("require"):
                require(self.settings, task)

    def sealed(
        self,
        context: Context,
        problems: Sequence[Problem],
        first: Sequence[Answer | Likelihood],
        last: Sequence[Answer | Likelihood],
    ) -> tuple[Panel, ...]:
        """What the loop shows of the sealed problems, as first and last champion answered them.

        Nothing where the module has no ``sealed(context, settings, problems, first, last)``.
        """
        sealed = getattr(self.loop, "sealed", None)
        if sealed is None:
            return ()
        with self._naming("sealed"):
            panels = sealed(context, self.settings, problems, first, last)
            return tuple(self._returned("sealed", each, Panel) for each in panels)

    def _naming(self, function: str) -> AbstractContextManager[None]:
        """Errors of a user's file become sentences; those of a loop of `LOOPS` are bugs, and pass."""
        module = cast(ModuleType, self.loop)
        if module.__name__ in LOOPS.values():
            return nullcontext()
        return naming(f"{function} of the loop file {module.__file__}", module)

    def _returned(self, function: str, value: object, wanted: type[T]) -> T:
        if not isinstance(value, wanted):
            wanted_name, got = f"{wanted.__module__}.{wanted.__name__}", repr(value)[:80]
            file = cast(ModuleType, self.loop).__file__
            raise PluginError(f"{function} of the loop file {file} must return {wanted_name}, got {got}")
        return value


def load_loop(settings: LoopSettings) -> Loaded:
    """The loop that a config's ``loop`` names.

    Raises PluginError for a user's file that cannot be loaded, ConfigError for settings that it refuses.
    """
    if not isinstance(settings, OwnLoop):
        return Loaded(cast(Loop[Any], importlib.import_module(LOOPS[settings.name])), settings)
    module = load_plugin(Path(settings.name), "loop", ("propose", "work", "example"), {"Settings": Leaf})
    own = validate(module.Settings, settings.settings, f"loop.settings of {settings.name}")
    return Loaded(cast(Loop[Any], module), own)


def loop_for(config: Config) -> Loaded:
    """The loop of a config, where it can learn from the exam of the config's task.

    Raises DataError for an unusable task, ConfigError for an exam that the loop cannot learn from and for
    settings that it refuses for this task, and as `load_loop`.
    """
    task, loaded, name = load_task(config.task.name), load_loop(config.loop), config.loop.name
    exams: object = getattr(loaded.loop, "EXAMS", _VERDICTS)
    if not isinstance(exams, tuple) or not exams or not all(isinstance(exam, str) for exam in exams):
        raise PluginError(
            f"EXAMS of the loop {name} must be a tuple of names of exams, got {repr(exams)[:80]}"
        )
    if task.exam not in exams:
        learnt = " and ".join(exams)
        raise ConfigError(
            f"loop {name} learns from {learnt}, but task {task.name} is examined by {task.exam}"
        )
    loaded.require(task)
    return loaded

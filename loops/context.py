"""What every loop is given: the run, its settings, and the parts that answer, verify and keep models."""

from dataclasses import dataclass
from pathlib import Path

from configs.schema import Config
from engine.disk.steps import Run
from engine.measure.bench import Bench
from engine.models.identity import Contestant
from engine.plan.plan import Plan
from engine.registry.registry import Registry
from engine.tasks import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    run: Run
    config: Config
    plan: Plan
    suite: Suite
    bench: Bench
    """For what a loop learns from."""
    judges: Bench
    """For what a decision or a figure rests on: both verifiers must say PASS."""
    registry: Registry
    base: Path
    """Directory of the untrained base."""
    start: Contestant
    """What the campaign starts from: the base, or the line's champion as it then was."""
    epoch: int
    """Of the line when the campaign began: only this run may have changed its champion since."""

    def stored(self, model: str) -> Contestant:
        """A model by id: the base, or one of the registry. Raises RegistryError where weights are gone."""
        base = Contestant.of(self.base)
        return base if model == base.id else Contestant(id=model, path=self.registry.path(model))

    def stage(self, round: int, name: str) -> str:
        return f"rounds/{round:03d}/{name}"

"""Campaigns whose plans tests examine, with the parts of their loops that planning needs."""

from collections.abc import Sequence
from pathlib import Path

from configs.load import load
from configs.schema import Config
from engine.plan.placement import Cluster
from engine.plan.plan import Group, Plan
from engine.preflight.dry_plan import DryPlan, make_dry_plan
from engine.preflight.learnt import Example
from loops import load_loop

CONFIGS = Path(__file__).parents[2] / "configs"
TWO_CORES = Plan(
    device="cpu",
    take_turns=True,
    num_cpus=2,
    num_gpus=0,
    samplers=Group(num=1, threads=2, gpus=0),
    workers={},
    needs=(),
)
"""Of campaigns in which nothing is started."""


def config(name: str = "quickstart", *overrides: str) -> Config:
    return load(CONFIGS / f"{name}.yaml", list(overrides))


def dry_plan(
    settings: Config, cluster: Cluster, *, price: float | None = None, assume: Sequence[str] = ()
) -> DryPlan:
    work = load_loop(settings.loop).work
    return make_dry_plan(settings, cluster, loop_work=work, price=price, assume=assume)


def example_of(settings: Config) -> Example:
    return load_loop(settings.loop).example

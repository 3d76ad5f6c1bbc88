"""What a round or a whole run has taken: memory, energy and cost, from the run's journal and metrics."""

from collections.abc import Iterable, Mapping
from typing import Any

from engine.disk.steps import Run
from engine.plan.plan import Plan
from engine.records import Usage


def usage_of(
    run: Run, plan: Plan, taken: Mapping[str, Mapping[str, Any]], number: int | None = None
) -> Usage:
    """Add up stages, as `run.taken` has them, and the trainings of round `number`, or of all rounds.

    A stage is priced by what the plan held that it was made under, which a resume elsewhere may change.
    Energy that a single stage lacks, as where a run was resumed on another machine, is not measured.
    """
    stages = taken.values()
    price = run.config.price
    held = {
        "hours": _hours((it["seconds"], 1) for it in stages),
        "core_hours": _hours((it["seconds"], it.get("cores", plan.num_cpus)) for it in stages),
        "gpu_hours": _hours((it["seconds"], it.get("gpus", plan.num_gpus)) for it in stages),
    }
    steps = [step for step in run.kept_metrics() if number in (None, step["round"])]

    def energy(key: str) -> float | None:
        return round(sum(it[key] for it in stages), 1) if stages and all(key in it for it in stages) else None

    return Usage(
        num_cpus=plan.num_cpus,
        num_gpus=plan.num_gpus,
        driver_mib=max((it["peak_mib"] for it in stages if "peak_mib" in it), default=None),
        worker_mib=max((step["memory_mib"] for step in steps if "memory_mib" in step), default=None),
        cpu_joules=energy("cpu_joules"),
        gpu_joules=energy("gpu_joules"),
        cost=None if price is None else round(price.of(**held), 4),
        currency=price.currency if price else "",
    )


def _hours(seconds: Iterable[tuple[float, int]]) -> float:
    """The hours of stages, each as often as what it held counts."""
    return sum(each * num for each, num in seconds) / 3600

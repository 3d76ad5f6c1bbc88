"""What a sweep was told, and who runs where: so many trials side by side, checked before anything starts."""

from dataclasses import replace
from pathlib import Path

import yaml

from configs.load import parse_file, validate
from configs.schema import Config
from configs.sweep import Campaign, Sweep
from engine.machine import Machine
from engine.needs import PlanError
from engine.plan import Plan, make_plan
from engine.steps import Run


class NoSweep(ValueError):
    """A run that is none."""


def sweep_of(path: Path) -> tuple[Sweep, Campaign]:
    """What a sweep's run was told. Raises ConfigError."""
    tree = parse_file(path / "sweep.yaml")
    return validate(Sweep, tree, str(path / "sweep.yaml")), Campaign(
        parse_file(path / "config.yaml"), str(path)
    )


def require_sweep(run: Run) -> Run:
    """Raises NoSweep."""
    if not (run.path / "sweep.yaml").exists():
        raise NoSweep(f"run {run.id} is no sweep: `ratchet resume {run.id}` continues it")
    return run


def dump(sweep: Sweep) -> str:
    """As YAML, every default written out."""
    return yaml.safe_dump(sweep.model_dump(mode="json", exclude={"run_id"}), sort_keys=False)


def plans(sweep: Sweep, config: Config, machine: Machine, home: Path) -> tuple[Plan, Plan]:
    """Of one trial, and of what judges the winner after them, with the whole machine.

    Raises PlanError where so many trials do not fit side by side.
    """
    whole = make_plan(config, machine, home)
    num = num_concurrent(sweep, whole, config)
    if num == 1:
        return whole, whole
    part = replace(
        machine,
        num_cpus=machine.num_cpus // num,
        num_gpus=machine.num_gpus // num,
        memory=None if machine.memory is None else machine.memory // num,
        disk=None if machine.disk is None else machine.disk // num,
    )
    try:
        trial = make_plan(config, part, home)
    except PlanError as error:
        raise PlanError(f"of {num} trials at a time, each: {error}; or set concurrent={num - 1}") from None
    if trial.device == "gpu" and trial.take_turns:
        raise PlanError(
            f"{num} trials at a time would meet on the same GPUs, where sampler and trainer take turns: set "
            "concurrent=1, or resources.share_gpu=false and fewer trials at a time"
        )
    return trial, whole


def footing(sweep: Sweep, config: Config, trial: Plan, whole: Plan) -> Plan:
    """What Ray is started with: samplers for all trials at a time."""
    num = max(whole.samplers.num, num_concurrent(sweep, whole, config) * trial.samplers.num)
    return replace(whole, samplers=replace(whole.samplers, num=num))


def num_concurrent(sweep: Sweep, whole: Plan, config: Config) -> int:
    """Trials at a time: as asked for, else as many as have GPUs of their own, and one on a CPU."""
    if sweep.concurrent:
        return sweep.concurrent
    if whole.device == "cpu" or whole.take_turns:
        return 1
    samplers = config.sampler.num_actors * config.sampler.tensor_parallel
    workers = max(group.num for group in (whole.train, whole.warm_start) if group)
    return max(1, whole.num_gpus // (samplers + workers))

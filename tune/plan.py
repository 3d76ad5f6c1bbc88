"""The files of a sweep and an experiment, and their plan, which is checked before anything starts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import yaml

from configs.experiment import Design, Experiment, design_of
from configs.load import parse_file, validate
from configs.schema import Config
from configs.sweep import Campaign, Sweep
from engine.disk.steps import Run
from engine.errors import Mistake
from engine.plan.footprint import Shape, shape_of
from engine.plan.machine import Machine
from engine.plan.needs import PlanError
from engine.plan.plan import Plan, plan_for
from engine.tasks import suite_of
from engine.tasks.fixed import Fixed
from tune.space import Values, describe, likely_trials

DESIGN = "design.yaml"
"""The settings of an experiment, in its run."""


class NoSweep(Mistake):
    """The run is not a sweep, or not an experiment."""


def is_sweep(path: Path) -> bool:
    """Whether a run is a sweep, even one that has lost its config and might pass for a campaign."""
    return (path / "sweep.yaml").exists() or (path / "tried.jsonl").exists()


def sweep_of(path: Path) -> tuple[Sweep, Campaign]:
    """Read the config of a sweep's run and of the campaign it varies. Raises ConfigError."""
    tree = parse_file(path / "sweep.yaml")
    return validate(Sweep, tree, str(path / "sweep.yaml")), Campaign(
        parse_file(path / "config.yaml"), str(path)
    )


def require_sweep(run: Run) -> Run:
    """Return a sweep's run. Raises NoSweep for any other."""
    if not is_sweep(run.path):
        raise NoSweep(f"run {run.id} is not a sweep: `ratchet resume {run.id}` continues it")
    return run


def is_experiment(path: Path) -> bool:
    """Whether a run is an experiment."""
    return (path / DESIGN).exists()


def experiment_of(path: Path) -> Design:
    """Read the design of an experiment's run. Raises ConfigError."""
    settings = validate(Experiment, parse_file(path / DESIGN), str(path / DESIGN))
    return design_of(settings, parse_file(path / "config.yaml"), str(path))


def require_experiment(run: Run) -> Run:
    """Return an experiment's run. Raises NoSweep for any other."""
    if not is_experiment(run.path):
        raise NoSweep(f"run {run.id} is not an experiment: `ratchet resume {run.id}` continues it")
    return run


def dump(settings: Sweep | Experiment) -> str:
    """Write the settings of a sweep or an experiment as YAML, with every default spelled out."""
    return yaml.safe_dump(settings.model_dump(mode="json", exclude={"run_id"}), sort_keys=False)


def plans(sweep: Sweep, campaign: Campaign, machine: Machine, home: Path) -> tuple[Plan, Plan]:
    """Plan one trial, and the judging of the winner afterwards with the whole machine.

    Raises PlanError if a trial or that many side by side do not fit, DataError if the records do not suffice
    for the selection or for an experiment's probe, SpaceError as `likely_trials` does, and ModelError as
    `engine.plan.footprint.shape_of` does.
    """
    return _plans(sweep, campaign.config, campaign, partial(likely_trials, sweep, campaign), machine, home)


def plans_of_experiment(design: Design, machine: Machine, home: Path) -> tuple[Plan, Plan]:
    """Plan one trial, and the making of the champion beforehand. Raises as `plans` does."""
    settings, first = design.settings, design.config.seed

    def trials() -> list[Values]:
        return [settings.values(arm, first) for arm in settings.arms]

    return _plans(settings, design.config, design.rounds, trials, machine, home)


def _plans(
    settings: Sweep | Experiment,
    config: Config,
    campaign: Campaign,
    trials: Callable[[], Sequence[Values]],
    machine: Machine,
    home: Path,
) -> tuple[Plan, Plan]:
    """Plan one of `trials` of a campaign, and the whole of a `config` with the whole machine."""
    suite = suite_of(config)
    if isinstance(suite, Fixed):
        suite.draw(settings.num_problems, split="selection", seed=config.seed)
        if isinstance(settings, Experiment) and settings.probe:
            suite.draw(settings.probe.num_problems, split="probe", seed=config.seed)
    shape = shape_of(config.base)
    whole = plan_for(shape, config, machine, home)
    num = num_concurrent(settings, whole, config)

    def plan_each(num: int, values: Values) -> Plan:
        varied = campaign.varied(values)
        if num == 1:
            return plan_for(shape, varied, machine, home)
        return _beside(num, shape, varied, whole, machine, home)

    def fits(num: int) -> bool:
        try:
            return bool(plan_each(num, {}))
        except PlanError:
            return False

    try:
        trial = plan_each(num, {})
    except PlanError as error:
        most = next(filter(fits, range(min(num - 1, whole.num_cpus), 0, -1)))
        raise PlanError(f"each of {num} trials at a time: {error}; concurrent={most} fits") from None
    workers = dict(trial.workers)
    for values in trials():
        try:
            # A trial may run another training than the campaign does.
            workers = {**plan_each(num, values).workers, **workers}
        except PlanError as error:
            raise PlanError(f"the trial {describe(values)} does not fit: {error}") from None
    return replace(trial, workers=workers), whole


def _beside(num: int, shape: Shape | None, config: Config, whole: Plan, machine: Machine, home: Path) -> Plan:
    """Plan one of several trials that run at a time, each with an equal part of the resources."""
    part = replace(
        machine,
        num_cpus=whole.num_cpus // num,
        num_gpus=whole.num_gpus // num,
        memory=None if machine.memory is None else machine.memory // num,
        disk=None if machine.disk is None else machine.disk // num,
        # A part of each node, so that a trial fits whichever node it is sent to.
        node_cpus=tuple(cpus // num for cpus in machine.node_cpus),
        node_gpus=tuple(gpus // num for gpus in machine.node_gpus),
    )
    if not part.num_cpus or bool(part.num_gpus) != bool(whole.num_gpus):
        raise PlanError(
            f"{part.num_cpus} of {whole.num_cpus} cores and {part.num_gpus} of {whole.num_gpus} GPUs "
            "are too few"
        )
    # The campaign's declared resources are for all trials together.
    resources = config.resources.model_copy(update={"num_cpus": None, "num_gpus": None})
    trial = plan_for(shape, config.model_copy(update={"resources": resources}), part, home)
    if trial.device == "gpu" and trial.take_turns:
        raise PlanError("sampler and trainer take turns on GPUs, where trials would collide")
    return trial


def footing(settings: Sweep | Experiment, config: Config, trial: Plan, whole: Plan) -> Plan:
    """Plan what Ray is started with: samplers for all trials that run at a time."""
    num = max(whole.samplers.num, num_concurrent(settings, whole, config) * trial.samplers.num)
    return replace(whole, samplers=replace(whole.samplers, num=num))


def num_concurrent(settings: Sweep | Experiment, whole: Plan, config: Config) -> int:
    """Count the trials at a time: as asked for, else as many as get GPUs of their own; one on a CPU."""
    if settings.concurrent:
        return settings.concurrent
    if whole.device == "cpu" or whole.take_turns:
        return 1
    samplers = config.sampler.num_actors * config.sampler.tensor_parallel
    workers = max(group.num for group in whole.workers.values())
    return max(1, whole.num_gpus // (samplers + workers))

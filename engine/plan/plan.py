"""Config and machine to a plan: who runs where, on how much, checked before anything starts.

    ratchet doctor configs/one-gpu.yaml

On a CPU, samplers and train workers take turns, each with all threads. On one GPU they take turns
on it: vLLM sleeps while training. On several they are spread, one GPU to each.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from configs.schema import Config, Train
from engine.plan.footprint import Shape, shape_of
from engine.plan.machine import Machine
from engine.plan.needs import Need, PlanError, cpu_memory, disk, gpu_memory

# Fractions of a GPU that one sampler and one worker reserve where they take turns on it: together one
# GPU, while neither two samplers nor a sampler and two workers fit on the same one.
SAMPLER_TURN, WORKER_TURN = 0.51, 0.49


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Equal processes: samplers, or train workers."""

    num: int
    threads: int
    """Of each."""
    gpus: float
    """Of each, as reserved from Ray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    device: Literal["cpu", "gpu"]
    take_turns: bool
    """Samplers and train workers use the same cores or the same GPU, one after the other."""
    num_cpus: int
    num_gpus: int
    samplers: Group
    warm_start: Group | None
    train: Group
    needs: tuple[Need, ...]
    """Empty of what depends on the model's size where that is not known."""

    @property
    def resources(self) -> dict[str, float]:
        """Custom Ray resources: every sampler takes one `sampler`, so that none is started twice."""
        return {"sampler": self.samplers.num}


def make_plan(config: Config, machine: Machine, home: Path, *, training: bool = True) -> Plan:
    """Who runs where; without `training`, memory and disk for it are not asked for.

    Raises PlanError, or engine.models.identity.ModelError where `base` is no usable directory.
    """
    return plan_for(shape_of(config.base), config, machine, home, training=training)


def plan_for(
    shape: Shape | None, config: Config, machine: Machine, home: Path, *, training: bool = True
) -> Plan:
    """As `make_plan`, of a base whose sizes are known already. Raises PlanError."""
    num_cpus = _declared("num_cpus", "cores", config.resources.num_cpus, machine.num_cpus)
    num_gpus = _declared("num_gpus", "GPUs", config.resources.num_gpus, machine.num_gpus)
    warm_start = config.warm_start.train if config.warm_start and config.start == "base" else None
    plan = (
        _on_gpus(config, warm_start, num_cpus, num_gpus, machine)
        if num_gpus
        else _on_cpus(config, warm_start, num_cpus, machine.node_cpus or (num_cpus,))
    )
    if shape is None:
        return plan
    trains = {"warm_start.train": warm_start} if warm_start else {}
    trains = {**trains, "train": config.train} if training else {}
    needs = [disk(config, trains, shape, machine, home)]
    if plan.device == "cpu":
        needs.append(cpu_memory(config, trains, shape, machine))
    else:
        needs += gpu_memory(config, trains, shape, machine.gpu, plan.take_turns)
    return replace(plan, needs=tuple(needs))


def as_declared(config: Config, machine: Machine) -> Machine:
    """The machine that the config asks for, of unknown memory where it asks for more than is here."""
    cpus, gpus = config.resources.num_cpus or 0, config.resources.num_gpus or 0
    elsewhere = cpus > machine.num_cpus or gpus > machine.num_gpus
    trains = [config.train] + ([config.warm_start.train] if config.warm_start else [])
    cores = max(
        cpus, machine.num_cpus, config.sampler.num_actors + max(train.num_workers for train in trains)
    )
    return replace(
        machine,
        num_cpus=cores if elsewhere else machine.num_cpus,
        num_gpus=max(gpus, machine.num_gpus),
        memory=None if elsewhere else machine.memory,
        disk=None if elsewhere else machine.disk,
        gpu=None if elsewhere else machine.gpu,
        node_cpus=() if elsewhere else machine.node_cpus,
        node_gpus=() if elsewhere else machine.node_gpus,
    )


def _declared(key: str, noun: str, asked: int | None, there: int) -> int:
    if asked is not None and asked > there:
        raise PlanError(
            f"resources.{key}={asked}, but this run may use {there} {noun}: run it where there are {asked}, "
            f"or set resources.{key}={there} and a plan that fits"
        )
    return there if asked is None else asked


def _on_cpus(config: Config, warm_start: Train | None, num_cpus: int, nodes: tuple[int, ...]) -> Plan:
    asked = [
        ("sampler.num_actors", config.sampler.num_actors),
        ("train.num_workers", config.train.num_workers),
    ]
    if warm_start:
        asked.append(("warm_start.train.num_workers", warm_start.num_workers))
    for key, num in asked:
        if num > num_cpus:
            raise PlanError(
                f"{key}={num} needs {num} cores, one each, but there are {num_cpus}: set {key}={num_cpus}"
            )
    if config.sampler.tensor_parallel > 1:
        raise PlanError(
            f"sampler.tensor_parallel={config.sampler.tensor_parallel} needs as many GPUs, but there are 0: "
            "set sampler.tensor_parallel=1"
        )
    return Plan(
        device="cpu",
        take_turns=True,
        num_cpus=num_cpus,
        num_gpus=0,
        samplers=_on_nodes(config.sampler.num_actors, num_cpus, nodes),
        warm_start=_on_nodes(warm_start.num_workers, num_cpus, nodes) if warm_start else None,
        train=_on_nodes(config.train.num_workers, num_cpus, nodes),
        needs=(),
    )


def _on_nodes(num: int, num_cpus: int, nodes: tuple[int, ...]) -> Group:
    """Processes of as many threads as leave each of them whole on a node. There is a core for each."""
    most = min(num_cpus // num, max(nodes))
    fits = (t for t in range(most, 0, -1) if sum(cpus // t for cpus in nodes) >= num)
    return Group(num=num, threads=next(fits, 1), gpus=0)


def _on_gpus(
    config: Config, warm_start: Train | None, num_cpus: int, num_gpus: int, machine: Machine
) -> Plan:
    samplers, parallel = config.sampler.num_actors, config.sampler.tensor_parallel
    counts = {config.train.num_workers} | ({warm_start.num_workers} if warm_start else set())
    workers = max(counts)
    spread = samplers * parallel + workers
    in_turns = config.resources.share_gpu and parallel == 1 and counts == {samplers} and samplers <= num_gpus
    if spread > num_gpus and not in_turns:
        raise PlanError(
            f"{samplers} samplers of {parallel} GPUs and {workers} train workers need {spread} GPUs, but "
            f"there are {num_gpus}: {_fewer(num_gpus)}"
        )
    if samplers + workers > num_cpus:
        raise PlanError(
            f"{samplers} samplers and {workers} train workers need {samplers + workers} cores, one each, but "
            f"there are {num_cpus}: set fewer of sampler.num_actors and train.num_workers"
        )
    take_turns = spread > num_gpus
    # Any node may get as many processes as it has GPUs, in turns two to each: its cores are for all of them.
    there = zip(machine.node_cpus, machine.node_gpus, strict=True)
    shares = [cpus // min(samplers + workers, (1 + take_turns) * gpus) for cpus, gpus in there if gpus]
    threads = max(1, min([num_cpus // (samplers + workers), *shares]))
    worker_gpus = WORKER_TURN if take_turns else 1.0
    return Plan(
        device="gpu",
        take_turns=take_turns,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        samplers=Group(num=samplers, threads=threads, gpus=SAMPLER_TURN if take_turns else float(parallel)),
        warm_start=Group(num=warm_start.num_workers, threads=threads, gpus=worker_gpus)
        if warm_start
        else None,
        train=Group(num=config.train.num_workers, threads=threads, gpus=worker_gpus),
        needs=(),
    )


def _fewer(num_gpus: int) -> str:
    turns = (
        f"set resources.share_gpu=true with sampler.num_actors and every num_workers={num_gpus} to take turns"
        " on them (sampler.tensor_parallel=1)"
    )
    if num_gpus == 1:
        return turns
    return f"set fewer of sampler.num_actors, sampler.tensor_parallel and train.num_workers, or {turns}"

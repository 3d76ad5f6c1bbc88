"""Config and machine to a plan: who runs where, with how much, checked before anything starts.

    ratchet doctor configs/one-gpu.yaml

On a CPU, samplers and train workers take turns, each with all threads. On one GPU they take turns on it: vLLM
sleeps during training. On several GPUs they are spread, one GPU to each process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from configs.schema import Config, HubModel, Resources, Sampler
from engine.models.base import check_base
from engine.plan.footprint import Shape, shape_of
from engine.plan.machine import Machine
from engine.plan.needs import Demand, Need, PlanError, cpu_memory, disk, gpu_memory, proving
from engine.plan.precision import settle

# Fractions of a GPU that one sampler and one worker reserve where they take turns on it: together one
# GPU, while neither two samplers nor a sampler and two workers fit on the same one.
SAMPLER_TURN, WORKER_TURN = 0.51, 0.49


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Equal processes: samplers, or train workers."""

    num: int
    threads: int
    """Threads of each."""
    gpus: float
    """GPUs that each reserves from Ray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who runs where."""

    device: Literal["cpu", "gpu"]
    take_turns: bool
    """Samplers and train workers use the same cores or the same GPU, one after the other."""
    num_cpus: int
    num_gpus: int
    samplers: Group
    workers: Mapping[str, Group]
    """Train workers by the dotted key of their training, such as ``warm_start.train``."""
    needs: tuple[Need, ...]
    """Estimates that depend on the model's size are missing where that is unknown."""

    @property
    def resources(self) -> dict[str, float]:
        """Custom Ray resources: every sampler takes one `sampler`, so that none is started twice."""
        return {"sampler": self.samplers.num}


def make_plan(config: Config, machine: Machine, home: Path) -> Plan:
    """The plan of a campaign.

    Raises PlanError, or engine.models.identity.ModelError where `base` is no usable directory or not suited.
    """
    return plan_for(shape_of(config.base), config, machine, home)


def plan_for(shape: Shape | None, config: Config, machine: Machine, home: Path) -> Plan:
    """The plan of a campaign on a base whose sizes are known already. Raises as `make_plan`."""
    config = settle(config, machine)
    check_base(config.base, home, config.sampler.max_model_len, packed=config.packs)
    demand = Demand(
        sampler=config.sampler,
        resources=config.resources,
        trains=config.trains,
        rounds=config.stop.rounds,
    )
    return _plan(shape, demand, machine, home)


def plan_sampling(
    sampler: Sampler, resources: Resources, base: str | HubModel, machine: Machine, home: Path
) -> Plan:
    """A plan without training: samplers alone. Raises as `make_plan`."""
    check_base(base, home, sampler.max_model_len, trained=False)
    demand = Demand(sampler=sampler, resources=resources, trains={}, rounds=0)
    return _plan(shape_of(base), demand, machine, home)


def _plan(shape: Shape | None, demand: Demand, machine: Machine, home: Path) -> Plan:
    num_cpus = _declared("num_cpus", "cores", demand.resources.num_cpus, machine.num_cpus)
    num_gpus = _declared("num_gpus", "GPUs", demand.resources.num_gpus, machine.num_gpus)
    plan = (
        _on_gpus(demand, num_cpus, num_gpus, machine)
        if num_gpus
        else _on_cpus(demand, num_cpus, machine.node_cpus or (num_cpus,))
    )
    if shape is None:
        return plan
    needs = [disk(demand, shape, machine, home)]
    if plan.device == "cpu":
        needs.append(cpu_memory(demand, shape, machine))
    else:
        needs += gpu_memory(demand, shape, machine.gpu, plan.take_turns)
    needs.append(proving(demand.sampler, shape, machine))
    return replace(plan, needs=tuple(needs))


def as_declared(config: Config, machine: Machine) -> Machine:
    """The machine that the config asks for; its memory is unknown where it asks for more than is here."""
    cpus, gpus = config.resources.num_cpus or 0, config.resources.num_gpus or 0
    elsewhere = cpus > machine.num_cpus or gpus > machine.num_gpus
    workers = max(train.num_workers for train in config.trains.values())
    cores = max(cpus, machine.num_cpus, config.sampler.num_actors + workers)
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


def _on_cpus(demand: Demand, num_cpus: int, nodes: tuple[int, ...]) -> Plan:
    sampler = demand.sampler
    workers = {f"{key}.num_workers": train.num_workers for key, train in demand.trains.items()}
    for key, num in {"sampler.num_actors": sampler.num_actors, **workers}.items():
        if num > num_cpus:
            raise PlanError(
                f"{key}={num} needs {num} cores, one each, but there are {num_cpus}: set {key}={num_cpus}"
            )
    if sampler.tensor_parallel > 1:
        raise PlanError(
            f"sampler.tensor_parallel={sampler.tensor_parallel} needs as many GPUs, but there are 0: "
            "set sampler.tensor_parallel=1"
        )
    return Plan(
        device="cpu",
        take_turns=True,
        num_cpus=num_cpus,
        num_gpus=0,
        samplers=_on_nodes(sampler.num_actors, num_cpus, nodes),
        workers={key: _on_nodes(train.num_workers, num_cpus, nodes) for key, train in demand.trains.items()},
        needs=(),
    )


def _on_nodes(num: int, num_cpus: int, nodes: tuple[int, ...]) -> Group:
    """Processes with as many threads as leave each of them whole on a node. There is a core for each."""
    most = min(num_cpus // num, max(nodes))
    fits = (t for t in range(most, 0, -1) if sum(cpus // t for cpus in nodes) >= num)
    return Group(num=num, threads=next(fits, 1), gpus=0)


def _on_gpus(demand: Demand, num_cpus: int, num_gpus: int, machine: Machine) -> Plan:
    samplers, parallel = demand.sampler.num_actors, demand.sampler.tensor_parallel
    counts = {train.num_workers for train in demand.trains.values()}
    workers = max(counts, default=0)
    spread = samplers * parallel + workers
    in_turns = demand.resources.share_gpu and parallel == 1 and counts == {samplers} and samplers <= num_gpus
    beside = f" and {workers} train workers" if workers else ""
    if spread > num_gpus and not in_turns:
        raise PlanError(
            f"{samplers} samplers of {parallel} GPUs{beside} need {spread} GPUs, but there are {num_gpus}: "
            f"{_fewer(demand, num_gpus)}"
        )
    if samplers + workers > num_cpus:
        raise PlanError(
            f"{samplers} samplers{beside} need {samplers + workers} cores, one each, but there are "
            f"{num_cpus}: set fewer of {_counts(demand, 'sampler.num_actors')}"
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
        workers={
            key: Group(num=train.num_workers, threads=threads, gpus=worker_gpus)
            for key, train in demand.trains.items()
        },
        needs=(),
    )


def _fewer(demand: Demand, num_gpus: int) -> str:
    fewer = f"set fewer of {_counts(demand, 'sampler.num_actors', 'sampler.tensor_parallel')}"
    if not demand.trains:
        return fewer
    turns = (
        f"set resources.share_gpu=true with sampler.num_actors and every num_workers={num_gpus} to take turns"
        " on them (sampler.tensor_parallel=1)"
    )
    return turns if num_gpus == 1 else f"{fewer}, or {turns}"


def _counts(demand: Demand, *keys: str) -> str:
    """Keys that say how many processes there are, as a list in a sentence."""
    *names, last = [*keys, *(f"{key}.num_workers" for key in demand.trains)]
    return f"{', '.join(names)} and {last}" if names else last

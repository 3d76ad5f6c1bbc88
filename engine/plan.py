"""Config and machine to a plan: who runs where, on how much, checked before anything starts.

    ratchet doctor configs/one-gpu.yaml

On a CPU, samplers and train workers take turns, each with all threads. On one GPU they take turns
on it: vLLM sleeps while training. On several they are spread, one GPU to each.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from configs.schema import Config, Train
from engine.footprint import (
    CONTEXT,
    GIB,
    PROCESS,
    Shape,
    sampler_on_gpu,
    sampler_weights,
    shape_of,
    trained_weights,
    trainer,
    width,
)
from engine.machine import Gpu, Machine

# Fractions of a GPU that one sampler and one worker reserve where they take turns on it: together one
# GPU, while neither two samplers nor a sampler and two workers fit on the same one.
SAMPLER_TURN, WORKER_TURN = 0.51, 0.49


class PlanError(ValueError):
    """A plan that does not fit; the message says what is missing and what would fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Equal processes: samplers, or train workers."""

    num: int
    threads: int
    """Of each."""
    gpus: float
    """Of each, as reserved from Ray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One estimated demand against what is there, in bytes."""

    what: str
    needed: int
    available: int | None
    """None where it is not known."""


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

    Raises PlanError, or engine.models.ModelError where `base` is no usable directory.
    """
    num_cpus = _declared("num_cpus", "cores", config.resources.num_cpus, machine.num_cpus)
    num_gpus = _declared("num_gpus", "GPUs", config.resources.num_gpus, machine.num_gpus)
    shape = shape_of(config.base)
    warm_start = config.warm_start.train if config.warm_start and config.start == "base" else None
    plan = (
        _on_gpus(config, warm_start, num_cpus, num_gpus)
        if num_gpus
        else _on_cpus(config, warm_start, num_cpus, machine.node_cpus or (num_cpus,))
    )
    if shape is None:
        return plan
    trains = {"warm_start.train": warm_start} if warm_start else {}
    trains = {**trains, "train": config.train} if training else {}
    needs = [_disk(config, trains, shape, machine, home)]
    if plan.device == "cpu":
        needs.append(_cpu_memory(config, trains, shape, machine))
    else:
        needs += _gpu_memory(config, trains, shape, machine.gpu, plan.take_turns)
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
    fits = (t for t in range(num_cpus // num, 0, -1) if sum(cpus // t for cpus in nodes) >= num)
    return Group(num=num, threads=next(fits, 1), gpus=0)


def _on_gpus(config: Config, warm_start: Train | None, num_cpus: int, num_gpus: int) -> Plan:
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
    threads = max(1, num_cpus // (samplers + workers))
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


def _disk(config: Config, trains: dict[str, Train], shape: Shape, machine: Machine, home: Path) -> Need:
    """Every round leaves a merged model; training keeps two checkpoints of weights and optimizer."""
    needed = GIB // 2
    if trains:
        needed += shape.num_parameters * width(config.train.dtype) * (config.stop.rounds + 3)
        needed += 2 * 12 * max(trained_weights(shape, train) for train in trains.values())
    if machine.disk is not None and needed > machine.disk:
        raise PlanError(
            f"{home} needs about {_gib(needed)} of disk, but "
            f"{_gib(machine.disk)} are free: free some with `ratchet models prune`, or set RATCHET_HOME to a "
            "larger disk"
        )
    return Need(what="disk", needed=needed, available=machine.disk)


def _cpu_memory(config: Config, trains: dict[str, Train], shape: Shape, machine: Machine) -> Need:
    sampler, available = config.sampler, machine.memory
    one_sampler = PROCESS + sampler_weights(shape, sampler) + int(sampler.kv_cache_gib * GIB)
    sampling = sampler.num_actors * one_sampler
    base = PROCESS + sampling  # the driver with Ray, and the samplers, which stay while workers train

    def total(train: Train) -> int:
        return base + train.num_workers * (PROCESS + trainer(shape, train, on_cpu=True).total)

    if available is not None and base > available:
        raise PlanError(
            f"{sampler.num_actors} samplers need about {_gib(base)} of memory with the driver, but "
            f"{_gib(available)} are free: set fewer sampler.num_actors or a smaller sampler.kv_cache_gib"
        )
    for key, train in trains.items():
        if available is not None and total(train) > available:
            fits = [(text, total(smaller)) for text, smaller in _smaller(key, train)]
            raise PlanError(
                f"{key} needs about {_gib(total(train))} of memory (samplers {_gib(sampling)}, training "
                f"{_gib(total(train) - base)}), but {_gib(available)} are free: {_advice(fits, available)}"
            )
    return Need(what="memory", needed=max([base, *map(total, trains.values())]), available=available)


def _gpu_memory(
    config: Config, trains: dict[str, Train], shape: Shape, gpu: Gpu | None, take_turns: bool
) -> list[Need]:
    """Of one GPU: where they take turns, the sampler sleeps and its weights are in the host's memory."""
    sampler, available = config.sampler, gpu.memory if gpu else None
    heads, parallel = shape.heads, sampler.tensor_parallel
    if heads % parallel:
        raise PlanError(
            f"sampler.tensor_parallel must divide the base's {heads} attention heads, got {parallel}"
        )
    sampling = int(sampler_on_gpu(shape, sampler).total / sampler.gpu_memory)
    needs = [Need(what="GPU memory, a sampler", needed=sampling, available=available)]
    if available is not None and sampling > available:
        raise PlanError(
            f"a sampler needs about {_gib(sampling)} on each GPU, but one has {_gib(available)}: set "
            "sampler.tensor_parallel higher (GPUs to a sampler) or choose a smaller base"
        )

    def on_gpu(train: Train) -> int:
        # A sampler that sleeps keeps its own context.
        return CONTEXT * (1 + take_turns) + trainer(shape, train).total

    for key, train in trains.items():
        needed = on_gpu(train)
        needs.append(Need(what=f"GPU memory, {key}", needed=needed, available=available))
        if available is not None and needed > available:
            fits = [(text, on_gpu(smaller)) for text, smaller in _smaller(key, train)]
            has = f"on each GPU, but one has {_gib(available)}"
            raise PlanError(f"{key} needs about {_gib(needed)} {has}: {_advice(fits, available)}")
    return needs


def _smaller(key: str, train: Train) -> list[tuple[str, Train]]:
    """Settings that need less memory and train the same or nearly so, the mildest first."""
    options = []
    micro = train.micro_batch_size
    for checkpointing in sorted({train.gradient_checkpointing, True}):
        for size in (size for size in range(micro, 0, -1) if micro % size == 0):
            update = {"micro_batch_size": size, "gradient_checkpointing": checkpointing}
            text = " ".join(f"{key}.{name}={value}".lower() for name, value in update.items())
            options.append((text, train.model_copy(update=update)))
    lora = {"tuning": "lora", "micro_batch_size": 1, "gradient_checkpointing": True}
    text = f"{key}.tuning=lora {key}.micro_batch_size=1 {key}.gradient_checkpointing=true"
    return [*options, (text, train.model_copy(update=lora))]


def _advice(fits: list[tuple[str, int]], available: int) -> str:
    for text, needed in fits:
        if needed <= available:
            return f"set {text}, which needs about {_gib(needed)}"
    return f"no smaller setting fits, the smallest needs about {_gib(min(needed for _, needed in fits))}"


def _gib(number: int) -> str:
    return f"{number / GIB:.1f} GiB"

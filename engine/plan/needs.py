"""How much disk and memory a plan needs, what is there, and which smaller settings would fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from configs.schema import Resources, Sampler
from configs.training import Train
from engine.errors import Mistake
from engine.plan.footprint import (
    CONTEXT,
    GIB,
    PROCESS,
    Shape,
    sampler_on_gpu,
    sampler_weights,
    trained_weights,
    trainer,
    width,
)
from engine.plan.machine import Gpu, Machine

if TYPE_CHECKING:
    from engine.plan.plan import Plan


class PlanError(Mistake):
    """A plan does not fit; the message says what is missing and what would fit."""


class Connects(Protocol):
    """A cluster as a command that samples needs one, whose room knows none."""

    def machine(self, home: Path) -> Machine: ...

    def connect(self, needs: "Plan") -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Who has to run: samplers, and trainings one after the other."""

    sampler: Sampler
    resources: Resources
    trains: Mapping[str, Train]
    """Trainings by their dotted keys in the config; empty where nothing is trained."""
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One estimated demand against what is there, in bytes."""

    what: str
    needed: int
    available: int | None
    """None where it is not known."""


def disk(demand: Demand, shape: Shape, machine: Machine, home: Path) -> Need:
    """Bytes on disk: every round leaves a merged model, and training keeps two checkpoints of weights and
    optimizer. A training that selects among candidates keeps each of them until it has chosen."""
    needed, trains = GIB // 2, demand.trains.values()
    if trains:
        merged = shape.num_parameters * max(width(train.dtype) for train in trains)
        checkpoint = 12 * max(trained_weights(shape, train) for train in trains)
        candidates = max(train.select.checkpoints if train.select else 0 for train in trains)
        needed += merged * (demand.rounds + 3) + 2 * checkpoint + candidates * (merged + checkpoint)
    if machine.disk is not None and needed > machine.disk:
        raise PlanError(
            f"{home} needs about {_gib(needed)} of disk, but "
            f"{_gib(machine.disk)} are free: free some with `ratchet models prune`, or set RATCHET_HOME to a "
            "larger disk"
        )
    return Need(what="disk", needed=needed, available=machine.disk)


def cpu_memory(demand: Demand, shape: Shape, machine: Machine) -> Need:
    """Memory of a machine without GPUs, at the largest of its trainings. Raises PlanError."""
    sampler, available = demand.sampler, machine.memory
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
    for key, train in demand.trains.items():
        if available is not None and total(train) > available:
            fits = [(text, total(smaller)) for text, smaller in _smaller(key, train)]
            raise PlanError(
                f"{key} needs about {_gib(total(train))} of memory (samplers {_gib(sampling)}, training "
                f"{_gib(total(train) - base)}), but {_gib(available)} are free: {_advice(fits, available)}"
            )
    return Need(what="memory", needed=max([base, *map(total, demand.trains.values())]), available=available)


def gpu_memory(demand: Demand, shape: Shape, gpu: Gpu | None, take_turns: bool) -> list[Need]:
    """Memory of one GPU. Raises PlanError.

    Where sampler and trainer take turns, the sampler sleeps with its weights in the host's memory.
    """
    sampler, available = demand.sampler, gpu.memory if gpu else None
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

    for key, train in demand.trains.items():
        needed = on_gpu(train)
        needs.append(Need(what=f"GPU memory, {key}", needed=needed, available=available))
        if available is not None and needed > available:
            fits = [(text, on_gpu(smaller)) for text, smaller in _smaller(key, train)]
            has = f"on each GPU, but one has {_gib(available)}"
            raise PlanError(f"{key} needs about {_gib(needed)} {has}: {_advice(fits, available)}")
    return needs


def proving(sampler: Sampler, shape: Shape, machine: Machine) -> Need:
    """Host memory in which the samplers' processes load models that have no reference, beside their engines.

    It is known only at a swap whether one is needed, so that no plan is refused for it.
    """
    needed = sampler.num_actors * 4 * shape.num_parameters  # in 32 bit, on the CPU
    return Need(what="memory to compute references", needed=needed, available=machine.memory)


def loading(shape: Shape, train: Train) -> int:
    """Bytes of host memory in which each train worker reads the whole model before it is sharded."""
    rounded = train.tuning == "lora" and train.dtype == "bfloat16"
    return shape.num_parameters * (2 if rounded else 4)


def merging(shape: Shape, train: Train) -> int:
    """Bytes of host memory in which the first worker writes the merged model: the old and the new weights in
    32 bit, and with full tuning the learnt ones beside them."""
    return shape.num_parameters * (12 if train.tuning == "full" else 8)


def _smaller(key: str, train: Train) -> list[tuple[str, Train]]:
    """Settings that need less memory and train the same or nearly the same, the mildest first."""
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

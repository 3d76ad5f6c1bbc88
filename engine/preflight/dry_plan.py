"""A campaign on a cluster that need not exist: who goes where, memory by part, work, time and cost.

    ratchet plan configs/cluster.yaml --nodes 2 --gpus-per-node 8 --gpu-hour-price 2.5

Nothing is started or downloaded. A plan that cannot fit is refused with settings that would.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from configs.schema import Config
from engine.plan.footprint import (
    CONTEXT,
    GIB,
    PROCESS,
    Shape,
    sampler_on_gpu,
    sampler_weights,
    shape_of,
    trainer,
)
from engine.plan.needs import PlanError, loading, merging
from engine.plan.placement import Cluster, Place, place
from engine.plan.plan import Plan, make_plan
from engine.plan.precision import settle
from engine.preflight.forecast import Assumption, Speeds, assumptions
from engine.preflight.workload import (
    Lengths,
    LoopWork,
    Range,
    Work,
    characters_a_token,
    exactly,
    once_work,
    round_work,
    texts_of,
)
from engine.tasks import suite_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory of one GPU, or of one node, by purpose."""

    where: str
    parts: Mapping[str, int]
    """Bytes by purpose."""
    available: int | None

    @property
    def total(self) -> int:
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a campaign with its time."""

    work: Work
    seconds: Range
    times: int
    """How often a campaign runs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryPlan:
    """What `ratchet plan` shows."""

    cluster: Cluster
    plan: Plan
    places: tuple[Place, ...]
    num_idle_gpus: int
    memory: tuple[Memory, ...]
    lengths: Lengths
    stages: tuple[Stage, ...]
    seconds: Range
    """Time of the whole campaign, its start included."""
    gpu_hours: Range
    """Hours of all GPUs of all nodes, because idle ones cost as well."""
    cost: Range | None
    """None where no price was given."""
    assumptions: tuple[Assumption, ...]


def make_dry_plan(
    config: Config,
    cluster: Cluster,
    *,
    loop_work: LoopWork,
    price: float | None = None,
    assume: Sequence[str] = (),
) -> DryPlan:
    """A campaign on a cluster; `loop_work` gives the stages of the config's loop.

    Raises PlanError for what cannot fit, ForecastError for an unknown assumption, DataError for a task that
    cannot be used, and ModelError where `base` is no usable directory.
    """
    config = settle(config, cluster.machine())
    suite = suite_of(config)
    shape = shape_of(config.base)
    if shape is None:
        raise PlanError(
            "the sizes of the base are not known here: set base to a directory with its config.json, or "
            "download it once"
        )
    plan = make_plan(config, cluster.machine(), Path("RATCHET_HOME"))
    system = suite.task.system if config.system is None else config.system
    texts = texts_of(suite, system, config.stop.rounds)
    assumed = assumptions(plan.device, characters_a_token(texts), assume)
    places = place(plan, cluster, config.sampler.tensor_parallel)
    memory = _on_a_gpu(config, plan, cluster, shape) if plan.device == "gpu" else []
    memory.append(_on_a_node(config, plan, places, cluster, shape))
    lengths = Lengths.of(config, texts, assumed["characters_per_token"].range)
    speeds = Speeds(
        config=config,
        plan=plan,
        shape=shape,
        gpu_memory=cluster.gpu_memory,
        lengths=lengths,
        assumed=assumed,
    )
    work = [(1, each) for each in once_work(config, lengths)]
    work += [(config.stop.rounds, each) for each in round_work(config, lengths, loop_work, texts.guarded)]
    stages = [Stage(work=each, seconds=speeds.seconds(each), times=times) for times, each in work]
    seconds = assumed["sampler_start_seconds"].range
    for stage in stages:
        seconds = seconds.plus(stage.seconds.times(exactly(stage.times)))
    num_gpus = cluster.nodes * cluster.gpus_per_node
    gpu_hours = seconds.times(exactly(num_gpus / 3600))
    return DryPlan(
        cluster=cluster,
        plan=plan,
        places=tuple(places),
        num_idle_gpus=num_gpus - len({(each.node, gpu) for each in places for gpu in each.gpus}),
        memory=tuple(memory),
        lengths=lengths,
        stages=tuple(stages),
        seconds=seconds,
        gpu_hours=gpu_hours,
        cost=None if price is None else gpu_hours.times(exactly(price)),
        assumptions=tuple(assumed.values()),
    )


def _on_a_gpu(config: Config, plan: Plan, cluster: Cluster, shape: Shape) -> list[Memory]:
    """Memory of a GPU of each kind of process; `make_plan` has checked that each fits."""
    held = sampler_on_gpu(shape, config.sampler, cluster.gpu_memory)
    asleep = {"context of the sampler, asleep": CONTEXT} if plan.take_turns else {}
    memory = [Memory(where="a sampler's GPU", parts=asdict(held), available=cluster.gpu_memory)]
    for key, train in config.trains.items():
        parts = {**asdict(trainer(shape, train)), "context": CONTEXT, **asleep}
        memory.append(Memory(where=f"a {key} worker's GPU", parts=parts, available=cluster.gpu_memory))
    return memory


def _on_a_node(config: Config, plan: Plan, places: list[Place], cluster: Cluster, shape: Shape) -> Memory:
    """Host memory of the node that needs the most, at its fullest moment."""
    on_cpu = plan.device == "cpu"
    weights = sampler_weights(shape, config.sampler)
    samplers = Counter(each.node for each in places if each.process == "sampler")
    counts = Counter((each.node, each.training) for each in places if each.process == "worker")
    worst = Memory(where="", parts={}, available=cluster.memory_per_node)
    for node in range(cluster.nodes):
        num = samplers[node]
        parts = {"samplers": num * PROCESS}
        if on_cpu:
            parts["samplers"] += num * (weights + int(config.sampler.kv_cache_gib * GIB))
        elif plan.take_turns:
            parts["weights of samplers, asleep"] = num * weights
        if node == 0:
            verifiers = config.verify.num_processes * config.verify.memory_mib * 2**20
            parts |= {"driver": PROCESS, "verifiers, at their limit": verifiers}
        fullest = {"train workers": 0}
        for key, train in config.trains.items():
            workers = counts[node, key]
            # On a GPU the model passes through host memory; on a CPU training itself needs more than that.
            held = trainer(shape, train, on_cpu=True).total if on_cpu else loading(shape, train)
            merge = merging(shape, train) if node == 0 else 0
            training = {"train workers": workers * (PROCESS + held)}
            saving = {"train workers": workers * PROCESS, "merging in the first worker": merge}
            fullest = max([fullest, training, saving], key=lambda each: sum(each.values()))
        here = Memory(where=f"host memory of node {node}", parts=parts | fullest, available=worst.available)
        worst = max([worst, here], key=lambda memory: memory.total)
    if worst.available is not None and worst.total > worst.available:
        listed = ", ".join(f"{name} {size / GIB:.1f}" for name, size in worst.parts.items())
        raise PlanError(
            f"{worst.where} would hold about {worst.total / GIB:.1f} GiB ({listed}), but it has "
            f"{worst.available / GIB:.1f}: use nodes with more memory, or more nodes with fewer GPUs each"
        )
    return worst

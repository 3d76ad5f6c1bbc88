"""Which node and which GPUs each process of a plan goes to, on equal nodes that need not exist yet.

At run time Ray chooses. Samplers start first and each needs its GPUs on one node, so as many fit as are
placed here, whatever nodes Ray prefers; train workers take one GPU each of the rest. Every process has a core
of its node.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.plan.machine import Gpu, Machine
from engine.plan.needs import PlanError
from engine.plan.plan import Group, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Equal nodes, as the user describes them."""

    nodes: int
    gpus_per_node: int
    gpu_memory: int
    """Bytes of each GPU."""
    cpus_per_node: int
    memory_per_node: int | None
    """Bytes of host memory; None: unknown, and not checked."""

    def machine(self) -> Machine:
        """All nodes taken together."""
        memory = self.memory_per_node
        return Machine(
            num_cpus=self.nodes * self.cpus_per_node,
            memory=None if memory is None else self.nodes * memory,
            disk=None,
            num_gpus=self.nodes * self.gpus_per_node,
            gpu=Gpu(name="as described", memory=self.gpu_memory) if self.gpus_per_node else None,
            node_cpus=(self.cpus_per_node,) * self.nodes,
            node_gpus=(self.gpus_per_node,) * self.nodes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one process goes. Nodes and GPUs are counted from 0."""

    process: Literal["sampler", "worker"]
    training: str = ""
    """Dotted key of a worker's training."""
    number: int
    node: int
    gpus: tuple[int, ...]

    @property
    def name(self) -> str:
        """The kind of process, for people: ``sampler`` or ``loop.train worker``."""
        return f"{self.training} {self.process}".strip()


def place(plan: Plan, cluster: Cluster, tensor_parallel: int) -> list[Place]:
    """Every sampler and train worker. Raises PlanError where they fit the cluster but not its nodes."""
    if plan.device == "cpu":
        return _on_cores(plan, cluster)
    samplers = _samplers(plan, cluster, tensor_parallel)
    if plan.take_turns:
        free = [(each.node, each.gpus[0]) for each in samplers]
    else:
        free = _free(cluster, samplers)
        _require_room(cluster, plan.workers, len(free))
    places = [
        Place(process="worker", training=key, number=i, node=node, gpus=(gpu,))
        for key, group in plan.workers.items()
        for i, (node, gpu) in zip(range(group.num), free, strict=False)
    ]
    return samplers + places


def _samplers(plan: Plan, cluster: Cluster, tensor_parallel: int) -> list[Place]:
    if tensor_parallel > cluster.gpus_per_node:
        raise PlanError(
            f"sampler.tensor_parallel={tensor_parallel} needs that many GPUs on one node, but a node has "
            f"{cluster.gpus_per_node}: set sampler.tensor_parallel={cluster.gpus_per_node} or less"
        )
    on_a_node = cluster.gpus_per_node // tensor_parallel
    if plan.samplers.num > on_a_node * cluster.nodes:
        raise PlanError(
            f"{plan.samplers.num} samplers of {tensor_parallel} GPUs, each on one node, do not fit: "
            f"{cluster.nodes} nodes of {cluster.gpus_per_node} GPUs hold {on_a_node * cluster.nodes}; set "
            f"sampler.num_actors={on_a_node * cluster.nodes} or a sampler.tensor_parallel that divides "
            f"{cluster.gpus_per_node}"
        )
    # On as few nodes as possible; over all of them, as Ray does, where nodes have fewer cores than GPUs.
    places, few = [], cluster.cpus_per_node < cluster.gpus_per_node
    for i in range(plan.samplers.num):
        node, slot = (i % cluster.nodes, i // cluster.nodes) if few else divmod(i, on_a_node)
        gpus = range(slot * tensor_parallel, (slot + 1) * tensor_parallel)
        places.append(Place(process="sampler", number=i, node=node, gpus=tuple(gpus)))
    return places


def _free(cluster: Cluster, samplers: list[Place]) -> list[tuple[int, int]]:
    """GPUs without a sampler, with their nodes, as far as there are cores for workers."""
    taken = {(each.node, gpu) for each in samplers for gpu in each.gpus}
    busy = Counter(each.node for each in samplers)
    free = []
    for node in range(cluster.nodes):
        gpus = [(node, gpu) for gpu in range(cluster.gpus_per_node) if (node, gpu) not in taken]
        free += gpus[: cluster.cpus_per_node - busy[node]]
    return free


def _require_room(cluster: Cluster, workers: Mapping[str, Group], room: int) -> None:
    num = max(group.num for group in workers.values())
    if num > room:
        raise PlanError(
            f"{num} train workers, each with a GPU and a core of one node, do not fit beside the samplers: "
            f"{cluster.nodes} nodes of {cluster.gpus_per_node} GPUs and {cluster.cpus_per_node} cores have "
            f"room for {room}; set fewer of every num_workers, or a smaller sampler.tensor_parallel"
        )


def _on_cores(plan: Plan, cluster: Cluster) -> list[Place]:
    """Places samplers in turn over the nodes, and workers, which reserve their cores, node by node."""
    places = [
        Place(process="sampler", number=i, node=i % cluster.nodes, gpus=()) for i in range(plan.samplers.num)
    ]
    for key, group in plan.workers.items():
        on_a_node = cluster.cpus_per_node // group.threads
        places += [
            Place(process="worker", training=key, number=i, node=i // on_a_node, gpus=())
            for i in range(group.num)
        ]
    return places

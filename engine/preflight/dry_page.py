"""A dry plan on one page, for people; programs read `ratchet plan CONFIG --json`."""

from collections import defaultdict
from itertools import groupby

from engine.plan.footprint import GIB
from engine.plan.placement import Place
from engine.preflight.dry_plan import DryPlan, Memory
from engine.preflight.findings import Finding
from engine.preflight.workload import Range


def page(dry: DryPlan) -> list[Finding]:
    """The lines of the page, section by section."""
    return [*_where(dry), *_memory(dry), *_work(dry), *_cost(dry), *_assumptions(dry)]


def _where(dry: DryPlan) -> list[Finding]:
    by_node: dict[int, list[Place]] = defaultdict(list)
    for each in dry.places:
        by_node[each.node].append(each)
    lines = []
    for text, group in groupby(range(dry.cluster.nodes), lambda node: _on(by_node[node])):
        nodes = list(group)
        name = f"node {nodes[0]}" if len(nodes) == 1 else f"nodes {nodes[0]} to {nodes[-1]}, each"
        lines.append(Finding(section="placement", what=name, found=text))
    shared = "cores" if dry.plan.device == "cpu" else "GPUs"
    turns = f"in turn on the same {shared}" if dry.plan.take_turns else f"on {shared} of their own"
    samplers = max(sum(each.process == "sampler" for each in places) for places in by_node.values())
    option = f"--resources='{{\"sampler\": {samplers}}}'"
    lines.append(
        Finding(
            section="placement",
            what="as a whole",
            found=f"samplers and train workers {turns}; start nodes that sample with `ray start {option}`; "
            "among equal nodes and GPUs Ray chooses",
        )
    )
    if dry.num_idle_gpus:
        num = dry.cluster.nodes * dry.cluster.gpus_per_node
        workers = " or ".join(f"{key}.num_workers" for key in dry.plan.workers)
        remedy = f"more of sampler.num_actors or {workers}, or fewer nodes"
        found = f"{dry.num_idle_gpus} GPUs of {num} have nothing to do"
        lines.append(Finding(section="placement", what="idle", found=found, ok=False, remedy=remedy))
    return lines


def _on(places: list[Place]) -> str:
    """The processes of a node by kind, such as ``8 samplers (number 0 to 7; GPUs 0 to 7, 1 each)``."""
    texts = []
    for kind, group in groupby(places, lambda each: each.name):
        members = list(group)
        gpus = [gpu for each in members for gpu in each.gpus]
        numbers = str(members[0].number)
        if len(members) > 1:
            numbers += f" to {members[-1].number}"
            step = members[1].number - members[0].number
            numbers += f" in steps of {step}" if step > 1 else ""
        text = f"{len(members)} {kind}{'s' if len(members) > 1 else ''} (number {numbers}"
        if gpus:
            text += f"; GPU {gpus[0]}" if len(gpus) == 1 else f"; GPUs {gpus[0]} to {gpus[-1]}"
            text += f", {len(gpus) // len(members)} each"
        texts.append(f"{text})")
    return "; ".join(texts) or "nothing"


def _memory(dry: DryPlan) -> list[Finding]:
    def line(memory: Memory) -> Finding:
        parts = ", ".join(
            f"{name.replace('_', ' ')} {size / GIB:.1f}" for name, size in memory.parts.items() if size
        )
        there = (
            f" of {memory.available / GIB:.1f} GiB" if memory.available is not None else " GiB, not checked"
        )
        return Finding(section="memory", what=memory.where, found=f"{memory.total / GIB:.1f}{there}: {parts}")

    return [line(memory) for memory in dry.memory]


def _work(dry: DryPlan) -> list[Finding]:
    lines = [
        Finding(
            section="work and time",
            what="lengths, tokens",
            found=f"prompt {_span(dry.lengths.prompt)}, answer {_span(dry.lengths.answer)}: from the mean of "
            "the task's own texts to its longest prompt and sampler.max_new_tokens",
        )
    ]
    for stage in dry.stages:
        work = stage.work
        counts = {
            "requests": work.requests,
            "tokens sampled": work.sampled_tokens,
            "trained": work.trained_tokens,
            "answers judged": work.judged,
        }
        listed = ", ".join(f"{_span(count)} {name}" for name, count in counts.items() if count.high)
        lines.append(
            Finding(
                section="work and time",
                what=f"{stage.work.stage}, {'each round' if stage.times > 1 else 'once'}",
                found=f"{listed}: {_time(stage.seconds)}",
            )
        )
    return lines


def _cost(dry: DryPlan) -> list[Finding]:
    lines = [Finding(section="campaign", what="time", found=_time(dry.seconds))]
    if dry.gpu_hours.high:
        cost = "no price given (--gpu-hour-price)" if dry.cost is None else f"costs {_span(dry.cost)}"
        lines.append(
            Finding(
                section="campaign",
                what="GPU hours",
                found=f"{_span(dry.gpu_hours)}, idle GPUs included; {cost}",
            )
        )
    return lines


def _assumptions(dry: DryPlan) -> list[Finding]:
    cluster = dry.cluster
    memory = "unknown" if cluster.memory_per_node is None else f"{cluster.memory_per_node / GIB:.0f} GiB"
    node = (
        f"{cluster.gpus_per_node} GPUs of {cluster.gpu_memory / GIB:.0f} GiB, "
        if cluster.gpus_per_node
        else ""
    )
    described = f"{node}{cluster.cpus_per_node} cores, memory {memory}"
    lines = [Finding(section="assumed", what="a node", found=described)]
    for each in dry.assumptions:
        value = "not set" if each.value is None else _span(each.value)
        lines.append(Finding(section="assumed", what=each.key, found=f"{value}: {each.meaning}"))
    note = (
        "these are estimates, not measurements; nothing waits for a network; a campaign that stops early "
        "takes less; --assume KEY=VALUE or KEY=LOW..HIGH changes an assumption"
    )
    return [*lines, Finding(section="assumed", what="note", found=note)]


def _span(value: Range) -> str:
    low, high = (_number(end) for end in value)
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _time(seconds: Range) -> str:
    size, unit = next(
        (size, unit)
        for size, unit in ((3600, "h"), (60, "min"), (1, "s"))
        if seconds.high >= 2 * size or size == 1
    )
    return f"{_span(Range(seconds.low / size, seconds.high / size))} {unit}"

"""What answering and verifying need: samplers and pools of verifiers, opened once a run."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from configs.schema import Config
from engine.plan.plan import Plan
from engine.sample.group import SamplerGroup
from engine.sample.protocol import Sampler
from engine.tasks import Suite
from engine.verify import AND
from engine.verify.pool import VerifierPool


class Bench(NamedTuple):
    """What answering and verifying needs, made once a run."""

    sampler: Sampler
    pool: VerifierPool
    system: str
    max_undecided: float
    second_verifier: str = ""
    """Which one confirms every PASS of `pool`; empty where none does."""


class Benches(NamedTuple):
    """The same samplers before two pools: what labels training data has no say in what is judged by both."""

    labels: Bench
    gate: Bench


@contextmanager
def open_benches(config: Config, plan: Plan, suite: Suite, model: Path) -> Iterator[Benches]:
    """Start the samplers on `model` and the verifiers' processes; all end with the context."""
    limits = config.verify

    def pool(verifier: str) -> VerifierPool:
        return VerifierPool(
            verifier,
            num_processes=limits.num_processes,
            seconds=limits.seconds,
            memory_mib=limits.memory_mib,
        )

    first, second = suite.task.VERIFIER, suite.second_verifier
    with (
        SamplerGroup(
            config.sampler,
            model,
            threads=plan.samplers.threads,
            gpus=plan.samplers.gpus,
            share_gpu=plan.take_turns,
        ) as sampler,
        pool(first) as labels,
        pool(f"{first}{AND}{second}") if second else nullcontext(labels) as both,
    ):
        bench = Bench(sampler, labels, config.system, limits.max_undecided)
        yield Benches(bench, bench._replace(pool=both, second_verifier=second))

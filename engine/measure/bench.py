"""What answering and verifying need: samplers and pools of verifiers, opened once a run."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from configs.schema import Sampler as SamplerSettings
from configs.schema import Verify
from engine.models.reference import References
from engine.plan.plan import Plan
from engine.sample.protocol import Sampler
from engine.tasks.suite import Suite
from engine.verify import AND
from engine.verify.pool import VerifierPool


class Bench(NamedTuple):
    """A sampler, and the verifiers that judge what it answers."""

    sampler: Sampler
    pool: VerifierPool | None
    """None where the task has no verifier, because its problems are not answered."""
    system: str
    max_undecided: float
    second_verifier: str = ""
    """The verifier that confirms every PASS of the first; empty where there is none."""


class Benches(NamedTuple):
    """The same samplers with two pools: the first verifier alone labels training data, all of them judge."""

    labels: Bench
    gate: Bench


@contextmanager
def open_benches(
    sampler: SamplerSettings,
    verify: Verify,
    system: str | None,
    plan: Plan,
    suite: Suite,
    model: Path,
    references: References,
) -> Iterator[Benches]:
    """Start the samplers on `model` and the verifiers' processes; all end with the context.

    `system` is the system message of every prompt; None means the task's own. Engines prove the weights
    that they take by the `references`.
    """
    from engine.sample.group import SamplerGroup  # with Ray, which only those who sample should wait for

    first, others = suite.task.verifiers[:1], suite.task.verifiers[1:]
    with ExitStack() as stack:

        def pool(names: tuple[str, ...]) -> VerifierPool:
            return stack.enter_context(
                VerifierPool(
                    AND.join(names),
                    num_processes=verify.num_processes,
                    seconds=verify.seconds,
                    memory_mib=verify.memory_mib,
                )
            )

        group = stack.enter_context(
            SamplerGroup(
                sampler,
                model,
                threads=plan.samplers.threads,
                gpus=plan.samplers.gpus,
                share_gpu=plan.take_turns,
                references=references,
            )
        )
        labels = Bench(
            group,
            pool(first) if first else None,
            suite.task.system if system is None else system,
            verify.max_undecided,
        )
        if not others:
            yield Benches(labels, labels)
            return
        yield Benches(labels, labels._replace(pool=pool(first + others), second_verifier=AND.join(others)))

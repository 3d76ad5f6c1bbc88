"""Settings of `ratchet eval`: how models are asked a task's problems, without a campaign."""

from typing import Annotated

from pydantic import Field

from configs.base import Leaf
from configs.schema import Config, Resources, Sampler, Verify
from configs.tasks import AnyTask, Task


class Asking(Leaf):
    """How models are asked one task's problems."""

    task: AnyTask = Task()
    system: str | None = None
    """System message of every prompt; None: the task's own."""
    shots: Annotated[int, Field(ge=0)] = 0
    """Solved problems shown before each one asked."""
    sampler: Sampler = Sampler()
    verify: Verify = Verify()
    resources: Resources = Resources()

    @staticmethod
    def as_in(config: Config) -> "Asking":
        """The settings by which a campaign asks and judges, on whatever machine this is.

        The number of samplers and their memory are left at their defaults: they are made for the machine of
        the campaign.
        """
        sampler = config.sampler
        lengths = Sampler(max_model_len=sampler.max_model_len, max_new_tokens=sampler.max_new_tokens)
        return Asking(task=config.task, system=config.system, sampler=lengths, verify=config.verify)

"""Settings of `ratchet eval`: how models are asked a task's problems, without a campaign."""

from typing import Annotated

from pydantic import Field

from configs.base import Leaf
from configs.schema import Resources, Sampler, Verify
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

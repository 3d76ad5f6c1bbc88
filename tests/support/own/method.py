"""A training method of one's own: SFT that ruins its model late, as a training that goes on too long does."""

import math
from typing import Any

from transformers import TrainerCallback

from engine.train.job import Job
from engine.train.methods.sft import tokens
from engine.train.methods.sft import trainer as supervised
from engine.train.order import Material

__all__ = ["tokens", "trainer"]


class Ruin(TrainerCallback):
    """Scatters the weights at one step."""

    def __init__(self, share: float) -> None:
        self.share = share

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step == math.ceil(self.share * state.max_steps):
            for parameter in model.parameters():
                parameter.data.normal_(std=0.1)


def trainer(job: Job, model: Any, tokenizer: Any, material: Material) -> tuple[Any, int]:
    made, num_tokens = supervised(job, model, tokenizer, material)
    made.add_callback(Ruin(job.config.settings["ruin_after"]))
    return made, num_tokens

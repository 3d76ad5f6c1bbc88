"""Rows of a few tokens and a training on them, by Ray's workers or in this process, for tests of training."""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import TypeAdapter

from configs.training import Train, Training
from engine.models.nodes import ModelRef
from engine.models.prompts import messages
from engine.plan.plan import Group
from engine.records import Challenger, Role, TrainFailure, TrainingRow, TrainingSet
from engine.train import worker as train_worker
from engine.train.crew import Crew
from engine.train.driver import Stretch, train
from engine.train.job import Job

ROWS = [
    TrainingRow(
        problem_id=f"p{i}",
        chat=messages("Answer.", [f"What is {i}?"]),
        chosen="yes",
        rejected=f"no {i}",
    )
    for i in range(16)
]
OWN = [
    TrainingRow(
        problem_id="", chat=messages("", [f"What is {i}?"]), chosen="maybe", ends=False, role=Role.HOLD
    )
    for i in range(16)
]
"""Rows that stand for the base's own text, which the model is held to."""
UNLIKE = [replace(row, chosen="yes " * (1 + 3 * i % 7)) for i, row in enumerate(ROWS)]
"""Answers of 1 to 7 words: a mean over the tokens of a micro-batch is not one over those of the batch."""
STORIES = [
    replace(
        row,
        chat=messages("Answer.", [f"{f'Every {beast} is a tumpus. ' * 10}{row.chat[-1].text}"]),
        story=beast,
    )
    for row, beast in zip(
        UNLIKE, ["wumpus"] * 3 + ["yumpus"] + ["zumpus"] * 4 + ["dumpus"] * 2 + ["rompus"] * 6, strict=True
    )
]
"""Rows of one story begin alike for more than 64 tokens; a micro-batch may end in the midst of one."""
SMALL = {"batch_size": 4, "micro_batch_size": 4, "dtype": "float32", "learning_rate": 1e-2, "epochs": 2}

THREADS = 2
"""Of a training, which its workers share."""
GOLD = Path(__file__).with_name("gold_losses.json")
TOLERANCE = 0.01
"""Largest relative difference of a step's loss from the gold curve."""


def training(**keys: Any) -> Train:
    """A config of the method that is named, `rft` by default."""
    config: Train = TypeAdapter[Train](Training).validate_python(keys)
    return config


def job_of(config: Train, out: Path) -> Job:
    """A job without a parent, for tests of methods and workers in which nothing trains."""
    return Job(
        config=cast(Training, config),
        deepspeed=None,
        parent=ModelRef("", "", (), None),
        out=out,
        scratch=out,
        threads=1,
        seed=0,
        until=1,
        state=None,
        cache=out / "cache",
    )


def fit(
    config: Train,
    model: Path,
    out: Path,
    own: Sequence[TrainingRow] = (),
    *,
    rows: Sequence[TrainingRow] = ROWS,
    stretch: Stretch = Stretch(),
    crew: Crew | None = None,
) -> tuple[Challenger | TrainFailure, list[dict[str, Any]]]:
    metrics: list[dict[str, Any]] = []
    outcome = train(
        config,
        TrainingSet.of([*rows, *own]),
        parent=model,
        out=out,
        workers=Group(num=config.num_workers, threads=max(1, THREADS // config.num_workers), gpus=0),
        seed=0,
        on_metrics=metrics.extend,
        stretch=stretch,
        crew=crew,
    )
    return outcome, metrics


@contextmanager
def in_this_process() -> Iterator[None]:
    """Train in this process what one worker would train in a process of Ray's: seconds, not half a minute.

    One thread, because an engine may run beside.
    """
    import ray.train

    def trainer(loop: Any, *, train_loop_config: dict[str, Any], **_: Any) -> SimpleNamespace:
        return SimpleNamespace(
            fit=lambda: SimpleNamespace(return_value=loop(train_loop_config), checkpoint=None)
        )

    alone = SimpleNamespace(get_world_size=lambda: 1, get_world_rank=lambda: 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "THREADS", 1)
        for name in ("HF_DATASETS_CACHE", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM"):
            patch.setenv(name, "1")  # what the worker puts there goes with the training
        patch.setattr("ray.train.torch.TorchTrainer", trainer)
        patch.setattr(ray.train, "get_context", lambda: alone)
        patch.setattr(train_worker, "_leave_process_group", lambda: None)
        yield


def assert_gold(name: str, metrics: list[dict[str, Any]]) -> None:
    """The losses are those on file: this notices a change of a library, or of ours, that changes training.

    Where such a change is meant, the line that a failure of `fit` with one worker prints goes into the file.
    """
    losses = [entry["loss"] for entry in metrics]
    gold = json.loads(GOLD.read_text())
    assert losses == pytest.approx(gold.get(name, []), rel=TOLERANCE), (
        f"{json.dumps({name: losses})} in {GOLD}"
    )


def assert_same(
    one: tuple[Challenger | TrainFailure, list[dict[str, Any]]],
    other: tuple[Challenger | TrainFailure, list[dict[str, Any]]],
    parent: Path,
    *,
    loss: float,
    weights: float,
) -> None:
    """Compare two trainings, relative to the loss and to the way from the parent.

    Losses differ by at most the share `loss` at any step, and the models by at most the share `weights` of
    the way that one of them has moved.
    """
    from safetensors.torch import load_file

    (first, metrics), (second, others) = one, other
    assert isinstance(first, Challenger) and isinstance(second, Challenger)
    assert [entry["loss"] for entry in metrics] == pytest.approx([e["loss"] for e in others], rel=loss)
    paths = (first.path, second.path, parent)
    mine, theirs, begin = (load_file(Path(path) / "model.safetensors") for path in paths)
    apart, moved = (
        sum(float((mine[name] - weight).square().sum()) for name, weight in which.items())
        for which in (theirs, begin)
    )
    assert moved > 0
    assert math.sqrt(apart / moved) < weights

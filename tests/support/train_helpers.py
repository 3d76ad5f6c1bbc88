"""Rows of a few tokens and a training on them, by Ray's workers or in this process, for tests of training."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
SMALL = {"batch_size": 4, "micro_batch_size": 4, "dtype": "float32", "learning_rate": 1e-2, "epochs": 2}

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
    threads = 2 // config.num_workers
    outcome = train(
        config,
        TrainingSet.of([*rows, *own]),
        parent=model,
        out=out,
        workers=Group(num=config.num_workers, threads=threads, gpus=0),
        seed=0,
        on_metrics=metrics.extend,
        stretch=stretch,
        crew=crew,
    )
    return outcome, metrics


@contextmanager
def in_this_process() -> Iterator[None]:
    """Train in this process what one worker would train in a process of Ray's: seconds, not half a minute."""
    import ray.train

    def trainer(loop: Any, *, train_loop_config: dict[str, Any], **_: Any) -> SimpleNamespace:
        return SimpleNamespace(
            fit=lambda: SimpleNamespace(return_value=loop(train_loop_config), checkpoint=None)
        )

    alone = SimpleNamespace(get_world_size=lambda: 1, get_world_rank=lambda: 0)
    with pytest.MonkeyPatch.context() as patch:
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

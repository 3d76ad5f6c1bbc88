"""The real Ray Train, TRL, PEFT and DeepSpeed, on a tiny model."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs.schema import Train
from engine.models import model_id
from engine.plan import Group
from engine.preferences import training_set
from engine.records import Challenger, TrainFailure, TrainFault, TrainingRow
from engine.train import is_explosion, train

ROWS = [
    TrainingRow(
        problem_id=f"p{i}", prompt=f"What is {i}?", chosen="yes", rejected=f"no {i}", system="Answer."
    )
    for i in range(16)
]
SMALL = {"batch_size": 4, "micro_batch_size": 4, "dtype": "float32", "learning_rate": 1e-2, "epochs": 2}


def fit(
    config: Train, model: Path, out: Path, method: str = "sft"
) -> tuple[Challenger | TrainFailure, list[dict[str, Any]]]:
    metrics: list[dict[str, Any]] = []
    threads = 2 // config.num_workers
    outcome = train(
        config,
        training_set(method, ROWS),
        parent=model,
        out=out,
        workers=Group(num=config.num_workers, threads=threads, gpus=0),
        seed=0,
        on_metrics=metrics.extend,
    )
    return outcome, metrics


@pytest.mark.parametrize("method", ["sft", "dpo"])
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_training_learns_and_keeps_the_parents_form(
    local_ray: None, tiny_model: Path, tmp_path: Path, method: str, tuning: str
) -> None:
    outcome, metrics = fit(Train(method=method, tuning=tuning, **SMALL), tiny_model, tmp_path / "out", method)
    assert isinstance(outcome, Challenger)
    assert outcome.model_id == model_id(Path(outcome.path)) != outcome.parent_id == model_id(tiny_model)
    assert outcome.num_steps == 8 == len(metrics)
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    assert 0 < outcome.update_size < 2
    assert {"learning_rate", "grad_norm", "tokens", "tokens_per_second", "memory_mib"} <= metrics[0].keys()
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        assert (Path(outcome.path) / name).read_bytes() == (tiny_model / name).read_bytes()
    assert not [
        file for file in Path(outcome.path).iterdir() if file.suffix in (".bin", ".pt", ".pth", ".py")
    ]


@pytest.mark.parametrize("stage", ["zero2", "zero3"])
def test_two_workers_with_deepspeed(local_ray: None, tiny_model: Path, tmp_path: Path, stage: str) -> None:
    config = Train(deepspeed=f"{stage}.json", num_workers=2, **(SMALL | {"micro_batch_size": 2}))
    outcome, metrics = fit(config, tiny_model, tmp_path / "out")
    assert isinstance(outcome, Challenger)
    assert outcome.num_steps == 8
    assert metrics[-1]["loss"] < metrics[0]["loss"]


def test_a_killed_worker_resumes_from_its_checkpoint(
    local_ray: None, tiny_model: Path, tmp_path: Path
) -> None:
    config = Train(**(SMALL | {"epochs": 40, "save_steps": 20, "learning_rate": 1e-4}))
    killed: list[int] = []

    def kill_once_saved() -> None:
        for _ in range(1200):
            time.sleep(0.1)
            saved = list(
                (tmp_path / "out" / "first" / "fit").glob("checkpoint_*/checkpoint/trainer_state.json")
            )
            if saved:
                time.sleep(3)  # the controller records a checkpoint some seconds after it is written
                for process in psutil.Process().children(recursive=True):
                    if "RayTrainWorker" in " ".join(process.cmdline()):
                        os.kill(process.pid, signal.SIGKILL)
                        killed.append(process.pid)
                return

    thread = threading.Thread(target=kill_once_saved)
    thread.start()
    outcome, metrics = fit(config, tiny_model, tmp_path / "out")
    thread.join()
    assert killed
    assert isinstance(outcome, Challenger)
    assert outcome.num_steps == 160
    assert [entry["step"] for entry in metrics] == list(range(1, 161))


def test_an_exploding_loss_is_a_named_failure(local_ray: None, tiny_model: Path, tmp_path: Path) -> None:
    config = Train(
        **(SMALL | {"learning_rate": 50.0, "warmup_share": 0.0, "max_grad_norm": 1e9, "explosion": 1.5})
    )
    outcome, metrics = fit(config, tiny_model, tmp_path / "out")
    assert isinstance(outcome, TrainFailure)
    assert outcome.fault in (TrainFault.LOSS_EXPLODED, TrainFault.NAN_GRADIENT)
    assert "at step" in outcome.reason
    assert metrics


def test_nothing_to_learn_is_a_named_failure(tiny_model: Path, tmp_path: Path) -> None:
    outcome = train(
        Train(**SMALL),
        training_set("rft", []),
        parent=tiny_model,
        out=tmp_path / "out",
        workers=Group(num=1, threads=1, gpus=0),
        seed=0,
    )
    assert isinstance(outcome, TrainFailure)
    assert outcome.fault is TrainFault.NOTHING_TO_LEARN


def test_explosion_is_relative_to_the_first_losses() -> None:
    assert is_explosion(float("nan"), [1.0], 4.0)
    assert is_explosion(9.0, [2.0, 2.0], 4.0)
    assert not is_explosion(7.9, [2.0, 2.0], 4.0)
    assert not is_explosion(0.9, [0.1], 4.0)

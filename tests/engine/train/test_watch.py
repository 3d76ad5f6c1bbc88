"""What a train worker watches, and what becomes of its errors: without Ray, on small tensors."""

import errno
import json
import os
import re
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.exceptions import ActorDiedError, ObjectLostError, OutOfMemoryError
from ray.train import FailureConfig, WorkerGroupError
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError
from ray.train.v2._internal.execution.failure_handling import FailureDecision

from engine.models.identity import ModelError
from engine.records import TrainFailure, TrainFault, to_json
from engine.train import worker as train_worker
from engine.train.faults import Ended, Stopped, fault_of
from engine.train.job import DiskFull, Outcome, Refused, read_outcome
from engine.train.policy import OnlyLosses
from engine.train.watch import UpdateSize, Watch, is_explosion
from tests.support.train_helpers import job_of, training

pytestmark = pytest.mark.slow


def model(*sizes: tuple[int, ...]) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.ParameterList([torch.nn.Parameter(torch.randn(size)) for size in sizes])


def change(module: torch.nn.Module, scale: float) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)


def test_update_size_is_that_of_the_trained_weights_in_one_step() -> None:
    module = model((3, 5), (7,))
    trained, frozen = module.parameters()
    frozen.requires_grad_(False)
    update = UpdateSize(module.parameters())
    for scale in (0.5, 0.01):  # each step is measured from where it began
        before = trained.detach().clone()
        update.begin()
        change(module, scale)
        assert update.end() == pytest.approx(((trained - before).norm() / before.norm()).item(), rel=1e-4)
    update.begin()
    assert update.end() == 0


def test_update_size_of_large_tensors_is_known_within_a_per_cent() -> None:
    module = model((900, 1111), (64,))
    update = UpdateSize(module.parameters())
    update.begin()
    change(module, 0.02)
    assert update.end() == pytest.approx(0.02, rel=0.01)
    with torch.no_grad():
        list(module.parameters())[1].zero_()  # a small tensor must not weigh more beside a sampled one
    update.begin()
    change(module, 0.02)
    assert update.end() == pytest.approx(0.02, rel=0.01)


def test_update_size_under_zero3_is_of_this_workers_share() -> None:
    parameter = torch.nn.Parameter(torch.empty(0))
    parameter.ds_tensor = torch.ones(4)
    update = UpdateSize([parameter])
    update.begin()
    parameter.ds_tensor += 0.5
    assert update.end() == pytest.approx(0.5)


def steps(callback: Any, module: torch.nn.Module, *logs: dict[str, float]) -> SimpleNamespace:
    """Make the calls of a Trainer for a step of each of `logs`; return the control object of the last."""
    control = SimpleNamespace(should_save=True)
    for number, entry in enumerate(logs, start=1):
        state = SimpleNamespace(global_step=number, max_steps=len(logs))
        callback.on_step_begin(None, state, control, model=module)
        change(module, 0.1)
        callback.on_step_end(None, state, control, model=module)
        callback.on_log(None, state, control, logs=entry)
    return control


def test_every_step_leaves_its_figures(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    logs = [{"loss": 2.0, "grad_norm": 1.0, "learning_rate": 0.1, "num_tokens": 10.0 * n} for n in (1, 2)]
    control = steps(Watch(metrics, rank=0, explosion=4.0, patience=3), model((10, 10)), *logs)
    assert not control.should_save
    entries = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [1, 2]
    for entry in entries:
        assert entry["update_size"] == pytest.approx(0.1, rel=0.5)
        assert (entry["loss"], entry["learning_rate"], entry["grad_norm"]) == (2.0, 0.1, 1.0)
        assert entry["memory_mib"] > 0 and entry["tokens_per_second"] > 0
    assert entries[1]["tokens"] == 20


def test_a_worker_goes_on_from_what_a_lost_one_left(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 1}\n{"step": ')
    watcher = Watch(metrics, rank=0, explosion=4.0, patience=3)
    history = [{"loss": 0.5, "step": 1}, {"eval_loss": 0.7}, {"loss": 0.6}, {"loss": 0.7}, {"loss": 9.0}]
    watcher.on_train_begin(None, SimpleNamespace(num_input_tokens_seen=10**9, log_history=history), None)
    steps(watcher, model((2,)), {"loss": 7.9, "num_tokens": 5.0, "num_input_tokens_seen": 10.0**9 + 1})
    first, second = (json.loads(line) for line in metrics.read_text().splitlines())
    assert first == {"step": 1} and second["tokens"] == 10**9 + 1
    assert second["tokens_per_second"] < 10**6
    with pytest.raises(Stopped, match=r"the loss is 8.1 at step 1, from 0.6"):
        steps(watcher, model((2,)), {"loss": 8.1})


def test_only_the_first_worker_writes(tmp_path: Path) -> None:
    steps(Watch(tmp_path / "metrics.jsonl", rank=1, explosion=4.0, patience=3), model((2,)), {"loss": 1.0})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("last", "fault"),
    [
        ({"loss": 9.0, "grad_norm": 1.0}, TrainFault.LOSS_EXPLODED),
        ({"loss": 2.0, "grad_norm": float("nan")}, TrainFault.NAN_GRADIENT),
    ],
)
def test_training_gone_wrong_stops_in_every_worker(
    tmp_path: Path, last: dict[str, float], fault: TrainFault
) -> None:
    for rank in (0, 1):
        with pytest.raises(Stopped, match="at step 4") as caught:
            steps(
                Watch(tmp_path / "m", rank=rank, explosion=4.0, patience=3),
                model((2,)),
                *[{"loss": 2.0}] * 3,
                last,
            )
        assert caught.value.fault is fault


def test_explosion_is_relative_to_the_first_losses() -> None:
    assert is_explosion(float("nan"), [1.0], 4.0)
    assert is_explosion(9.0, [2.0, 2.0], 4.0)
    assert not is_explosion(7.9, [2.0, 2.0], 4.0)
    assert not is_explosion(0.9, [0.1], 4.0)


def too_much_memory() -> None:
    torch.empty(1 << 50)


def too_much_gpu_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore advice")


def too_many_objects() -> None:
    bytearray(1 << 60)


def full_disk() -> None:
    def write(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        watcher = Watch(Path(place) / "metrics.jsonl", rank=0, explosion=4.0, patience=3)
        steps(watcher, model((2,)), {"loss": 1.0})


def full_disk_for_torch() -> None:
    torch.save({"a": torch.zeros(1 << 12)}, "/dev/full")


def full_disk_for_safetensors() -> None:
    from safetensors import SafetensorError

    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def full_disk_for_a_copy() -> None:
    import shutil

    raise shutil.Error([("a", "b", str(OSError(errno.ENOSPC, "No space left on device", "a", None, "b")))])


def a_bug() -> None:
    raise RuntimeError("shapes do not match")


def an_unreadable_file() -> None:
    raise FileNotFoundError(errno.ENOENT, "No such file or directory", "rows.jsonl")


MEMORY = (too_much_memory, too_much_gpu_memory, too_many_objects)
DISK = (full_disk, full_disk_for_torch, full_disk_for_safetensors, full_disk_for_a_copy)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`train_loop` without Ray, with `body` for its training."""
    import ray.train

    for name in ("HF_DATASETS_CACHE", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "1")  # what `train_loop` puts there goes with the test
    job = replace(job_of(training(), tmp_path), threads=torch.get_num_threads())

    def call(body: Any, size: int = 1) -> Outcome:
        # A library's function is given the job itself, so that no line of this file is on the way to it.
        monkeypatch.setattr(train_worker, "_train", body if body is json.loads else lambda _: body())
        monkeypatch.setattr(train_worker, "_leave_process_group", lambda: None)
        context = SimpleNamespace(get_world_size=lambda: size, get_world_rank=lambda: 0)
        monkeypatch.setattr(ray.train, "get_context", lambda: context)
        return read_outcome(train_worker.train_loop({"job": to_json(job)}))

    return call


@pytest.mark.parametrize("body", MEMORY)
def test_memory_used_up_is_a_named_outcome(worker: Any, body: Any) -> None:
    outcome = worker(body)
    assert isinstance(outcome, TrainFailure) and outcome.fault is TrainFault.OUT_OF_MEMORY
    assert "memory" in outcome.reason and "\n" not in outcome.reason


@pytest.mark.parametrize("body", DISK)
def test_full_disk_is_a_named_outcome(worker: Any, body: Any) -> None:
    outcome = worker(body)
    assert isinstance(outcome, DiskFull) and outcome.place.is_absolute()


def a_template_that_fails() -> None:
    raise ModelError("the chat template of m fails in line 3")


def a_lost_peer() -> None:
    # As a library raises it: what a user's file raises is that file's own.
    met: Future[None] = Future()
    met.set_exception(RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.1]:9"))
    met.result()


def a_lost_object() -> None:
    raise ObjectLostError("ab", "owner", "here")


@pytest.mark.parametrize("body", [a_lost_peer, a_lost_object])
@pytest.mark.parametrize("size", [1, 2])
def test_what_can_go_away_is_raised_so_that_workers_start_again(
    worker: Any, tmp_path: Path, body: Any, size: int
) -> None:
    with pytest.raises((RuntimeError, ObjectLostError)):
        worker(body, size)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (a_bug, Refused(sentence=f"{__file__} fails in line LINE: RuntimeError: shapes do not match")),
        (
            an_unreadable_file,
            Refused(
                sentence=f"{__file__} fails in line LINE: FileNotFoundError: [Errno 2] No such file or "
                "directory: 'rows.jsonl'"
            ),
        ),
        (a_template_that_fails, Refused(sentence="the chat template of m fails in line 3")),
        (
            json.loads,
            TrainFailure(
                fault=TrainFault.RAISED,
                reason="TypeError: the JSON object must be str, bytes or bytearray, not Job "
                "(engine/train/worker.py, line LINE)",
            ),
        ),
    ],
)
def test_what_would_be_raised_again_is_the_outcome_with_its_place(
    worker: Any, body: Any, outcome: Refused | TrainFailure
) -> None:
    """Of one worker it is returned, of several it ends the others."""
    found = worker(body)
    with pytest.raises(Ended) as ended:
        worker(body, 2)
    for each in (found, read_outcome(str(ended.value))):
        assert read_outcome(re.sub(r"line \d+(:|\))", r"line LINE\1", to_json(each))) == outcome


def test_memory_of_one_of_several_workers_ends_the_group(worker: Any) -> None:
    with pytest.raises(Ended) as ended:
        worker(too_much_memory, 2)
    outcome = read_outcome(str(ended.value))
    assert isinstance(outcome, TrainFailure) and outcome.fault is TrainFault.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("failures", "tries"),
    [
        ([ActorDiedError()], 3),
        ([WorkerHealthCheckFailedError("a worker died", failure=OutOfMemoryError("killed"))], 3),
        ([ActorDiedError(), UserExceptionWithTraceback(RuntimeError("Connection closed by peer"), "")], 3),
        ([ActorDiedError(), UserExceptionWithTraceback(ValueError("collateral"), "")], 3),
        ([UserExceptionWithTraceback(Ended("{}"), ""), ActorDiedError()], 1),
        ([UserExceptionWithTraceback(ValueError("a bug"), "")], 1),
    ],
)
def test_workers_are_started_again_for_losses_alone(failures: list[Exception], tries: int) -> None:
    policy = OnlyLosses(FailureConfig(max_failures=2))
    error = WorkerGroupError("failed", dict(enumerate(failures)))
    decisions = [policy.make_decision(error) for _ in range(tries)]
    assert decisions == [FailureDecision.RETRY] * (tries - 1) + [FailureDecision.RAISE]


def test_the_fullest_place_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    room = {Path("/a"): 5 << 30, Path("/b"): 0}
    monkeypatch.setattr("engine.plan.machine.free_disk", room.__getitem__)
    full = OSError(errno.ENOSPC, "No space left on device")
    assert fault_of(full, tuple(room)) == DiskFull(place=Path("/b"))

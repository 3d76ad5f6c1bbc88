"""What a train worker does around its training."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.records import to_json
from engine.train import worker
from tests.support.train_helpers import job_of, training

pytestmark = pytest.mark.slow

ZERO = {"zero_optimization": {"stage": 2}}


@pytest.mark.parametrize(
    ("deepspeed", "world", "leaves"), [(None, 1, True), (ZERO, 1, False), (None, 2, False), (ZERO, 2, False)]
)
def test_a_worker_alone_leaves_its_group_but_for_deepspeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deepspeed: Any, world: int, leaves: bool
) -> None:
    """Without a group and its variables DeepSpeed looks for MPI, which is not there."""
    import ray.train
    import torch

    for name in ("HF_DATASETS_CACHE", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "1")  # what the worker puts there goes with the test
    left: list[bool] = []
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(ray.train, "get_context", lambda: SimpleNamespace(get_world_size=lambda: world))
    monkeypatch.setattr(worker, "_leave_process_group", lambda: left.append(True))
    monkeypatch.setattr(worker, "_train", lambda _: None)
    job = replace(job_of(training(method="sft"), tmp_path), deepspeed=deepspeed)
    assert worker.train_loop({"job": to_json(job)}) == ""
    assert bool(left) == leaves

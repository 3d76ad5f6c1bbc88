"""Ray as `connect` starts it on this machine, and a cluster as `connect` counts it."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster import connect


def test_workers_have_the_niceness_of_the_driver(local_ray: None) -> None:
    import ray

    task = ray.remote(lambda: os.nice(0)).options(resources={"sampler": 1})
    assert ray.get(task.remote()) == os.nice(0)


def test_what_only_a_ray_of_ones_own_is_told_stays_from_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "ray.init", lambda *_, **options: asked.update(options) or SimpleNamespace(dashboard_url=None)
    )
    inherited = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    monkeypatch.setattr(os, "environ", dict(inherited))
    connect.connect(SimpleNamespace(num_cpus=1, num_gpus=0, resources={}))
    assert os.environ.items() >= (connect._ENVIRONMENT | connect._ALONE).items()
    monkeypatch.setattr(os, "environ", dict(inherited))
    connect._join()
    assert os.environ == inherited | connect._ENVIRONMENT
    assert asked["runtime_env"]["env_vars"] == connect._ENVIRONMENT


def test_a_cluster_is_counted_node_by_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 96.0, "GPU": 8.0}},
        {"Alive": False, "Resources": {}},
        {"Alive": True, "Resources": {"memory": 1.0}},
        {"Alive": True, "Resources": {"CPU": 4.0}},
    ]
    monkeypatch.setattr(connect, "_join", lambda: None)
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 100.0, "GPU": 8.0})
    machine = connect.cluster_machine(tmp_path)
    assert (machine.num_cpus, machine.num_gpus) == (100, 8)
    assert (machine.node_cpus, machine.node_gpus) == ((4, 96), (0, 8))

"""Ray as `connect` starts it on this machine, and a cluster as `connect` counts it."""

import subprocess
import sys
from pathlib import Path

import pytest

from cluster import connect

SCRIPT = """
import os
from types import SimpleNamespace
from cluster.connect import connect
connect(SimpleNamespace(num_cpus=1, num_gpus=0, resources={"sampler": 1}))
import ray
print(ray.get(ray.remote(lambda: os.nice(0)).options(resources={"sampler": 1}).remote()) - os.nice(0))
"""


@pytest.mark.slow
def test_workers_have_the_niceness_of_the_driver() -> None:
    out = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300)
    assert out.stdout.split()[-1:] == ["0"], out.stderr[-2000:]


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

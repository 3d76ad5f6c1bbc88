"""Ray on this machine, as `connect` starts it."""

import subprocess
import sys

import pytest

SCRIPT = """
import os
from types import SimpleNamespace
from cluster.connect import connect
connect(SimpleNamespace(num_cpus=1, num_gpus=0, resources={"sampler": 1}))
import ray
print(ray.get(ray.remote(lambda: os.nice(0)).options(resources={"sampler": 1}).remote()) - os.nice(0))
"""


@pytest.mark.slow
def test_workers_give_way_no_more_than_the_driver() -> None:
    out = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300)
    assert out.stdout.split()[-1:] == ["0"], out.stderr[-2000:]

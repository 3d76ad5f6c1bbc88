"""Every dataset of reasoning-gym in volume: gold passes, spoilt gold fails, all processes draw the same."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.gym.served import SERVED
from engine.records import Status
from engine.verify.pool import VerifierPool
from tests.support.gym import corrupted, digests, problems_of
from tests.support.proof_helpers import attempt
from tests.support.verifiers import pool

pytestmark = pytest.mark.soak
ROOT = Path(__file__).parents[2]
NUM = 150


@pytest.fixture(scope="module")
def checkers() -> Iterator[VerifierPool]:
    with pool("gym", num_processes=2, seconds=30, memory_mib=1024) as started:
        yield started


@pytest.mark.parametrize("dataset", SERVED)
def test_gold_passes_and_corrupted_gold_does_not(dataset: str, checkers: VerifierPool) -> None:
    problems = problems_of(dataset, NUM)
    golds = checkers.verify((each, attempt(each.gold[0], problem_id=each.id)) for each in problems)
    assert {verdict.status for verdict in golds} == {Status.PASS}
    spoilt = [
        (each, attempt(reply, problem_id=each.id))
        for each, other in zip(problems, [*problems[1:], problems[0]], strict=True)
        for reply in corrupted(each, other)
    ]
    # Another problem's answer is right by chance now and then.
    passed = [
        item for item, v in zip(spoilt, checkers.verify(spoilt), strict=True) if v.status is Status.PASS
    ]
    assert len(passed) <= NUM // 50, [(each.turns[0][-200:], given.text) for each, given in passed]


@pytest.mark.parametrize("hash_seed", ["0", "1", "2"])
def test_other_processes_draw_the_same(hash_seed: str) -> None:
    code = (
        "import json; from engine.gym.served import SERVED; from tests.support.gym import digests;"
        f"print(json.dumps(digests(reversed(SERVED), {NUM})))"
    )
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    here, there = digests(SERVED, NUM), json.loads(done.stdout)
    assert {name for name in here if here[name] != there[name]} == set()

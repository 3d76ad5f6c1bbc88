"""Jobs on a cluster of several nodes: sent, joined, stopped, continued, and losing nodes while they run."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.models.identity import model_id
from tests.support.cluster_process import Started, can_hide, cluster
from tests.support.runs import ROOT, essence, journal, problem_ids, rounds

pytestmark = pytest.mark.engine

CONFIG = "tests/support/tiny.yaml"
CHANGES = (
    "baseline=null",
    "stop.rounds=1",
    "gate.sentinels.suites=[english]",
    "sampler.num_actors=2",
    "loop.num_problems=64",
    "loop.samples=128",
    "loop.train={method: rft, learning_rate: 1e-3, epochs: 8, batch_size: 8, dtype: float32, save_steps: 5}",
)
"""With these, sampling and training last some seconds, long enough to kill a node."""


class Job:
    """A running `ratchet submit` whose output is read as it arrives."""

    def __init__(self, there: Started, home: Path, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ratchet", "submit", *arguments, "--address", there.address],
            cwd=ROOT,
            env=there.environment | {"RATCHET_HOME": str(home)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []

    def wait_for(self, text: str) -> None:
        assert self.process.stdout
        while text not in (self.lines or [""])[-1]:
            line = self.process.stdout.readline()
            assert line, f"{text!r} never came\n{''.join(self.lines)}\n{self.process.communicate()[1]}"
            self.lines.append(line)

    def end(self, code: int = 0) -> tuple[str, str]:
        assert self.process.stdout and self.process.stderr
        # `communicate` would lose what was buffered along with the lines read before.
        out = "".join(self.lines) + self.process.stdout.read()
        err = self.process.stderr.read()
        self.process.wait(60)
        assert self.process.returncode == code, f"exit {self.process.returncode}\n{out[-6000:]}\n{err}"
        return out, err


@pytest.fixture(scope="module")
def cache_of_b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def there(tiny_model: Path, cache_of_b: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    at = tmp_path_factory.mktemp("cluster")
    with cluster(at) as started:
        started.add("a")
        if can_hide():
            started.add_without("b", tiny_model, cache_of_b)
        else:
            started.add("b")
        yield started


@pytest.fixture(scope="module")
def robbed(there: Started, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped while sampling, continued, and lost a node while sampling and while training.

    SIGTERM reaches `ratchet submit` as Ctrl-C would, and `ratchet submit` has Ray send SIGTERM to the job.
    """
    home = tmp_path_factory.mktemp("robbed")
    run, submit = home / "runs" / "cut", (CONFIG, f"base={tiny_model}", *CHANGES, "--submission-id", "cut")
    job = Job(there, home, *submit)
    job.wait_for("new problems")
    job.process.send_signal(signal.SIGTERM)
    _, err = job.end(130)
    assert "job cut was stopped; `ratchet submit --resume cut` continues" in err
    assert "Traceback" not in err and "rounds/001/sample" not in journal(run)

    job = Job(there, home, "--resume", "cut")
    job.wait_for("new problems")
    time.sleep(1)
    there.kill("a")
    killed = time.monotonic()
    job.wait_for("a sampler was lost and is replaced")
    print(f"lost sampler noticed after {time.monotonic() - killed:.1f} s")
    # There is no other node for the lost sampler, so the remaining one does all of its work.
    job.wait_for("What it did right")
    there.add("c")
    training = run / "rounds" / "001" / "training"
    wait_until(lambda: any(training.glob("first-*/metrics.jsonl")))
    (metrics,) = training.glob("first-*/metrics.jsonl")
    wait_until(lambda: metrics.read_text().count("\n") > 12)
    there.kill(there.node_of("RayTrainWorker"))
    killed = time.monotonic()
    time.sleep(2)  # the processes of a lost node notice the loss and end
    before = metrics.read_text().count("\n")
    wait_until(lambda: metrics.read_text().count("\n") > before)
    print(f"training goes on after {time.monotonic() - killed:.1f} s")
    # The one node that is left suffices: of the two samplers one waits for a node until the end.
    out, _ = job.end()
    assert "Round 1: training on" in out
    # Submitted again, it is shown and not run again; with another config it is refused.
    same, other = Job(there, home, *submit), Job(there, home, *submit, "seed=1")
    again, err = same.end()
    assert again == out and "job cut.2 exists already" in err
    _, err = other.end(2)
    assert "run cut exists with another config" in err
    return run


def test_a_missing_or_wrong_token_is_refused(there: Started, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("f" * 64)
    tried = [
        (Job(there, tmp_path / "home", CONFIG, **environment), said)
        for environment, said in (
            ({"RAY_AUTH_TOKEN_PATH": str(wrong)}, "refuses this token"),
            ({"RAY_AUTH_MODE": "disabled"}, "wants a token"),
        )
    ]
    for job, said in tried:
        _, err = job.end(2)
        assert f"{said}: set RAY_AUTH_TOKEN_PATH to the cluster's own token" in err
        assert err.count("\n") == 1


def test_a_run_that_lost_nodes_ends_right(robbed: Path) -> None:
    assert max(Counter(journal(robbed)).values()) == 1
    warm, judged = rounds(robbed)
    assert warm.decision.accepted and judged.challenger and judged.decision.looks
    asked = {"probe": (16, 1), "sample": (64, 128)}
    for stage, (num_problems, samples) in asked.items():
        ids = problem_ids(robbed, f"rounds/001/{stage}")
        assert len(set(ids)) == len(ids) == num_problems * samples
        assert {sample for _, sample in ids} == set(range(samples))
    steps = [json.loads(line) for line in (robbed / "metrics.jsonl").read_text().splitlines()]
    numbers = [entry["step"] for entry in steps if entry["round"] == 1]
    assert numbers == list(range(1, len(numbers) + 1)), "a step is lost or counted twice"


def test_a_node_without_the_base_fetches_it(robbed: Path, tiny_model: Path, cache_of_b: Path) -> None:
    if not can_hide():
        pytest.skip("this machine cannot give a node its own view of the disk")
    (fetched,) = (cache_of_b / "ratchet" / "models").glob("[0-9a-f]*")
    assert fetched.name == model_id(fetched) == model_id(tiny_model)


@pytest.mark.soak
def test_a_disturbed_run_equals_an_undisturbed_one(
    robbed: Path, there: Started, tiny_model: Path, tmp_path: Path
) -> None:
    Job(there, tmp_path, CONFIG, f"base={tiny_model}", *CHANGES, "--submission-id", "whole").end()
    whole = tmp_path / "runs" / "whole"
    assert sorted(journal(robbed)) == sorted(journal(whole))
    assert [essence(record) for record in rounds(robbed)] == [essence(record) for record in rounds(whole)]
    for stage in ("rounds/001/probe", "rounds/001/sample"):
        assert problem_ids(robbed, stage) == problem_ids(whole, stage)
    lines = [(run / "metrics.jsonl").read_text().count("\n") for run in (robbed, whole)]
    assert lines[0] == lines[1]


def wait_until(ready, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(0.05)

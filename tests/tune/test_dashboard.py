"""`ratchet dashboard` from outside: the runs, curves and values that TensorBoard's own interface returns."""

import json
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.cli import cli
from tests.support.fixtures_experiment import write_experiment
from tests.support.fixtures_report import judged, warm_start, write_run
from tests.support.fixtures_sweep import score, trial, values, write_sweep
from tests.support.runs import ratchet
from tune.dashboard import Events

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("default_sigint")]


@contextmanager
def dashboard(run: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command on a run, and the address that it has printed."""
    process = ratchet(run.parent, "dashboard", str(run), *options)
    try:
        assert process.stdout
        printed = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", printed)
        assert found and run.name in printed, (
            printed,
            process.stderr and process.poll() and process.stderr.read(),
        )
        yield found[0], process
    finally:
        process.kill()
        process.communicate()


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def eventually(url: str, enough: Any) -> Any:
    """What TensorBoard says as soon as it has read its files."""
    deadline = time.monotonic() + 60
    while not enough(found := ask(url)):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def scalars(url: str, run: str, tag: str, num: int) -> list[tuple[int, float]]:
    """A curve, as soon as it has so many points or more."""
    query = f"{url}data/plugin/scalars/scalars?run={quote(run)}&tag={quote(tag)}"
    points = eventually(query, lambda found: len(found) >= num)
    return [(int(step), value) for _, step, value in points]


def test_a_sweep_has_its_curves_and_its_hyperparameters(tmp_path: Path) -> None:
    run = write_sweep(tmp_path / "s", 4, "search")
    with dashboard(run) as (url, process):
        names = {f"trial-{number:03d}" for number in range(4)}
        assert set(eventually(f"{url}data/runs", lambda found: len(found) == 4)) == names
        tags = ask(f"{url}data/plugin/scalars/tags")
        curves = {"train/loss", "train/learning_rate", "train/grad_norm", "train/validation_loss"}
        assert curves | {"selection/headline"} <= set(tags["trial-000"])
        assert "trial-001" not in tags, "it came to no score"
        loss = scalars(url, "trial-003", "train/loss", 26)
        assert [step for step, _ in loss] == list(range(1, 27)), "both rungs, each step once"
        looks = [step for step, _ in scalars(url, "trial-000", "train/validation_loss", 5)]
        assert looks == [5, 10, 15, 20, 25]
        measured = scalars(url, "trial-003", "selection/headline", 2)
        assert measured == [(1, pytest.approx(score(3, 0))), (2, pytest.approx(score(3, 1)))]

        groups = session_groups(url)
        assert set(groups) == names
        for number in range(1, 4):
            shown, *_ = groups[f"trial-{number:03d}"]
            assert shown == {key: pytest.approx(value) for key, value in values(number).items()}
        states = {name: state for name, (_, _, state) in groups.items()}
        assert states.pop("trial-001") != "STATUS_SUCCESS" and set(states.values()) == {"STATUS_SUCCESS"}
        own, *_ = groups["trial-000"]
        assert own["warm_start.train.lora_rank"] == 16 and own["warm_start.train.schedule"] == "cosine"
        metrics = {name: metric for name, (_, metric, _) in groups.items()}
        assert metrics["trial-000"] == pytest.approx(score(0, 1)) and metrics["trial-001"] is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and err.strip() == "ratchet: the dashboard has ended"


def session_groups(url: str) -> dict[str, tuple[dict[str, Any], float | None, str]]:
    """Hyperparameters, metric and status, by trial, as the HParams page has them."""
    tag = {"group": "", "tag": "selection/headline"}
    everything = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    body = {
        "experimentName": "",
        "allowedStatuses": everything,
        "colParams": [{"metric": tag}],
        "startIndex": 0,
        "sliceSize": 100,
    }
    found = {}
    for group in ask(f"{url}data/plugin/hparams/session_groups", body)["sessionGroups"]:
        metric = [it["value"] for it in group.get("metricValues", []) if it["name"]["tag"] == tag["tag"]]
        (session,) = group["sessions"]
        found[session["name"]] = (group["hparams"], metric[0] if metric else None, session["status"])
    return found


def test_an_experiment_has_a_curve_for_each_arm_and_seed(tmp_path: Path) -> None:
    run = write_experiment(tmp_path / "x", "trials")
    with Events(run, tmp_path / "logs") as events:
        events.update()
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {
        *(f"{arm}-{seed}" for seed in (0, 1) for arm in ("targeted", "random", "longest", "placebo"))
    }, "one that trains nothing has none"


def test_a_campaign_has_its_curves_by_round(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", (warm_start(), judged(1)))
    with dashboard(run) as (url, _):
        eventually(f"{url}data/runs", lambda found: sorted(found) == ["round-000", "round-001"])
        assert [step for step, _ in scalars(url, "round-001", "train/loss", 38)] == list(range(1, 39))


def test_what_comes_later_is_added_and_what_was_there_stays_once(tmp_path: Path) -> None:
    """Without TensorBoard: by the event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = write_sweep(tmp_path / "s", 6, "trials")
    logs = tmp_path / "logs"
    with Events(run, logs) as events:
        events.update()
        assert not (run / "tune").exists() and not list(run.rglob("*tfevents*")), "the run is left as it was"
        lines = (run / "trials/003/metrics.jsonl").read_text()
        # A resumed training writes what it had written again, and goes on.
        last = json.loads(lines.splitlines()[-1])
        (run / "trials/003/metrics.jsonl").write_text(lines + lines + json.dumps(last | {"step": 27}) + "\n")
        events.update()
    (file,) = (logs / "trial-003").glob("*tfevents*")
    read = EventAccumulator(str(file))
    read.Reload()
    assert [point.step for point in read.Scalars("train/learning_rate")] == list(range(1, 28))
    assert [point.step for point in read.Scalars("selection/headline")] == [1, 2]
    assert trial(3, 6).status == "finished"


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "r", ())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cli(tmp_path, "dashboard", str(run), "--port", str(port))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"ratchet: TensorBoard cannot be started on port {port}: ")
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    nowhere = cli(tmp_path, "dashboard", "nowhere")
    assert nowhere.returncode == 2 and nowhere.stderr.startswith("ratchet: no run nowhere in")

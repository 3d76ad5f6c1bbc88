"""Runs and their stages: run once, read afterwards, and whole again after any crash."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.load import from_tree
from configs.schema import Config
from engine.disk import steps
from engine.disk.home import LocateError, new_run_id
from engine.disk.interruption import interruptible
from engine.disk.jsonl import RowError
from engine.disk.steps import Run, RunError
from engine.records import Check, TrainingRow, Turn, to_json
from tests.support.runs import reopened

ROOT = Path(__file__).parents[3]


def config(**changes: object) -> Config:
    return from_tree({"name": "tiny", "line": "test/tiny", **changes}, "test")


def check(name: str = "alive", observed: str = "yes") -> Check:
    return Check(name=name, observed=observed, threshold="yes", passed=True)


def row(text: str) -> TrainingRow:
    return TrainingRow(problem_id="p", chat=(Turn(role="user", text="q"),), chosen=text)


def never() -> Check:
    raise AssertionError("a finished stage was run again")


def journal(run: Run) -> list[dict]:
    return [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]


def test_a_stage_runs_once_and_is_read_afterwards(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), "r")
    assert not run.is_done("rounds/001/alive")
    assert run.step("rounds/001/alive", Check, check) == check()
    assert run.is_done("rounds/001/alive")
    assert run.step("rounds/001/alive", Check, never) == check()
    later = reopened(run)
    assert later.step("rounds/001/alive", Check, never) == check()
    assert [entry["stage"] for entry in journal(later)] == ["rounds/001/alive"]
    assert later.seconds("rounds/001/").keys() == {"alive"}
    assert later.total_seconds == sum(later.seconds("").values())


def test_a_stage_that_fails_is_not_done_and_runs_again(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), "r")

    def fail() -> Check:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run.step("a", Check, fail)
    assert not run.is_done("a") and not (run.path / "a.json").exists()
    assert reopened(run).step("a", Check, check) == check()


def test_lists_are_read_back_line_by_line(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), "r")
    rows = [row("one"), row("two\nlines"), row("")]
    assert run.step_many("rows", TrainingRow, lambda: rows) == rows
    assert run.step_many("none", TrainingRow, list) == []
    later = reopened(run)
    assert later.step_many("rows", TrainingRow, list) == rows
    assert later.step_many("none", TrainingRow, lambda: rows) == []


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=4))
def test_whatever_a_model_writes_is_read_back(tmp_path: Path, texts: list[str]) -> None:
    """Also line separators of Unicode, which str.splitlines would break a record at."""
    run = Run.create(tmp_path, config(), "r")
    stage = f"rows-{len(journal(run)) if (run.path / 'journal.jsonl').exists() else 0}"
    texts = [*texts, "a\u2028b\u2029c\x85d\x1ce\rf\r\ng"]
    assert run.step_many(stage, TrainingRow, lambda: [row(text) for text in texts]) == [row(t) for t in texts]
    run._lock.close()


def test_a_journal_line_cut_by_a_crash_is_dropped(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), "r")
    run.step("a", Check, check)
    run.step("b", Check, check)
    file = run.path / "journal.jsonl"
    whole = file.read_text()
    file.write_text(whole[:-10])
    later = reopened(run)
    assert later.is_done("a") and not later.is_done("b")
    assert later.step("b", Check, lambda: check("b")) == check("b")
    assert [entry["stage"] for entry in journal(later)] == ["a", "b"]


def test_people_read_what_a_stage_does_how_long_it_took_before_and_what_came(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for name, ended in (("before", True), ("broken-off", False)):
        earlier = Run.create(tmp_path, config().model_copy(update={"seed": 7, "run_id": name}), name).path
        entries = [
            {"stage": "train", "seconds": 200.0 if ended else 9000.0},
            {"stage": "mine", "seconds": 0.1},
        ]
        (earlier / "journal.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        if ended:
            (earlier / "summary.json").write_text("{}")
    run = Run.create(tmp_path, config(), "r")
    for stage in ("train", "mine", "quiet"):
        doing = "" if stage == "quiet" else f"To {stage}"
        run.step(stage, Check, check, doing=doing, came=lambda made: f"came {made.name}")
    run.step("train", Check, check, doing="not again", came=lambda made: "not again")
    came = f"came {check().name}"
    assert [message.strip() for message in caplog.messages] == [
        "To train, 3 min the last time …", came, "To mine …", came, came,
    ]  # fmt: skip


def test_a_run_with_other_settings_or_a_damaged_one_says_nothing_of_the_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    other = config().model_copy(update={"verify": config().verify.model_copy(update={"num_processes": 9})})
    for name, its, entries in (
        ("other", other, '{"stage": "train", "seconds": 200.0}\n'),
        ("damaged", config(), '{"stage": "train", "sec'),
        ("empty", config(), '{"stage": "train"}\n'),
        ("list", config(), "[1]\n"),
        ("gone", config(), '{"stage": "train", "seconds": 200.0}\n'),
    ):
        earlier = Run.create(tmp_path, its, name).path
        (earlier / "journal.jsonl").write_text(entries)
        (earlier / "summary.json").write_text("{}")
    (earlier / "config.yaml").unlink()
    Run.create(tmp_path, config(), "r").step("train", Check, check, doing="To train")
    assert caplog.messages == ["To train …"]


def figures(round: int, steps: int, loss: float = 1.0) -> list[dict]:
    return [{"round": round, "stage": "train", "step": step, "loss": loss} for step in range(1, steps + 1)]


def kept_figures(run: Run) -> list[dict]:
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def test_a_line_of_metrics_cut_by_a_crash_is_dropped(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), "r")
    run.metrics(figures(0, 3))
    file = run.path / "metrics.jsonl"
    file.write_text(file.read_text()[:-10])
    later = reopened(run)
    assert kept_figures(later) == figures(0, 2)
    later.metrics(figures(1, 2))
    assert kept_figures(later) == figures(0, 2) + figures(1, 2)


def test_metrics_of_a_stage_that_runs_again_count_once(tmp_path: Path) -> None:
    """The driver dies between the figures of a stage and its commit; the second time there are fewer."""
    run = Run.create(tmp_path, config(), "r")

    def train(round: int, steps: int, loss: float) -> Check:
        run.metrics(figures(round, steps, loss))
        return check()

    def die() -> Check:
        train(1, 4, 2.0)
        raise KeyboardInterrupt

    run.step("rounds/000/train", Check, lambda: train(0, 2, 1.0))
    with pytest.raises(KeyboardInterrupt):
        run.step("rounds/001/train", Check, die)
    run = reopened(run)
    run.step("rounds/000/train", Check, never)
    run.step("rounds/001/train", Check, lambda: train(1, 3, 3.0))
    run.step("rounds/002/train", Check, lambda: train(2, 1, 4.0))
    assert kept_figures(run) == figures(0, 2, 1.0) + figures(1, 3, 3.0) + figures(2, 1, 4.0)


def test_a_committed_file_that_was_changed_or_deleted_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), "r")
    run.step("a", Check, check)
    file = run.path / "a.json"
    file.write_text(file.read_text().replace("yes", "no"))
    with pytest.raises(RunError, match=r"a\.json was changed after it was committed"):
        reopened(run).step("a", Check, never)
    file.unlink()
    run._lock.close()
    with pytest.raises(RunError, match=r"a\.json was deleted after it was committed"):
        Run(run.path).step("a", Check, never)


def test_a_run_has_one_driver_at_a_time(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), "r")
    with pytest.raises(RunError, match="run r is already being driven by another process"):
        Run.create(tmp_path, config(), "r")
    reopened(run)


def test_the_same_id_and_config_resumes_and_another_config_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), "r")
    run.step("a", Check, check)
    run._lock.close()
    with pytest.raises(RunError, match="run r exists with another config; resume it with `ratchet resume r`"):
        Run.create(tmp_path, config(seed=1), "r")
    again = Run.create(tmp_path, config(), "r")
    assert again.is_done("a") and again.config == config()


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    first, second = Run.create(tmp_path, config(), "one"), Run.create(tmp_path, config(), "two")
    assert os.readlink(tmp_path / "runs" / "latest") == "two"
    first._lock.close(), second._lock.close()
    opened = Run.open(tmp_path)
    assert opened.id == "two" and opened.path.name == "two"
    assert Run.open(tmp_path, "one").id == "one"
    with pytest.raises(LocateError, match=r"no run three in .*: the newest are one, two"):
        Run.open(tmp_path, "three")


def test_without_any_run_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(LocateError, match="no run latest in .*: there is none yet"):
        Run.open(tmp_path)


def test_a_run_of_another_home_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "here", config(), "r")
    run._lock.close()
    (tmp_path / "there" / "runs").mkdir(parents=True)
    with pytest.raises(RunError, match=f"run {run.path} is not under {tmp_path}/there/runs"):
        Run.open(tmp_path / "there", str(run.path))
    assert Run.open(tmp_path / "here", str(run.path)).id == "r"


def test_a_run_without_an_id_is_named_by_time_and_config(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), new_run_id(config().name))
    assert run.id.endswith("-tiny") and run.id[:8].isdigit()


def test_the_environment_file_holds_no_environment_variables(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hunter2")
    run = Run.create(tmp_path, config(), "r")
    assert "hunter2" not in (run.path / "environment.json").read_text()


DRIVER = """
import sys
import time
from pathlib import Path
from typing import Any
from configs.load import from_tree
from engine.records import Check
from engine.disk.steps import Run

home, calls = Path(sys.argv[1]), Path(sys.argv[2])
run = Run.create(home, from_tree({"name": "tiny", "line": "test/tiny"}, "test"), "r")

def make(name):
    with open(calls, "a") as stream:
        stream.write(name + "\\n")
    return Check(name=name, observed="", threshold="", passed=True)

print([run.step(name, Check, lambda: make(name)).name for name in ("first", "second", "third")])
"""


def drive(home: Path, calls: Path, fault: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", DRIVER, str(home), str(calls)],
        env={**os.environ, "RATCHET_FAULT": fault, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "runs_of_second"),
    [("before", 1), ("inside", 2), ("after", 1)],
)
def test_a_killed_driver_is_resumed_and_every_stage_committed_once(
    tmp_path: Path, when: str, runs_of_second: int
) -> None:
    calls = tmp_path / "calls"
    killed = drive(tmp_path, calls, f"second:{when}")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = drive(tmp_path, calls)
    assert resumed.stdout.strip() == "['first', 'second', 'third']", resumed.stderr
    made = calls.read_text().split()
    assert [made.count(name) for name in ("first", "second", "third")] == [1, runs_of_second, 1]
    stages = [
        json.loads(line)["stage"] for line in (tmp_path / "runs/r/journal.jsonl").read_text().splitlines()
    ]
    assert stages == ["first", "second", "third"]
    assert not list((tmp_path / "runs/r").glob("*.tmp"))


def test_sigterm_interrupts_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_damaged_journal_is_told_with_its_line(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), "r")
    run.step("alive", Check, check)
    run._lock.close()
    content = (run.path / "journal.jsonl").read_text()
    (run.path / "journal.jsonl").write_text(content + "{broken\n" + content)
    with pytest.raises(RowError, match=r"journal\.jsonl is damaged in line 2 \(.*\); restore it"):
        Run(run.path)


def test_who_makes_a_run_holds_it_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that make the same run at once, one is refused, and takes nothing away from the other."""
    write = steps.write_atomically

    def while_the_first_writes(path: Path, text: str) -> None:
        monkeypatch.setattr(steps, "write_atomically", write)
        with pytest.raises(RunError, match="already being driven"):
            Run.create(tmp_path, config(seed=1), "r")
        write(path, text)

    monkeypatch.setattr(steps, "write_atomically", while_the_first_writes)
    run = Run.create(tmp_path, config(), "r")
    assert run.config == config() and reopened(run).config == config()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"passed": "yes"},
            r"rounds/001/alive\.json holds no Check: passed: Input should be a valid boolean",
        ),
        ({"observed": 3}, r"holds no Check: observed: Input should be a valid string"),
        ({"colour": "red"}, r"holds no Check: colour: Unexpected keyword argument"),
    ],
)
def test_a_stage_file_of_another_shape_is_refused_by_file_and_field(
    tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    run = Run.create(tmp_path, config(), "r")
    content = json.dumps(json.loads(to_json(check())) | changed)
    run.step("rounds/001/alive", Any, lambda: json.loads(content))
    with pytest.raises(RunError, match=said):
        run.step("rounds/001/alive", Check, never)
    with pytest.raises(RunError, match=said):
        run.read("rounds/001/alive", Check)


def test_an_unfinished_run_of_the_version_before_is_refused_with_the_way_to_finish_it(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "old"
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("name: old\nline: a/b\nloop: oak_dpo\npropose: {samples: 8}\n")
    with pytest.raises(RunError, match=r"run old was begun by an earlier version .*git checkout 558b134"):
        Run.open(tmp_path, "old")


def test_time_spent_in_a_stage_inside_another_is_counted_once(tmp_path: Path) -> None:
    run = Run.create(tmp_path, config(), "r")

    def outer() -> Check:
        run.step("inner", Check, lambda: time.sleep(0.2) or check())
        time.sleep(0.1)
        return check()

    started = time.monotonic()
    run.step("outer", Check, outer)
    elapsed = time.monotonic() - started
    assert run.seconds("")["inner"] >= 0.2
    assert 0.3 <= run.total_seconds <= elapsed + 0.01

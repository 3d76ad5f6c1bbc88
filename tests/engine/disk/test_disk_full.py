"""A full disk, for real: a small file system that is filled to the last block, at every write in turn.

Whatever then fails leaves nothing half-written, and what is done again with space is as if nothing had
been. Where this process may not mount, the file runs once more inside a user namespace that may.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest

import ratchet
from cluster import connect
from configs.load import from_tree
from engine.disk import steps
from engine.disk.steps import Run
from engine.records import Check, Summary, TrainingRow, Turn
from engine.registry.registry import Registry
from tests.support.cli import QUICKSTART, ROOT, cli
from tests.support.registry import LINE, decision, manifest, show_better
from tests.support.runs import ended as ended_run

pytestmark = pytest.mark.slow

BLOCK = os.sysconf("SC_PAGE_SIZE")
NUM_BLOCKS = 96
INSIDE = "RATCHET_TEST_NAMESPACE"
CONFIG = from_tree({"name": "tiny", "line": LINE}, "test")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    at = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={NUM_BLOCKS * BLOCK}", "none", str(at)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        in_a_namespace(at, done.stderr.strip())
    yield at
    subprocess.run(["umount", "--lazy", str(at)], check=True)


def in_a_namespace(at: Path, refusal: str) -> None:
    """Run the whole file where mounting is allowed, and end this one as that one ended."""
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    allowed = subprocess.run([*namespace, "true"], capture_output=True, text=True)
    if INSIDE in os.environ or allowed.returncode:
        pytest.skip(f"no file system can be mounted here: {refusal}; {allowed.stderr.strip()}")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(at / "tmp")]
    done = subprocess.run(
        [*namespace, *tests, __file__],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, INSIDE: "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pytest.skip(f"in a user namespace: {done.stdout.strip().splitlines()[-1]}")


@pytest.fixture
def home(disk: Path) -> Iterator[Path]:
    yield disk
    empty(disk)


def empty(disk: Path) -> None:
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def fill(disk: Path, leaving: int) -> None:
    """Take all but `leaving` blocks."""
    room = shutil.disk_usage(disk).free - leaving * BLOCK
    (disk / "fill").write_bytes(b"x" * room)


def at_every_write(home: Path, scenario: Callable[[], object], check_what_is_left: Callable[[], None]) -> int:
    """Run `scenario` with ever more space until it ends, each time from nothing and again with all space.

    Returns how often the disk was full.
    """
    expected = scenario()
    for leaving in range(NUM_BLOCKS):
        empty(home)
        fill(home, leaving)
        try:
            assert scenario() == expected
        except OSError as error:
            assert error.errno == errno.ENOSPC
            assert str(error.filename).startswith(str(home)), "the sentence would name no file"
            assert not list(home.rglob("*.tmp")) and not list(home.rglob(".latest.*"))
            check_what_is_left()
            (home / "fill").unlink()
            assert scenario() == expected, f"with {leaving} blocks at first"
            check_what_is_left()
        else:
            return leaving
    raise AssertionError("the disk is too small for the scenario")


STAGE = "rounds/{:03d}/" + "stage" * 40
"""Long, so that the journal grows over the end of a block."""


def campaign(home: Path) -> tuple[object, ...]:
    run = Run.create(home, CONFIG, "r")
    committed = {entry["stage"] for entry in lines(run.path / "journal.jsonl")}
    records: list[object] = []
    for number in range(7):

        def train(number: int = number) -> Check:
            assert f"{STAGE.format(number)}-train" not in committed, "a committed stage runs again"
            run.metrics([{"round": number, "stage": "train", "step": step} for step in range(1, 21)])
            return Check(name="x" * 1000 * number, observed="", threshold="", passed=True)

        def rows(number: int = number) -> list[TrainingRow]:
            assert f"{STAGE.format(number)}-rows" not in committed, "a committed stage runs again"
            return (
                [TrainingRow(problem_id="p", chat=(Turn(role="user", text="q"),), chosen="a" * 500)]
                * 4
                * number
            )

        try:
            records.append(run.step(f"{STAGE.format(number)}-train", Check, train))
            records.append(run.step_many(f"{STAGE.format(number)}-rows", TrainingRow, rows))
        except OSError:
            run._lock.close()
            raise
    run._lock.close()
    assert len(lines(run.path / "metrics.jsonl")) == 7 * 20, "figures are lost"
    return tuple(records)


def lines(path: Path) -> list[dict]:
    content = path.read_text() if path.exists() else ""
    assert content.endswith("\n") or not content, f"{path.name} ends in the middle of a line"
    return [json.loads(line) for line in content.splitlines()]


def test_a_run_at_every_write(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Reading the versions of all packages takes longer than everything else here.
    monkeypatch.setattr(steps, "environment_of", lambda home: {"packages": "x" * 3000})

    def check_what_is_left() -> None:
        runs = home / "runs"
        if not (runs / "r" / "config.yaml").exists():
            assert not list(runs.glob("*")), "a run that was not made left something"
            return
        journal, metrics = lines(runs / "r" / "journal.jsonl"), lines(runs / "r" / "metrics.jsonl")
        stages = [entry["stage"] for entry in journal]
        assert len(set(stages)) == len(stages), "a stage was committed twice"
        for entry in journal:
            (file,) = (runs / "r").glob(f"{entry['stage']}.json*")
            assert sha256(file.read_bytes()).hexdigest() == entry["sha256"]
        keys = [(entry["round"], entry["step"]) for entry in metrics]
        assert len(set(keys)) == len(keys) and len(keys) % 20 == 0, "figures are doubled or cut"

    assert at_every_write(home, lambda: campaign(home), check_what_is_left) > 25


def test_the_registry_at_every_write(home: Path, tmp_path: Path) -> None:
    for name in ("m0", "m1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(name.encode() * 5 * BLOCK)
        (tmp_path / name / "config.json").write_text("{}")

    def change() -> object:
        registry = Registry(home)
        registry.add(tmp_path / "m0", manifest("m0"))
        registry.promote(LINE, "m0", run_id="run", round=0, expected_epoch=0, baseline=True)
        registry.open_ledger(LINE, alpha=0.05, planned_tests=2, run_id="run", fresh=True)
        registry.add(tmp_path / "m1", manifest("m1"))
        show_better(registry, 1, "m1")
        registry.promote(LINE, "m1", run_id="run", round=1, expected_epoch=1, decision=decision(True))
        line = registry.line(LINE)
        events = [(event.kind, event.model_id) for event in registry.history(LINE)]
        return line.champion, line.frozen, line.epoch, line.ledger.num_left, events

    def check_what_is_left() -> None:
        registry = Registry(home)
        line = registry.line(LINE)
        sequences = [event.sequence for event in registry.history(LINE)]
        assert sequences == list(range(1, len(sequences) + 1))
        for model in registry.models():
            registry.verify(model.manifest.model_id)
        if line.champion:
            registry.path(line.champion)
        assert not (home / "registry" / "staging").exists(), "half a model keeps the disk full"

    assert at_every_write(home, change, check_what_is_left) > 20


def test_a_command_on_a_full_disk_is_one_sentence(home: Path) -> None:
    fill(home, leaving=0)
    done = cli(home, "run", QUICKSTART)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"ratchet: {home} needs about") and done.stderr.count("\n") == 1
    assert [path.name for path in home.iterdir()] == ["fill"]


def test_a_run_that_fills_the_disk_is_one_sentence_and_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line with a campaign of ours in the place of the real one, without the check of space."""
    stand_in = ModuleType("loops.campaign")
    stand_in.run_campaign = lambda run, plan: campaign_of(run)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "loops.campaign", stand_in)
    monkeypatch.setattr(connect, "connect", lambda plan: None)
    monkeypatch.setattr(ratchet, "_planned", lambda settings, home: (settings, None))
    monkeypatch.setattr(steps, "environment_of", lambda home: {})
    monkeypatch.setenv("RATCHET_HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["ratchet", "run", str(ROOT / QUICKSTART), "run_id=r"])
    seen = []
    for leaving in range(NUM_BLOCKS):
        empty(home)
        fill(home, leaving)
        with pytest.raises(SystemExit) as ended:
            ratchet.main()
        error = capsys.readouterr().err
        if not ended.value.code:
            break
        assert ended.value.code == 2 and error.startswith("ratchet: the disk is full: ")
        assert error.count("\n") == 1 and str(home) in error and "Traceback" not in error
        seen.append("`ratchet resume r` continues" in error)
    # At first there is no run yet that could be resumed, then there is.
    assert seen == sorted(seen) and set(seen) == {False, True}


def campaign_of(run: Run) -> Summary:
    try:
        for stage in ("first", "second"):
            check = Check(name="x" * BLOCK, observed="", threshold="", passed=True)
            run.step(stage, Check, lambda check=check: check)
        return ended_run(run.id)
    finally:
        run._lock.close()

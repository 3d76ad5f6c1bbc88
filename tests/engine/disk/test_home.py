"""RATCHET_HOME as people name it, runs that go on elsewhere, and homes that were moved."""

import json
import os
from pathlib import Path

import pytest

from configs.load import from_tree
from configs.schema import Config
from engine.disk import environment
from engine.disk.home import enter_place, home_of, named_home, place_kept, placed, ratchet_home
from engine.disk.steps import Run
from engine.disk.storage import StorageError
from engine.records import Challenger, Check, Summary
from tests.support.runs import ended

BLANK = "mit Leerzeichen ü"


def config(**changes: object) -> Config:
    return from_tree({"name": "tiny", "line": "test/tiny", **changes}, "test")


def challenger(path: Path) -> Challenger:
    return Challenger(
        model_id="m",
        path=str(path),
        parent_id="p",
        training_set_id="t",
        method="sft",
        num_steps=1,
        num_tokens=1,
        tokens_per_second=1.0,
        final_loss=1.0,
        update_size=1.0,
        reference=(),
        stopped_early=False,
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (None, "here/.ratchet"),
        ("", "here/.ratchet"),
        (" \r", "here/.ratchet"),
        ("~", "me"),
        ("~/x", "me/x"),
        ("x", "here/x"),
        (f"{BLANK}/x", f"here/{BLANK}/x"),
        ("x~", "here/x~"),
    ],
)
def test_home_is_read_as_a_shell_reads_it(
    said: str | None, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("RATCHET_HOME", raising=False)
    if said is not None:
        monkeypatch.setenv("RATCHET_HOME", said)
    assert ratchet_home() == named_home() == tmp_path / named


@pytest.mark.parametrize("below", ["", "/x/y"])
def test_a_home_that_is_a_file_is_refused(
    below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RATCHET_HOME", f"{tmp_path}/file{below}")
    with pytest.raises(StorageError, match=f"got {tmp_path}/file{below}: {tmp_path}/file is none"):
        ratchet_home()


def test_a_home_of_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_HOME", "~nobody-of-this-name/x")
    with pytest.raises(StorageError, match="got ~nobody-of-this-name/x: what ~ stands for is not known here"):
        ratchet_home()
    assert named_home().name == "x", "the sentence for another error needs a name"


def test_the_home_of_a_run_is_what_holds_all_runs() -> None:
    assert home_of(Path("/h/runs/r")) == Path("/h") == home_of(Path("/h/runs/sweep/trials/000"))
    assert home_of(Path("/run1")) is None


def test_a_run_goes_on_where_it_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its config names its base and its files from there."""
    begun, elsewhere, home = tmp_path / BLANK, tmp_path / "elsewhere", tmp_path / "home"
    (begun / "model").mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.chdir(begun)
    monkeypatch.setenv("RATCHET_HOME", "../home")
    Run.create(ratchet_home(), config(base="model"), "r").close()
    monkeypatch.chdir(elsewhere)
    opened = Run.open(ratchet_home())
    assert Path.cwd() == begun and Path(str(opened.config.base)).is_dir()
    assert ratchet_home().resolve() == home, "RATCHET_HOME named it from elsewhere"


def test_a_run_moves_with_the_directory_that_holds_its_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path / "old")
    Run.create(tmp_path / "old" / ".ratchet", config(), "r").close()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").rename(tmp_path / BLANK)
    monkeypatch.setenv("RATCHET_HOME", f"{BLANK}/.ratchet")
    Run.open(ratchet_home(), "r")
    assert Path.cwd() == tmp_path / BLANK and ratchet_home() == tmp_path / BLANK / ".ratchet"


def test_inside_a_job_its_copy_of_the_directory_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("begun", "copy"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "begun")
    Run.create(tmp_path / "home", config(), "r").close()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    Run.open(tmp_path / "home", "r")
    assert Path.cwd() == tmp_path / "copy"


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", "3", "{}", '{"working_dir": null}', '{"working_dir": "/no/such"}']
)
def test_where_the_place_is_not_known_or_gone_nothing_is_entered(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RATCHET_HOME", "relative")
    if content is not None:
        (tmp_path / "environment.json").write_text(content)
    enter_place(tmp_path, tmp_path)
    assert Path.cwd() == tmp_path and os.environ["RATCHET_HOME"] == "relative"


def test_a_place_is_kept_relative_to_a_home_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_kept(tmp_path / ".ratchet") == ".." and place_kept(tmp_path / "a" / "b") == "../.."
    assert place_kept(tmp_path.parent / "other") == str(tmp_path)
    run = Run.create(tmp_path / ".ratchet", config(), "r")
    assert json.loads((run.path / "environment.json").read_text())["working_dir"] == ".."


def test_records_name_their_files_where_these_are_now(tmp_path: Path) -> None:
    """Also after two moves, and of a trial, which is a run in a run."""
    old = tmp_path / "old"
    for name in ("r", "s/trials/000"):
        run = Run.create(old, config(), name)
        run.step("train", Challenger, lambda run=run: challenger(run.path / "training" / "model"))
        run.step("summary", Summary, lambda run=run: ended(run.id))
        run.close()
    for number, new in enumerate((BLANK, "runs")):
        (old if number == 0 else tmp_path / BLANK).rename(tmp_path / new)
        for name in ("r", "s/trials/000"):
            run = Run(tmp_path / new / "runs" / name)
            found = run.step("train", Challenger, lambda: pytest.fail("a finished stage was run again"))
            assert found == challenger(run.path / "training" / "model") == run.read("train", Challenger)
            run.close()


def test_what_is_no_place_in_the_run_stays_as_it_is(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "r"
    for record in (
        ended("r"),
        challenger(Path("/models/of/somebody/runs/q/model")),
        Check(name="/runs/r/x", observed=str(run / "x"), threshold="", passed=True),
        str(run / "x"),
        [str(run / "x")],
    ):
        assert placed(record, run) == record
    assert placed(challenger(Path("/was/here/runs/r/a/model")), run).path == str(run / "a" / "model")


def test_the_version_of_the_code_needs_no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an image."""
    monkeypatch.setenv("PATH", "/no/such/directory")
    assert environment.code_version() == environment.metadata.version("ratchet")

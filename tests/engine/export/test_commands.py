"""`ratchet export` from outside: what it prints, its exit code, and what it refuses."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from engine.errors import Mistake
from engine.export import commands
from engine.export.asking import asking_for
from engine.export.exported import ExportError
from engine.plan.machine import Machine, detect_machine
from tests.support.exporting import LINE, MODEL, TOY, Played, champion_says, make_registry
from tests.support.llama import Reply


class Here:
    """A cluster that is this machine, to which nobody connects."""

    def machine(self, home: Path) -> Machine:
        return detect_machine(home)

    def connect(self, needs: object) -> None:
        raise AssertionError("nothing is asked here")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    make_registry(home)
    monkeypatch.setenv("RATCHET_HOME", str(home))
    return home


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app_with(Here()), list(arguments), env={"COLUMNS": "80"})


def refused(*arguments: str) -> str:
    done = run(*arguments)
    assert isinstance(done.exception, Mistake), done.output
    return str(done.exception)


def export(monkeypatch: pytest.MonkeyPatch, out: Path, reply: str | Reply, *options: str) -> Result:
    """GGUF files that answer `reply`, from a champion that answers yes."""
    Played(monkeypatch, reply if callable(reply) else lambda body: reply)
    monkeypatch.setattr(commands, "_asker", lambda *_: champion_says("yes"))
    judging = ("--task", TOY, "-n", "40", "--seed", "3", "--margin", "0.1")
    return run(LINE, "--to", str(out), "--format", "gguf", "--quant", "q8_0", *judging, *options)


def test_a_table_shows_what_each_file_costs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = export(monkeypatch, tmp_path / "out", "yes", "--quant", "f16")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    for part in ("champion", "win rate", "50.0 %", "same 40 problems of toy, drawn by seed 3"):
        assert part in said
    for level in ("q8_0", "f16"):
        (line,) = [line for line in done.output.splitlines() if line.startswith(f"{level} ")]
        assert line.endswith("accepted"), "it fits a line of a terminal"
    assert f"model {MODEL} is exported to {tmp_path / 'out'}" in done.output.replace("\n", "")


def test_a_refused_file_is_exit_code_1(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = export(monkeypatch, tmp_path / "out", "no")
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert "-q8_0.gguf is refused: as good as the champion" in said
    assert not [*(tmp_path / "out").glob("*.gguf")], "it is left out"


def test_an_interrupted_export_says_so_and_the_same_command_goes_on(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminated(body: dict[str, Any]) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return "yes"

    before = signal.getsignal(signal.SIGTERM)
    done = export(monkeypatch, tmp_path / "out", terminated)
    assert done.exit_code == 130, done.output
    assert done.stderr.endswith("ratchet: interrupted; the same command goes on from there\n")
    assert signal.getsignal(signal.SIGTERM) is before
    assert export(monkeypatch, tmp_path / "out", "yes").exit_code == 0


def test_json_is_one_line_for_programs(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = export(monkeypatch, tmp_path / "out", "yes", "--json")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["files"][0]["level"] == "q8_0" and found["files"][0]["judged"]["won"] == 0


def test_an_existing_directory_is_refused_first(home: Path, tmp_path: Path) -> None:
    assert "--to never overwrites" in refused("nobody", "--to", str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--quant", "q8_0"), "--quant has no effect with --format hf"),
        (("--task", TOY), "--task has no effect with --format hf"),
        (("--unjudged",), "--unjudged has no effect with --format hf"),
        (("--format", "gguf", "--unjudged", "--seed", "1"), "--seed has no effect with --unjudged"),
    ],
)
def test_options_without_effect_are_refused(
    home: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    assert refused(LINE, "--to", str(tmp_path / "out"), *options) == message


def test_a_level_that_is_none_is_refused_with_those_that_there_are(home: Path, tmp_path: Path) -> None:
    done = run(LINE, "--to", str(tmp_path / "out"), "--format", "gguf", "--quant", "q2_k")
    assert done.exit_code == 2 and "q4_k_m" in done.output


def test_a_missing_runtime_is_one_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.export.gguf.find_spec", lambda name: None)
    message = refused(LINE, "--to", str(tmp_path / "out"), "--format", "gguf", "--unjudged")
    remedy = "`pip install '.[gguf]'` at the root of the repository installs it"
    assert message == f"GGUF files need llama.cpp: {remedy}"


def test_the_task_is_that_of_the_run_that_judged_the_model(home: Path) -> None:
    with pytest.raises(ExportError, match=f"by which task model {MODEL} was judged: name the task"):
        asking_for(home, MODEL, None)
    run_dir = home / "runs" / "run"
    run_dir.mkdir(parents=True)
    config = {"name": "toy", "line": LINE, "task": {"name": TOY}, "sampler": {"max_new_tokens": 17}}
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    found = asking_for(home, MODEL, None)
    assert (found.task.name, found.sampler.max_new_tokens) == (TOY, 17)
    assert asking_for(home, MODEL, "prontoqa").task.name == "prontoqa"

"""`ratchet compare` as a user runs it, and the loops of the README as they stand there."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import zygote
from tests.support.cli import ROOT, cli, cli_anew, forking
from tests.support.outcomes import write_pair, write_rows

pytestmark = pytest.mark.slow

README = (ROOT / "engine" / "gate" / "README.md").read_text()
HEAVY = {"torch", "ray", "vllm", "transformers", "scipy", "pandas", "datasets", "jinja2", "z3"}


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        ([], 0, "better: 31 won, 11 lost of 200 items (p = 0.0014; +10.0 points, 95% interval 3.8 to 16.5)"),
        (["--alpha", "0.001"], 3, "not shown: 31 won, 11 lost of 200 items"),
        (["--margin", "0.02"], 0, "no worse: 31 won, 11 lost of 200 items; a gain of more than 4.8 points"),
        (["--ledger", "l", "--tests", "20"], 0, "better: 31 won, 11 lost of 200 items (p = 0.0014;"),
        (["--ledger", "l", "--tests", "200"], 3, "not shown: 31 won, 11 lost of 200 items (p = 0.0014;"),
        (
            ["--ledger", "l", "--tests", "2", "--carry"],
            5,
            "carried: 31 won, 11 lost of 200 items; looks better, ",
        ),
        (
            ["--ledger", "l", "--tests", "2", "--prove"],
            0,
            "proven: 31 won, 11 lost of 200 items (p = 0.0014;",
        ),
        (
            ["--ledger", "l", "--tests", "2", "--sequential", "--look-size", "200", "--candidate", "c"],
            4,
            "continue: look 1, 31 won, 11 lost of 200 items; bring the next look",
        ),
        (
            [
                "--ledger",
                "l",
                "--tests",
                "2",
                "--sequential",
                "--looks=1",
                "--look-size=200",
                "--candidate=c",
            ],
            0,
            "accept: look 1, 31 won, 11 lost of 200 items",
        ),
    ],
)
def test_the_answer_is_the_first_line_and_the_exit_code(
    tmp_path: Path, options: list[str], code: int, sentence: str
) -> None:
    done = cli(tmp_path / "home", "compare", *write_pair(tmp_path, 31, 11, 200), *options)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith(sentence)


@pytest.mark.parametrize(
    "options", [[], ["--ledger", "l", "--tests", "9"], ["--ledger", "l", "--tests", "9", "--carry"]]
)
def test_what_looks_worse_exits_with_3(tmp_path: Path, options: list[str]) -> None:
    done = cli(tmp_path / "home", "compare", *write_pair(tmp_path, 11, 31, 200), *options)
    assert done.returncode == 3
    assert re.match("(worse|not shown|dropped): 11 won, 31 lost of 200 items", done.stdout)


def test_json_has_every_item_that_changed_and_what_is_left(tmp_path: Path) -> None:
    paths = write_pair(tmp_path, 31, 11, 200)
    got = json.loads(cli(tmp_path, "compare", *paths, "--json").stdout)
    assert got["answer"] == got["comparison"]["verdict"] == "better"
    assert got["sentence"].startswith("better: 31 won")
    assert len(got["comparison"]["items_won"]) == 31
    got = json.loads(cli(tmp_path, "compare", *paths, "--ledger", "l", "--tests", "20", "--json").stdout)
    assert (got["answer"], got["level"], got["num_left"], got["repeated"]) == ("better", 0.0025, 19, False)
    assert got["comparison"]["p"] == pytest.approx(0.0014, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tests", "3"], "--tests needs --ledger NAME"),
        (["--carry"], "--carry needs --ledger NAME"),
        (["--sequential"], "--sequential needs --ledger NAME"),
        (["--candidate", "c"], "--candidate needs --ledger NAME"),
        (["--ledger", "l", "--looks", "3"], "--looks needs --sequential"),
        (["--ledger", "l", "--prove-every", "3"], "--prove-every needs --carry"),
        (
            ["--ledger", "l", "--carry", "--prove"],
            "--carry compares NEW with the working model, --prove with the champion: choose one",
        ),
        (["--ledger", "l"], "there is no ledger l yet: --tests N opens it, for so many tests"),
        (["--alpha", "2"], "alpha must lie between 0 and 1, got 2"),
        (["--metric", "acc"], "old.jsonl, line 1: has no `acc`"),
        (["--task", "arc"], "is no sample file of lm-evaluation-harness: --task has no effect"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, options: list[str], sentence: str) -> None:
    done = cli(tmp_path / "home", "compare", *write_pair(tmp_path, 3, 1, 20), *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ratchet: ") and done.stderr.count("\n") == 1
    assert sentence in done.stderr
    assert not (tmp_path / "home").exists()


def test_it_takes_less_than_a_second(tmp_path: Path) -> None:
    """Processor time, so that a busy machine does not fail the test."""
    paths, seconds = write_pair(tmp_path, 31, 11, 500), []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert cli_anew(tmp_path / "home", "compare", *paths, "--ledger", "l", "--tests", "2").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 1.0


def test_ids_cannot_steer_a_terminal(tmp_path: Path) -> None:
    names = ["a\x1b[31m", "b\nbetter: 9 won", "\ud800"]
    old = write_rows(tmp_path / "old.jsonl", [{"id": name, "pass": True, "slice": name} for name in names])
    new = write_rows(tmp_path / "new.jsonl", [{"id": name, "pass": False} for name in names])
    done = cli(None, "compare", str(old), str(new))
    assert done.returncode == 3
    assert "\x1b" not in done.stdout and "\nbetter" not in done.stdout and "\\x1b[31m" in done.stdout
    lacks = write_rows(tmp_path / "lacks.jsonl", [{"id": "c", "pass": False}])
    done = cli(None, "compare", str(old), str(lacks))
    assert done.returncode == 2 and "\x1b" not in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "options", [[], ["--ledger", "l", "--tests", "3", "--sequential", "--candidate", "c"]]
)
def test_nothing_heavy_is_loaded(tmp_path: Path, options: list[str]) -> None:
    paths = write_pair(tmp_path, 9, 1, 50)
    code = (
        "import sys, ratchet\n"
        f"sys.argv = ['ratchet', 'compare', *{[*paths, *options]!r}]\n"
        "try: ratchet.main()\n"
        "except SystemExit: pass\n"
        f"print('LOADED', sorted({HEAVY!r} & set(sys.modules)))"
    )
    environment = {"PATH": os.environ["PATH"], "RATCHET_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "LOADED []", done.stdout + done.stderr


PROGRAMS = {
    "bin/ratchet": f'exec "{sys.executable}" -IS "{zygote.__file__}" "$FORKING" "$@"',
    # A model is a file with its accuracy; every third candidate is better, the others are worse.
    "propose": """
        awk -v from="$(cat "$1")" -v number="${2##*-}" \
            'BEGIN { print number % 3 ? from - 0.04 : from + 0.08 }' > "$2"
    """,
    "evaluate": """
        case $2 in trial-*) num=50 ;; *) num=300 ;; esac
        seed=$(echo "$2" | cksum | cut -c1-6)
        awk -v accuracy="$(cat "$1")" -v seed="$seed" -v name="$2" -v num=$num 'BEGIN {
            srand(seed)
            for (; num; num--) {
                passed = rand() < accuracy ? "true" : "false"
                printf "{\\"id\\": \\"%s/%d\\", \\"pass\\": %s}\\n", name, num, passed
            }
        }'
    """,
}


def loop_of_readme(folder: Path, which: int) -> subprocess.CompletedProcess[str]:
    """Run one of the README's shell loops with programs that make and evaluate models that are numbers."""
    (folder / "bin").mkdir(parents=True)
    (folder / "base").write_text("0.4")
    for name, lines in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{lines}")
        (folder / name).chmod(0o755)
    script = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[which]
    environment = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "RATCHET_HOME": str(folder / "home")}
    environment["FORKING"] = forking()
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )


def ledger_in(folder: Path) -> dict:
    return json.loads(next((folder / "home" / "compare").glob("*/ledger.json")).read_text())


@pytest.mark.slow
def test_the_readme_s_loop_runs_as_it_stands(tmp_path: Path) -> None:
    done = loop_of_readme(tmp_path / "loop", 0)
    assert done.returncode == 0, done.stdout + done.stderr
    entries = ledger_in(tmp_path / "loop")["entries"]
    kept = [number for number, entry in enumerate(entries, start=1) if entry["answer"] == "better"]
    assert len(entries) == 20 and kept and all(number % 3 == 0 for number in kept)
    assert f"kept: candidate-{kept[-1]}" in done.stdout


@pytest.mark.slow
def test_the_readme_s_loop_of_two_pawls_runs_as_it_stands(tmp_path: Path) -> None:
    done = loop_of_readme(tmp_path / "loop", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    entries = ledger_in(tmp_path / "loop")["entries"]
    carried = [entry["candidate"] for entry in entries if entry["answer"] == "carried"]
    proven = [entry for entry in entries if entry["answer"] == "proven"]
    assert all(int(name.rpartition("-")[2]) % 3 == 0 for name in carried) and len(proven) == 2
    assert f"champion: {carried[-1]}" in done.stdout


def test_the_readme_s_python_runs_as_it_stands(tmp_path: Path) -> None:
    old, new = write_pair(tmp_path, 31, 11, 200)
    Path(old).rename(tmp_path / "old.jsonl")
    Path(new).rename(tmp_path / "new.jsonl")
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print(comparison.verdict, answer)"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "not shown better\n", done.stderr

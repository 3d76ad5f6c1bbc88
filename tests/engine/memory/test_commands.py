"""`ratchet memory` from outside."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.disk.home import point_latest
from tests.support.cli import ROOT, cli
from tests.support.remembering import live, run_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    run_of(home / "runs/plain", "configs/quickstart.yaml")
    run_of(home / "runs/new")
    live(run_of(home / "runs/two"))
    point_latest(home / "runs/two")
    return home


def test_it_shows_what_holds_with_its_origin(home: Path) -> None:
    done = cli(home, "memory")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "2 facts about 2 people in the memory of two after day 2",
        "",
        "Anna Reed",
        "  home  Turku  (day 1, talk-2 turn 1, importance 7)",
        "",
        "Ann Reed",
        "  home  Port Lenn  (day 2, talk-0 turn 1, importance 7; before: Oslo (day 1))",
        "",
        "not in it: 2 rejected, 1 undecided; --rejected shows them with the reasons",
    ]


def test_it_searches(home: Path) -> None:
    done = cli(home, "memory", "two", "oslo", "--person", "Ann Reed")
    assert done.stdout.splitlines()[0] == "1 fact about 1 person in the memory of two after day 2"
    done = cli(home, "memory", "two", "bergen")
    assert (done.returncode, done.stdout) == (0, "nothing of this is in the memory of two after day 2\n")


def test_it_shows_what_was_rejected_and_why(home: Path) -> None:
    done = cli(home, "memory", "two", "--rejected", "--day", "1")
    assert done.stdout.splitlines() == [
        "undecided  Ann Reed, moved year: 1999  (importance 5)",
        "    It was said as a guess or as hearsay.",
        "    “I think I moved in 1999.” (day 1, talk-1 turn 1)",
        "rejected  Anna Reed, lunch: soup  (importance 1)",
        "    Talk of the day, which is not worth keeping: lunch.",
        "    “I had soup for lunch.” (day 1, talk-3 turn 1)",
    ]


def test_json_is_one_line_for_programs(home: Path) -> None:
    found = json.loads(cli(home, "memory", "two", "--json").stdout)
    assert (found["run"], found["day"], len(found["memories"])) == ("two", 2, 3)
    assert found["memories"][0]["superseded_by"] == found["memories"][2]["id"]
    decided = json.loads(cli(home, "memory", "two", "lamp", "--rejected", "--json").stdout)["decided"]
    assert [(each["day"], each["judgement"]["disposal"]) for each in decided] == [(2, "REJECT")]


def test_a_run_whose_first_day_has_not_ended_says_so(home: Path) -> None:
    done = cli(home, "memory", "new")
    assert (done.returncode, done.stdout) == (
        0,
        "nothing is in the memory of new: its first day has not ended\n",
    )
    done = cli(home, "memory", "new", "--rejected")
    assert done.stdout == "nothing was rejected or left undecided in new: its first day has not ended\n"
    assert json.loads(cli(home, "memory", "new", "--json").stdout)["memories"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["plain"], "run plain keeps no memory: its loop is oak_dpo, and only sleep keeps one"),
        (["two", "--day", "7"], "run two has no memory of day 7: there are days 1 to 2"),
        (
            ["two", "--person", "Tom"],
            "run two remembers nobody called 'Tom': it knows Ann Reed, Anna Reed",
        ),
        (["nothing"], "no run nothing in HOME/runs: the newest are new, plain, two"),
    ],
)
def test_a_mistake_is_one_sentence(home: Path, arguments: list[str], sentence: str) -> None:
    done = cli(home, "memory", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ratchet: {sentence.replace('HOME', str(home))}\n"


def test_a_reader_may_close_the_pipe(home: Path) -> None:
    """As `ratchet memory | head -1` does: no traceback, and no word about a broken pipe."""
    piped = subprocess.Popen(
        [sys.executable, "-m", "ratchet", "memory", "two", "--rejected"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={"RATCHET_HOME": str(home), "PATH": "/usr/bin:/bin"},
        text=True,
    )
    assert piped.stdout and piped.stderr
    piped.stdout.close()
    assert piped.stderr.read() == ""
    piped.stderr.close()
    assert piped.wait(timeout=120) in (0, 1)


def test_what_somebody_said_steers_no_terminal(home: Path) -> None:
    run = live(run_of(home / "runs/hostile"), 1)
    for file in run.glob("rounds/001/*.jsonl"):
        file.write_text(file.read_text().replace("Turku", "Tur\\u001b[2Jku"))
    for option in ([], ["--rejected"]):
        done = cli(home, "memory", "hostile", *option)
        assert done.returncode == 0 and "\x1b" not in done.stdout
    assert "Tur\\x1b[2Jku" in cli(home, "memory", "hostile").stdout

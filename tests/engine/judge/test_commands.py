"""`ratchet rate` as a user runs it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import cli
from tests.support.outcomes import write_rows

pytestmark = pytest.mark.slow


def export(folder: Path, *options: str) -> Any:
    rows = [[{"id": n, "prompt": "q", "response": f"{who} {n}"} for n in range(30)] for who in ("old", "new")]
    files = [str(write_rows(folder / f"{number}.jsonl", each)) for number, each in enumerate(rows)]
    return cli(folder, "rate", "export", *files, "--out", str(folder / "page.html"), "--seed", "1", *options)


def rate(folder: Path, wins: int) -> str:
    """The file of a rater who prefers the new reply of the first `wins` pairs, else the old one."""
    key = json.loads((folder / "page.key").read_text())
    page = (folder / "page.html").read_text()
    opposite = {"left": "right", "right": "left"}
    sides = [pair["new_side"] for pair in key["pairs"]]
    ratings = {str(n): side if n < wins else opposite[side] for n, side in enumerate(sides)}
    seal = page.partition('"seal": "')[2].partition('"')[0]
    file = folder / "ratings.json"
    file.write_text(json.dumps({"seal": seal, "rater": "0" * 16, "ratings": ratings}))
    return str(file)


def test_a_page_goes_out_and_a_verdict_comes_back(tmp_path: Path) -> None:
    done = export(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'page.html'} asks about 30 pairs",
        f"give raters the page, and keep {tmp_path / 'page.key'}: it says whose replies are whose",
    ]
    key, labelled = str(tmp_path / "page.key"), str(tmp_path / "labelled.jsonl")
    done = cli(tmp_path, "rate", "import", key, rate(tmp_path, 25), "--labelled", labelled)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("better: 25 won, 5 lost of 30 items (p = 0.00016; ")
    rows = {line[:13].strip(): line[13:].strip() for line in lines[2:]}
    assert (rows["old"], rows["new"]) == ("0.jsonl", "1.jsonl")
    assert rows["win rate"].startswith("83.3%, 95% interval ")
    assert rows["ratings"] == "25 prefer the new one, 5 the old one, 0 neither: 30 pairs, 1 rater"
    assert rows["agreement"] == "no pair has two ratings that could differ"
    assert rows["look"] == "number 1 at these ratings, at 0.025 of alpha 0.05"
    assert rows["on the left"].endswith("%") and "of what is preferred" in rows["on the left"]
    assert lines[-1] == f"30 pairs with a preferred side are in {labelled}"
    assert len(Path(labelled).read_text().splitlines()) == 30

    done = cli(tmp_path, "rate", "import", key, rate(tmp_path, 16), "--json")
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert found["answer"] == "not shown" and found["rated"]["won"] == 16
    assert found["look"] == {"number": 2, "level": 0.0125}, "it was looked at before"
    assert cli(tmp_path, "rate", "import", key, rate(tmp_path, 5)).returncode == 3, (
        "worse is no claim to act on"
    )


def test_json_says_what_was_written(tmp_path: Path) -> None:
    done = export(tmp_path, "--num", "7", "--json")
    assert json.loads(done.stdout) == {
        "page": str(tmp_path / "page.html"),
        "key": str(tmp_path / "page.key"),
        "num_shown": 7,
        "num_same": 0,
    }


def test_a_mistake_is_one_sentence(tmp_path: Path) -> None:
    export(tmp_path)
    done = export(tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith(
        "ratchet: --out never overwrites"
    )
    assert len(done.stderr.splitlines()) == 1
    done = cli(tmp_path, "rate", "import", str(tmp_path / "page.html"), rate(tmp_path, 1))
    assert done.returncode == 2 and "is no key of a page" in done.stderr
    done = cli(tmp_path, "rate", "import", str(tmp_path / "page.key"), rate(tmp_path, 1), "--alpha", "2")
    assert done.returncode == 2 and "alpha must lie between 0 and 1, got 2" in done.stderr

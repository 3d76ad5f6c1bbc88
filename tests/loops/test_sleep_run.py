"""Two nights through the real Ray, vLLM and TRL on a tiny model, and killed while it trains."""

import json
from collections import Counter
from pathlib import Path

import pytest

from engine.records import Memory, Night, from_json
from engine.registry.lived import lived_by
from tests.support.kept import Here
from tests.support.runs import essence, journal, kill_when, ratchet, rounds

CONFIG = "tests/support/tiny_sleep.yaml"
LINE = "sleep/tiny"

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, here: Here) -> Path:
    home = tmp_path_factory.mktemp("home")
    out = here(home, "run", CONFIG, f"base={tiny_model}", "run_id=r", "--json")
    assert json.loads(out.strip().splitlines()[-1])["rounds"] == 2
    return home


def memories(home: Path, number: int) -> list[Memory]:
    lines = (home / f"runs/r/rounds/{number:03d}/memory.jsonl").read_bytes().splitlines()
    return [from_json(Memory, line) for line in lines]


def test_two_nights_are_told_dreamt_trained_judged_and_reported(undisturbed: Path) -> None:
    run = undisturbed / "runs" / "r"
    records, done = rounds(run), journal(run)
    assert [record.round for record in records] == [0, 1, 2] and max(Counter(done).values()) == 1
    for number in (1, 2):
        stages = [stage.rpartition("/")[2] for stage in done if stage.startswith(f"rounds/{number:03d}/")]
        wanted = ["statements", "judgements", "memory", "probe", "retrieval", "night"]
        assert stages[:6] == wanted
        assert {"imagined", "imagined-replies", "mixed", "dreams", "lived", "alive"} <= set(stages)
        record = records[number]
        assert record.challenger is not None and record.funnel is not None
        assert record.funnel.station("mixed").num_in > 0
        night = from_json(Night, (run / f"rounds/{number:03d}/night.json").read_bytes())
        held = {memory.id for memory in memories(undisturbed, number) if not memory.superseded_by}
        assert set(night.learnt) | set(night.replayed) <= held and len(night.learnt) > 15
        assert record.decision.looks or not record.decision.checks[0].passed
    assert lived_by(undisturbed, LINE).days == 2
    page = (run / "report.html").read_text()
    assert "Recall by night and by day of telling" in page and "The tests, on the sealed questions" in page


def test_memory_can_be_asked_for(undisturbed: Path, here: Here) -> None:
    shown = json.loads(here(undisturbed, "memory", "r", "--json").strip().splitlines()[-1])
    assert shown["day"] == 2 and len(shown["memories"]) == len(memories(undisturbed, 2))
    kept_out = here(undisturbed, "memory", "r", "--rejected")
    assert "undecided" in kept_out or "rejected" in kept_out


def test_killed_while_it_trains_it_comes_to_the_same_memory_and_decision(
    undisturbed: Path, tiny_model: Path, tmp_path: Path, here: Here
) -> None:
    start = ("run", CONFIG, f"base={tiny_model}", "run_id=r")
    process = ratchet(tmp_path, *start)
    training = tmp_path / "runs/r/rounds/001/training-1"
    kill_when(process, lambda: any(training.glob("first-*/metrics.jsonl")))
    assert "rounds/001/dreams" in journal(tmp_path / "runs" / "r")
    here(tmp_path, *start)
    expected, run = undisturbed / "runs" / "r", tmp_path / "runs" / "r"
    assert [essence(record) for record in rounds(run)] == [essence(record) for record in rounds(expected)]
    for number in (1, 2):
        assert memories(tmp_path, number) == memories(undisturbed, number)
    assert lived_by(tmp_path, LINE) == lived_by(undisturbed, LINE)


def test_the_next_campaign_of_the_line_begins_with_the_third_day(
    undisturbed: Path, tiny_model: Path, here: Here
) -> None:
    before = lived_by(undisturbed, LINE)
    again = ("start=champion", "stop.rounds=1", "baseline=null", "run_id=next")
    here(undisturbed, "run", CONFIG, f"base={tiny_model}", *again)
    after = lived_by(undisturbed, LINE)
    assert (before.days, after.days) == (2, 3)
    assert {memory.id for memory in before.memories} <= {memory.id for memory in after.memories}
    night = from_json(Night, (undisturbed / "runs/next/rounds/001/night.json").read_bytes())
    assert night.day == 3

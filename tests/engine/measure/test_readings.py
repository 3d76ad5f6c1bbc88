"""`ratchet eval`: models side by side, and what is kept of reading a file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ratchet
from cluster import connect
from engine.measure import readings
from engine.measure.readings import (
    Asked,
    Reading,
    evaluate_models,
    kept_readings,
    print_reading,
    problems_for,
)
from engine.models.identity import model_id
from engine.records import to_json
from engine.tasks import DataError, Suite
from tests.support.cli import cli
from tests.support.fixtures_report import evaluation
from tests.support.tiny_model import make_tiny_model


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Five problems in the form of the public records."""
    drawn = Suite("prontoqa").draw(5, split="public", seed=3)
    path = tmp_path / "records.json"
    path.write_text(
        json.dumps(
            [
                {
                    "id": str(i),
                    "context": " ".join(problem.premises),
                    "question": f"Is the following statement true or false? {problem.question}",
                    "answer": "A" if problem.gold_answer == "True" else "B",
                }
                for i, problem in enumerate(drawn)
            ]
        )
    )
    return path


def reading_of(asked: Asked, at: str = "2026-01-01T00:00:00.000000+00:00") -> Reading:
    """An earlier one, which was broken off."""
    ids = tuple(problem.id for problem in asked.problems)
    return Reading(at=at, data=asked.data, problems=ids, num_earlier=0, evaluations={})


def keep(home: Path, reading: Reading) -> None:
    (home / "readings").mkdir(parents=True, exist_ok=True)
    (home / "readings" / f"{reading.at}.json").write_text(to_json(reading))


def test_records_after_the_first(tmp_path: Path, records: Path) -> None:
    whole = problems_for(tmp_path, "prontoqa", records)
    assert len(whole.problems) == 5 and whole.data == str(records) and whole.seed is None
    part = problems_for(tmp_path, "prontoqa", records, skip=1, num=3)
    assert part.problems == whole.problems[1:4]
    assert problems_for(tmp_path, "prontoqa", records, skip=2).problems == whole.problems[2:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip": 5}, "has 5 records: --skip must be less, got 5"),
        ({"num": 6}, "has 5 records: -n must be at most that, got 6"),
        ({"skip": 1, "num": 5}, "has 4 records after the first 1: -n must be at most that, got 5"),
        ({"seed": 3}, "--seed is for fresh problems: a file is read in its order, got --seed 3"),
    ],
)
def test_records_that_a_file_cannot_give(
    tmp_path: Path, records: Path, options: dict[str, int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        problems_for(tmp_path, "prontoqa", records, **options)


def test_fresh_problems_are_others_each_time_and_a_seed_repeats_them(tmp_path: Path, capsys) -> None:
    first, second = (problems_for(tmp_path, "prontoqa", None, num=20) for _ in range(2))
    assert not {p.id for p in first.problems} & {p.id for p in second.problems}
    assert problems_for(tmp_path, "prontoqa", None, num=20, seed=first.seed) == first
    reading = evaluate_models(tmp_path, {}, {}, first)
    assert reading.seed == first.seed and not (tmp_path / "readings").exists()
    print_reading(reading)
    assert f"20 fresh problems; --seed {first.seed} asks them again" in capsys.readouterr().out
    with pytest.raises(DataError, match="--skip is for --data"):
        problems_for(tmp_path, "prontoqa", None, skip=1)


def test_the_command_draws_afresh_and_tells_the_seed(tmp_path: Path, monkeypatch, capsys) -> None:
    def without_models(home: Path, settings: object, plans: object, asked: Asked) -> Reading:
        return evaluate_models(home, {}, {}, asked)

    def said(*options: str) -> dict[str, Any]:
        monkeypatch.setattr(
            "sys.argv", ["ratchet", "eval", str(tmp_path), "--task", "prontoqa", "-n", "3", *options]
        )
        with pytest.raises(SystemExit):
            ratchet.main()
        return json.loads(capsys.readouterr().out)

    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    monkeypatch.setattr(readings, "evaluate_models", without_models)
    monkeypatch.setattr(ratchet, "_plan", lambda *_, **__: None)
    monkeypatch.setattr(connect, "connect", lambda plan: None)
    first, second = said("--json"), said("--json")
    assert first["seed"] != second["seed"] and first["problems"] != second["problems"]
    assert said("--json", "--seed", str(first["seed"]))["problems"] == first["problems"]


def test_of_two_readings_at_once_neither_misses_the_other(
    tmp_path: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = problems_for(tmp_path, "prontoqa", records)
    kept = readings._keep

    def while_another_begins(home: Path, reading: Reading) -> None:
        keep(tmp_path, reading_of(asked))
        kept(home, reading)

    monkeypatch.setattr(readings, "_keep", while_another_begins)
    assert evaluate_models(tmp_path, {}, {}, asked).num_earlier == 1


def test_the_models_of_earlier_readings_are_counted(tmp_path: Path, records: Path, capsys) -> None:
    asked = problems_for(tmp_path, "prontoqa", records)
    figures = evaluation("m", 0.5, 0.6, 5)
    keep(tmp_path, replace(reading_of(asked), evaluations={str(i): figures for i in range(10)}))
    keep(tmp_path, reading_of(asked, "2026-01-02T00:00:00.000000+00:00"))
    keep(tmp_path, replace(reading_of(asked, "2026-01-03T00:00:00.000000+00:00"), problems=("another",)))
    reading = evaluate_models(tmp_path, {}, {}, asked)
    assert (reading.num_earlier, reading.num_earlier_models) == (2, 10)
    print_reading(replace(reading, evaluations={"one": figures}))
    printed = " ".join(capsys.readouterr().out.split())
    assert "read 2 times before (10 models measured); 1 model measured now" in printed


def test_a_record_with_other_blanks_was_read_before(tmp_path: Path, records: Path) -> None:
    keep(tmp_path, reading_of(problems_for(tmp_path, "prontoqa", records)))
    entries = json.loads(records.read_text())
    for entry in entries:
        entry["context"] = entry["context"].replace(" is ", "  is\n", 1) + " "
        entry["question"] = entry["question"].replace(" is ", "  is ")
    records.write_text(json.dumps(entries))
    assert evaluate_models(tmp_path, {}, {}, problems_for(tmp_path, "prontoqa", records)).num_earlier == 1


@pytest.mark.parametrize(
    ("content", "message"), [("{", "top level: Invalid JSON"), ('{"at": "x"}', "data: Field required")]
)
def test_a_damaged_reading_is_one_sentence(tmp_path: Path, records: Path, content: str, message: str) -> None:
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings" / "one.json").write_text(content)
    done = cli(tmp_path, "eval", "embedded", "--task", "prontoqa", "--data", str(records))
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"readings/one.json is no reading as they are kept: {message}" in done.stderr
    # Refused before anything was fetched or kept.
    assert [path.name for path in tmp_path.iterdir() if path != records] == ["readings"]
    assert [path.name for path in (tmp_path / "readings").iterdir()] == ["one.json"]


def test_two_models_side_by_side_and_the_reading_is_kept(
    tmp_path: Path, records: Path, tiny_model: Path
) -> None:
    home, other = tmp_path / "home", make_tiny_model(tmp_path / "other", seed=1)
    asked = problems_for(home, "prontoqa", records, skip=1, num=2)
    broken_off = replace(reading_of(asked), problems=(asked.problems[1].id, "another"))
    keep(home, broken_off)

    options = ("--task", "prontoqa", "--data", str(records), "--skip", "1", "-n", "2")
    done = cli(home, "eval", str(tiny_model), str(other), *options)
    assert done.returncode == 0, done.stderr
    assert model_id(tiny_model) in done.stdout and model_id(other) in done.stdout
    assert "2 records of" in done.stdout and "read once before" in done.stdout
    assert "2 models measured now" in " ".join(done.stdout.split())

    earlier, reading = kept_readings(home)
    assert earlier == broken_off and reading.num_earlier == 1
    assert reading.problems == tuple(problem.id for problem in asked.problems)
    assert [e.model_id for e in reading.evaluations.values()] == [model_id(tiny_model), model_id(other)]
    assert all(e.strict.num == 2 for e in reading.evaluations.values())

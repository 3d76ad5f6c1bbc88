"""`ratchet eval`: models side by side, and what is kept of reading a file."""

import json
from pathlib import Path

import pytest

from engine.models import model_id
from engine.readings import Reading, earlier_readings, problems_for
from engine.records import to_json
from engine.tasks import DataError, Suite
from tests.test_cli import cli
from tests.tiny_model import make_tiny_model


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


def test_records_after_the_first(records: Path) -> None:
    whole = problems_for("prontoqa", records, skip=0, num=100)
    assert len(whole) == 5
    assert problems_for("prontoqa", records, skip=1, num=3) == whole[1:4]
    with pytest.raises(DataError, match="has 5 records: --skip must be less, got 5"):
        problems_for("prontoqa", records, skip=5, num=1)
    with pytest.raises(DataError, match="--skip is for --data"):
        problems_for("prontoqa", None, skip=1, num=1)


def test_two_models_side_by_side_and_the_reading_is_kept(
    tmp_path: Path, records: Path, tiny_model: Path
) -> None:
    home, other = tmp_path / "home", make_tiny_model(tmp_path / "other", seed=1)
    asked = problems_for("prontoqa", records, skip=1, num=2)
    broken_off = Reading(
        at="2026-01-01T00:00:00.000000+00:00",
        data=str(records),
        problems=(asked[1].id, "another"),
        num_earlier=0,
        evaluations={},
    )
    (home / "readings").mkdir(parents=True)
    (home / "readings" / f"{broken_off.at}.json").write_text(to_json(broken_off))

    options = ("--task", "prontoqa", "--data", str(records), "--skip", "1", "-n", "2")
    done = cli(home, "eval", str(tiny_model), str(other), *options)
    assert done.returncode == 0, done.stderr
    assert model_id(tiny_model) in done.stdout and model_id(other) in done.stdout
    assert "2 records of" in done.stdout and "read once before" in done.stdout

    earlier, reading = earlier_readings(home)
    assert earlier == broken_off and reading.num_earlier == 1
    assert reading.problems == tuple(problem.id for problem in asked)
    assert [e.model_id for e in reading.evaluations.values()] == [model_id(tiny_model), model_id(other)]
    assert all(e.strict.num == 2 for e in reading.evaluations.values())

"""What models sampled and read, counted from the files of an experiment."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from engine.records import Likelihood
from engine.report.data import ReportError
from tune.asked import Tokens, asked_in, asked_of

ANSWERS = [{"attempt": {"num_tokens": 7, "num_prompt_tokens": 30}, "verdict": {}}] * 2
TEXTS = [{"problem_id": "a", "nll": 3.5, "num_tokens": 50}]
WRITTEN = [{"num_tokens": 11, "num_prompt_tokens": 5, "replies": ["x"]}]


def write(file: Path, rows: list[Any]) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    file.write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def test_what_trials_share_counts_once_and_what_is_no_answer_not_at_all(tmp_path: Path) -> None:
    write(tmp_path / "shared/a/records.jsonl", ANSWERS)
    write(tmp_path / "shared/b/records.jsonl", [["hops=1", ["A text."]]])
    write(tmp_path / "champion/probe.jsonl", TEXTS)
    for name in ("one", "other"):
        place = tmp_path / "material" / name
        stages = {
            "rounds/001/sample": ANSWERS,
            "rounds/001/write": WRITTEN,
            "rounds/001/mine": [{"slice": ""}],
        }
        rows = [
            {"stage": stage, "sha256": write(place / f"{stage}.jsonl", made)}
            for stage, made in stages.items()
        ]
        write(place / "journal.jsonl", [*rows, {"stage": "rounds/001/choose", "sha256": ""}])
    assert asked_in(tmp_path) == Tokens(sampled=14 + 2 * 11, read=60 + 50 + 2 * 5)
    assert asked_in(tmp_path / "new") == Tokens()
    assert asked_of([Likelihood(problem_id="a", model_id="m", nll=1.0, num_tokens=9)]) == Tokens(read=9)


@pytest.mark.parametrize(
    "text", ['{"torn\n{}\n', '{"attempt": {"num_prompt_tokens": 30}}\n', '{"nll": 3.5}\n']
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    write(tmp_path / "champion/probe.jsonl", [])
    (tmp_path / "champion/probe.jsonl").write_text(text)
    with pytest.raises(ReportError, match="champion/probe.jsonl is damaged"):
        asked_in(tmp_path)

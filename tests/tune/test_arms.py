"""What every model of an experiment is asked: on scripted models, with no engine and no training."""

from pathlib import Path

import pytest

from engine.records import SentinelScores, from_json
from engine.tasks import suite_of
from engine.tasks.suite import kept_apart
from tests.support.records_files import write_rows
from tests.support.runs import journal
from tests.support.scripted_experiment import design_in, play, script
from tune.arms import problems_of
from tune.experiment_data import trials_of

pytestmark = pytest.mark.slow


def test_records_that_are_kept_apart_are_asked_of_every_model_and_learnt_by_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = script(monkeypatch)
    rows = [
        {"prompt": f"Is {i} about dogs?", "answer": "yes"} | ({"split": "sentinel"} if i % 20 == 0 else {})
        for i in range(1, 1_201)
    ]
    task = {"name": "records", "file": str(write_rows(tmp_path / "my.jsonl", rows))}
    design = design_in(tmp_path, {"task": task}, seeds=1)
    run, found = play(tmp_path, design)
    kept = {problem.id for problem in kept_apart(suite_of(design.config))}
    assert len(kept) == 60
    trials = [run / "trials" / f"{number:03d}" for number in range(3)]
    for place in (run, *trials):
        stages = [stage for stage in journal(place) if stage.startswith("sentinels/")]
        assert stages == ["sentinels/english", "sentinels/kept-records"]
    passed = []
    for place in (run, *trials):
        scores = from_json(SentinelScores, (place / "sentinels/kept-records.json").read_bytes())
        assert len(scores.scores) == 60
        passed.append(sum(scores.scores))
    champion, fast, slow, none = passed
    assert fast > slow >= champion == none, "a model that can do more answers more of them"
    (seen,) = [
        each
        for each in found.comparisons
        if (each.arm, each.against, each.where) == ("fast", "champion", "kept-records")
    ]
    assert seen.effect.mean == (fast - champion) / 60
    assert [[one.suite for one in each.sentinels] for each in trials_of(run, design)] == [
        ["english", "kept-records"]
    ] * 3
    learnt = {row.problem_id for data in trainer.rows for row in data.rows}
    assert learnt and not kept & (learnt | {problem.id for problem in problems_of(run)})

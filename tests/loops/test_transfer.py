"""Transfer: every model of a campaign is measured on tasks that nothing was trained on, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import ConfigError, from_tree
from configs.schema import Config, Transfer
from engine.measure.elsewhere import problems_of, require_transfer
from engine.measure.evaluate import Unjudged
from engine.models.identity import Model
from engine.tasks import load_task
from engine.tasks.suite import DataError
from loops import transfer
from tests.support.scripted import Script
from tests.support.scripted_campaign import campaign, config_of, play
from tests.support.scripted_experiment import write_model

pytestmark = pytest.mark.slow

DEEP = {"task": {"slices": {"hops": [4], "irrelevant": [0], "distractors": [0]}}, "num_problems": 40}
SCRIPTS = {
    "m0": Script(skill=0.3, nll=100.0),
    "c1": Script(skill=0.6, nll=100.1),
    "c2": Script(skill=0.9, nll=100.2),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"), 0.0)


def config_with(base: Path, rounds: int = 2, **tasks: Any) -> Config:
    settings = {name: Transfer.model_validate(each) for name, each in tasks.items()}
    return config_of(base, rounds).model_copy(update={"transfer": settings})


def test_each_model_that_a_round_leaves_is_measured_once(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_with(base, deep=DEEP)
    records, _, sampler = play(tmp_path, config, SCRIPTS, monkeypatch)
    panels = [panel for record in records for panel in record.panels if panel.title == transfer.TITLE]
    assert len(panels) == len(records) == 2
    head, *rows = panels[-1].rows
    assert head[:4] == ("task", "model", "right answer", "right answer and valid proof")
    assert head[-1] == "most frequent label"
    assert [row[:2] for row in rows] == [
        ("deep", "untrained base"),
        ("deep", "start"),
        ("deep", "after round 1"),
        ("deep", "after round 2"),
    ]
    assert head[4:6] == ("valid proof lines", "valid lines with the answer")
    assert all(row[4].endswith(" %") for row in rows), "a ratio has no interval"
    faults = [panel for record in records for panel in record.panels if panel.title == transfer.FAULTS_TITLE]
    assert len(faults) == 2 and faults[-1].rows[0] == ("task", "what is wrong", "answers")
    num_failed = [sum(int(row[2].partition(" of 40")[0]) for row in panel.rows[1:]) for panel in faults]
    passed = [round(float(panel.rows[-1][3].partition(" %")[0]) * 0.4) for panel in panels]
    assert num_failed == [40 - num for num in passed], "what the last model fails by"
    strict = [float(row[3].partition(" %")[0]) for row in rows]
    assert strict[0] == 0 and strict == sorted(strict) and strict[-1] > 75
    assert all(row[3].endswith("of 40") for row in rows)
    assert panels[0].rows[:4] == panels[-1].rows[:4], "the models of round 1 are not asked again"
    page = (tmp_path / "runs/r/report.html").read_text()
    assert transfer.TITLE in page and page.count("after round 2") == 1
    kept = sorted(path.stem for path in (tmp_path / "runs/r/transfer/deep").glob("*.json"))
    assert len(kept) == 4 and {"m0", "c1", "c2"} < set(kept)


def test_a_campaign_without_transfer_asks_nobody(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, *_ = play(tmp_path, config_of(base, 1), SCRIPTS, monkeypatch)
    assert all(not record.panels for record in records)
    assert not (tmp_path / "runs/r/transfer").exists()


def test_answers_that_cannot_be_judged_do_not_end_the_campaign(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those to the other task: the verifier gives up on a third of them, and is not asked again."""
    ask, asked = transfer.exam_of(load_task("prontoqa")).ask, []

    def gives_up(bench: Any, model: Any, *rest: Any) -> Any:
        asked.append(model.id)
        if model.id == "c1":
            raise Unjudged("13 of 40 answers could not be judged")
        return ask(bench, model, *rest)

    exam = SimpleNamespace(ask=gives_up, measure=transfer.exam_of(load_task("prontoqa")).measure)
    monkeypatch.setattr(transfer, "exam_of", lambda task: exam)
    records, *_ = play(tmp_path, config_with(base, deep=DEEP), SCRIPTS, monkeypatch)
    (table,) = (panel for panel in records[-1].panels if panel.title == transfer.TITLE)
    rows = {row[1]: row[2] for row in table.rows}
    assert rows["after round 1"] == "not judged: 13 of 40 answers could not be judged"
    assert rows["after round 2"].endswith("of 40")
    assert len(asked) == len(set(asked)) == 4
    assert all(record.seconds["transfer"] > 0 for record in records), "a round's time and cost have it"


def test_the_untrained_base_has_one_row_whatever_else_it_was(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the baseline of a campaign without a warm start, or after a refused one."""
    with campaign(tmp_path, config_with(tiny_model, deep=DEEP), SCRIPTS) as context:
        standing = Model.of(context.base).id
        table, faults = transfer.transfer_panels(replace(context, start=Model.of(context.base)), 0, standing)
    assert [row[1] for row in table.rows[1:]] == ["untrained base"] and len(faults.rows) > 1


def test_records_that_are_left_out_are_told_with_the_table(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_with(base, 1, deep={**DEEP, "file": "stories.jsonl"})

    def problems(settings: Transfer, seed: int) -> Any:
        suite, drawn = problems_of(settings.model_copy(update={"file": None}), seed)
        notes = "stories.jsonl: 8 of 64 records are left out", "train.jsonl: 9 records are left out"
        suite.notes = notes  # type: ignore[attr-defined]
        return suite, drawn

    monkeypatch.setattr(transfer, "problems_of", problems)
    records, *_ = play(tmp_path, config, SCRIPTS, monkeypatch)
    note = records[-1].panels[0].note
    assert note.endswith(" stories.jsonl: 8 of 64 records are left out.") and "train" not in note


def test_records_of_a_file_are_asked_in_their_order(tmp_path: Path) -> None:
    record = {
        "context": "Each wumpus is a tumpus. Tumpuses are not red. Max is a wumpus.",
        "question": "Is the following statement true or false? Max is red.",
        "answer": "B",
    }
    names = ["Max", "Sam", "Rex"]
    rows = [{**json.loads(json.dumps(record).replace("Max", name)), "id": name} for name in names]
    file = tmp_path / "data.json"
    file.write_text(json.dumps(rows))
    settings = Transfer.model_validate({"task": {}, "file": str(file), "num_problems": 2})
    suite, problems = problems_of(settings, seed=0)
    assert [problem.origin for problem in problems] == ["data.json#Max", "data.json#Sam"]
    assert suite.task.name == "prontoqa"


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"name": "gym", "dataset": "spell_backward"}, "transfer.other: gym judge task gym, but rules, z3"),
        ({"name": "nowhere.py"}, "task 'nowhere.py' is neither one of"),
        ({"slices": {"hops": [99]}}, r"task.slices.hops: got \[99\]"),
    ],
)
def test_a_task_that_the_campaign_cannot_judge_is_refused(task: dict[str, Any], message: str) -> None:
    tree = {"name": "a", "line": "a/b", "transfer": {"other": {"task": task, "num_problems": 2}}}
    with pytest.raises(DataError, match=message):
        require_transfer(from_tree(tree, "test"), load_task("prontoqa"))


def test_a_mistyped_key_of_a_transfer_is_named() -> None:
    tree = {"name": "a", "line": "a/b", "transfer": {"other": {"task": {}, "nums": 2}}}
    with pytest.raises(ConfigError, match=r"transfer.other.nums"):
        from_tree(tree, "test")

"""Which problems a model's campaigns have used, as far as the registry and the runs can say."""

from dataclasses import replace
from pathlib import Path

import pytest

from configs.load import from_tree
from engine.records import Answer, Duel, Fault, Status, TrainingRow, TrainingSet, Turn, to_json
from engine.registry.registry import Registry
from engine.registry.spent import keep_spent
from engine.registry.touched import keep_touched
from engine.registry.used import num_used, spent_before
from engine.verify.verdicts import verdict_on
from tests.support.proof_helpers import attempt, problem
from tests.support.registry import LINE, decision, manifest

TRAINED, JUDGED, CARRIED, FRESH, SAID = IDS = ("aa", 'b"\\\n∀', "cc", "dd", "ee")
"""Ids of a user's task may be any text."""


def add(registry: Registry, home: Path, model_id: str, parent: str = "", training_set: str = "") -> None:
    folder = home / model_id
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "config.json").write_text("{}")
    registry.add(folder, replace(manifest(model_id), parent_id=parent, training_set_id=training_set))


def answered(name: str) -> Answer:
    asked, given = problem((), "", name=name), attempt(f'{{"id":"{SAID}"}}', problem_id=name)
    verdict = verdict_on(asked, given, verifier="v", answer=SAID, fault=Fault.NONE, reason="")
    assert verdict.status is Status.PASS
    return Answer(attempt=given, verdict=verdict)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A line whose run trained m1 from the base and judged it; m2 comes from it, and m9 from elsewhere."""
    registry = Registry(tmp_path)
    add(registry, tmp_path, "base")
    add(registry, tmp_path, "m1", "base", "t1")
    add(registry, tmp_path, "m2", "m1", "t2")
    add(registry, tmp_path, "m9", "base", "t9")
    registry.promote(LINE, "base", run_id="one", round=0, expected_epoch=0, baseline=True)
    registry.refuse(LINE, "m1", run_id="one", round=1, decision=decision(False))
    rounds = tmp_path / "runs" / "one" / "rounds" / "001"
    rounds.mkdir(parents=True)
    row = TrainingRow(problem_id=TRAINED, chat=(Turn(role="user", text=f'"id":"{SAID}"'),), chosen=SAID)
    (rounds / "prefer.json").write_text(to_json(TrainingSet.of([row])))
    duel = Duel(problem=problem((), "", name=JUDGED), champion=answered(JUDGED), challenger=answered(JUDGED))
    (rounds / "look-01.jsonl").write_text(to_json(duel) + "\n")
    return tmp_path


def test_what_a_campaign_trained_and_judged_on_is_counted(home: Path) -> None:
    assert num_used(home, "m1", IDS) == 2
    assert num_used(home, "m1", [TRAINED]) == num_used(home, "m1", [JUDGED]) == 1
    # A text that a model said, or was asked, is no id.
    assert num_used(home, "m1", [FRESH, SAID]) == 0
    assert num_used(home, "m2", IDS) == 2, "what its parent was trained on counts"


def test_what_a_line_keeps_for_its_working_model_counts(home: Path) -> None:
    epoch = Registry(home).line(LINE).epoch
    keep_touched(home, LINE, [CARRIED, TRAINED, "another"], [], expected_epoch=epoch)
    assert num_used(home, "m1", IDS) == 3


def test_records_of_a_file_that_a_line_keeps_as_used_count(home: Path) -> None:
    keep_spent(home, LINE, run_id="gone", part="gate", problems=[FRESH])
    keep_spent(home, LINE, run_id="gone", part="train", problems=[TRAINED])
    assert num_used(home, "m1", IDS) == 3


def test_a_line_that_starts_from_a_model_of_another_one_does_without_what_that_used(home: Path) -> None:
    keep_spent(home, LINE, run_id="gone", part="train", problems=[TRAINED])
    keep_spent(home, "other/tiny", run_id="new", part="gate", problems=[JUDGED])

    def before(base: str, start: str = "base") -> dict[str, frozenset[str]]:
        keys = {"name": "a", "line": "other/tiny", "base": base, "start": start}
        return spent_before(home, from_tree(keys, "test"), apart_from="newer")

    models = home / "registry" / "models"
    both = {"gate": {JUDGED}, "train": {TRAINED}}
    assert before(str(models / "m1")) == before(str(models / "m2")) == both
    assert (
        before(str(models / "base")) == before("embedded") == before(str(home / "m1")) == {"gate": {JUDGED}}
    )
    assert before("embedded", start="champion") == {"gate": {JUDGED}}, "there is none yet"
    Registry(home).promote("other/tiny", "m2", run_id="new", round=0, expected_epoch=0, baseline=True)
    assert before("embedded", start="champion") == both


def test_a_base_was_not_trained_on_what_its_line_used(home: Path) -> None:
    assert num_used(home, "base", IDS) == 0


def test_other_lines_and_unknown_models_have_used_nothing(home: Path, tmp_path: Path) -> None:
    assert num_used(home, "m9", IDS) == 0
    assert num_used(home, "unknown", IDS) == 0
    assert num_used(tmp_path / "empty", "m1", IDS) == 0 and not (tmp_path / "empty").exists()

"""`ratchet prove` with a real engine, on a champion that claims of everything that it is true."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.models.identity import model_id
from engine.plan.machine import Machine, detect_machine
from engine.prove import commands
from engine.registry.registry import Registry
from tests.support.registry import LINE, manifest

pytestmark = pytest.mark.slow

FACTS = ["Each wumpus is a tumpus.", "Max is a wumpus."]


class Here:
    """The Ray that the tests share."""

    def machine(self, home: Path) -> Machine:
        return detect_machine(home)

    def connect(self, needs: object) -> None:
        pass


def test_a_champion_that_says_true_of_all_is_believed_where_that_is_proved(
    local_ray: None, taught_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, model = tmp_path / "home", model_id(taught_model)
    registry = Registry(home)
    registry.add(taught_model, manifest(model))
    registry.promote(LINE, model, run_id="run", round=0, expected_epoch=0, baseline=True)
    monkeypatch.setenv("RATCHET_HOME", str(home))
    questions = {
        "given": "Max is a wumpus.",
        "refuted": "Max is not a wumpus.",
        "unproved": "Max is a tumpus.",
    }
    file = tmp_path / "asked.jsonl"
    rows = [{"id": name, "premises": FACTS, "question": asked} for name, asked in questions.items()]
    file.write_text("\n".join(map(json.dumps, rows)))
    done = CliRunner().invoke(commands.app_with(Here()), [str(file), "--samples", "4", "--json"])
    assert done.exit_code == 1, done.output
    found = {row["id"]: row for row in map(json.loads, done.stdout.splitlines())}
    given = found["given"]
    assert (given["answer"], given["proof"], given["samples"]) == ("True", "Answer: True", 1)
    assert (given["model"], given["model_id"]) == (LINE, model)
    for name in ("refuted", "unproved"):
        row = found[name]
        assert (row["answer"], row["proof"], row["samples"]) == (None, None, 4), row
        assert row["reason"].startswith("no proof was found: none of 4 replies passes both checkers (")
        assert row["faults"]["unsettled"] >= 1, "it claimed that this is true"

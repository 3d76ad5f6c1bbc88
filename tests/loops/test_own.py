"""A loop, a task, a verifier and a training method of a user's own, each a file of theirs, on real parts."""

import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import ConfigError, load
from engine.measure.evaluate import suite_digest
from engine.plugins import PluginError
from engine.records import Evaluation, RoundRecord, from_json
from engine.tasks import suite_of
from loops import load_loop
from tests.support.cli import cli
from tests.support.kept import Here
from tests.support.runs import ROOT, journal, rounds

OWN = ROOT / "tests" / "support" / "own"
CONFIG = "tests/support/own.yaml"
LINES = {"task.py": 40, "verifier.py": 40, "loop.py": 80, "method.py": 60}
"""What each takes at most, blank lines and docstrings counted."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_campaign_of_ones_own_parts_trains_and_is_judged(
    tiny_model: Path, tmp_path: Path, here: Here
) -> None:
    out = here(tmp_path, "run", CONFIG, f"base={tiny_model}", "run_id=r", "--json")
    summary = json.loads(out.strip().splitlines()[-1])
    assert summary["rounds"] == 1 and summary["headline"] == "passed"
    run = tmp_path / "runs" / "r"
    first: RoundRecord = rounds(run)[1]
    assert first.challenger is not None and first.challenger.method.endswith("own/method.py")
    assert first.decision.looks, first.decision.reason
    asked = [json.loads(line) for line in (run / "rounds/001/ask.jsonl").read_text().splitlines()]
    # The method ruins the model after four fifths of the steps: the checkpoint before is the challenger.
    steps = [json.loads((run / f"rounds/001/train-{i}.json").read_text())["num_steps"] for i in (1, 2)]
    selected = [from_json(Evaluation, (run / f"rounds/001/select-{i}.json").read_bytes()) for i in (1, 2)]
    scores = [each.score for each in selected]
    assert steps == [18, 36] and scores[1] < scores[0]
    assert first.challenger.num_steps == 18
    assert first.challenger.model_id == selected[0].model_id
    suite, asked_ids = suite_of(load(run / "config.yaml")), {each["attempt"]["problem_id"] for each in asked}
    selection = suite.draw(16, split="select-1", seed=0, exclude=asked_ids)
    assert {each.suite for each in selected} == {suite_digest(selection)}
    judged = {
        json.loads(line)["problem"]["id"]
        for file in run.glob("rounds/001/look-*.jsonl")
        for line in file.read_text().splitlines()
    }
    assert judged and not judged & {problem.id for problem in selection}, "the gate's problems stay untouched"
    assert not list(run.glob("rounds/*/training*")), "weights of checkpoints are not left behind"
    assert first.panels[0].title == "Asked and failed" and first.panels[0].rows == (("failed", "24"),)
    assert {each["verdict"]["fault"] for each in asked} <= {"wrong_answer", "chatter"}
    rows = json.loads((run / "rounds/001/rows.json").read_text())["rows"]
    assert {row["weight"] for row in rows} == {2.0}
    assert "rounds/001/ask" in journal(run)
    assert [path.name for path in (run / "sentinels").iterdir()] == ["english"] or not first.decision.accepted
    assert "Asked and failed" in (run / "report.html").read_text()


def test_none_of_them_knows_another_and_each_is_short() -> None:
    for name, most in LINES.items():
        text = (OWN / name).read_text()
        assert len(text.splitlines()) <= most, name
        imported = {
            node.module
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.ImportFrom) and node.module
        }
        assert not [module for module in imported if module.startswith("tests")], name


def test_what_ones_own_loop_refuses_is_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    done = cli(tmp_path, "run", CONFIG, f"base={tiny_model}", "loop.settings.num_problem=3")
    err = done.stderr
    assert done.returncode == 2 and "unknown key num_problem; did you mean num_problems?" in err, err
    assert "Traceback" not in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("loop.settings.weight=heavy", "weight must be a valid number, got 'heavy'"),
        ("loop.name=tests/support/own/nothing.py", "nothing.py does not exist"),
    ],
)
def test_a_loop_that_cannot_be_used_is_refused_as_it_is_loaded(override: str, said: str) -> None:
    with pytest.raises((ConfigError, PluginError), match=re.escape(said)):
        load_loop(load(ROOT / CONFIG, [override]).loop)


def test_what_ones_own_loop_raises_is_a_sentence_with_its_line(tmp_path: Path) -> None:
    loop = tmp_path / "mine.py"
    text = (
        (OWN / "loop.py")
        .read_text()
        .replace("    problems = context", "    [][number]\n    problems = context")
    )
    loop.write_text(text)
    loaded, given = load_loop(load(ROOT / CONFIG, [f"loop.name={loop}"]).loop), SimpleNamespace()
    line = text[: text.index("[][number]")].count("\n") + 1
    with pytest.raises(
        PluginError, match=rf"^{loop} fails in line {line}: IndexError: list index out of range$"
    ):
        loaded.propose(given, given, 1, frozenset())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "propose of the loop file {} must return loops.loop.Proposal, got None"),
        (
            "Proposal(data=TrainingSet.of([]), seen=seen, train='loop.sft')",
            "propose of the loop file {}: Proposal.train must be one of loop.train, got 'loop.sft'",
        ),
    ],
)
def test_what_ones_own_loop_proposes_is_checked(tmp_path: Path, returned: str, said: str) -> None:
    loop = tmp_path / "mine.py"
    text = (
        (OWN / "loop.py")
        .read_text()
        .replace("    problems = context", f"    return {returned}\n    problems = context")
    )
    loop.write_text(text)
    config = load(ROOT / CONFIG, [f"loop.name={loop}"])
    given: Any = SimpleNamespace(config=config)
    with pytest.raises(PluginError, match=f"^{re.escape(said.format(loop))}$"):
        load_loop(config.loop).propose(given, given, 1, frozenset())

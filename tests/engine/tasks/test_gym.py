"""The task gym: every dataset draws problems, the same everywhere, and a bad config is one sentence."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from configs.load import ConfigError, load
from configs.schema import Config
from configs.tasks import GymTask
from engine.gym.served import SERVED
from engine.records import Problem, Reference
from engine.tasks import load_task, suite_of
from engine.tasks.suite import DataError
from tests.support.gym import digests, gym_suite, problems_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
CHAINS = {"terms": [2, 3], "digits": [1]}


def reference(problem: Problem) -> Reference:
    assert isinstance(problem.truth, Reference)
    return problem.truth


@pytest.mark.parametrize("dataset", SERVED)
def test_every_dataset_draws_problems_with_gold(dataset: str) -> None:
    problems = problems_of(dataset)
    assert len({problem.id for problem in problems}) == len(problems) == 3
    for problem in problems:
        truth = reference(problem)
        assert problem.slice == f"dataset={dataset}" and problem.task == "gym"
        assert problem.gold == (truth.accepted[0].strip(),) and problem.gold[0]
        assert problem.turns[0].endswith("\nReply with the answer alone.")
        assert len(truth.extra["facts"]) < 10_000


def test_another_process_draws_the_same() -> None:
    """Whatever order its sets have, and whichever dataset comes first; and no random state of ours moves."""
    ours, numpys = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    here = digests()
    assert random.getstate() == ours
    assert np.random.get_state()[1].tolist() == numpys  # type: ignore[union-attr]
    code = (
        "import json; from engine.gym.served import SERVED; from tests.support.gym import digests;"
        "print(json.dumps(digests(reversed(SERVED))))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    there = json.loads(done.stdout)
    assert {name for name in here if here[name] != there[name]} == set()


def test_a_slice_sets_its_parameters() -> None:
    suite = gym_suite("chain_sum", slices=CHAINS)
    assert suite.slices == ["dataset=chain_sum terms=2 digits=1", "dataset=chain_sum terms=3 digits=1"]
    for problem in suite.draw(40, split="gate", seed=0):
        numbers = re.findall(r"\b\d+\b", problem.turns[0])
        assert len(numbers) == (2 if "terms=2" in problem.slice else 3)
        assert all(len(number) == 1 for number in numbers)


def test_several_datasets_are_one_mixture() -> None:
    datasets = {"chain_sum": {"slices": CHAINS}, "gcd": {"settings": {"numbers": 2}}}
    suite = load_task("gym").open(GymTask.model_validate({"name": "gym", "datasets": datasets}))
    assert len(suite.slices) == 3
    drawn = suite.draw(60, split="gate", seed=0)
    assert {problem.slice for problem in drawn} == set(suite.slices)
    assert {reference(problem).extra["dataset"] for problem in drawn} == {"chain_sum", "gcd"}


def test_draws_are_one_sequence_and_splits_share_no_problem() -> None:
    suite = gym_suite(slices={"word_len": [5, 6]})
    whole = suite.draw(30, split="gate", seed=1)
    assert [p for start in (0, 10, 20) for p in suite.draw(10, split="gate", seed=1, start=start)] == whole
    other = suite.draw(30, split="probe", seed=1, exclude={problem.id for problem in whole})
    assert not {problem.id for problem in whole} & {problem.id for problem in other}


def test_a_dataset_that_runs_out_says_so() -> None:
    with pytest.raises(DataError, match="slice 'dataset=chain_sum' has too few different problems"):
        gym_suite("chain_sum", settings={"terms": 2, "digits": 1}).draw(3000, split="gate", seed=0)


def test_the_configs_of_the_readme_and_the_shipped_one_draw() -> None:
    readme = (ROOT / "engine" / "tasks" / "README.md").read_text()
    texts = [text for text in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if "name: gym" in text]
    configs = [Config.model_validate(yaml.safe_load(text)) for text in texts]
    shipped = load(ROOT / "configs" / "gym.yaml")
    assert [len(suite_of(config).slices) for config in (*configs, shipped)] == [3, 4, 3]
    # The gate and the sealed draw alone take so many.
    assert suite_of(shipped).draw(600, split="gate", seed=0)


def test_with_tags_gold_stands_in_tags() -> None:
    (problem,) = gym_suite(reply="tags").draw(1, split="gate", seed=0)
    assert problem.gold == (f"<answer>{reference(problem).accepted[0]}</answer>",)
    assert problem.turns[0].endswith("between <answer> and </answer>.")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"dataset": "spel_backward"}, "task.dataset: reasoning-gym has no dataset 'spel_backward' "),
        ({"dataset": "rush_hour"}, "task.dataset: the dataset rush_hour does not serve: its entries have no"),
        ({"datasets": {"gdc": {}}}, r"task.datasets.gdc: .* no dataset 'gdc' \(did you mean 'gcd'\?\)"),
        ({"dataset": "gcd", "slices": {"numbers": []}}, "numbers must have different values, .* got "),
        ({"dataset": "gcd", "slices": {"numbers": [2, 2]}}, "numbers must have different values, .* got "),
        ({"dataset": "gcd", "slices": {"numbers": [2, 1]}}, "task.dataset: reasoning-gym refuses "),
        ({"dataset": "gcd", "slices": {"numbers": [2]}, "settings": {"min_numbers": 2}}, "set already"),
        (
            {"dataset": "countdown", "settings": {"numbers": 2, "max_value": 3, "min_target": 900}},
            "task.dataset: countdown makes no problem from .*: Failed to generate",
        ),
    ],
)
def test_what_reasoning_gym_cannot_use_is_one_sentence(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        load_task("gym").open(GymTask.model_validate({"name": "gym", **chosen}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({}, r"task: gym needs either `dataset: NAME` or `datasets: \{NAME: …\}`, got neither"),
        ({"dataset": "gcd", "datasets": {"lcm": {}}}, "task: gym needs either .* got both"),
        ({"datasets": {"lcm": {}}, "settings": {"numbers": 2}}, "task: with `datasets`, slices and settings"),
        ({"dataset": "gcd", "slice": {}}, "unknown key task.slice; did you mean task.slices?"),
        ({"dataset": "gcd", "reply": "tag"}, "task.reply must be 'whole' or 'tags', got 'tag'"),
    ],
)
def test_a_config_names_its_datasets_once(tmp_path: Path, task: dict[str, Any], message: str) -> None:
    file = tmp_path / "gym.yaml"
    file.write_text(yaml.safe_dump({"name": "g", "line": "gym/tiny", "task": {"name": "gym", **task}}))
    with pytest.raises(ConfigError, match=message):
        load(file)

"""A sweep or an experiment on a user's own records that are too few for it is refused before it begins."""

from pathlib import Path
from typing import cast

import pytest

from configs.experiment import load_experiment
from configs.sweep import load_sweep
from engine.plan.machine import Machine
from engine.tasks.suite import DataError
from tests.support.records_files import sums, write_rows
from tune.plan import plans, plans_of_experiment


def test_the_selection_is_drawn_before_anything_starts(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "my.jsonl", sums(100))
    (tmp_path / "campaign.yaml").write_text(
        f"name: mine\nline: mine/tiny\ntask: {{name: records, file: {file}}}\n"
    )
    (tmp_path / "sweep.yaml").write_text(
        "name: search\ncampaign: campaign.yaml\ntrials: 2\nnum_problems: 60\n"
        "space: {warm_start: {train: {learning_rate: {choice: [1.0e-3, 2.0e-3]}}}}\n"
    )
    sweep, campaign = load_sweep(tmp_path / "sweep.yaml", [])
    with pytest.raises(DataError, match="the draw 'selection' needs 60 records of the probe part, but"):
        plans(sweep, campaign, cast(Machine, None), tmp_path)


def test_the_probe_of_an_experiment_is_drawn_before_anything_starts(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "my.jsonl", sums(200))
    (tmp_path / "campaign.yaml").write_text(
        f"name: mine\nline: mine/tiny\ntask: {{name: records, file: {file}}}\n"
    )
    (tmp_path / "experiment.yaml").write_text(
        "name: compare\nhypothesis: It helps.\ncampaign: campaign.yaml\nlearnt_tokens: 100\n"
        "arms: {few: {loop: {samples: 2}}, usual: {}}\ncontrol: usual\nnum_problems: 20\n"
        "probe: {num_problems: 190}\n"
    )
    design = load_experiment(tmp_path / "experiment.yaml", [])
    with pytest.raises(DataError, match="the draw 'probe' needs 190 records of the probe part, but"):
        plans_of_experiment(design, cast(Machine, None), tmp_path)

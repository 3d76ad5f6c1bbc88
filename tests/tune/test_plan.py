"""A sweep or an experiment on a user's own records that are too few for it is refused before it begins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.drive import drive
from configs.experiment import load_experiment
from configs.sweep import load_sweep
from engine.disk.steps import Run
from engine.plan.machine import Machine
from engine.records import Summary
from engine.tasks.suite import DataError
from tests.support.records_files import sums, write_rows
from tests.support.runs import ended
from tune import report
from tune.commands import resume_trials
from tune.plan import dump, plans, plans_of_experiment


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


def test_a_trial_has_workers_for_its_own_training(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "campaign.yaml").write_text(
        f"name: mine\nline: mine/tiny\nbase: {tiny_model}\nloop: {{name: domain, schedule: [sft]}}\n"
    )
    (tmp_path / "experiment.yaml").write_text(
        "name: compare\nhypothesis: It helps.\ncampaign: campaign.yaml\nlearnt_tokens: null\n"
        "arms: {pairs: {loop: {schedule: [dpo]}}, examples: {}}\ncontrol: examples\nprobe: null\n"
    )
    design = load_experiment(tmp_path / "experiment.yaml")
    here = Machine(num_cpus=2, memory=2**34, disk=2**36, num_gpus=0, gpu=None)
    trial, _ = plans_of_experiment(design, here, tmp_path)
    wanted = {key for arm in design.settings.arms for key in design.varied(arm, 0).trains}
    assert wanted == {"loop.sft", "loop.dpo"} <= trial.workers.keys()


def test_a_finished_sweep_is_shown_on_a_machine_on_which_it_would_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, campaign = load_sweep("tests/support/tiny_sweep.yaml")
    run = Run.create(tmp_path, campaign.config, "s", {"sweep.yaml": dump(settings)})
    run.step("summary", Summary, ended)
    monkeypatch.setattr(report, "write_reports", lambda path: None)
    cluster: Any = SimpleNamespace(drive=drive, machine=lambda home: pytest.fail("it was planned"))
    assert resume_trials(cluster, run, as_json=True)
    assert '"best": 0.5' in capsys.readouterr().out

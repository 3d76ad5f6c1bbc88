"""What an experiment says in sentences."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.support.fixtures_experiment import write_experiment
from tune.arms import ArmTrial, FaultKind
from tune.evidence import ALL, Evidence, trajectory
from tune.experiment_data import read_experiment
from tune.experiment_report import write_experiment_report
from tune.findings import Findings, findings_of
from tune.lessons import conclusion, observations


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Findings]:
    evidence = read_experiment(write_experiment(tmp_path_factory.mktemp("e") / "run", "trials")).evidence
    assert evidence is not None
    return evidence, findings_of(evidence)


@pytest.mark.parametrize(
    ("names", "num_found", "sentence"),
    [
        (
            ("hops=2", "hops=3 negation=yes"),
            0,
            "The champion is weak in hops=2, hops=3 negation=yes, mined on 240 problems of their own.",
        ),
        (
            ("cats, tail", "ship, sea"),
            20,
            "The champion is weak in cats, tail; ship, sea, mined on 240 problems of their own "
            "(20 slices were found among them).",
        ),
        (
            (),
            20,
            "No slice of the champion is weak on 240 problems (20 slices were found among them): arms are "
            f"compared on {ALL}.",
        ),
        ((), 0, f"No slice of the champion is weak on 240 problems: arms are compared on {ALL}."),
    ],
)
def test_where_the_champion_is_weak(
    seen: tuple[Evidence, Findings], names: tuple[str, ...], num_found: int, sentence: str
) -> None:
    evidence, found = seen
    (weakness,) = evidence.ground.weaknesses
    weaknesses = tuple(replace(weakness, slice=name) for name in names)
    ground = replace(evidence.ground, weaknesses=weaknesses, num_found=num_found)
    assert observations(evidence._replace(ground=ground), found)[0] == sentence


def untreated(run: Path, seeds: set[int], **train: float) -> Evidence:
    """An experiment whose treatment found nothing to aim at in some seeds and learnt what its control did."""
    write_experiment(run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["loop"] = {"name": "error_driven"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    design = yaml.safe_load((run / "design.yaml").read_text())
    design["arms"]["targeted"] = {"loop": {"train": train}}
    (run / "design.yaml").write_text(yaml.safe_dump(design, sort_keys=False))
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    random = {trial["seed"]: trial for trial in trials if trial["arm"] == "random"}
    for trial in trials:
        if trial["arm"] == "targeted":
            trial["learnt"]["aims"] = True
            if trial["seed"] in seeds:
                own = {"aims": True, "aimed_at": []}
                trial["learnt"] = random[trial["seed"]]["learnt"] | own
                trial["readings"] = random[trial["seed"]]["readings"]
    (run / "trials.jsonl").write_text("\n".join(map(json.dumps, trials)) + "\n")
    evidence = read_experiment(run).evidence
    assert evidence is not None
    return evidence


def test_a_treatment_that_was_never_applied_is_not_judged(tmp_path: Path) -> None:
    evidence = untreated(tmp_path / "all", {0, 1, 2, 3})
    found = findings_of(evidence)
    assert found.verdict == "undecided", "no difference at all is not shown to be a small one"
    said = conclusion(evidence, found)
    assert said.startswith("Undecided (both arms learnt the very same, so this is no test): targeted against")
    seen = observations(evidence, found)
    assert "targeted found no weak slice to aim at in 4 of 4 seeds." in seen
    assert "targeted and random learnt the very same in 4 of 4 seeds." in seen


def test_seeds_in_which_nothing_was_aimed_at_are_counted(tmp_path: Path) -> None:
    evidence = untreated(tmp_path / "runs" / "one", {2})
    found = findings_of(evidence)
    assert "both arms" not in conclusion(evidence, found)
    seen = observations(evidence, found)
    assert "targeted found no weak slice to aim at in 1 of 4 seeds." in seen
    assert "targeted and random learnt the very same in 1 of 4 seeds." in seen
    page = write_experiment_report(tmp_path / "runs" / "one").read_text()
    assert page.count("<td>nothing</td>") == 1
    log = yaml.safe_load((tmp_path / "runs" / "one" / "experiment.yaml").read_text())
    aimed = [each.get("aimed_at") for each in log["data_snapshot"]["trials"] if each["arm"] == "targeted"]
    assert [len(each) for each in aimed] == [1, 1, 0, 1]


def test_the_same_rows_learnt_in_another_way_are_not_the_same(tmp_path: Path) -> None:
    evidence = untreated(tmp_path / "faster", {0, 1, 2, 3}, learning_rate=0.1)
    assert findings_of(evidence).verdict != "undecided"
    assert evidence.alike("targeted", "random") == []


@pytest.mark.parametrize(("arm", "fault"), [("targeted", "loss explosion"), ("random", "data")])
def test_an_arm_that_failed_by_itself_is_judged_by_no_selection_of_its_seeds(
    seen: tuple[Evidence, Findings], arm: str, fault: FaultKind
) -> None:
    def lost(evidence: Evidence, kind: FaultKind) -> Evidence:
        def failed(trial: ArmTrial) -> ArmTrial:
            return (
                replace(trial, status="failed", fault=kind) if (trial.arm, trial.seed) == (arm, 0) else trial
            )

        trials = [failed(trial) for trial in evidence.trials if trial.seed < 2]
        return evidence._replace(trials=[each for each in trials if each.status != "under way"])

    evidence = lost(seen[0], fault)
    found = findings_of(evidence)
    assert (found.verdict, found.more_seeds) == ("undecided", 0)
    assert conclusion(evidence, found).startswith(
        f"Undecided (1 of 4 seeds of {arm} failed, and what is left is a selection): targeted against random"
    )
    outside = lost(seen[0], "infrastructure")
    assert "failed" not in conclusion(outside, findings_of(outside)), "a lost worker is no result of an arm"


def test_tokens_are_learnt_as_far_as_a_training_came(seen: tuple[Evidence, Findings]) -> None:
    made = next(each for each in seen[0].trials if each.challenger and each.learnt)
    assert made.challenger and made.learnt
    steps = made.challenger.num_steps
    learnt = replace(made.learnt, num_tokens=1000, epochs=1.0, num_steps=4 * steps)
    whole = replace(made, status="finished", learnt=learnt)
    assert whole.num_tokens == 1000
    for status in ("under way", "failed"):
        assert replace(whole, status=status).num_tokens == 250, "its last checkpoint is a quarter of the way"
    assert replace(whole, status="failed", challenger=None).num_tokens == 0


def test_arms_that_learnt_longer_or_stopped_early_did_not_learn_as_much(
    seen: tuple[Evidence, Findings],
) -> None:
    evidence, found = seen

    def changed(trial: ArmTrial) -> ArmTrial:
        if trial.arm == "none" or not trial.learnt or not trial.challenger:
            return trial
        learnt = replace(trial.learnt, num_tokens=1000, num_steps=trial.challenger.num_steps * 4)
        if trial.arm == "targeted":
            return replace(trial, learnt=replace(learnt, epochs=4.0, held_out=0.1))
        if trial.arm == "longest":
            return replace(trial, learnt=learnt, challenger=replace(trial.challenger, stopped_early=True))
        return replace(trial, learnt=learnt)

    trials = [changed(trial) for trial in evidence.trials]
    unequal = evidence._replace(trials=trials)
    said = observations(unequal, found)
    assert any(
        "tokens over all epochs: targeted 3,600, random 1,000, longest 250" in sentence for sentence in said
    )
    assert "longest stopped early in 2 of 2 seeds." in said
    early = next(each for each in trials if each.arm == "longest" and each.readings)
    assert trajectory(unequal, early, [0])[1] == [0.0, 250.0, 250.0, 250.0], "it learnt no more by then"

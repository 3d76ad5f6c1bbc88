"""An experiment from its files to its log: on scripted models, and once on a tiny model, killed half-way."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from ray.exceptions import ActorDiedError, RayTaskError

from configs.load import ConfigError
from engine.records import TrainFailure, TrainFault, from_json
from engine.sample.starting import EngineError
from loops import weak
from tests.support.kept import Here
from tests.support.runs import journal, kill_when, ratchet
from tests.support.scripted_experiment import CAMPAIGN, EXPERIMENT, Trainer, design_in, exploded, play, script
from tune import experiment
from tune.arms import ArmTrial, Reading, problems_of
from tune.findings import Findings
from tune.ground import MIXED_SPLIT, WEAK_SPLIT, ExperimentError, Ground
from tune.listing import logged
from tune.ready import require_comparable
from tune.trial import TrainingLost
from tune.watched import Broke

pytestmark = pytest.mark.slow

TINY = "tests/support/tiny_experiment.yaml"


def trials_of(run: Path) -> list[ArmTrial]:
    return [from_json(ArmTrial, line) for line in (run / "trials.jsonl").read_text().splitlines()]


def log_of(run: Path) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((run / "experiment.yaml").read_text())
    return tree


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    return script(monkeypatch)


class Ended(NamedTuple):
    """An experiment that nothing has interrupted."""

    run: Path
    found: Findings
    trainer: Trainer


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    home = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        trainer = script(patch)
        return Ended(*play(home, design_in(home)), trainer)


def test_arms_start_from_one_champion_and_answer_the_same_problems(ended: Ended) -> None:
    run, found, trainer = ended
    trials, asked = trials_of(run), problems_of(run)
    ground = from_json(Ground, (run / "ground.json").read_bytes())
    assert [(each.arm, each.seed) for each in trials] == [
        (arm, seed) for seed in (0, 1) for arm in ("fast", "slow", "none")
    ], "seeds pass through all arms in turn"
    assert trainer.trained[0] == ("rounds/000/training", 1.0), "one warm start makes the champion"
    learning = [each for each in trials if each.arm != "none"]
    assert {each.challenger.parent_id for each in learning if each.challenger} == {ground.champion}
    assert [until for _, until in trainer.trained[1:]] == [0.5, 1.0] * 4
    assert {each.learnt.num_tokens for each in learning if each.learnt} == {8}
    assert [len(each.readings) for each in trials] == [2, 2, 1] * 2
    suites = {reading.evaluation.suite for each in trials for reading in each.readings}
    assert suites == {trials[0].readings[0].evaluation.suite}
    assert [each.slice for each in ground.weaknesses] == ["topic=cats"]
    assert [each.split for each in asked] == [MIXED_SPLIT] * 20 + [WEAK_SPLIT] * 20
    assert {each.slice for each in asked[20:]} == {"topic=cats"}
    learnt = {row.problem_id for data in trainer.rows for row in data.rows}
    assert learnt and not learnt & {each.id for each in asked}, "nothing that is asked is learnt"
    assert found.primary == "weak"
    fast, slow = (found.of(arm, "all", "champion") for arm in ("fast", "slow"))
    assert fast and slow and fast.effect.mean > slow.effect.mean > 0
    none = [each for each in found.against_champion if each.arm == "none"]
    assert [(each.won, each.lost, each.shown) for each in none] == [(0, 0, False)] * 2
    assert not list(run.glob("trials/*/rungs/*/training")), "weights of trials are not left behind"


def test_what_every_trial_lost_elsewhere_is_kept(ended: Ended) -> None:
    """In these worlds prose gets the less likely the more a model can do."""
    found = [from_json(Broke, line) for line in (ended.run / "watched.jsonl").read_text().splitlines()]
    num = {(each.arm, each.seed): len(each.watched.broken) for each in found}
    assert set(num) == {(arm, seed) for arm in ("fast", "slow", "none") for seed in (0, 1)}
    assert num["none", 0] == 0 < num["fast", 0] and {each.watched.suite for each in found} == {"english"}
    text = (ended.run / "experiment.html").read_text()
    assert "What broke" in text and "<strong>fast</strong> with seed 0" in text


def test_an_interrupted_experiment_goes_on_and_trains_nothing_twice(
    tmp_path: Path, trainer: Trainer, ended: Ended
) -> None:
    stops: list[int] = []

    def stop(out: Path, until: float) -> None:
        if (num := len(trainer.trained)) in (0, 3, 4) and num not in stops:
            stops.append(num)
            raise KeyboardInterrupt

    trainer.before = stop
    design = design_in(tmp_path)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            play(tmp_path, design)
    begun = (tmp_path / "runs/x/begun.json").read_text()
    assert log_of(tmp_path / "runs/x")["status"] == "under way"
    run, found = play(tmp_path, design)
    assert stops == [0, 3, 4] and trainer.trained == ended.trainer.trained, (
        "each stretch once, in the same order"
    )

    def essence(trial: ArmTrial) -> tuple[Any, ...]:
        learnt = replace(trial.learnt, training_set_id="") if trial.learnt else None
        return trial.arm, trial.seed, [each.scores for each in trial.readings], learnt

    assert list(map(essence, trials_of(run))) == list(map(essence, trials_of(ended.run)))
    assert found == ended.found and (run / "begun.json").read_text() == begun
    assert play(tmp_path, design) == (run, found), "a finished experiment is only shown"
    assert trainer.trained == ended.trainer.trained


def test_the_log_has_the_shape_of_an_experiments_log(ended: Ended) -> None:
    run, found, _ = ended
    log = log_of(run)
    assert " ".join(log) == (
        "experiment_id date description hypothesis status configuration data_snapshot results resources "
        "failures lessons conclusion reproducibility"
    )
    assert log["experiment_id"] == f"EXP-{log['date']}-001" and log["status"] == "finished"
    assert log["configuration"]["arms"]["fast"] == {"loop": {"train": {"learning_rate": 0.3}}}
    sets = {(each["arm"], each["seed"]): each["training_set"] for each in log["data_snapshot"]["trials"]}
    assert sets["fast", 0] == sets["slow", 0] != sets["fast", 1], "the same rows for both arms of a seed"
    assert log["results"]["metrics"]["verdict"] == found.verdict
    assert log["resources"]["energy_kwh"] == {"processors": "not reported", "gpus": "not reported"}
    # The probes of champion and trials, what two seeds learn from, which two arms share, and all readings.
    answers = 60 + 2 * 96 + 2 * 24 * 2 + 40 * (1 + 4 * 2 + 2)
    assert log["resources"]["tokens"] == {
        "learnt": 32,
        "trained": 5000,
        "sampled": answers,
        "read": 3 * answers,
    }
    assert log["resources"]["train_worker_mib"] == "not reported"
    seconds, cost = log["resources"]["wall_seconds"], log["resources"]["cost"]
    assert cost.endswith(" EUR") and float(cost.split()[0]) == pytest.approx(2 * seconds, abs=0.3)
    assert log["failures"] == {"by_kind": {}, "trials": []}
    assert "slow" in log["conclusion"] and log["lessons"]
    (listed,) = logged(run.parents[1])
    assert (listed.id, listed.run_id, listed.verdict) == (log["experiment_id"], "x", found.verdict)
    assert listed.conclusion == log["conclusion"] and "points" in listed.difference


def test_what_fails_is_named_by_its_kind_and_costs_its_pair_alone(tmp_path: Path, trainer: Trainer) -> None:
    def fail(out: Path, until: float) -> Any:
        place = out.relative_to(tmp_path).as_posix()
        if "trials/000/rungs/1" in place:
            return exploded()
        if "trials/003/" in place:
            raise RuntimeError("the sampler is gone\nand so is the node")
        return None

    trainer.before = fail
    arms = {arm: EXPERIMENT["arms"][arm] for arm in ("fast", "slow")}
    run, found = play(tmp_path, design_in(tmp_path, seeds=3, arms=arms))
    trials = trials_of(run)
    assert [each.status for each in trials] == ["failed", *["finished"] * 2, "failed", *["finished"] * 2]
    assert (trials[0].fault, trials[0].reason) == ("loss explosion", "the loss is 9.1 at step 12, from 1.2")
    assert (trials[3].fault, trials[3].reason) == ("infrastructure", "and so is the node")
    judged = found.of("fast", "weak", "slow")
    assert judged and judged.effect.num_seeds == 1, "seeds 0 and 1 have lost one of their arms"
    assert "1 of 3 seeds of fast failed" in log_of(run)["conclusion"], "which is a result of it too"
    assert log_of(run)["failures"]["by_kind"] == {"loss explosion": 1, "infrastructure": 1}


@pytest.mark.parametrize(
    ("fault", "kind"), [(TrainFault.WORKER_LOST, "infrastructure"), (TrainFault.OUT_OF_MEMORY, "memory")]
)
def test_a_lost_train_worker_costs_no_pair_of_arms(
    tmp_path: Path, trainer: Trainer, fault: TrainFault, kind: str
) -> None:
    """Such a trial is played once more; what comes of that is told by its kind, and is no result."""
    lost = TrainFailure(fault=fault, reason="workers were lost")
    left = {"trials/000": 1, "trials/003": 2}

    def fail(out: Path, until: float) -> TrainFailure | None:
        place = "/".join(out.relative_to(tmp_path / "runs/x").parts[:2])
        left[place] = left.get(place, 0) - 1
        return lost if left[place] >= 0 else None

    trainer.before = fail
    arms = {arm: EXPERIMENT["arms"][arm] for arm in ("fast", "slow")}
    trials = trials_of(play(tmp_path, design_in(tmp_path, arms=arms))[0])
    assert [each.status for each in trials] == [*["finished"] * 3, "failed"]
    assert (trials[3].fault, trials[3].reason) == (kind, "workers were lost")
    assert not (tmp_path / "runs/x/trials/003/rungs/0/train.json").exists(), "a resumed one could go on"
    again = pickle.loads(pickle.dumps(lost_training(fault)))  # noqa: S301  its own
    assert again.fault is fault and str(again) == "workers were lost", "Ray passes it on as it is"


def lost_training(fault: TrainFault) -> TrainingLost:
    error = TrainingLost("workers were lost")
    error.fault = fault
    return error


def test_an_arm_with_too_little_to_learn_is_no_fair_comparison(tmp_path: Path, trainer: Trainer) -> None:
    run, found = play(tmp_path, design_in(tmp_path, learnt_tokens=4000, seeds=1))
    trials = trials_of(run)
    assert [each.fault for each in trials] == ["data", "data", None]
    assert "learnt tokens of the 4,000 that every arm learns" in trials[0].reason
    assert found.verdict == "undecided" and found.of("fast", "weak", "slow") is None
    assert "no seed has finished in both fast and slow" in log_of(run)["conclusion"]


def test_a_hypothesis_may_be_about_what_is_guarded(tmp_path: Path, trainer: Trainer) -> None:
    """Every arm then learns all that it proposes, and the verdict is about one suite or guard."""
    design = design_in(tmp_path, about="english", learnt_tokens=None, seeds=1, probe=None)
    require_comparable(design, tmp_path)
    run, found = play(tmp_path, design)
    assert found.place == found.where == "english"
    ground = from_json(Ground, (run / "ground.json").read_bytes())
    assert (ground.weaknesses, ground.num_probed) == ((), 0)
    judged = found.judged("fast", "slow")
    assert judged is not None and (judged.kind, judged.where, judged.unit) == ("sentinel", "english", "nats")
    log = log_of(run)
    assert log["results"]["metrics"]["primary"] == "english" and "on english: " in log["conclusion"]
    assert "fast against slow on english" in (run / "experiment.html").read_text()
    learning = [each for each in trials_of(run) if each.learnt]
    nums = [each.learnt.num_tokens for each in learning if each.learnt]
    assert nums == [2 * len(data.rows) for data in trainer.rows[1::2]], nums
    with pytest.raises(ConfigError, match="about must be one of english, topic=.*, got 'old-facts'"):
        require_comparable(design_in(tmp_path, about="old-facts"), tmp_path)


def test_without_a_champion_there_is_no_experiment(tmp_path: Path, trainer: Trainer) -> None:
    trainer.before = lambda out, until: exploded()
    with pytest.raises(ExperimentError, match="the warm start failed, so there is no champion: the loss is"):
        play(tmp_path, design_in(tmp_path))
    assert log_of(tmp_path / "runs/x")["conclusion"] == "Nothing is measured yet."


def test_where_everything_fails_the_experiment_can_be_resumed(tmp_path: Path, trainer: Trainer) -> None:
    def fail(out: Path, until: float) -> None:
        if "trials" in out.parts:
            raise RuntimeError("no sampler")

    trainer.before = fail
    design = design_in(tmp_path, arms={"fast": {"loop": {"samples": 3}}, "slow": {}}, seeds=1)
    with pytest.raises(ExperimentError, match="none of 2 trials was finished; the first: no sampler"):
        play(tmp_path, design)
    trainer.before = lambda out, until: None
    assert {each.status for each in trials_of(play(tmp_path, design)[0])} == {"finished"}


def test_without_a_warm_start_and_without_a_weakness(tmp_path: Path, trainer: Trainer) -> None:
    """The base is then the champion, and all problems are of the mixture, in the slices that were found."""
    task = {"name": CAMPAIGN["task"]["name"], "slices": {"topic": ["dogs"]}}
    run, found = play(tmp_path, design_in(tmp_path, {"warm_start": None, "task": task}, seeds=1))
    ground = from_json(Ground, (run / "ground.json").read_bytes())
    assert ground.trained is None and len(trainer.trained) == 4
    asked = problems_of(run)
    assert [each.split for each in asked] == [MIXED_SPLIT] * 40
    assert ground.num_found == 5 and "topic=dogs" not in {each.slice for each in asked}
    assert found.primary == "all" and found.of("fast", "all", "slow")
    assert "No slice of the champion is weak on 60 problems" in log_of(run)["results"]["observations"][0]


MIXED_UP = """
from tests.support import toy_task
from tests.support.toy_task import FIGURES, HEADLINE, SYSTEM, VERIFIERS, target

NAME = "mixed-up"
DIMENSIONS = {"topic": ("any",)}
DEFAULT_SLICES = {"topic": ["any"]}

def make(settings, rng, *, split, slice_name, origin):
    topic = rng.choice(["cats", "dogs", "dogs"])
    return toy_task.make({"topic": topic}, rng, split=split, slice_name=slice_name, origin=origin)
"""


def test_a_task_without_slices_is_compared_where_the_champion_was_found_to_be_weak(
    tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def about(texts: Any) -> np.ndarray:
        return np.eye(2)[[1 if "cats" in text else 0 for text in texts]]

    monkeypatch.setattr(weak, "embedder", lambda: about)
    file = tmp_path / "mixed.py"
    file.write_text(MIXED_UP)
    task, probe = {"task": {"name": str(file)}}, {"num_problems": 120}
    run, found = play(tmp_path, design_in(tmp_path, task, seeds=1, probe=probe))
    ground = from_json(Ground, (run / "ground.json").read_bytes())
    (weakness,) = ground.weaknesses
    assert "cats" in weakness.slice.split(", ") and ground.num_found == 2
    asked = problems_of(run)
    assert [each.split for each in asked] == [MIXED_SPLIT] * 20 + [WEAK_SPLIT] * 20
    assert all((each.slice == weakness.slice) is ("cats" in each.text) for each in asked)
    assert found.primary == "weak" and found.of("fast", "weak", "slow")
    assert {each.where for each in found.comparisons if each.kind == "slice"} == {
        each.slice for each in asked
    }
    assert log_of(run)["data_snapshot"]["weak_slices"] == [weakness.slice]


@pytest.mark.timeout(900)
def test_an_experiment_killed_half_way_goes_on_where_it_was(
    tiny_model: Path, tmp_path: Path, here: Here
) -> None:
    """Through the real Ray Tune, Train and vLLM: two arms and the noise, two seeds each."""
    run = tmp_path / "runs" / "x"
    process = ratchet(tmp_path, "experiment", TINY, f"set.base={tiny_model}", "run_id=x")
    kill_when(process, lambda: (run / "trials/001/rungs/0/measure.json").exists())
    made = {file: file.read_bytes() for file in run.glob("trials/*/*/*/*.json")}
    begun, asked = (run / "begun.json").read_text(), (run / "problems.jsonl").read_text()
    before = {file.parent.name: journal(file.parent) for file in run.glob("trials/*/journal.jsonl")}
    out = here(tmp_path, "experiment", "--resume", "x", "--json")
    shown = json.loads(out.strip().splitlines()[-1])
    assert {file: file.read_bytes() for file in made} == made, "what was done is not done again"
    assert (run / "begun.json").read_text() == begun and (run / "problems.jsonl").read_text() == asked
    trials = trials_of(run)
    assert [(each.arm, each.seed) for each in trials] == [
        (arm, seed) for seed in (0, 1) for arm in ("usual", "gentle", "none")
    ]
    assert {each.status for each in trials} == {"finished"}
    assert len(list((run / "material").iterdir())) == 2, (
        "arms that learn alike share their rows, seed by seed"
    )
    champion = from_json(Reading, (run / "champion/measure.json").read_bytes())
    for trial in trials:
        stages = journal(run / "trials" / f"{trial.number:03d}")
        assert len(stages) == len(set(stages)) == (2 if trial.arm == "none" else 6)
        assert stages[: len(before.get(f"{trial.number:03d}", []))] == before.get(f"{trial.number:03d}", [])
        assert {reading.evaluation.suite for reading in trial.readings} == {champion.evaluation.suite}
        if trial.learnt:
            assert trial.learnt.num_tokens == 16
    log = log_of(run)
    assert log["status"] == "finished" and shown["id"] == log["experiment_id"]
    assert log["resources"]["wall_seconds"] > 0 and log["conclusion"] == shown["conclusion"]
    assert (run / "experiment.html").read_text().count("<svg") >= 2
    assert not list(run.glob("trials/*/rungs/*/training"))


@pytest.mark.parametrize(
    ("error", "tries", "said"),
    [
        (ActorDiedError(), 2, "The actor died unexpectedly before finishing this task."),
        (RayTaskError("play", "Traceback", EngineError("vLLM does not start")), 1, "vLLM does not start"),
    ],
)
def test_a_trial_is_played_again_where_its_process_was_lost_and_not_where_it_failed(
    tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch, error: Exception, tries: int, said: str
) -> None:
    played: list[list[int]] = []

    def fit(*_: Any, space: dict[str, Any]) -> dict[int, Exception]:
        played.append(space["number"]["grid_search"])
        return dict.fromkeys(played[-1], error)

    monkeypatch.setattr(experiment, "fit", fit)
    with pytest.raises(ExperimentError, match=f"none of 6 trials was finished; the first: {said}"):
        play(tmp_path, design_in(tmp_path))
    assert played == [[0, 1, 2, 3, 4, 5]] * tries

"""An experiment: arms of one campaign, trained from one champion on equal budgets, on the same problems.

    ratchet experiment configs/experiments/error-driven.yaml

Nothing is promoted: an experiment answers a question about a method, the gate decides about a model. Every
expensive step is a stage, and every trial a run directory of its own, so a killed experiment goes on where it
was.
"""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune

from engine.disk.energy import nvml, rapl
from engine.disk.environment import code_version
from engine.disk.steps import Run
from engine.plan.plan import Plan
from loops.bookends import start_of
from loops.record import gate_entropy
from loops.spent import suite_for
from tune.arms import ArmTrial, ExperimentRun, play_arm
from tune.experiment_data import BEGUN, TRIALS, Begun, arm_trial_of, read_experiment
from tune.experiment_report import write_experiment_report
from tune.findings import Findings, findings_of
from tune.ground import ExperimentError, lay_ground
from tune.lessons import conclusion
from tune.log import new_id, today
from tune.meter import METER, SessionMeter
from tune.plan import experiment_of, num_concurrent
from tune.tuner import TRIES, Progress, fit, may_pass
from tune.watched import WATCHED, Broke, watch
from tune.workshop import CREWS

log = logging.getLogger(__name__)
FINDINGS = "findings"


def run_experiment(run: Run, home: Path, trial_plan: Plan, plan: Plan) -> Findings:
    """Drive an experiment's run to its end. Whatever a stage raises, the experiment can be resumed."""
    design = experiment_of(run.path)
    suite_for(design.config, run)
    start = start_of(run)

    def begin() -> Begun:
        date = today()
        return Begun(
            experiment_id=new_id(home, run.id, date),
            date=date,
            entropy=gate_entropy(design.config),
            code_version=code_version(),
        )

    begun = run.step(BEGUN, Begun, begin)
    log.info("%s: %s", begun.experiment_id, design.settings.hypothesis)
    write_experiment_report(run.path)
    with SessionMeter(run.path / METER, plan, rapl(), nvml() if plan.num_gpus else None):
        ground = lay_ground(run, design, plan, start, begun.entropy)
        trials = ExperimentRun(
            home=home,
            run_id=run.id,
            settings=design.settings,
            design=design,
            campaign=design.rounds,
            plan=trial_plan,
            start=replace(start, champion=ground.champion, working="", refusals=0, touched=(), written=()),
        )
        num = num_concurrent(design.settings, plan, design.config)
        run.step_many(TRIALS, ArmTrial, lambda: play_all(trials, num))
        # A kill may have left the models of a trial that is over, and Tune's processes have left their desks.
        for left in (*run.path.glob("trials/*/rungs/*/training"), run.path / CREWS):
            shutil.rmtree(left, ignore_errors=True)
        evidence = read_experiment(run.path).evidence
        assert evidence is not None, "the champion has been measured"
        run.step_many(WATCHED, Broke, lambda: watch(trials, evidence))
        found = run.step(FINDINGS, Findings, lambda: findings_of(evidence))
    write_experiment_report(run.path)
    log.info("%s", conclusion(evidence, found))
    return found


def play_all(trials: ExperimentRun, num_concurrent: int) -> list[ArmTrial]:
    """Play the trials that are not over. Raises ExperimentError if the machinery failed in all of them."""
    design, path = trials.design, trials.path
    left = [
        number
        for number in range(len(design.trials))
        if arm_trial_of(path, design, number).status == "under way"
    ]

    played = design.trials

    def in_words(setting: dict[str, Any], result: dict[str, Any]) -> str:
        number = setting["number"]
        arm, seed = played[number]
        return f"trial {number} of {len(played) - 1} ({arm}, seed {seed}): {result['shown']}"

    errors: dict[int, Exception] = {}
    for _ in range(TRIES):
        if not left:
            break
        space = {"number": tune.grid_search(left)}
        failed = fit(trials, play_arm, num_concurrent, [Progress(in_words)], space=space)
        errors = {number: error for number, error in errors.items() if number not in left} | failed
        # A process that was lost must not cost a pair of arms; what failed would fail again.
        left = [number for number, error in failed.items() if may_pass(error)]
    found = [arm_trial_of(path, design, number, errors.get(number)) for number in range(len(design.trials))]
    for each in found:
        if each.status == "failed":
            log.warning("trial %d (%s, seed %d) failed: %s", each.number, each.arm, each.seed, each.reason)
    if errors and all(each.status == "failed" for each in found):
        raise ExperimentError(f"none of {len(found)} trials was finished; the first: {found[0].reason}")
    return found

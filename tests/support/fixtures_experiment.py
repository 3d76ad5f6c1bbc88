"""A realistic run directory of an experiment, written from the records: arms of every fate, one of them
failed."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from configs.experiment import NONE, Design, Experiment, design_of
from configs.load import dump, from_tree
from engine.gate.sentinels import suites_of
from engine.measure.stats import interval
from engine.records import (
    Evaluation,
    Figure,
    Problem,
    Reference,
    SentinelScores,
    TrainFailure,
    TrainFault,
    Weakness,
    to_json,
)
from tests.support.fixtures_report import challenger
from tune.arms import Learnt, Reading
from tune.experiment_data import Begun, trials_of
from tune.ground import MIXED_SPLIT, WEAK_SPLIT, Ground
from tune.outcome import stage

CHAMPION = "c04d7a1be8835f62"
ID = "EXP-2026-07-30-001"
SLICES = ("hops=1", "hops=2", "hops=3 negation=yes")
RARE = SLICES[-1]
GAINS: dict[str, tuple[float, float]] = {
    "targeted": (0.10, 0.40),
    "random": (0.10, 0.12),
    "longest": (0.06, 0.02),
    "placebo": (-0.30, -0.20),
}
"""What each arm gains by its whole training, elsewhere and in the rare slice."""
TREE: dict[str, Any] = {
    "name": "aimed",
    "line": "test/aimed",
    "task": {"name": "tests/support/toy_task.py"},
    "stop": {"rounds": 1},
    "loop": {"name": "tests/support/own/loop.py"},
}


def experiment(**changes: Any) -> Experiment:
    """The settings of the experiment."""
    settings: dict[str, Any] = {
        "name": "aimed",
        "hypothesis": "Aimed problems teach more in the rare slice than as many learnt tokens of any.",
        "campaign": "../own.yaml",
        "arms": dict.fromkeys([*GAINS, NONE]),
        "seeds": 4,
        "learnt_tokens": 4000,
        "num_problems": 120,
        "points": 3,
        "price": {"amount": 0.05, "currency": "EUR"},
    }
    return Experiment(**settings | changes)


def problems(num: int) -> list[Problem]:
    """Half of the mixture and half of the rare slice."""
    found = []
    for number in range(num):
        mixed = number < num // 2
        found.append(
            Problem(
                id=f"p{number}",
                task="toy",
                slice=SLICES[number % 3] if mixed else RARE,
                turns=(f"Question {number}?",),
                truth=Reference(accepted=("yes",)),
                gold=("yes",),
                split=MIXED_SPLIT if mixed else WEAK_SPLIT,
                origin="toy",
            )
        )
    return found


def reading(model: str, asked: Sequence[Problem], rates: dict[str, float], seed: str) -> Reading:
    """A model that passes each problem by its difficulty, which all models share, and a little luck."""
    luck = random.Random(seed)
    scores = []
    for problem in asked:
        easy = random.Random(problem.id).random()
        scores.append(float(easy + luck.gauss(0, 0.08) < rates[problem.slice]))
    passed = interval(int(sum(scores)), len(scores))
    figure = Figure(key="passed", title="passed", value=passed)
    return Reading(
        evaluation=Evaluation(
            model_id=model,
            suite="d1b0",
            k=1,
            num_problems=len(asked),
            num_undecided=0,
            headline="passed",
            figures=(figure,),
            slices=(),
        ),
        scores=tuple(scores),
    )


def rates(arm: str, share: float) -> dict[str, float]:
    """What share of a slice's problems an arm's model passes after a share of its training."""
    elsewhere, rare = GAINS.get(arm, (0.0, 0.0))
    grown = 1 - (1 - share) ** 2
    return {name: (0.2 + rare * grown if name == RARE else 0.5 + elsewhere * grown) for name in SLICES}


def sentinel_scores(design: Design, model: str, arm: str, seed: int) -> list[SentinelScores]:
    """A model on each suite; the placebo forgets how to answer."""
    found = []
    for suite in suites_of(design.config.gate.sentinels.suites):
        rng = random.Random(f"{suite.name} {arm} {seed}")
        if suite.kind == "perplexity":
            scores = tuple(100.0 + rng.gauss(0, 0.4) for _ in range(suite.size))
            tokens: tuple[int, ...] = (50,) * suite.size
        else:
            known = 0.5 if arm == "placebo" else 0.8
            scores = tuple(float(i % 10 < 10 * known or rng.random() < 0.02) for i in range(suite.size))
            tokens = ()
        found.append(SentinelScores(model_id=model, suite=suite.name, scores=scores, num_tokens=tokens))
    return found


class Stages:
    """Writes the stages of a run, each with its line in the journal."""

    def __init__(self, path: Path) -> None:
        self.path, self._now = path, 1_790_000_000.0
        path.mkdir(parents=True, exist_ok=True)

    def write(self, stage: str, record: Any, seconds: float = 10.0, *, lines: bool = False) -> None:
        """Write a stage's record, or its records one a line."""
        file = self.path / f"{stage}.{'jsonl' if lines else 'json'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(to_json(it) + "\n" for it in record) if lines else to_json(record))
        self._now += seconds
        entry = {"stage": stage, "seconds": seconds, "sha256": "", "time": self._now}
        with (self.path / "journal.jsonl").open("a") as journal:
            journal.write(json.dumps(entry) + "\n")


def write_trial(run_dir: Path, design: Design, number: int, asked: Sequence[Problem], rungs: int) -> None:
    """Write a trial up to a number of checkpoints; the last but one arm's last seed explodes."""
    arm, seed = design.trials[number]
    stages = Stages(run_dir / "trials" / f"{number:03d}")
    last = design.settings.rungs - 1
    if arm == NONE:
        stages.write(stage(0, "measure"), reading(CHAMPION, asked, rates(arm, 0), f"none {seed}"))
    elif (arm, seed) == ("longest", 3):
        reason = "the loss is 9.1 at step 12, from 1.2"
        stages.write(stage(0, "train"), TrainFailure(fault=TrainFault.LOSS_EXPLODED, reason=reason))
        return
    else:
        tokens = 3990 + (7 * number) % 11
        learnt = Learnt(
            training_set_id=f"7d9e{number:08x}", num_rows=95, num_tokens=tokens, epochs=1.0, aimed_at=(RARE,)
        )
        stages.write("learnt", learnt, 0.5)
        for rung in range(min(rungs, last + 1)):
            model = f"{number:06x}{rung:02x}aa55aa55"
            stages.write(stage(rung, "train"), challenger(model, CHAMPION, "rft"), 40.0)
            share = design.settings.share(rung)
            made = reading(model, asked, rates(arm, share), f"{arm} {seed}")
            stages.write(stage(rung, "measure"), made, 12.0)
        row = {"time": 1_790_000_001.0, "round": 0, "stage": "train", "step": 1, "loss": 1.6}
        (stages.path / "metrics.jsonl").write_text(json.dumps(row | {"memory_mib": 1800 + number}) + "\n")
        if rungs <= last:
            return
    for scores in sentinel_scores(design, f"{number:06x}", arm, seed):
        stages.write(f"sentinels/{scores.suite}", scores, 5.0)


def write_experiment(run_dir: Path, until: str = "end", **changes: Any) -> Path:
    """Write the files of an experiment up to its ``start``, its ``ground``, the ninth of its ``trials``, or
    its ``end``."""
    settings = experiment(**changes)
    config = from_tree(TREE, "test")
    design = design_of(settings, yaml.safe_load(dump(config)), "test")
    run = Stages(run_dir)
    (run_dir / "config.yaml").write_text(dump(config))
    (run_dir / "design.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    (run_dir / "environment.json").write_text(json.dumps({"python": "3.11.9", "cpus": 2}))
    begun = Begun(experiment_id=ID, date="2026-07-30", entropy=7, code_version="0.1.0+abc")
    run.write("begun", begun)
    if until == "start":
        return run_dir
    asked = problems(settings.num_problems)
    weakness = Weakness(
        slice=RARE,
        fault="wrong_answer",
        rate=0.8,
        elsewhere=0.5,
        low=0.7,
        high=0.9,
        p_adjusted=0.001,
        quota=60,
    )
    run.write("problems", asked, lines=True)
    run.write("champion/measure", reading(CHAMPION, asked, rates(NONE, 0), "champion"))
    for scores in sentinel_scores(design, CHAMPION, "champion", 0):
        run.write(f"sentinels/{scores.suite}", scores)
    trained = challenger(CHAMPION, "5be1f0c2a97d4e31", "sft")
    ground = Ground(champion=CHAMPION, trained=trained, weaknesses=(weakness,), num_probed=240)
    run.write("ground", ground)
    meter = {"session": 1.0, "seconds": 3600.0, "cores": 2, "gpus": 0, "cpu_joules": None, "gpu_joules": None}
    (run_dir / "meter.jsonl").write_text(json.dumps(meter) + "\n")
    num = {"ground": 0, "trials": 9}.get(until, len(design.trials))
    for number in range(num):
        under_way = until == "trials" and number == num - 1
        write_trial(run_dir, design, number, asked, 1 if under_way else settings.points)
    if until == "end":
        run.write("trials", trials_of(run_dir, design), lines=True)
    return run_dir

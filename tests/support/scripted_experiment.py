"""Whole experiments on scripted models: real stages, loop, verifier and log, with no engine and no training.

A model is a directory whose config.json says how much it can do. Training makes one that can do more, by the
learning rate of its arm.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from configs.experiment import Design, load_experiment
from engine.disk.steps import Run
from engine.measure.bench import Bench, Benches
from engine.models.identity import model_id
from engine.models.liveness import TEXTS
from engine.records import Attempt, Challenger, Finish, Score, TrainFailure, TrainFault, TrainingSet
from engine.sample.protocol import Request, Sampling
from loops import training, weak
from tests.support.bag_of_words import bag_of_words
from tests.support.model_dirs import SETTINGS
from tests.support.toy_task import __file__ as toy
from tests.support.verifiers import kept_pool
from tune import arms, experiment, trial, workshop
from tune.findings import Findings
from tune.plan import DESIGN, dump

CAMPAIGN: dict[str, Any] = {
    "name": "toy",
    "line": "toy/scripted",
    "task": {"name": toy},
    "warm_start": {"proofs": 8, "train": {"learning_rate": 0.1}},
    "loop": {"num_problems": 24, "samples": 2, "train": {"learning_rate": 0.01}},
    "gate": {"entropy": 5, "sentinels": {"suites": ["english"]}},
    "verify": {"max_undecided": 0.5},
}
EXPERIMENT: dict[str, Any] = {
    "name": "scripted",
    "hypothesis": "A fast arm gains more than a slow one.",
    "campaign": "campaign.yaml",
    "arms": {
        "fast": {"loop": {"train": {"learning_rate": 0.3}}},
        "slow": {"loop": {"train": {"learning_rate": 0.05}}},
        "none": None,
    },
    "control": "slow",
    "seeds": 2,
    "learnt_tokens": 8,
    "points": 2,
    "num_problems": 40,
    "probe": {"num_problems": 60},
    "price": {"amount": 3600.0, "currency": "EUR"},
}


def write_model(place: Path, skill: float, name: str = "") -> Path:
    """A model that passes this share of what is easy, and less of what is about cats."""
    place.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (place / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"ABCD")
    (place / "config.json").write_text(json.dumps({"skill": skill, "name": name}))
    (place / "tokenizer.json").write_text("{}")
    (place / "tokenizer_config.json").write_text(SETTINGS)
    return place


def skill_of(model: Path) -> float:
    """What a model can do."""
    return float(json.loads((model / "config.json").read_text())["skill"])


class Able:
    """Implements `protocol.Sampler`: answers by a model's skill and the question, so that models agree."""

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        skill = skill_of(model)
        for sample in range(sampling.samples):
            for request in requests:
                assert not isinstance(request.messages, str)
                question = request.messages[-1].text
                hard = int(hashlib.sha256(question.encode()).hexdigest()[:8], 16) / 16**8
                able = skill * (0.35 if "cats" in question else 1.0)
                yield Attempt(
                    problem_id=request.problem_id,
                    model_id=model_id(model),
                    sample=sample,
                    replies=("yes" if hard < able else "no",),
                    num_prompt_tokens=3,
                    num_tokens=1,
                    finish=Finish.STOP,
                )

    def score(self, model: Path, texts: Sequence[str]) -> list[Score]:
        return [Score(100.0 + skill_of(model), 50, model_id(model)) for _ in texts]

    def sleep(self) -> None:
        pass


class Trainer:
    """Stands in for `engine.train.driver.train` and counts what it is asked for."""

    def __init__(self) -> None:
        self.trained: list[tuple[str, float]] = []
        """Name and share of every training stretch."""
        self.rows: list[TrainingSet] = []
        self.before: Callable[[Path, float], TrainFailure | None] = lambda out, until: None
        """May raise, or fail a training."""

    def __call__(
        self, config: Any, data: TrainingSet, *, parent: Path, out: Path, stretch: Any, seed: int, **_: Any
    ) -> Challenger | TrainFailure:
        if failure := self.before(out, stretch.until):
            return failure
        assert stretch.state is None or stretch.state.exists(), "the stretch before has left its state"
        (out / "state").mkdir(parents=True)
        self.trained.append((out.relative_to(out.parents[2]).as_posix(), stretch.until))
        self.rows.append(data)
        skill = skill_of(parent) + config.learning_rate * stretch.until
        model = write_model(out / "model", skill, f"{data.id} {seed} {stretch.until}")
        return Challenger(
            model_id=model_id(model),
            path=str(model),
            parent_id=model_id(parent),
            training_set_id=data.id,
            method=config.method,
            num_steps=round(10 * stretch.until),
            num_tokens=round(1000 * stretch.until),
            tokens_per_second=1.0,
            final_loss=1.0,
            update_size=0.1,
            reference=(1.0,) * len(TEXTS),
            seconds=0.0,
        )


def exploded(reason: str = "the loss is 9.1 at step 12, from 1.2") -> TrainFailure:
    """A training whose loss has exploded."""
    return TrainFailure(fault=TrainFault.LOSS_EXPLODED, reason=reason)


def script(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Put scripted parts in the place of engines, of training and of Tune's processes."""
    scripted = Trainer()

    @contextmanager
    def open_benches(*_: Any) -> Iterator[Benches]:
        with kept_pool(f"{toy}:verify", seconds=5.0) as pool:
            bench = Bench(Able(), pool, "", 0.5)
            yield Benches(bench, bench)

    def fit(
        trials: Any, play: Any, num: int, callbacks: Any, *, space: Any, **_: Any
    ) -> dict[int, Exception]:
        shop, errors = workshop.Workshop(trials), {}
        for number in space["number"]["grid_search"]:
            try:
                for reading in arms.play_checkpoints(shop, number):
                    result = {"shown": reading.evaluation.head.title}
                    callbacks[0].on_trial_result(0, [], SimpleNamespace(config={"number": number}), result)
            except RuntimeError as error:
                errors[number] = error
        shop.close()
        return errors

    monkeypatch.setattr(workshop, "open_benches", open_benches)
    monkeypatch.setattr(weak, "embedder", lambda: bag_of_words)
    monkeypatch.setattr(trial, "train", scripted)
    monkeypatch.setattr(training, "train", scripted)
    monkeypatch.setattr(arms, "learnt_tokens", lambda rows, config, model: [2] * len(rows))
    monkeypatch.setattr(experiment, "fit", fit)
    return scripted


def design_in(folder: Path, campaign: dict[str, Any] | None = None, **changes: Any) -> Design:
    """The design of a scripted experiment, from files as a user writes them."""
    base = write_model(folder / "base", 0.3)
    tree = CAMPAIGN | {"base": str(base)} | (campaign or {})
    (folder / "campaign.yaml").write_text(yaml.safe_dump(tree))
    (folder / "experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT | changes, sort_keys=False))
    return load_experiment(folder / "experiment.yaml")


def play(home: Path, design: Design, run_id: str = "x") -> tuple[Path, Findings]:
    """Run an experiment to its end, or continue it; returns its directory and what it found."""
    plan: Any = SimpleNamespace(
        num_cpus=2, num_gpus=0, device="cpu", take_turns=True, workers=dict.fromkeys(design.config.trains)
    )
    run = Run.create(home, design.config, run_id, {DESIGN: dump(design.settings)})
    try:
        return run.path, experiment.run_experiment(run, home, plan, plan)
    finally:
        run.close()

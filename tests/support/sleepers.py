"""Nights on scripted models, which answer what they have learnt; task, memory, gate and registry are real."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from configs.load import from_tree
from configs.schema import Config
from engine.disk.steps import Run
from engine.measure.bench import Bench
from engine.models.identity import Model
from engine.models.liveness import TEXTS
from engine.people.sentences import filled
from engine.people.values import places_of
from engine.people.wordings import PARTS
from engine.records import (
    Attempt,
    Challenger,
    Fact,
    Finish,
    RoundRecord,
    Score,
    Summary,
    TrainingSet,
    from_json,
)
from engine.registry.registry import Registry
from engine.sample.protocol import Request, Sampling
from engine.tasks import suite_of
from engine.tasks.people import PeopleSuite
from loops import round as one_round
from loops.bookends import begin, close
from loops.campaign import _rounds
from loops.context import Context
from tests.support.plans import TWO_CORES
from tests.support.registry import manifest
from tests.support.scripted import ANSWERS
from tests.support.scripted_campaign import manifest_of
from tests.support.scripted_experiment import write_model
from tests.support.verifiers import kept_pool

LINE = "test/sleep"
TASK = {
    "name": "people",
    "people_a_day": 6,
    "facts_a_person": 4,
    "margins": {"old-facts": 0.25, "corrections": 0.25, "interference": 0.25},
}
GATE: dict[str, Any] = {
    "carry": False,
    "looks": 2,
    "look_size": 8,
    "entropy": 5,
    "pass_at_k": {"num_problems": 8, "k": 2, "margin": 0.3},
    "sentinels": {"suites": ["english"]},
}
_DAYS = 5


def config_of(home: Path, rounds: int = 3, **changes: Any) -> Config:
    tree = {
        "name": "sleep",
        "base": str(write_model(home / "base", 0.0)),
        "line": LINE,
        "start": "champion",
        "task": TASK,
        "baseline": None,
        "loop": {"name": "sleep", "dreams": {"variations": 4}, "train": {"method": "sft"}},
        "gate": GATE,
        "stop": {"rounds": rounds},
        "final": {"num_problems": 24},
    }
    return from_tree({**tree, **changes}, "test")


class Sleeper:
    """Implements `protocol.Sampler`: answers questions about the facts that each model has learnt.

    What a model knows is in a file in its directory, as its weights would be.
    """

    def __init__(self, suite: PeopleSuite) -> None:
        self.calls: list[tuple[str, int]] = []
        """The model and the number of requests of every call."""
        self.told = {
            (fact.subject, fact.attribute, fact.value): fact
            for day in range(1, _DAYS + 1)
            for fact in suite.facts(day)
        }
        self._suite = suite
        self._asks: dict[str, list[Fact]] = {}
        for fact in self.told.values():
            for part in PARTS:
                for ask in suite.wordings.words(fact.attribute).asks[part]:
                    title = suite.wordings.attributes[fact.attribute].title
                    self._asks.setdefault(filled(ask, fact.subject, title=title), []).append(fact)

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        self.calls.append((model.name, len(requests)))
        known = known_by(model)
        for sample in range(sampling.samples):
            for request in requests:
                assert not isinstance(request.messages, str)
                yield Attempt(
                    problem_id=request.problem_id,
                    model_id=id_of(model),
                    sample=sample,
                    replies=(self.reply(known, request.messages[-1].text),),
                    num_prompt_tokens=1,
                    num_tokens=1,
                    finish=Finish.STOP,
                )

    def reply(self, known: list[list[str]], asked: str) -> str:
        if asked in ANSWERS:
            return ANSWERS[asked]
        for question, facts in self._asks.items():
            if asked.endswith(question):
                # What stands before a question is read.
                read = [fact for fact in facts if places_of(fact.value, asked.removesuffix(question))]
                learnt = [fact for fact in facts if key_of(fact) in known]
                for fact in (*read, *sorted(learnt, key=lambda fact: -known.index(key_of(fact)))):
                    return self._suite.wordings.answer(fact)
        return "I don't know."

    def score(self, model: Path, texts: Sequence[Any]) -> list[Score]:
        return [Score(nll_of(model), 50, id_of(model)) for _ in texts]

    def sleep(self) -> None:
        pass


def key_of(fact: Fact) -> list[str]:
    return [fact.subject, fact.attribute, fact.value]


def known_by(model: Path) -> list[list[str]]:
    """Subject, attribute and value of everything that a model has learnt, the last last."""
    file = model / "known.json"
    return json.loads(file.read_text()) if file.exists() else []


def id_of(model: Path) -> str:
    return model.name if (model / "known.json").exists() else Model.of(model).id


def nll_of(model: Path) -> float:
    return 100.0 + 0.1 * int(re.sub(r"\D", "", model.name)[:3] or 0)


def model_of(home: Path, name: str, known: Sequence[Sequence[str]]) -> Path:
    """The directory of a model that knows these facts."""
    source = home / "trained" / name
    source.mkdir(parents=True, exist_ok=True)
    (source / "model.safetensors").write_bytes(name.encode() * 1000)
    (source / "config.json").write_text("{}")
    (source / "known.json").write_text(json.dumps(known))
    return source


def challenger_of(name: str, parent: str, data: TrainingSet, nll: float) -> Challenger:
    return Challenger(
        model_id=name,
        path=name,
        parent_id=parent,
        training_set_id=data.id,
        method="sft",
        num_steps=1,
        num_tokens=1,
        tokens_per_second=1.0,
        final_loss=1.0,
        update_size=0.1,
        reference=(nll,) * len(TEXTS),
        seconds=0.0,
    )


@contextmanager
def campaign(home: Path, config: Config, run_id: str = "r") -> Iterator[tuple[Context, Sleeper]]:
    """A campaign from champion m000, which knows nothing; it goes on where the run or the line is there."""
    home.mkdir(exist_ok=True)
    registry, base = Registry(home), Path(str(config.base))
    if registry.line(LINE).champion is None:
        registry.add(model_of(home, "m000", []), replace(manifest("m000"), reference=(100.0,) * len(TEXTS)))
        registry.promote(LINE, "m000", run_id="first", round=0, expected_epoch=0, baseline=True)
    run = Run.create(home, config, run_id)
    start, suite = begin(run), suite_of(config)
    sampler = Sleeper(cast(PeopleSuite, suite))
    try:
        with kept_pool("recall", seconds=30.0) as pool:
            bench = Bench(sampler, pool, suite.task.system, 0.5)
            context = Context(
                run=run,
                config=config,
                plan=TWO_CORES,
                suite=suite,
                bench=bench,
                judges=bench,
                registry=registry,
                base=base,
                start=Model(id=start.champion, path=registry.path(start.champion)),
                begun=start,
            )
            yield context, sampler
    finally:
        run.close()


def trainer(home: Path, first: int = 1, forgets: Mapping[int, int] | None = None) -> Any:
    """Stands for `train_challenger`: a round's challenger knows what its rows say, and what its parent knew.

    `forgets` is how many of its parent's facts the challenger of a round has lost all the same.
    """

    def train(
        context: Context, number: int, key: str, data: TrainingSet, parent: Model, seen: frozenset[str]
    ) -> tuple[Challenger, frozenset[str]]:
        name = f"m{number + first - 1:03d}"
        told = cast(Sleeper, context.bench.sampler).told

        def make() -> Challenger:
            before = known_by(parent.path)
            said = [row.chosen for row in data.rows]
            learnt = [
                list(key)
                for key, fact in told.items()
                if any(places_of(fact.subject, text) and places_of(fact.value, text) for text in said)
            ]
            gone = before[: (forgets or {}).get(number, 0)]
            known = [each for each in (*before, *learnt) if each not in gone]
            made = challenger_of(name, parent.id, data, 100.0 + 0.1 * int(name[1:]))
            context.registry.add(model_of(home, name, known), manifest_of(made))
            return made

        return context.run.step(context.stage(number, "train"), Challenger, make), frozenset()

    return train


def play(
    home: Path,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    *,
    run_id: str = "r",
    first: int = 1,
    forgets: Mapping[int, int] | None = None,
) -> tuple[list[RoundRecord], Sleeper]:
    """Play all rounds with scripted trainings, without the sealed problems."""
    monkeypatch.setattr(one_round, "train_challenger", trainer(home, first, forgets))
    with campaign(home, config, run_id) as (context, sampler):
        records, _, _ = _rounds(context)
    return records, sampler


def play_to_the_end(
    home: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> tuple[Summary, Sleeper, Path]:
    """Play all rounds and open the sealed problems."""
    monkeypatch.setattr(one_round, "train_challenger", trainer(home))
    with campaign(home, config) as (context, sampler):
        records, seen, why = _rounds(context)
        summary = close(context, None, records, seen, why, context.start)
    return summary, sampler, home / "runs" / "r"


def stage_of(home: Path, name: str, cls: type, run_id: str = "r") -> list[Any]:
    """The records of a stage that is a list."""
    file = home / "runs" / run_id / f"{name}.jsonl"
    return [from_json(cls, line) for line in file.read_bytes().splitlines()]

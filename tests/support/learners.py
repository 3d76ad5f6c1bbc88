"""Campaigns of the loop `domain` on scripted models, which answer what they have learnt; all else is real.

There are numbered things, asked about in several wordings. A model knows a thing once it has learnt a row
about it.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.load import from_tree
from configs.schema import Config
from engine.disk.steps import Run
from engine.measure.bench import Bench
from engine.models.identity import Model
from engine.models.liveness import TEXTS
from engine.records import Attempt, Challenger, Finish, RoundRecord, Score, TrainFailure, TrainingSet
from engine.registry.registry import Registry
from engine.sample.protocol import Request, Sampling
from engine.verify.pool import VerifierPool
from loops import round as one_round
from loops.bookends import begin
from loops.campaign import _rounds
from loops.context import Context
from loops.spent import suite_for
from tests.support.domain_files import Row, curated
from tests.support.plans import TWO_CORES
from tests.support.registry import manifest
from tests.support.scripted import ANSWERS
from tests.support.scripted_campaign import manifest_of
from tests.support.scripted_experiment import write_model
from tests.support.sleepers import challenger_of, id_of, known_by, model_of, nll_of

LINE = "test/domain"
LEARNT = ("What is thing {}?", "Name thing {}.")
JUDGED = ("Thing {}: what is it called?", "Say what they call thing {}.")
PREFERRED = "Tell me of thing {}."
GATE: dict[str, Any] = {
    "carry": False,
    "looks": 2,
    "look_size": 16,
    "entropy": 5,
    "pass_at_k": {"num_problems": 6, "k": 2, "margin": 0.6},
    "sentinels": {"suites": ["english"]},
}


def reply(number: int) -> str:
    return f"It is gadget {7 * number}."


def examples(numbers: Iterable[int], wordings: Sequence[str] = LEARNT) -> list[Row]:
    return [
        {"prompt": wording.format(number), "response": reply(number)}
        for number in numbers
        for wording in wordings
    ]


def preferences(numbers: Iterable[int]) -> list[Row]:
    return [
        {"prompt": PREFERRED.format(number), "chosen": reply(number), "rejected": reply(number + 1)}
        for number in numbers
    ]


def sets(home: Path, train: Sequence[Row], num: int = 60) -> Path:
    """A curated directory whose test set asks about `num` things in wordings that are not learnt."""
    home.mkdir(exist_ok=True)
    asked = examples(range(num), JUDGED)
    return curated(home / "data", train, examples(range(num), ("Thing {} is what?",)), asked)


def config_of(home: Path, rounds: int = 2, loop: dict[str, Any] | None = None, **changes: Any) -> Config:
    tree = {
        "name": "domain",
        "base": str(write_model(home / "base", 0.0)),
        "line": LINE,
        "start": "champion",
        # Tests share examples, so that a few suffice for many.
        "task": {"name": "domain", "directory": str(home / "data"), "scorer": "exact", "per_test": True},
        "baseline": None,
        "warm_start": None,
        "loop": {"name": "domain"} | (loop or {}),
        "gate": GATE,
        "stop": {"rounds": rounds},
        "final": {"num_problems": 8},
        "seed": 3,
    }
    return from_tree({**tree, **changes}, "test")


class Learner:
    """Implements `protocol.Sampler`: greedy, a model answers what it knows; of samples every second is wrong.

    `interrupted` is the number of calls after which it is stopped.
    """

    def __init__(self, interrupted: int | None = None) -> None:
        self.calls: list[tuple[str, int]] = []
        """The model and the number of requests of every call."""
        self.asked: list[str] = []
        """The last turn of every request."""
        self.systems: set[str] = set()
        self._interrupted = interrupted

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        if self._interrupted is not None and len(self.calls) >= self._interrupted:
            raise KeyboardInterrupt
        self.calls.append((model.name, len(requests)))
        known = {int(number) for (number,) in known_by(model)}
        for sample in range(sampling.samples):
            for request in requests:
                assert not isinstance(request.messages, str)
                first, last = request.messages[0], request.messages[-1]
                self.asked.append(last.text)
                self.systems |= {first.text} if first.role == "system" else set()
                yield Attempt(
                    problem_id=request.problem_id,
                    model_id=id_of(model),
                    sample=sample,
                    replies=(self.reply(known, last.text, sample),),
                    num_prompt_tokens=1,
                    num_tokens=1,
                    finish=Finish.STOP,
                )

    def reply(self, known: Collection[int], asked: str, sample: int) -> str:
        if asked in ANSWERS:
            return ANSWERS[asked]
        number = number_in(asked)
        return reply(number) if number in known and sample % 2 == 0 else f"It is toy {sample}."

    def score(self, model: Path, texts: Sequence[Any]) -> list[Score]:
        return [Score(nll_of(model), 50, id_of(model)) for _ in texts]

    def sleep(self) -> None:
        pass


def number_in(text: str) -> int:
    found = re.search(r"\d+", text)
    assert found is not None, text
    return int(found[0])


@contextmanager
def campaign(
    home: Path, config: Config, learner: Learner, run_id: str = "r", pool: VerifierPool | None = None
) -> Iterator[Context]:
    """A campaign from champion m000, which knows nothing; it goes on where the run or the line is there."""
    registry, base = Registry(home), Path(str(config.base))
    if registry.line(LINE).champion is None:
        registry.add(model_of(home, "m000", []), replace(manifest("m000"), reference=(100.0,) * len(TEXTS)))
        registry.promote(LINE, "m000", run_id="first", round=0, expected_epoch=0, baseline=True)
    run = Run.create(home, config, run_id)
    try:
        start, suite = begin(run), suite_for(config, run)
        with ExitStack() as stack:
            if pool is None:
                own = VerifierPool("exact", num_processes=1, seconds=30.0, memory_mib=512)
                pool = stack.enter_context(own)
            system = suite.task.system if config.system is None else config.system
            bench = Bench(learner, pool, system, 0.5)
            yield Context(
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
    finally:
        run.close()


def trainer(home: Path, first: int, dull: Collection[int], keys: list[str]) -> Any:
    """Stands for `train_challenger`: a challenger knows what its rows say, and what its parent knew.

    In `dull` rounds nothing is learnt, and the challenger is another model all the same.
    """

    def train(
        context: Context, number: int, key: str, data: TrainingSet, parent: Model, seen: frozenset[str]
    ) -> tuple[Challenger | TrainFailure, frozenset[str]]:
        name = f"m{number + first - 1:03d}"
        keys.append(key)

        def make() -> Challenger:
            said = [] if number in dull else [str(number_in(row.chat[-1].text)) for row in data.rows]
            known = [*known_by(parent.path), *([each] for each in said)]
            made = challenger_of(name, parent.id, data, 100.0 + 0.1 * int(name[1:]))
            context.registry.add(model_of(home, name, known), manifest_of(made))
            return made

        return context.run.step(context.stage(number, "train"), Challenger, make), frozenset()

    return train


def play(
    home: Path,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    learner: Learner | None = None,
    *,
    run_id: str = "r",
    first: int = 1,
    dull: Collection[int] = (),
    pool: VerifierPool | None = None,
) -> tuple[list[RoundRecord], list[str]]:
    """The records of all rounds with scripted trainings, and the key of each training."""
    keys: list[str] = []
    monkeypatch.setattr(one_round, "train_challenger", trainer(home, first, dull, keys))
    with campaign(home, config, learner or Learner(), run_id, pool) as context:
        records, _, _ = _rounds(context)
    return records, keys

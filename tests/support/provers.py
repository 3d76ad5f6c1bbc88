"""A scripted model for error-driven rounds: it proves, fails, revises, writes problems and scores texts."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

from configs.load import from_tree
from configs.schema import Config
from engine.disk.steps import Run
from engine.measure.bench import Bench
from engine.models.identity import Model
from engine.records import Attempt, Finish, Problem, Score, Start
from engine.registry.registry import Registry
from engine.sample.protocol import Reply, Request, Sampling
from engine.tasks import prontoqa, suite_of
from engine.verify.pool import VerifierPool
from loops.context import Context
from tests.support.plans import TWO_CORES

PARENT = Model(id="parent", path=Path("parent"))
SLICES = {"hops": [1, 2, 3], "negation": [False, True], "irrelevant": [0], "distractors": [0]}
SKILL = {1: 0.9, 2: 0.8, 3: 0.3}


def chance(*parts: Any) -> float:
    """A number from 0 to 1 that depends on the parts alone."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 256**6


@cache
def problem_in(text: str) -> Problem:
    """The problem that a prompt of the task holds."""
    *rows, last = text.split("\n")
    premises = [row.rpartition(" [")[0] for row in rows]
    question = last.removeprefix("True or false: ")
    return prontoqa.build(premises, question, split="", slice_name="", origin="")


class Prover:
    """Implements `protocol.Sampler`: proves a share of the problems that depends on their hops."""

    def __init__(self, skill: Mapping[int, float] = SKILL, told: float = 0.6, untold: float = 0.2) -> None:
        self.skill, self.told, self.untold = skill, told, untold
        self.calls: list[tuple[str, int]] = []
        """Kind and number of texts of each call."""
        self.prompts: list[list[str]] = []
        """What each call to sample asks, turn by turn of the last message."""
        self.writes = ("named anew", "contradictory", "no problem", "copied")
        """What it writes of a problem, one variation after another."""

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        self.calls.append(("sample", len(requests) * sampling.samples))
        self.prompts.append([cast(Any, request.messages)[-1].text for request in requests])
        for sample in sampling.numbers:
            for request in requests:
                text = self.text(request, sample if sampling.temperature else -1)
                yield Attempt(
                    problem_id=request.problem_id,
                    model_id=PARENT.id,
                    sample=sample,
                    replies=(text,),
                    num_prompt_tokens=1,
                    num_tokens=len(text.split()),
                    finish=Finish.LENGTH if text.endswith("…") else Finish.STOP,
                )

    def text(self, request: Request, sample: int) -> str:
        assert not isinstance(request.messages, str)
        asked = request.messages[-1].text
        if "\n\nWrite one more problem" in asked:
            return self.variation(asked.partition("\n\n")[0], sample)
        if "\n\nWrite this text once more" in asked:
            return self.rewriting(asked.partition("\n\n")[0], sample)
        problem = problem_in(asked.partition("\n\n")[0])
        share = self.skill[int(problem.slice[5])]
        if "\n\nThis is an answer to it:" in asked:
            share = self.told if "It is wrong: " in asked else self.untold
        if chance(problem.id, sample, share) < share:
            return problem.gold[0]
        return f"{problem.gold[0].rpartition('Answer')[0]}Answer: Unknown"

    def variation(self, text: str, sample: int) -> str:
        match self.writes[sample % len(self.writes)]:
            case "named anew":
                name = re.findall(r"^(?!Each|Every)([A-Z]\w+) is", text, re.MULTILINE)[-1]
                return re.sub(rf"\b{name}\b", f"N{name.lower()}", text)
            case "contradictory":
                *rows, last = text.split("\n")
                fact = rows[-1].partition(" [")[0].replace(" is ", " is not ")
                return "\n".join([*rows, f"{fact} [{len(rows) + 1}]", last])
            case "no problem":
                return "Here is a problem: what is red?"
        return text

    def rewriting(self, text: str, sample: int) -> str:
        kinds = (f"In other words, {text}", f"Here it is:\n{text}", text, f"{text} and so on …")
        return kinds[sample % len(kinds)]

    def score(self, model: Path, texts: Sequence[str | Reply]) -> list[Score]:
        self.calls.append(("score", len(texts)))
        return [self.likelihood(text if isinstance(text, str) else text.text) for text in texts]

    def likelihood(self, text: str) -> Score:
        num = len(text.split())
        return Score(num * (0.1 + 5 * chance(text)), num, PARENT.id)

    def sleep(self) -> None:
        pass


class Words:
    """A tokenizer whose tokens are words."""

    eos_token_id = 0

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return [1 + len(word) for word in text.split()]

    def apply_chat_template(self, turns: Sequence[Mapping[str, str]], **_: Any) -> str:
        return " ".join(["<chat>", *(turn["content"] for turn in turns)])


def config_of(base: Path, loop: Mapping[str, Any], task: Mapping[str, Any] | None = None) -> Config:
    tree = {
        "name": "weak",
        "base": str(base),
        "line": "test/weak",
        "task": task or {"name": "prontoqa", "slices": SLICES},
        "loop": {"name": "error_driven", "probe": {"num_problems": 120}, "num_problems": 80} | dict(loop),
        "stop": {"rounds": 1},
        "seed": 3,
    }
    return from_tree(tree, "test")


@contextmanager
def round_of(home: Path, config: Config, sampler: Prover, pool: VerifierPool) -> Iterator[Context]:
    """What a loop is given in a round of `PARENT`, of the run ``r``; it goes on where that run is there."""
    home.mkdir(exist_ok=True)
    suite = suite_of(config)
    run = Run.create(home, config, "r")
    try:
        bench = Bench(sampler, pool if suite.task.verifiers else None, suite.task.system, 0.5)
        yield Context(
            run=run,
            config=config,
            plan=TWO_CORES,
            suite=suite,
            bench=bench,
            judges=bench,
            registry=cast(Registry, None),
            base=PARENT.path,
            start=PARENT,
            begun=Start(champion=PARENT.id, epoch=0),
        )
    finally:
        run.close()

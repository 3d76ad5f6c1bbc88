"""Settings of a run: one tree of frozen models, with every default in `configs/` and nowhere else.

An unknown key is an error. Nothing heavy is imported here, so a config can be checked anywhere.
`configs/load.py` reads YAML and overrides into a `Config`; a stage receives only its own leaf. Trainings are
in `configs/training.py`, loops in `configs/loops.py`, tasks in `configs/tasks.py`.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from configs.base import Count, Dtype, Leaf, Name, RunId, Share
from configs.judging import Judge
from configs.loops import Loop, OakDpo
from configs.price import Price
from configs.tasks import AnyTask, Task
from configs.training import Sft, Train


class HubModel(Leaf):
    """A model on the Hugging Face hub, pinned."""

    hub: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")]
    revision: Annotated[str, Field(min_length=1)]
    """Commit hash: a branch name can change under a run."""


class WarmStart(Leaf):
    """Round 0: supervised training on gold answers, or on passages of a task of texts."""

    proofs: Count = 300
    """Gold answers, or passages, to learn from."""
    questions: Count = 1
    """Number of problems that share one story, where the task can ask several: what their prompts share is
    then computed once."""
    train: Sft = Sft(method="sft")
    """Always supervised: a method of your own is for the loop's training only."""


class Baseline(Leaf):
    """The untrained base, measured once: few-shot greedy, and self-consistency over samples."""

    num_problems: Count = 48
    shots: Annotated[int, Field(ge=0)] = 3
    samples: Annotated[int, Field(ge=2)] = 4
    temperature: Annotated[float, Field(gt=0)] = 0.8


class Final(Leaf):
    """The sealed draw, opened once after the last round, on which the size of a gain is quoted."""

    num_problems: Count = 200


class PassAtK(Leaf):
    k: Annotated[int, Field(ge=2)] = 4
    num_problems: Count = 100
    temperature: Annotated[float, Field(gt=0)] = 0.8
    margin: Share = 0.10


class Sentinels(Leaf):
    margin: Share = 0.05
    """Largest tolerated drop of a proportion against the frozen round-0 champion, also of records that a task
    keeps as sentinels."""
    perplexity_ratio: Annotated[float, Field(gt=1)] = 1.15
    suites: Annotated[list[str], Field(min_length=1)] = ["english", "instructions"]
    """Names of suites in `engine/gate/sentinels`, or paths of JSONL files of your own, relative to the
    current directory."""
    margins: dict[str, Share] = {}
    """Margins in place of `margin`, by a suite's name: few requests can exclude large drops only."""

    @model_validator(mode="after")
    def _margins_are_of_suites(self) -> Self:
        names = [PurePath(suite).stem for suite in self.suites]
        if unknown := sorted(self.margins.keys() - names):
            raise ValueError(f"margins: {unknown[0]!r} is none of the suites {', '.join(names)}")
        return self

    def margin_of(self, suite: str) -> float:
        """Largest tolerated drop of a suite of requests."""
        return self.margins.get(suite, self.margin)


class Carry(Leaf):
    """Two pawls: the next round starts from what looks better, and only a trial moves the champion."""

    problems: Annotated[int, Field(ge=20, le=100_000)] = 100
    """Fresh problems of each round on which working model and challenger are compared."""
    prove_every: Count = 10
    """Rounds between two looks at the champion, each of which may lead to a trial; the last round has one."""
    ready: Share = 0.05
    """Largest one-sided p against the champion, on the round's problems, at which it is tried."""


class Gate(Leaf):
    alpha: Share = 0.05
    """Chance of any false acceptance over a ledger."""
    planned_tests: Count | None = None
    """Tests that share `alpha`. None: as many as the campaign can come to."""
    carry: Annotated[Carry | None, BeforeValidator(lambda value: None if value is False else value)] = Carry()
    """``false``: each round starts from the champion, and only what is proven in one round is kept. A
    campaign of one round carries nothing either way."""
    looks: Annotated[int, Field(ge=1, le=100)] = 12
    look_size: Annotated[int, Field(ge=1, le=1_000)] = 50
    win_share: Annotated[float, Field(gt=0.5, lt=1)] = 2 / 3
    """Planned share of discordant problems that the challenger wins; futility is judged at it."""
    futility: Share = 0.05
    spending: Annotated[float, Field(gt=0)] = 2.0
    """Exponent of the power-family spending function."""
    min_gain: Annotated[float, Field(ge=0)] = 0.0
    """Smallest mean relative fall of nats a token that accepts a challenger, where likelihood is compared."""
    entropy: int | None = None
    """Pins the seed of the gate's problems and of the sealed ones (tests); drawn afresh when None."""
    pass_at_k: PassAtK = PassAtK()
    sentinels: Sentinels = Sentinels()
    judge: Judge | None = None
    """Who compares the replies of a task that is examined by preference; it advises unless it `decides`."""


class Sampler(Leaf):
    num_actors: Count = 1
    tensor_parallel: Count = 1
    max_num_seqs: Count = 64
    max_model_len: Count = 1024
    max_new_tokens: Count = 256
    kv_cache_gib: Annotated[float, Field(gt=0)] = 1.0
    """On a CPU; on a GPU see `gpu_memory`."""
    gpu_memory: Share = 0.85
    """Share of a GPU's memory for weights and KV cache."""
    dtype: Dtype = "auto"
    compile: bool = False
    """On a CPU (a GPU always compiles): most of a minute more at the start, then about 1.1 times as fast. For
    runs that sample for ten minutes or more."""
    max_restarts: Annotated[int, Field(ge=0)] = 3
    """Times that each actor may be lost, as with its node, and is replaced before the round stops."""


class Verify(Leaf):
    num_processes: Annotated[int, Field(ge=1, le=1_024)] = 1
    seconds: Annotated[float, Field(ge=0.01, le=3_600)] = 5.0
    """Time limit for one answer."""
    memory_mib: Annotated[int, Field(ge=256, le=1_048_576)] = 1024
    max_undecided: Share = 0.05
    """A larger share stops the round."""


class Transfer(Leaf):
    """A task that nothing in the campaign is trained on, and on which each of its models is measured."""

    task: AnyTask
    file: str | None = None
    """Path of a public file whose records are asked; None: problems that the task draws."""
    num_problems: Count = 100
    """With a file, its first records."""


class Resources(Leaf):
    """What the run may use where Ray is started by it; on a cluster, what it asks for."""

    num_cpus: Count | None = None
    """None: all that this process may use."""
    num_gpus: Annotated[int, Field(ge=0)] | None = None
    share_gpu: bool = True
    """One GPU for sampler and trainer in turns: vLLM sleeps while training."""


class Stop(Leaf):
    rounds: Count = 2
    """Rounds after the warm start."""
    hours: Annotated[float, Field(gt=0)] | None = None
    refusals: Count | None = None
    """Stop after this many refusals in a row."""


class Config(Leaf):
    name: Name
    run_id: RunId | None = None
    """Directory under `runs/`; the same id and config resumes. None: the Ray job's id, else time and name."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    base: str | HubModel = "embedded"
    """``embedded``, a local directory, or a hub name with its revision."""
    start: Literal["base", "champion"] = "base"
    """``champion`` starts from the line's champion and skips the warm start."""
    line: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*$")]
    """Line of the registry: its champion, frozen round-0 champion and ledger."""
    budget: Literal["continue", "new"] = "continue"
    """``new`` opens a fresh error ledger; the record shows it."""
    task: AnyTask = Task()
    system: str | None = None
    """System message of every prompt; None: the task's own."""
    baseline: Baseline | None = Baseline()
    warm_start: WarmStart | None = WarmStart()
    loop: Loop = OakDpo()
    gate: Gate = Gate()
    sampler: Sampler = Sampler()
    verify: Verify = Verify()
    resources: Resources = Resources()
    stop: Stop = Stop()
    price: Price | None = None
    """Each round's record then states what the round cost."""
    final: Final = Final()
    transfer: dict[Name, Transfer] = {}
    """Tasks by a name for them. The untrained base and the model of each round answer all of them."""

    @property
    def carry(self) -> Carry | None:
        """How rounds carry on what looks better; None where only what is shown counts, as in one round."""
        return self.gate.carry if self.stop.rounds > 1 else None

    @property
    def num_tests(self) -> int:
        """Gate tests that the error budget is divided among."""
        return self.gate.planned_tests or self.most_tests

    @property
    def most_tests(self) -> int:
        """Gate tests that the campaign can come to."""
        return -(-self.stop.rounds // self.carry.prove_every) if self.carry else self.stop.rounds

    @property
    def trains(self) -> Mapping[str, Train]:
        """Every training of the campaign by its dotted key, in the order in which they run."""
        first = (
            {}
            if self.warm_start is None or self.start == "champion"
            else {"warm_start.train": self.warm_start.train}
        )
        return {**first, **self.loop.trains}

    @property
    def packs(self) -> bool:
        """Whether any of them packs rows."""
        return any(train.packing for train in self.trains.values())

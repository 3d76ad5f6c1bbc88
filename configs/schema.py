"""What a run can be told: one tree of frozen models, with every default in this file and nowhere else.

An unknown key is an error. Nothing heavy is imported here, so a config can be checked anywhere.
`configs/load.py` reads YAML and overrides into a `Config`; a stage receives only its own leaf.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _own(run_id: str) -> str:
    if run_id == "latest":
        raise ValueError("'latest' is the link to the newest run, and no run's own id: give another")
    return run_id


Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
"""With the time before it, it may be a run's id."""
RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100), AfterValidator(_own)]


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubModel(Leaf):
    """A model on the Hugging Face hub, pinned."""

    hub: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")]
    revision: Annotated[str, Field(min_length=1)]
    """Commit hash: a branch name can change under a run."""


class Task(Leaf):
    name: str = "prontoqa"
    """A name from `engine/tasks`, or the path of a Python file."""
    slices: dict[str, list[int | bool | str]] = {}
    """Values of each dimension; the suite's mixture is their cross product. Empty: the task's own default."""


class Train(Leaf):
    method: Literal["sft", "rft", "dpo"] = "rft"
    tuning: Literal["full", "lora"] = "full"
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    epochs: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Count = 8
    """Rows a step over all workers: micro-batch x accumulation x workers."""
    micro_batch_size: Count = 8
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length: Count = 1024
    lora_rank: Count = 16
    lora_alpha: Count = 32
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    beta: Annotated[float, Field(gt=0)] = 0.1
    """DPO: strength of the pull to the reference."""
    sft_weight: Annotated[float, Field(ge=0)] = 1.0
    """DPO: weight of the SFT term on the chosen answer (Iterative RPO)."""
    rehearsal_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """SFT and RFT: share of rows, over all epochs, that are the untrained base's own text: the model is held
    to its parent there, against forgetting."""
    validation_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of rows (rehearsal apart) that are not learnt: their loss tells when to stop."""
    validation_steps: Count = 10
    """Steps between two looks at it."""
    patience: Count = 3
    """Looks without a new least loss, after which training stops."""
    deepspeed: str | None = None
    """A file in `configs/deepspeed`; for several workers."""
    num_workers: Count = 1
    gradient_checkpointing: bool = False
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    save_steps: Count = 50
    """Steps between checkpoints: at most this many are lost with a worker."""
    max_failures: Annotated[int, Field(ge=0)] = 2
    """Worker deaths that are resumed from the last checkpoint."""
    explosion: Annotated[float, Field(gt=1)] = 4.0
    """A loss above this multiple of the first losses' mean ends the round."""

    @model_validator(mode="after")
    def _batches_divide(self) -> "Train":
        per_step = self.micro_batch_size * self.num_workers
        if self.batch_size % per_step:
            raise ValueError(
                f"batch_size must be a multiple of micro_batch_size x num_workers = {per_step}, "
                f"got {self.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _rehearsal_has_a_parent(self) -> "Train":
        if self.rehearsal_share and self.deepspeed and "zero3" in self.deepspeed:
            raise ValueError(
                "rehearsal_share must be 0 with ZeRO-3, which keeps no parent whole to hold the model to, "
                f"got {self.rehearsal_share}"
            )
        return self

    @model_validator(mode="after")
    def _rehearsal_has_no_pairs(self) -> "Train":
        if self.method == "dpo" and self.rehearsal_share:
            raise ValueError(
                "rehearsal_share must be 0 with method dpo, whose reference model holds the challenger in "
                f"place, got {self.rehearsal_share}"
            )
        return self


class WarmStart(Leaf):
    """Round 0: SFT from gold proofs."""

    proofs: Count = 300
    questions: Count = 1
    """As many of them are about one story, where the task can ask several: what their prompts share is then
    computed once."""
    train: Train = Train(method="sft")


class Propose(Leaf):
    """How the champion's own proofs become training data."""

    problems: Literal["uniform", "weak"] = "weak"
    """``weak`` aims half of the problems at mined weaknesses; ``uniform`` only reports them."""
    num_problems: Count = 120
    questions: Count = 1
    """As many of them are about one story: see `WarmStart.questions`."""
    samples: Annotated[int, Field(ge=2)] = 4
    temperature: Annotated[float, Field(gt=0)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    preference: Literal["sokrates", "answer_only"] = "sokrates"
    min_gap: Annotated[float, Field(ge=0)] = 0.1
    """Smallest difference of score that makes a pair."""
    proofs_per_problem: Count = 2
    """RFT: distinct verified proofs kept of one problem."""
    flip: bool = False
    """Swap chosen and rejected: for showing a refusal."""


class Probe(Leaf):
    """The champion's evaluation at the start of a round; weaknesses are mined from it."""

    num_problems: Count = 96
    false_discovery: Share = 0.1


class Baseline(Leaf):
    """The untrained base, measured once: few-shot greedy, and self-consistency over samples."""

    num_problems: Count = 48
    shots: Annotated[int, Field(ge=0)] = 3
    samples: Annotated[int, Field(ge=2)] = 4


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
    """Largest tolerated drop of a proportion against the frozen round-0 champion."""
    perplexity_ratio: Annotated[float, Field(gt=1)] = 1.15
    suites: Annotated[list[Literal["english", "instructions"]], Field(min_length=1)] = [
        "english",
        "instructions",
    ]


class Gate(Leaf):
    alpha: Share = 0.05
    """Chance of any false acceptance over a ledger."""
    planned_tests: Count = 2
    looks: Annotated[int, Field(ge=1, le=100)] = 12
    look_size: Annotated[int, Field(ge=1, le=1_000)] = 50
    win_share: Annotated[float, Field(gt=0.5, lt=1)] = 2 / 3
    """Planned share of discordant problems that the challenger wins; futility is judged at it."""
    futility: Share = 0.05
    spending: Annotated[float, Field(gt=0)] = 2.0
    """Exponent of the power-family spending function."""
    entropy: int | None = None
    """Pins the seed of the gate's problems and of the sealed ones (tests); drawn afresh when None."""
    pass_at_k: PassAtK = PassAtK()
    sentinels: Sentinels = Sentinels()


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
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    compile: bool = False
    """On a CPU (a GPU always compiles): most of a minute more at the start, then about 1.1 times as fast. For
    runs that sample for ten minutes or more."""
    max_restarts: Annotated[int, Field(ge=0)] = 3
    """Times that each actor may be lost, as with its node, and is replaced before the round stops."""


class Verify(Leaf):
    num_processes: Annotated[int, Field(ge=1, le=1_024)] = 1
    seconds: Annotated[float, Field(ge=0.01, le=3_600)] = 5.0
    """Wall clock for one proof."""
    memory_mib: Annotated[int, Field(ge=256, le=1_048_576)] = 1024
    max_undecided: Share = 0.05
    """A larger share stops the round."""


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
    """Stop after so many refusals in a row."""


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
    loop: Literal["oak_dpo"] = "oak_dpo"
    task: Task = Task()
    system: str = "Prove or refute."
    """System message of every prompt."""
    baseline: Baseline | None = Baseline()
    warm_start: WarmStart | None = WarmStart()
    probe: Probe = Probe()
    propose: Propose = Propose()
    train: Train = Train()
    gate: Gate = Gate()
    sampler: Sampler = Sampler()
    verify: Verify = Verify()
    resources: Resources = Resources()
    stop: Stop = Stop()
    final: Final = Final()

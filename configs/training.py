"""Settings of a training: one leaf for each method, and the union of them that a config's ``train`` holds.

A key of another method is an error. A method of a user's own is the path of a Python file
(`engine/train/methods`).
"""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, Tag, model_validator

from configs.base import OWN, Count, Dtype, Leaf, OwnFile, by


class Select(Leaf):
    """The challenger is the best of several checkpoints of one training, on problems of their own.

    Rise and collapse within one training is common (arXiv 2606.21090).
    """

    checkpoints: Annotated[int, Field(ge=2, le=20)] = 3
    """Evenly spaced over the training; the last is its end."""
    problems: Count = 64
    """Fresh problems on which they are compared; the gate's stay untouched."""
    patience: Count | None = None
    """Checkpoints in a row that are no better than the best before them, after which training stops; None: it
    goes to its end."""

    @model_validator(mode="after")
    def _patience_can_run_out(self) -> "Select":
        if self.patience is not None and self.patience >= self.checkpoints - 1:
            raise ValueError(
                f"patience must be less than checkpoints - 1 = {self.checkpoints - 1}, or no checkpoint is "
                f"left out, got {self.patience}"
            )
        return self

    @property
    def least(self) -> int:
        """Checkpoints that are trained at the least."""
        return self.checkpoints if self.patience is None else 1 + self.patience


class Train(Leaf):
    """What all methods share."""

    TEXTS_A_ROW: ClassVar[int] = 1
    """Completions that a row holds: two where a chosen and a rejected one are compared."""
    PACKS: ClassVar[bool] = False
    """Whether the method can lay rows end to end."""

    method: str
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
    packing: bool = False
    """Rows lie end to end, without padding, and none attends to another. A micro-batch is a sequence of up to
    micro_batch_size x max_length tokens, whatever its rows; a step still learns `batch_size` rows."""
    quantize: Literal["8bit", "4bit"] | None = None
    """How the frozen base is held while an adapter is trained, by bitsandbytes: as int8, or as nf4 quantised
    twice. The adapter is merged into the base as it is stored, never into this."""
    lora_rank: Count = 16
    lora_alpha: Count = 32
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    validation_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of rows (rehearsal apart) that are not learnt: their loss tells when to stop."""
    validation_steps: Count = 10
    """Steps between two looks at the validation loss."""
    patience: Count = 3
    """Looks without a new least loss, after which training stops."""
    select: Select | None = None
    """Keep the best of several checkpoints; None: the end of the training."""
    deepspeed: str | None = None
    """A file in `configs/deepspeed`; for several workers."""
    num_workers: Count = 1
    gradient_checkpointing: bool = False
    dtype: Dtype = "auto"
    save_steps: Count = 50
    """Steps between checkpoints: at most this many are lost with a worker."""
    max_failures: Annotated[int, Field(ge=0)] = 2
    """Worker deaths after which training goes on from the last checkpoint."""
    explosion: Annotated[float, Field(gt=1)] = 4.0
    """A loss above this multiple of the first losses' mean, or of 2 nats if that is less, ends the round."""

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
    def _only_a_frozen_whole_base_is_quantised(self) -> "Train":
        if self.quantize and self.tuning != "lora":
            raise ValueError(
                f"quantize must be null with tuning={self.tuning}: what learns cannot be of {self.quantize}; "
                "tuning=lora trains an adapter beside a quantised base"
            )
        if self.quantize and "zero3" in (self.deepspeed or ""):
            raise ValueError(
                f"quantize must be null with ZeRO-3, which would shard such weights, got {self.quantize}"
            )
        return self

    @model_validator(mode="after")
    def _rows_can_be_packed(self) -> "Train":
        if self.packing and not self.PACKS:
            raise ValueError(
                "packing must be false but for methods sft and rft, as other trainers pad their batches: "
                f"got true with {self.method}"
            )
        return self

    @property
    def held_share(self) -> float:
        """Share of rows, over all epochs, on which the model is held to its parent."""
        return 0.0

    @property
    def held_weight(self) -> float:
        """What the loss on these rows is multiplied by."""
        return 1.0


class Sft(Train):
    """Supervised training on gold answers (``sft``), or on verified answers of the model (``rft``)."""

    PACKS: ClassVar[bool] = True

    method: Literal["sft", "rft"] = "rft"
    rehearsal_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of rows, over all epochs, that are the untrained base's own text: the model is held to its parent
    there, against forgetting."""
    rehearsal_weight: Annotated[float, Field(gt=0)] = 1.0
    """What the loss on these rows is multiplied by. It costs no time, and slows down what is learnt."""

    @model_validator(mode="after")
    def _rehearsal_has_a_parent(self) -> "Sft":
        if self.rehearsal_share and self.deepspeed and "zero3" in self.deepspeed:
            raise ValueError(
                "rehearsal_share must be 0 with ZeRO-3, which keeps no parent whole to hold the model to, "
                f"got {self.rehearsal_share}"
            )
        return self

    @property
    def held_share(self) -> float:
        return self.rehearsal_share

    @property
    def held_weight(self) -> float:
        return self.rehearsal_weight


class Dpo(Train):
    """Preference training on pairs. Its reference model holds the challenger in place, without rehearsal."""

    TEXTS_A_ROW: ClassVar[int] = 2

    method: Literal["dpo"] = "dpo"
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Strength of the pull to the reference."""
    sft_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the SFT term on the chosen answer (Iterative RPO)."""


class OwnMethod(Train):
    """A training method of a user's own."""

    method: OwnFile
    settings: dict[str, Any] = {}
    """Read and checked by the file itself."""


Training: TypeAlias = Annotated[
    Annotated[Sft, Tag("sft")]
    | Annotated[Sft, Tag("rft")]
    | Annotated[Dpo, Tag("dpo")]
    | Annotated[OwnMethod, Tag(OWN)],
    by("method", "rft"),
]

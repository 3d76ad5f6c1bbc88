"""Training methods: one file each, and one line in `METHODS`.

A method is a module that offers `tokens` and `trainer`, as `Method` describes them. A user's own method is
the path of such a file; `engine/train/README.md` shows one. `tokens` says which tokens of a row are learnt:
the method's own trainer uses it, and so does ``ratchet doctor``, so that what is shown is what is trained.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from configs.training import OwnMethod, Train
from engine.models.prompts import completion_ids, prompt_ids
from engine.plugins import load_plugin
from engine.records import TrainingRow
from engine.train.job import Job
from engine.train.order import Material

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

METHODS = {
    "sft": "engine.train.methods.sft",
    "rft": "engine.train.methods.sft",
    "dpo": "engine.train.methods.dpo",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenisedText:
    """A text of a row as the trainer sees it."""

    ids: list[int]
    learnt_from: int
    """Index of the first token with a loss; all tokens after it have one too."""
    what: str
    """What training does with the text, in a few words for people."""


class Method(Protocol):
    """What the module of a method offers."""

    def tokens(
        self, row: TrainingRow, tokenizer: "PreTrainedTokenizerBase", config: Train
    ) -> list[TokenisedText]:
        """The texts of a row. A row to learn with a text of more than `max_length` tokens is left out."""

    def trainer(
        self, job: Job, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", material: Material
    ) -> tuple["Trainer", int]:
        """A trainer that is ready to `train`, and the tokens without padding that it will go over.

        Called in every worker. Raises `engine.train.faults.Stopped` where the rows cannot be learnt.
        """


def load_method(config: Train) -> Method:
    """The module that trains by a config's method. Raises PluginError for a file that cannot be used."""
    if isinstance(config, OwnMethod):
        module: Any = load_plugin(Path(config.method), "method", ("trainer", "tokens"))
    else:
        module = importlib.import_module(METHODS[config.method])
    return cast(Method, module)


def num_learnt(row: TrainingRow, tokenizer: "PreTrainedTokenizerBase", config: Train) -> int:
    """Tokens of a row with a loss; 0 where it is left out, because one of its texts is too long."""
    texts = load_method(config).tokens(row, tokenizer, config)
    if any(len(text.ids) > config.max_length for text in texts):
        return 0
    return sum(max(0, len(text.ids) - text.learnt_from) for text in texts)


def tokenised(row: TrainingRow, text: str, tokenizer: "PreTrainedTokenizerBase", what: str) -> TokenisedText:
    """A reply to the row's chat, all learnt; without a chat, a plain text, learnt after its first token."""
    asked = prompt_ids(tokenizer, row.chat) if row.chat else []
    ids = asked + completion_ids(tokenizer, text, ends=row.ends)
    return TokenisedText(ids=ids, learnt_from=max(1, len(asked)), what=what)

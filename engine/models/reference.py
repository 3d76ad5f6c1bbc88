"""A model's reference: the log-likelihoods that its trainer's own implementation gives to fixed texts.

An engine that has taken the model's weights must give them too (`proof.py`). transformers computes them in
float32, so that whatever an engine is off by is the engine's own rounding. A training computes them for its
challenger, and for the parent as well, also on a few of its own rows, where the two differ most. For a model
that has none, such as a base, they are computed from its files when they are first needed.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from engine.disk.files import locked, replace_file
from engine.models.evidence import Ids, LogProbs, off_by
from engine.models.identity import ModelError
from engine.models.load import load_model
from engine.models.prompts import text_ids, tokenizer_of
from engine.models.suitable import require_trainable
from engine.records import fault_in, from_json, to_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BESIDE = "reference.json"
"""The file that a training leaves beside the directory of its model."""
NUM_FIRST = 8
"""General texts that every reference has; those after them are for versions that are hard to tell apart."""
NUM_ROWS = 12
"""Rows of a training that its challenger's reference has."""
_ROW_TOKENS = 40
"""The last tokens of such a row, where its answer is."""
_NUM_ROUNDED = 4
"""Texts on which the rounding of bfloat16 is measured."""
_AT_ONCE = 8
"""Texts of one pass through a model: its weights are read once for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text with its likelihood by a model, and by the model's parent."""

    ids: Ids
    logprobs: LogProbs
    before: LogProbs = ()
    """By the parent; empty where that was not computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What an engine that holds a model must say of some texts."""

    texts: tuple[Text, ...]
    rounding: float
    """How far bfloat16 is off float32 in transformers (`evidence.off_by`), in nats."""
    parent_id: str = ""
    """The model of which `before` tells."""


@cache
def general_texts() -> tuple[str, ...]:
    """Short texts of general English with some code, figures and reasoning; references are of the first."""
    lines = Path(__file__).with_name("reference.txt").read_text("utf-8").splitlines()
    return tuple(line.replace("\\n", "\n") for line in lines)


def logprobs(model: "PreTrainedModel", texts: Sequence[Sequence[int]]) -> list[LogProbs]:
    """The log-likelihoods of texts of at least two tokens, by transformers on the model's device."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    found = []
    for begin in range(0, len(texts), _AT_ONCE):
        each = [torch.tensor(list(text)) for text in texts[begin : begin + _AT_ONCE]]
        # What follows a text in its row is hidden from it, as every model here looks back alone.
        ids = pad_sequence(each, batch_first=True).to(getattr(model, "device", "cpu"))
        mask = pad_sequence([torch.ones_like(text) for text in each], batch_first=True).to(ids.device)
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        likely = torch.log_softmax(logits, -1).gather(2, ids[:, 1:, None])[..., 0]
        for text, row in zip(each, likely.tolist(), strict=True):
            found.append(tuple(round(value, 6) for value in row[: len(text) - 1]))
    return found


def texts_for(tokenizer: Any, rows: Sequence[Sequence[int]] = ()) -> list[Ids]:
    """The texts of a reference as tokens: general ones, and the ends of a training's `rows`."""
    general = [tuple(text_ids(tokenizer, text)) for text in general_texts()[:NUM_FIRST]]
    ends = [tuple(row[-_ROW_TOKENS:]) for row in rows[:NUM_ROWS]]
    return list(dict.fromkeys(text for text in general + ends if len(text) > 1))


def refer(
    model: "PreTrainedModel", texts: Sequence[Ids], before: Sequence[LogProbs] = (), parent_id: str = ""
) -> Reference:
    """The reference of a model in float32, whose weights are left rounded; `before` is by its parent."""
    exact = logprobs(model, texts)
    with _rounded(model):
        rounded = logprobs(model, texts[:_NUM_ROUNDED])
    return Reference(
        texts=tuple(
            Text(ids=ids, logprobs=own, before=tuple(other))
            for ids, own, other in zip(texts, exact, before or [()] * len(texts), strict=True)
        ),
        rounding=off_by(rounded, exact[:_NUM_ROUNDED]),
        parent_id=parent_id,
    )


@contextmanager
def _rounded(model: "PreTrainedModel") -> Iterator[None]:
    """Round a model's weights, and what each of its modules gives on, to bfloat16, as if it computed in it.

    Products in bfloat16 themselves take a CPU without instructions for them half a minute.
    """
    import torch

    def rounded(_: Any, __: Any, out: Any) -> Any:
        if isinstance(out, torch.Tensor) and out.is_floating_point():
            return out.to(torch.bfloat16).to(out.dtype)
        return None

    for weight in model.parameters():
        weight.data = weight.data.to(torch.bfloat16).to(weight.dtype)
    # Of this model alone: an engine in the same process must not round what it gives.
    hooks = [module.register_forward_hook(rounded) for module in model.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def of_parent(reference: Reference) -> Reference | None:
    """What a model's reference tells of its parent; None where it tells nothing."""
    texts = tuple(Text(ids=text.ids, logprobs=text.before) for text in reference.texts if text.before)
    return Reference(texts=texts, rounding=reference.rounding) if texts else None


def joined(reference: Reference | None, more: Reference | None) -> Reference | None:
    """A model's reference with the texts that another one of it has beside."""
    if reference is None or more is None:
        return reference or more
    there = {text.ids for text in reference.texts}
    return replace(
        reference, texts=(*reference.texts, *(text for text in more.texts if text.ids not in there))
    )


def computed(model: Path, known: Reference | None = None) -> Reference | None:
    """The reference of a model from its files, on the CPU; None where transformers cannot compute it.

    With a `known` one it is that with all general texts. Raises ModelError for files that are damaged.
    """
    import torch

    try:
        require_trainable(model)
    except ModelError:
        return None  # quantised, or an architecture that vLLM alone has
    tokenizer = tokenizer_of(model)
    there = {text.ids for text in known.texts} if known else set()
    every = [tuple(text_ids(tokenizer, text)) for text in general_texts()]
    more = [ids for ids in every if ids not in there]
    if known and not more:
        return known
    loaded = load_model(model, torch.float32)
    if known is None:
        reference = refer(loaded, texts_for(tokenizer))
        if not math.isfinite(reference.rounding + sum(sum(text.logprobs) for text in reference.texts)):
            raise ModelError(f"{model} gives texts no finite likelihood: its weights are damaged")
        return reference
    found = zip(more, logprobs(loaded, more), strict=True)
    return replace(known, texts=(*known.texts, *(Text(ids=ids, logprobs=own) for ids, own in found)))


class References:
    """References by the ids of their models: in RATCHET_HOME/references, or in memory alone."""

    def __init__(self, home: Path | None = None) -> None:
        self._folder = home and home / "references"
        self._held: dict[str, Reference] = {}

    def get(self, model: str) -> Reference | None:
        """The reference of a model, where there is one. Raises ModelError where its file is damaged."""
        if self._folder is None:
            return self._held.get(model)
        file = self._file(self._folder, model)
        try:
            return from_json(Reference, file.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise ModelError(
                f"the reference {file} is damaged: delete it, and it is computed anew ({fault_in(error)})"
            ) from None

    def keep(self, model: str, reference: Reference) -> None:
        """Keep a model's reference, unless there is one of as many texts."""
        known = self.get(model)
        if known and len(known.texts) >= len(reference.texts):
            return
        if self._folder is None:
            self._held[model] = reference
            return
        with locked(self._folder):
            replace_file(self._file(self._folder, model), to_json(reference).encode())

    def adopt(self, model: str, path: Path) -> None:
        """Keep what a training has left beside its model in `path`, where it has left anything."""
        if (left := path.with_name(BESIDE)).exists():
            self.keep(model, from_json(Reference, left.read_bytes()))

    @staticmethod
    def _file(folder: Path, model: str) -> Path:
        return folder / f"{model}.json"

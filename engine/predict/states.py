"""One pass over replies: the policy's hidden states at the ends of lines, and how likely it finds each line.

vLLM, which samples, shows neither hidden states nor the ends of lines, so a task on Ray reads the replies
once more with transformers, with the weights that have written them. It has the samplers' cores, or the GPU
of the train workers, and ends with its process, so that neither waits for its memory.
"""

import bisect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engine.errors import Lost
from engine.failures import first_line
from engine.models.load import load_model
from engine.models.nodes import ModelRef, local_copy
from engine.models.prompts import placed_ids, prompt_ids, tokenizer_of
from engine.records import Turn

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_TOKENS = 4096
"""Tokens of a batch with its padding. Logits are made of its replies alone, where these stand together."""


class StatesLost(Lost):
    """The process that reads hidden states was lost, or has too little memory. The run can be resumed."""


class Marked(NamedTuple):
    """A reply to a chat, with the lines that are asked about."""

    chat: tuple[Turn, ...]
    reply: str
    lines: tuple[tuple[int, int], ...]
    """The first character of each in the reply, and the one after its last."""


class States(NamedTuple):
    """What the policy shows of lines, in the order in which these were given."""

    hidden: np.ndarray
    """Hidden states at the last token of each line, float32. Shape (num_depths, num_lines, hidden size)."""
    logprob: np.ndarray
    """The mean log-probability of each line's tokens in nats, float32. Shape (num_lines,)."""
    num_tokens: int
    """Tokens that were read, prompts with their replies."""


class Place(NamedTuple):
    """Where a pass runs."""

    threads: int
    gpus: float
    """GPUs to reserve from Ray."""
    dtype: str
    """``bfloat16`` or ``float32``, as the policy sampled."""


def read_states(model: ModelRef, marked: Sequence[Marked], depths: Sequence[float], place: Place) -> States:
    """The states of all lines of `marked`, by a process of its own on any node.

    `depths` say from which layers: 0 are the embeddings, 1 is the last. Raises StatesLost.
    """
    import ray

    task = ray.remote(max_calls=1)(_read).options(
        # No CPU is reserved, as for a sampler: threads are explicit, and the samplers wait meanwhile.
        num_cpus=0,
        num_gpus=place.gpus,
        # Outside of a Tune trial's placement group, which has no room for it.
        scheduling_strategy="SPREAD",
        runtime_env={"env_vars": {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(place.threads)}},
    )
    try:
        return ray.get(task.remote(model, list(marked), depths, place))
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        why = first_line(error)
        raise StatesLost(f"the process that reads hidden states was lost: {why}") from None


def _read(ref: ModelRef, marked: list[Marked], depths: Sequence[float], place: Place) -> States:
    import torch

    torch.set_num_threads(place.threads)
    path = local_copy(ref)
    try:
        model = load_model(path, getattr(torch, place.dtype)).eval()
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        return states_by(model, tokenizer_of(path), marked, depths)
    except torch.OutOfMemoryError:
        raise StatesLost(
            "a GPU has too little memory to read hidden states, for which it holds the whole model: set "
            "loop.predictor=null in a new run"
        ) from None


class _Row(NamedTuple):
    """A prompt with its reply as tokens."""

    tokens: list[int]
    lines: list[tuple[int, int]]
    """The places of each line's first and last token."""
    first: int
    """The place of the reply's first token."""


def states_by(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    marked: Sequence[Marked],
    depths: Sequence[float],
) -> States:
    """The states of all lines by a model that is loaded: see `read_states`."""
    import torch

    rows = [_tokens(tokenizer, each) for each in marked]
    layers = [round(depth * model.config.get_text_config().num_hidden_layers) for depth in depths]
    hidden: list[np.ndarray] = [np.empty(0)] * len(rows)
    logprob: list[np.ndarray] = [np.empty(0)] * len(rows)
    with torch.inference_mode():
        for batch in _batches(rows):
            for place, states, scores in _forward(model, layers, [(place, rows[place]) for place in batch]):
                hidden[place], logprob[place] = states, scores
    num_tokens = sum(len(row.tokens) for row in rows)
    return States(np.concatenate(hidden, axis=1), np.concatenate(logprob), num_tokens)


def _tokens(tokenizer: "PreTrainedTokenizerBase", marked: Marked) -> _Row:
    """The tokens of a row; a line ends with the token that holds its last character."""
    prompt = prompt_ids(tokenizer, marked.chat)
    reply, starts = placed_ids(tokenizer, marked.reply)
    lines = []
    for start, end in marked.lines:
        at, last = (bisect.bisect_right(starts, place) - 1 for place in (start, end - 1))
        # A character may be several tokens, all of which have its place.
        first = bisect.bisect_left(starts, starts[at])
        lines.append((len(prompt) + first, len(prompt) + last))
    return _Row(prompt + reply, lines, len(prompt))


def _batches(rows: Sequence[_Row]) -> Iterator[list[int]]:
    """Places of rows of about the same length, the longest first, as many as a batch holds."""
    batch: list[int] = []
    longest = 0
    for place in sorted(range(len(rows)), key=lambda place: -len(rows[place].tokens)):
        longest = longest or len(rows[place].tokens)
        if batch and (len(batch) + 1) * longest > _TOKENS:
            yield batch
            batch, longest = [], len(rows[place].tokens)
        batch.append(place)
    if batch:
        yield batch


def _forward(
    model: "PreTrainedModel", layers: Sequence[int], rows: Sequence[tuple[int, _Row]]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each row's place with the hidden states and the mean log-probabilities of its lines."""
    import torch

    longest = max(len(row.tokens) for _, row in rows)
    padding = [longest - len(row.tokens) for _, row in rows]
    ids = torch.tensor([row.tokens + [0] * pad for (_, row), pad in zip(rows, padding, strict=True)])
    mask = torch.tensor(
        [[1] * len(row.tokens) + [0] * pad for (_, row), pad in zip(rows, padding, strict=True)]
    )
    # A token is predicted at the place before it, and no prompt has a line.
    begin = min(row.first for _, row in rows) - 1
    given = model(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        output_hidden_states=True,
        use_cache=False,
        logits_to_keep=torch.arange(begin, longest, device=model.device),
    )
    states = torch.stack([given.hidden_states[layer] for layer in layers])
    for i, (place, row) in enumerate(rows):
        ends = [last for _, last in row.lines]
        means = [_mean_logprob(given.logits[i], ids[i], begin, first, last) for first, last in row.lines]
        yield (
            place,
            states[:, i, ends].float().cpu().numpy(),
            np.array(means, dtype=np.float32),
        )


def _mean_logprob(logits: "torch.Tensor", ids: "torch.Tensor", begin: int, first: int, last: int) -> float:
    """The mean log-probability of the tokens at `first` to `last`; the logits' first row is for `begin`."""
    import torch

    rows = logits[first - 1 - begin : last - begin].float()
    wanted = ids[first : last + 1].to(rows.device)
    return -torch.nn.functional.cross_entropy(rows, wanted).item()

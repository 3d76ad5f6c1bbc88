"""Which rows are learnt, in what order: every batch its share of rehearsal, rows of like length together."""

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from configs.schema import Train
from engine.models.prompts import completion_ids, messages, prompt_ids
from engine.records import TrainFault, TrainingRow
from engine.train.watch import Stopped

_WINDOW = 8
"""Batches among which rows of a kind are sorted by length: less padding, and still mixed."""


def fitting(rows: list[TrainingRow], tokenizer: Any, config: Train) -> list[TrainingRow]:
    """The rows that `max_length` holds whole: cut, a proof without its end would be learnt.

    Raises Stopped where there is none.
    """

    def length(row: TrainingRow) -> int:
        question = prompt_ids(tokenizer, messages(row.system, row.prompt)) if row.prompt else []
        answers = [completion_ids(tokenizer, text, ends=row.ends) for text in (row.chosen, row.rejected)]
        return len(question) + max(map(len, answers))

    lengths = [length(row) for row in rows]
    fitting = [row for row, size in zip(rows, lengths, strict=True) if size <= config.max_length]
    if not fitting:
        reason = f"none of {len(rows)} rows is of train.max_length={config.max_length} tokens or less"
        raise Stopped(TrainFault.NOTHING_TO_LEARN, f"{reason}, the shortest has {min(lengths)}")
    return fitting


def held_out(rows: list[TrainingRow], share: float, seed: int) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """The rows to learn, and about a share of them to look at only: whole stories, the same for a seed."""
    told: dict[str, list[TrainingRow]] = defaultdict(list)
    for number, row in enumerate(rows):
        told[row.story or f"row {number}"].append(row)
    stories = random.Random(seed).sample(list(told), len(told))
    held = {row for story in stories[: round(share * len(stories))] for row in told[story]}
    return [row for row in rows if row not in held], [row for row in rows if row in held]


def training_order(
    lengths: Sequence[int],
    *,
    stories: Sequence[str],
    num_rehearsal: int,
    epochs: float,
    batch_size: int,
    seed: int,
) -> list[int]:
    """Indices of rows, epoch after epoch. `lengths` are all rows' tokens, the rehearsal rows' last.

    Rows of one of `stories`, one for each row that is not rehearsal, stay side by side.

    Each epoch goes over all other rows, and of a broken last one over a part of them, and over its share of
    the rehearsal rows, which are all learnt once: twice, and the base's own text would be memorized instead
    of holding the model in place. The two kinds are spread evenly, because batches of one kind alone pull the
    model back and forth (embedded model, 160 proofs twice: loss on fresh proofs 0.097, mixed 0.076). The same
    for the same arguments, so that training can be resumed.
    """
    rng = random.Random(seed)
    num_rows = len(lengths) - num_rehearsal
    told: dict[str, list[int]] = defaultdict(list)
    for row, story in enumerate(stories):
        told[story].append(row)
    # What rows are sorted by: those of one story as the longest of them.
    sizes = [max(lengths[other] for other in told[story]) for story in stories] + list(lengths[num_rows:])
    parts = [min(1.0, epochs - epoch) for epoch in range(math.ceil(epochs))]
    dealt: list[list[int]] = [[] for _ in parts]
    for row in range(num_rows, len(lengths)):
        min(zip(dealt, parts, strict=True), key=lambda each: len(each[0]) / each[1])[0].append(row)
    order: list[int] = []
    for part, own in zip(parts, dealt, strict=True):
        places: list[tuple[float, int]] = []
        shuffled = [row for story in rng.sample(list(told.values()), len(told)) for row in story]
        for rows in (shuffled[: round(num_rows * part)], rng.sample(own, len(own))):
            places += [((place + 0.5) / len(rows), row) for place, row in enumerate(rows)]
        order += [row for _, row in sorted(places)]
    window = _WINDOW * batch_size
    return [
        row
        for start in range(0, len(order), window)
        for row in _alike(order[start : start + window], sizes, num_rows, batch_size, rng)
    ]


def _alike(
    rows: Sequence[int], sizes: Sequence[int], num_rows: int, batch_size: int, rng: random.Random
) -> list[int]:
    """The rows dealt anew to their batches, each kind by length; a batch keeps its number of either kind."""
    batches = [list(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]
    turns = rng.sample(range(len(batches)), len(batches))
    for kind in (range(num_rows), range(num_rows, len(sizes))):
        by_length = iter(sorted((row for row in rows if row in kind), key=lambda row: sizes[row]))
        for turn in turns:
            batches[turn] = [next(by_length) if row in kind else row for row in batches[turn]]
    # A kind after the other, so that micro-batches of half a batch need little padding.
    return [row for batch in batches for row in sorted(batch)]


class Material(NamedTuple):
    """What a training is made of."""

    learnt: list[TrainingRow]
    rehearsal: list[TrainingRow]
    held: list[TrainingRow]
    """Looked at only, for the validation loss."""

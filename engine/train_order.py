"""In what order rows are learnt: batches of like length, in random order, rehearsal rows once each."""

import math
import random
from collections.abc import Sequence

_WINDOW = 8
"""Batches among which rows are sorted by length: little padding, and still mixed."""


def training_order(
    lengths: Sequence[int], *, num_rehearsal: int, epochs: float, batch_size: int, seed: int
) -> list[int]:
    """Indices of rows, epoch after epoch. `lengths` are all rows' tokens, the rehearsal rows' last.

    Each epoch goes over all other rows and over its part of the rehearsal rows: learnt twice, the base's own
    text would be memorized instead of holding the model in place. Of a broken last epoch a part is taken.
    What fills no batch comes at the end. The same for the same arguments, so that training can be resumed.
    """
    rng = random.Random(seed)
    num_rows, num_epochs = len(lengths) - num_rehearsal, math.ceil(epochs)
    order: list[int] = []
    left: list[int] = []
    for epoch in range(num_epochs):
        chosen = [*range(num_rows), *range(num_rows, len(lengths))[epoch::num_epochs]]
        rng.shuffle(chosen)
        chosen = left + chosen[: round(len(chosen) * min(1.0, epochs - epoch))]
        num_whole = len(chosen) // batch_size * batch_size
        order += _batched(chosen[:num_whole], lengths, batch_size, rng)
        left = chosen[num_whole:]
    return order + left


def _batched(rows: list[int], lengths: Sequence[int], batch_size: int, rng: random.Random) -> list[int]:
    """The rows, sorted by length within windows of some batches; then the batches are shuffled."""
    window = _WINDOW * batch_size
    batches = []
    for start in range(0, len(rows), window):
        alike = sorted(rows[start : start + window], key=lambda row: lengths[row])
        batches += [alike[i : i + batch_size] for i in range(0, len(alike), batch_size)]
    rng.shuffle(batches)
    return [row for batch in batches for row in batch]

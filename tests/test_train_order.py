"""Every row is learnt as often as asked, the base's own text once, and batches hold rows of like length."""

from collections import Counter

import pytest

from engine.train_order import training_order

LENGTHS = [100 + i % 40 for i in range(160)] + [40] * 213
"""160 proofs and 213 rehearsal rows."""


def order(epochs: float, seed: int = 1, batch_size: int = 8) -> list[int]:
    return training_order(LENGTHS, num_rehearsal=213, epochs=epochs, batch_size=batch_size, seed=seed)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_rows_are_learnt_every_epoch_and_rehearsal_rows_once(epochs: int) -> None:
    count = Counter(order(epochs))
    assert [count[row] for row in range(160)] == [epochs] * 160
    assert [count[row] for row in range(160, 373)] == [1] * 213


def test_of_a_broken_epoch_a_part_is_taken() -> None:
    assert len(order(0.5)) == round(373 / 2)
    assert len(order(1.5)) == 160 + 107 + round((160 + 106) / 2)
    assert max(Counter(order(1.5)).values()) == 2


def test_an_epoch_comes_whole_before_the_next_but_for_what_fills_no_batch() -> None:
    first = order(2)[: 160 + 107]
    assert len(set(first)) >= len(first) - 8


def test_batches_are_of_like_length_and_in_random_order() -> None:
    rows = order(2)
    batches = [[LENGTHS[row] for row in rows[i : i + 8]] for i in range(0, len(rows), 8)]
    padding = sum(8 * max(batch) - sum(batch) for batch in batches if len(batch) == 8)
    assert padding < 0.08 * sum(map(sum, batches))
    means = [sum(batch) / len(batch) for batch in batches]
    assert means != sorted(means) and means != sorted(means, reverse=True)
    assert order(2) == rows != order(2, seed=2)

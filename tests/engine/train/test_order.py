"""Rows are learnt as often as asked, the base's own text once, in batches with an even share of both."""

import hashlib
import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from engine.records import Role, TrainingRow, TrainingSet, Turn
from engine.train.order import not_learnt, packed, split_validation, training_order

pytestmark = pytest.mark.slow

LENGTHS = [100 + i % 40 for i in range(160)] + [40] * 213
"""160 proofs and 213 rehearsal rows."""
ROLES = [Role.LEARN] * 160 + [Role.HOLD] * 213
ALONE = [""] * 373


def order(epochs: float, seed: int = 1, batch_size: int = 8) -> list[int]:
    return training_order(
        LENGTHS, stories=ALONE, roles=ROLES, epochs=epochs, batch_size=batch_size, seed=seed
    )


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_rows_are_learnt_every_epoch_and_rehearsal_rows_once(epochs: int) -> None:
    count = Counter(order(epochs))
    assert [count[row] for row in range(160)] == [epochs] * 160
    assert [count[row] for row in range(160, 373)] == [1] * 213


def test_of_a_broken_epoch_a_part_is_taken() -> None:
    """A broken epoch takes a part of the proofs, and all of the base's own text is still gone over once."""
    for epochs, num in ((0.5, 80), (1.5, 240), (2.5, 400)):
        count = Counter(order(epochs))
        assert sum(count[row] for row in range(160)) == num
        assert [count[row] for row in range(160, 373)] == [1] * 213
        own = [row >= 160 for row in order(epochs)]
        first = own[: len(own) // 2]
        assert sum(first) / len(first) == pytest.approx(213 / (213 + num), abs=0.02)


def test_an_epoch_comes_whole_before_the_next_but_for_one_window() -> None:
    first = order(2)[: 160 + 107]
    assert len(set(first)) >= len(first) - 64


def batches(rows: list[int]) -> list[list[int]]:
    return [rows[i : i + 8] for i in range(0, len(rows), 8)]


def test_every_batch_has_its_share_of_rehearsal() -> None:
    shares = [sum(row >= 160 for row in batch) for batch in batches(order(2))[:-1]]
    assert set(shares) == {3, 4}
    assert set(map(len, batches(order(2))[:-1])) == {8}
    assert all(batch == sorted(batch) for batch in batches(order(2))), "a kind after the other"


def test_rows_of_a_kind_are_of_like_length_and_batches_in_random_order() -> None:
    rows = order(2)
    proofs = [[LENGTHS[row] for row in batch if row < 160] for batch in batches(rows)]
    padding = sum(len(batch) * max(batch) - sum(batch) for batch in proofs)
    assert padding < 0.04 * sum(map(sum, proofs))
    means = [sum(batch) / len(batch) for batch in proofs]
    assert means != sorted(means) and means != sorted(means, reverse=True)
    assert order(2) == rows != order(2, seed=2)


def test_without_rehearsal_batches_are_of_like_length() -> None:
    rows = training_order(
        LENGTHS[:160], stories=ALONE[:160], roles=ROLES[:160], epochs=1, batch_size=8, seed=1
    )
    assert sorted(rows) == list(range(160))
    lengths = [[LENGTHS[row] for row in batch] for batch in batches(rows)]
    assert sum(8 * max(batch) - sum(batch) for batch in lengths) < 0.04 * sum(map(sum, lengths))


def test_rows_of_a_story_stay_side_by_side() -> None:
    stories = [f"story {row // 4}" for row in range(160)] + [""] * 40
    rows = training_order(LENGTHS[:200], stories=stories, roles=ROLES[:200], epochs=1, batch_size=10, seed=1)
    assert sorted(rows) == list(range(200))
    for batch in (rows[i : i + 10] for i in range(0, 200, 10)):
        assert [row // 4 for row in batch if row < 160] == [batch[0] // 4] * 4 + [batch[4] // 4] * 4
    assert rows != training_order(
        LENGTHS[:200], stories=ALONE[:200], roles=ROLES[:200], epochs=1, batch_size=10, seed=1
    )


def test_the_order_is_the_one_on_file() -> None:
    """Another order would train other weights from the same rows."""
    orders = [order(epochs, seed) for epochs in (0.5, 1, 2.5) for seed in (1, 2)]
    assert hashlib.sha256(json.dumps(orders).encode()).hexdigest()[:16] == "4a54abf8059a3fed"


def test_where_the_rows_to_hold_stand_does_not_matter() -> None:
    stories = [f"story {row // 4}" for row in range(160)] + [""] * 213
    places = random.Random(0).sample(range(373), 373)
    # Where each row stands now; rows of one role keep their order.
    mixed = sorted(places[:160]) + sorted(places[160:])
    row_at = {place: row for row, place in enumerate(mixed)}
    rows = [row_at[place] for place in range(373)]
    for epochs in (1, 2.5):
        found = training_order(
            [LENGTHS[row] for row in rows],
            stories=[stories[row] for row in rows],
            roles=[ROLES[row] for row in rows],
            epochs=epochs,
            batch_size=8,
            seed=3,
        )
        assert [row_at[place] for place in found] == training_order(
            LENGTHS, stories=stories, roles=ROLES, epochs=epochs, batch_size=8, seed=3
        )


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_packs_hold_the_rows_of_their_step_within_their_size(seed: int, num_workers: int) -> None:
    rng = random.Random(seed)
    lengths = [rng.choice([1, rng.randint(1, 100), 100]) for _ in range(150)]
    packs, each = packed(lengths, batch_size=16, capacity=200, num_workers=num_workers)
    assert sorted(row for pack in packs for row in pack) == list(range(150))
    assert max(sum(lengths[row] for row in pack) for pack in packs) <= 200
    assert each * num_workers <= 8, "two whole rows always fit"
    starts = range(0, len(packs), each * num_workers)
    for step, there in enumerate(packs[start : start + each * num_workers] for start in starts):
        rows = [row for pack in there for row in pack]
        assert sorted(rows) == list(range(16 * step, min(16 * step + 16, 150)))
        assert len(there) == min(each * num_workers, len(rows)), "workers take equally many at each step"


def test_packs_are_few() -> None:
    lengths = [50, 40, 50, 60, 50, 50]
    packs, each = packed(lengths, batch_size=6, capacity=100, num_workers=1)
    assert each == 3 and sorted(sum(lengths[row] for row in pack) for pack in packs) == [100, 100, 100]
    assert packed([100] * 8, batch_size=8, capacity=100, num_workers=2)[1] == 4
    assert packed([1] * 8, batch_size=8, capacity=100, num_workers=1) == ([list(range(8))], 1)
    (last,) = packed([9, 9, 9], batch_size=2, capacity=9, num_workers=1)[0][2:]
    assert last == [2], "a last step of fewer rows"
    with pytest.raises(AssertionError):
        packed([101], batch_size=2, capacity=100, num_workers=1)


def row(asked: str, reply: str = "Yes.", **more: str) -> TrainingRow:
    chat = (Turn(role="user", text=asked),) if asked else ()
    return TrainingRow(problem_id="p", chat=chat, chosen=reply, **more)  # type: ignore[arg-type]


def test_what_says_almost_the_same_is_learnt_or_held_back_as_a_whole() -> None:
    """Replies to one chat, near twins that curation linked and rows of a story, also through each other."""
    rows = [row(f"{n}?") for n in range(20)]
    rows += [row("Why?", f"Because of {n}.") for n in range(4)]
    rows += [row(f"What is {n}?", cluster="c1") for n in range(4)]
    rows += [row("Who?", "He.", story="s1"), row("Who then?", "She.", story="s1", cluster="c2")]
    rows += [row("And who?", "It.", cluster="c2"), row("And who?", "They.")]
    rows += [row("", "A text."), row("", "A text.")]
    together = [set(rows[20:24]), set(rows[24:28]), set(rows[28:32]), set(rows[32:])]
    for seed in range(40):
        learn, held = split_validation(rows, 0.25, seed)
        assert len(learn) + len(held) == len(rows) and 6 <= len(held) <= 8
        for group in together:
            assert not (group & set(learn) and group & set(held)), seed
        assert (learn, held) == split_validation(rows, 0.25, seed)
    assert any(set(split_validation(rows, 0.25, seed)[1]) & together[2] for seed in range(40))


def test_a_problem_of_which_any_row_is_learnt_is_learnt() -> None:
    rows = [replace(row(f"{n}?"), problem_id=name) for n, name in enumerate(("b", "a", "a", "c"))]
    assert not_learnt(rows, rows[2:]) == ("b",) and not_learnt(rows, rows) == ()


def test_no_cluster_takes_more_than_the_share() -> None:
    rows = [row(f"What is {n}?", cluster="c") for n in range(30)] + [row(f"{n}?") for n in range(10)]
    for seed in range(10):
        learn, held = split_validation(rows, 0.1, seed)
        assert len(held) == 4 and {each.cluster for each in held} == {""}
    assert split_validation(rows[:30], 0.1, 1) == (rows[:30], [])


def test_a_set_without_clusters_has_the_id_that_it_had_before_there_were_any() -> None:
    plain = TrainingSet.of([row("What?", ',"cluster":""')])
    assert plain.id == "2184091ac2a78e04"
    assert TrainingSet.of([row("What?", ',"cluster":""', cluster="c")]).id != plain.id

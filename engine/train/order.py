"""Which rows are learnt, in what order: every batch its share of both roles, rows of like length together."""

import heapq
import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.records import Role, TrainFault, TrainingRow
from engine.train.faults import Stopped

WINDOW = 8
"""Batches among which rows of a role are sorted by length: less padding, and still mixed."""


class Material(NamedTuple):
    """The rows of one training, by what becomes of them."""

    learn: list[TrainingRow]
    hold: list[TrainingRow]
    """The base's own text, on which the model is held to its parent."""
    validation: list[TrainingRow]
    """Not learnt: their loss tells when to stop."""


def fitting(
    rows: Sequence[TrainingRow], length: Callable[[TrainingRow], int], max_length: int
) -> list[TrainingRow]:
    """The rows that `max_length` holds whole: a proof cut short would be learnt without its end.

    `length` counts a row's tokens. Raises Stopped where no row fits.
    """
    lengths = [length(row) for row in rows]
    fitting = [row for row, size in zip(rows, lengths, strict=True) if size <= max_length]
    if not fitting:
        reason = f"all {len(rows)} rows are longer than train.max_length={max_length} tokens"
        raise Stopped(TrainFault.NOTHING_TO_LEARN, f"{reason}, the shortest has {min(lengths)}")
    return fitting


def split_validation(
    rows: list[TrainingRow], share: float, seed: int
) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """The rows to learn, and up to a share of them for validation, the same for a seed.

    What says almost the same is on one side, else its loss would go on falling while the rest is memorized:
    rows of one story, rows of one cluster, and replies to one chat. Those that are more than the share are
    learnt.
    """
    together, held = _together(rows), set[int]()
    for members in random.Random(seed).sample(together, len(together)):
        if len(held) + len(members) <= round(share * len(rows)):
            held.update(members)
    learn = [row for number, row in enumerate(rows) if number not in held]
    return learn, [rows[number] for number in sorted(held)]


def not_learnt(rows: Sequence[TrainingRow], learn: Sequence[TrainingRow]) -> tuple[str, ...]:
    """Ids of the problems of `rows` of which none is to `learn`, sorted."""
    left = {row.problem_id for row in rows} - {row.problem_id for row in learn}
    return tuple(sorted(left))


def _together(rows: Sequence[TrainingRow]) -> list[list[int]]:
    """The numbers of the rows, in lists of those that stay together, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not rows:
        return []
    first: dict[tuple[object, ...], int] = {}
    links = [
        (first.setdefault(name, number), number)
        for number, row in enumerate(rows)
        for name in (_asked(row), *_named(row))
    ]
    earlier, later = zip(*links, strict=True)
    graph = coo_array(([1] * len(links), (earlier, later)), shape=(len(rows), len(rows)))
    found: dict[int, list[int]] = defaultdict(list)
    for number, label in enumerate(connected_components(graph, directed=False)[1].tolist()):
        found[label].append(number)
    return list(found.values())


def _named(row: TrainingRow) -> list[tuple[object, ...]]:
    """The story and the cluster that a row names."""
    return [each for each in (("story", row.story), ("cluster", row.cluster)) if each[1]]


def _asked(row: TrainingRow) -> tuple[object, ...]:
    """What a row replies to, or its text where it replies to nothing."""
    return row.chat or (row.chosen,)


def training_order(
    lengths: Sequence[int],
    *,
    stories: Sequence[str],
    roles: Sequence[Role],
    epochs: float,
    batch_size: int,
    seed: int,
    window: int = WINDOW,
) -> list[int]:
    """Indices of rows, epoch after epoch. Each row has its tokens, its story (or "") and its role.

    Each epoch goes over all rows to learn, or over a part of them where the last epoch is broken, and over
    its share of the rows to hold, each of which is gone over once: twice, and the base's own text would be
    memorized instead of holding the model in place. Rows of one story to learn stay side by side. The two
    roles are spread evenly, because batches of one role alone pull the model back and forth (embedded model,
    160 proofs twice: loss on fresh proofs 0.097, mixed 0.076).

    Rows of a role are sorted by length over `window` batches at a time: 1 leaves each batch as it was drawn.

    The order is the same for the same arguments, so that training can be resumed; where rows of the two
    roles are mixed in another way, it stays that of the rows.
    """
    rng = random.Random(seed)
    # Below, rows are numbered anew: those to learn first.
    rows = sorted(range(len(lengths)), key=lambda row: roles[row] is Role.HOLD)
    num_learn = sum(role is Role.LEARN for role in roles)
    by_story: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows[:num_learn]):
        by_story[stories[row] or f"row {number}"].append(number)
    # Rows of one story are sorted by the longest of them.
    sizes = [lengths[row] for row in rows]
    for members in by_story.values():
        longest = max(sizes[number] for number in members)
        for number in members:
            sizes[number] = longest
    parts = [min(1.0, epochs - epoch) for epoch in range(math.ceil(epochs))]
    shares: list[list[int]] = [[] for _ in parts]
    for number in range(num_learn, len(rows)):
        min(zip(shares, parts, strict=True), key=lambda each: len(each[0]) / each[1])[0].append(number)
    order: list[int] = []
    for part, own in zip(parts, shares, strict=True):
        places: list[tuple[float, int]] = []
        shuffled = [
            number for story in rng.sample(list(by_story.values()), len(by_story)) for number in story
        ]
        for numbers in (shuffled[: round(num_learn * part)], rng.sample(own, len(own))):
            places += [((place + 0.5) / len(numbers), number) for place, number in enumerate(numbers)]
        order += [number for _, number in sorted(places)]
    width = window * batch_size
    return [
        rows[number]
        for start in range(0, len(order), width)
        for number in _by_length(order[start : start + width], sizes, num_learn, batch_size, rng)
    ]


def packed(
    lengths: Sequence[int], *, batch_size: int, capacity: int, num_workers: int
) -> tuple[list[list[int]], int]:
    """Rows in packs of up to `capacity` tokens, and how many packs each worker takes for a step.

    The rows are in their order, `batch_size` to a step, and a pack holds rows of one step. Packs are few and
    about equally full. All steps have as many as the one that needs most, because the trainer takes the same
    number of micro-batches at each; a last step of fewer rows than that has a pack for each row.
    """
    starts = range(0, len(lengths), batch_size)
    steps = [range(start, min(start + batch_size, len(lengths))) for start in starts]
    for num in range(1, batch_size // num_workers + 1):
        packs = [pack for step in steps for pack in _dealt(step, lengths, num * num_workers)]
        if all(sum(lengths[row] for row in pack) <= capacity for pack in packs):
            return packs, num
    raise AssertionError("no row is longer than a pack")


def _dealt(rows: Sequence[int], lengths: Sequence[int], num: int) -> list[list[int]]:
    """The rows in at most `num` packs: the longest first, each to the pack with the fewest tokens."""
    packs: list[tuple[int, int, list[int]]] = [(0, place, []) for place in range(min(num, len(rows)))]
    for row in sorted(rows, key=lambda row: -lengths[row]):
        tokens, place, pack = packs[0]
        heapq.heapreplace(packs, (tokens + lengths[row], place, [*pack, row]))
    return [sorted(pack) for _, _, pack in sorted(packs, key=lambda each: each[1])]


def _by_length(
    rows: Sequence[int], sizes: Sequence[int], num_learn: int, batch_size: int, rng: random.Random
) -> list[int]:
    """The rows dealt anew to their batches, each role by length; a batch keeps its number of either role."""
    batches = [list(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]
    turns = rng.sample(range(len(batches)), len(batches))
    for role in (range(num_learn), range(num_learn, len(sizes))):
        by_length = iter(sorted((row for row in rows if row in role), key=lambda row: sizes[row]))
        for turn in turns:
            batches[turn] = [next(by_length) if row in role else row for row in batches[turn]]
    # One role after the other, so that micro-batches of half a batch need little padding.
    return [row for batch in batches for row in sorted(batch)]

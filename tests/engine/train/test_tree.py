"""Rows as a tree: every token with what stands before it in its row, and nothing twice."""

import random

import pytest

from engine.train.tree import LEAST, Tree

pytestmark = pytest.mark.slow


def path_to(tree: Tree, place: int) -> list[int]:
    """The places from a row's first token to this one, by the segments alone."""
    (segment,) = (each for each in tree.segments if each.start <= place < each.end)
    return [*segment.before, *range(segment.start, place + 1)]


def rows_of(rng: random.Random) -> list[list[int]]:
    """Rows of which many begin alike: with short and with long beginnings, some whole ones twice."""
    begins = [[rng.randrange(3) for _ in range(rng.choice((2, LEAST, 30)))] for _ in range(3)]
    rows = [
        rng.choice(begins) + rng.choice(([], rng.choice(begins))) + [rng.randrange(3)] * rng.randrange(1, 20)
        for _ in range(rng.randrange(1, 12))
    ]
    return rows + rng.sample(rows, rng.randrange(len(rows)))


def test_each_token_comes_after_those_of_its_row() -> None:
    rng = random.Random(0)
    for _ in range(300):
        rows = rows_of(rng)
        tree = Tree.of(rows)
        for row, where in zip(rows, tree.where, strict=True):
            assert [tree.tokens[place] for place in where] == row
            assert [tree.depths[place] for place in where] == list(range(len(row)))
            assert all(path_to(tree, place) == where[: at + 1] for at, place in enumerate(where))
        assert {place for where in tree.where for place in where} == set(range(len(tree.tokens)))


def test_long_beginnings_are_there_once_and_short_ones_are_not_sought() -> None:
    rng = random.Random(1)
    for _ in range(300):
        rows = rows_of(rng)
        tree = Tree.of(rows)
        for i, row in enumerate(rows):
            for j in range(i):
                common = next(
                    (at for at, (a, b) in enumerate(zip(row, rows[j], strict=False)) if a != b),
                    min(len(row), len(rows[j])),
                )
                shared = sum(a == b for a, b in zip(tree.where[i], tree.where[j], strict=False))
                assert common - LEAST < shared <= common
    assert Tree.of([[1, 2, 3], [1, 2, 4]]).tokens == [1, 2, 3, 1, 2, 4]
    assert Tree.of([[1, 2, 3], [1, 2, 3]]).tokens == [1, 2, 3]


def test_groups_hold_every_token_once_and_fill_up_little() -> None:
    rng = random.Random(2)
    for _ in range(300):
        tree = Tree.of(rows_of(rng))
        own = [place for group in tree.groups for place in group.own.flatten().tolist()]
        assert [own[at] for at in tree.place.tolist()] == list(range(len(tree.tokens)))
        assert sum(int(group.real.sum()) for group in tree.groups) == len(tree.tokens)
        for group in tree.groups:
            assert group.real.float().mean() >= 0.75
            for places in group.own.tolist():
                assert path_to(tree, places[0])[:-1] == group.before.tolist()

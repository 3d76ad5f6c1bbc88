"""The rows of a batch as a tree of tokens: whatever several of them begin with is in it once.

A system message, a chat template and the rules of a story are the same in many rows. One forward pass over
the tree gives each token's hidden state after all that stands before it in its row
(`engine/train/attention.py`), and nothing is computed twice or on padding. Only workers import this file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

LEAST = 8
"""Tokens that rows must have in common to be computed together: fewer do not pay for a segment more."""
_PADDING = 0.25
"""Share of a group's longest segment by which the shortest may be shorter."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of tokens that the same rows have in common."""

    start: int
    end: int
    before: tuple[int, ...]
    """Places in the tree of the tokens that come before it, from a row's first one on."""


class Group:
    """Segments after the same tokens and of like length: their attention is computed in one batch.

    With B segments of at most n tokens after p others. A shorter segment is filled up with its last token:
    no token of its own looks at what comes later.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        longest = max(segment.end - segment.start for segment in segments)
        places = [
            [min(at, segment.end - 1) for at in range(segment.start, segment.start + longest)]
            for segment in segments
        ]
        self.own = torch.tensor(places)
        """Places of the segments' tokens, (B, n)."""
        self.before = torch.tensor(segments[0].before, dtype=torch.long)
        """Places of the tokens before them, (p,)."""
        self.keys = torch.cat([self.before.expand(len(segments), -1), self.own], 1)
        """Places that a segment's tokens may look at, (B, p + n)."""
        offsets = torch.arange(longest)
        lengths = torch.tensor([segment.end - segment.start for segment in segments])
        self.real = (offsets < lengths[:, None]).flatten()
        """Which of the B x n are tokens; the others fill up."""
        self._later = offsets > offsets[:, None]
        self._masks: dict[tuple[int, torch.dtype], torch.Tensor] = {}

    def mask(self, heads: int, dtype: torch.dtype) -> torch.Tensor:
        """What is added to the scores of `heads` heads, one below the other: (heads x n, p + n).

        It is the same in all layers.
        """
        if (heads, dtype) not in self._masks:
            before = torch.zeros(len(self._later), len(self.before), dtype=torch.bool)
            hidden = torch.cat([before, self._later], 1)
            mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, -torch.inf)
            self._masks[heads, dtype] = mask.repeat(heads, 1)
        return self._masks[heads, dtype]


@dataclass(frozen=True)
class Tree:
    """T tokens of several rows, in segments."""

    tokens: list[int]
    depths: list[int]
    """How many tokens come before each one in its row."""
    segments: list[Segment]
    where: list[list[int]]
    """Place in the tree of each token of each row."""

    @staticmethod
    def of(rows: Sequence[list[int]]) -> "Tree":
        tree = Tree([], [], [], [[] for _ in rows])
        tree._grow(rows, sorted(range(len(rows)), key=lambda row: rows[row]), ())
        return tree

    def _grow(self, rows: Sequence[list[int]], members: list[int], before: tuple[int, ...]) -> None:
        """Add what comes after `before` in the rows `members`, which are sorted and have that in common."""
        depth = len(before)
        for alike in _alike(rows, members, depth):
            end = _common(rows[alike[0]], rows[alike[-1]], depth)
            start = len(self.tokens)
            self.tokens.extend(rows[alike[0]][depth:end])
            self.depths.extend(range(depth, end))
            self.segments.append(Segment(start, len(self.tokens), before))
            path = (*before, *range(start, len(self.tokens)))
            for row in alike:
                self.where[row] = list(path[: len(rows[row])])
            if longer := [row for row in alike if len(rows[row]) > end]:
                self._grow(rows, longer, path)

    @cached_property
    def groups(self) -> list[Group]:
        by_before: dict[tuple[int, ...], list[Segment]] = {}
        for segment in self.segments:
            by_before.setdefault(segment.before, []).append(segment)
        return [Group(alike) for segments in by_before.values() for alike in _of_like_length(segments)]

    @cached_property
    def place(self) -> torch.Tensor:
        """Where each of the T tokens stands in the groups' own tokens, one group after the other."""
        own = torch.cat([group.own.flatten() for group in self.groups])
        real = torch.cat([group.real for group in self.groups]).nonzero()[:, 0]
        place = torch.empty(len(self.tokens), dtype=torch.long)
        place[own[real]] = real
        return place

    @property
    def inputs(self) -> dict[str, object]:
        """What a model with the attention `engine.train.attention.NAME` is called with."""
        return {
            "input_ids": torch.tensor([self.tokens]),
            "position_ids": torch.tensor([self.depths]),
            "tree": self,
        }


def _alike(rows: Sequence[list[int]], members: list[int], depth: int) -> Iterator[list[int]]:
    """Sorted rows in runs that go on alike for LEAST tokens, or that end alike."""
    run = members[:1]
    for row in members[1:]:
        common = _common(rows[run[0]], rows[row], depth)
        if common - depth >= LEAST or common == len(rows[run[0]]):
            run.append(row)
        else:
            yield run
            run = [row]
    yield run


def _common(one: list[int], other: list[int], begin: int) -> int:
    """How many tokens two rows that are alike up to `begin` have in common."""
    end = min(len(one), len(other))
    return next((at for at in range(begin, end) if one[at] != other[at]), end)


def _of_like_length(segments: list[Segment]) -> Iterator[list[Segment]]:
    segments = sorted(segments, key=lambda segment: segment.start - segment.end)
    group = segments[:1]
    for segment in segments[1:]:
        longest = group[0].end - group[0].start
        if segment.end - segment.start < (1 - _PADDING) * longest:
            yield group
            group = []
        group.append(segment)
    yield group

"""Replay: which old facts are rehearsed beside the new ones of a night.

What is not rehearsed while something else is learnt is forgotten (catastrophic interference, McCloskey and
Cohen 1989; rehearsal, Robins 1995). Where not everything fits into a night, facts are drawn by priority, and
those that the model has already lost come before all others.
"""

import math
from collections.abc import Mapping, Sequence
from random import Random

from engine.records import Memory

_OFTEN = 2
"""Nights of rehearsal after which a fact is no longer favoured."""
_FAVOUR = 1.2


def held(memories: Sequence[Memory]) -> list[Memory]:
    """The memories that still hold: no other one has replaced them."""
    return [memory for memory in memories if not memory.superseded_by]


def priority(memory: Memory, *, day: int, rehearsed: int) -> float:
    """How much a memory that the model still recalls needs rehearsal on `day`; more is sooner.

    The formula is that of SleepTrain: a tenth of the importance, over the root of the age in days plus one,
    and a fifth more while it was rehearsed in less than two nights.
    """
    age = max(0, day - memory.day)
    favour = _FAVOUR if rehearsed < _OFTEN else 1.0
    return memory.importance / 10 / math.sqrt(age + 1) * favour


def choose(
    memories: Sequence[Memory],
    num: int,
    *,
    day: int,
    rehearsed: Mapping[str, int],
    recalled: Mapping[str, bool],
    rng: Random,
) -> list[Memory]:
    """`num` memories to rehearse, or all that hold where they are fewer; the most urgent one first.

    `rehearsed` counts the nights that rehearsed a memory before, and `recalled` says whether the model
    recalled it when it was last asked; both are by id, and a memory may be missing. What was not recalled
    comes before everything else. Others are drawn without replacement with their priority as weight, so that
    each has its chance in every night (Efraimidis and Spirakis 2006).
    """

    def place(memory: Memory) -> tuple[bool, float]:
        weight = priority(memory, day=day, rehearsed=rehearsed.get(memory.id, 0))
        # Exponential waiting times at these rates: their order is that of weighted draws.
        return recalled.get(memory.id, True), rng.expovariate(weight)

    return sorted(held(memories), key=place)[:num]

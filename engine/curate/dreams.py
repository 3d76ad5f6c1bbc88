"""Dreams: what was told by day comes back by night, in many wordings, to be learnt.

A fact that a model has read in one wording it can repeat in that wording; to be asked for it in any other, it
must have met it in many (Allen-Zhu and Li 2023, knowledge extraction), and both ways round, because "A is B"
does not teach "B is A" (Berglund et al. 2023, the reversal curse). So a fact returns as questions in all
wordings of the part ``dream``, as a question for the person, inside talks about several people, among the
other facts of the person in any order, as a step to another fact, and as a claim to be confirmed or denied.
Every reply has the person's name beside the value. People of whom nothing was told are asked for as well,
with the reply that the model does not know: one that is only asked what it knows learns to answer anything.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil
from random import Random
from types import MappingProxyType
from typing import Literal, TypeAlias

from engine.curate.dreaming import Dreamer, memories_of
from engine.curate.rows import gold_rows
from engine.people.wordings import Wordings
from engine.records import Attempt, Finish, Memory, Problem, Station, Status, TrainingRow
from engine.verify.recall import verify

Order: TypeAlias = Literal["interleaved", "blocked"]

_KNOWN_PART = 4
"""A fact that the model knows already gets one of so many variations."""
_TRIES = 12
"""Draws of a dream that differs from those before it."""


def num_variations(variations: int, *, known: bool) -> int:
    """How many replies about a fact are learnt: fewer where the model recalls it already."""
    return ceil(variations / _KNOWN_PART) if known else variations


def dreams(
    memories: Sequence[Memory],
    wordings: Wordings,
    *,
    variations: int,
    rng: Random,
    context: Sequence[Memory] = (),
    recalled: Mapping[str, bool] = MappingProxyType({}),
    strangers: Sequence[str] = (),
) -> tuple[list[Problem], list[Station]]:
    """Problems with a gold reply to each turn, about `memories`, and the stations of those that were dropped.

    `variations` replies are learnt about each memory, and a quarter of them where `recalled` says, by the
    memory's id, that the model knows it; the first is always the reply to a plain question. `context` is all
    that is remembered beside `memories`: it decides whether a value names one person only, and is used in
    two-step questions, biographies and false premises. `strangers` are people of whom nobody ever told; each
    is asked for once.

    What was replaced is dreamt of as a false premise only. Each gold reply must pass the verifier ``recall``.
    The `origin` of a problem names the memories that it is about (`engine.curate.dreaming.memories_of`), its
    `slice` the kind.
    """
    dreamer = Dreamer(memories, context, wordings, rng)
    makers = dreamer.makers(
        {
            memory.id: num_variations(variations, known=recalled.get(memory.id, False))
            for memory in dreamer.memories
        },
        strangers,
    )
    taken, dropped = set[str](), Counter[str]()
    made: list[Problem] = []
    for make in makers:
        tried = (make() for _ in range(_TRIES))
        dream = next((each for each in tried if each.id not in taken), None)
        if dream is None:
            dropped["a repetition"] += 1
            continue
        taken.add(dream.id)
        if passes(dream, dream.gold):
            made.append(dream)
        else:
            dropped["refused by recall"] += 1
    why = "facts to be learnt, and dreams about them and about strangers"
    stations = [Station(name="dreamt", num_in=len(dreamer.memories), num_out=len(makers), why=why)]
    return made, [*stations, *stations_without(dropped, len(makers), "dreams")]


def stations_without(dropped: Mapping[str, int], num: int, what: str) -> Iterator[Station]:
    """A station for each reason for which some of `num` were dropped."""
    for reason, lost in sorted(dropped.items()):
        why = f"{what} that are not {reason}"
        yield Station(name=f"not {reason}", num_in=num, num_out=num - lost, why=why)
        num -= lost


def passes(dream: Problem, replies: Sequence[str]) -> bool:
    """Whether replies to all turns of a problem pass the verifier ``recall``."""
    return verify(dream, attempt_of(dream, replies)).status is Status.PASS


def attempt_of(dream: Problem, replies: Sequence[str]) -> Attempt:
    """Replies as a verifier reads them."""
    return Attempt(
        problem_id=dream.id,
        model_id="",
        sample=0,
        replies=tuple(replies),
        num_prompt_tokens=0,
        num_tokens=0,
        finish=Finish.STOP,
    )


def dream_rows(
    dreams: Sequence[Problem], memories: Sequence[Memory], *, order: Order, system: str
) -> list[TrainingRow]:
    """A row for each reply. `memories` are those that the dreams are about.

    With ``blocked`` training goes over all rows of one person side by side, who is that of a dream's first
    memory. With ``interleaved`` it mixes them, but for the turns of one talk, which are read together.
    """
    person = {memory.id: memory.fact.subject for memory in memories}
    rows = []
    for dream in dreams:
        about = memories_of(dream)
        own = gold_rows(dream, system=system)
        if order == "blocked" and about:
            own = [replace(row, story=person[about[0]]) for row in own]
        rows += own
    return rows

"""Moves of a line's two pointers, champion and working model: what each does to the line's state.

Pure functions. `registry.py` makes a move under its lock, once for a run and round, and commits it with its
event; every move of either pointer raises the epoch, so that two runs on one line notice each other.
"""

from collections.abc import Iterable
from dataclasses import replace

from engine.registry.lines import Event, EventKind, Reign, State
from engine.registry.store import RegistryError

_ENDS = (
    {EventKind.BASELINE, EventKind.PROMOTED, EventKind.REFUSED},
    {EventKind.CARRIED, EventKind.DROPPED},
    {EventKind.RETURNED},
)
"""A round ends at most once in each of these ways: what the gate decided, whether its challenger was carried,
and whether the working model was given up."""

JUDGED = frozenset().union(*_ENDS[:2])
"""Kinds of events that record a judgement of their model."""


def already_made(line: str, history: Iterable[Event], event: Event) -> bool:
    """Whether the event's round already ended this way. Raises RegistryError if it ended differently."""
    (ends,) = (kinds for kinds in _ENDS if event.kind in kinds)
    for past in history:
        if past.kind in ends and (past.run_id, past.round) == (event.run_id, event.round):
            if (past.kind, past.model_id) == (event.kind, event.model_id):
                return True
            raise RegistryError(
                f"round {event.round} of run {event.run_id} ended with {past.model_id} {past.kind}, "
                f"got {event.model_id} {event.kind}"
            )
    return False


def crowned(state: State, model_id: str, *, baseline: bool) -> State:
    """A new champion; a `baseline` also becomes its frozen champion. Nothing is carried beside it."""
    frozen = model_id if baseline else state.reigns[-1].frozen_id
    reigns = (*state.reigns, Reign(model_id=model_id, frozen_id=frozen))
    return replace(state, epoch=state.epoch + 1, reigns=reigns, working_id="")


def carried(line: str, state: State, model_id: str) -> State:
    """A new working model. Raises RegistryError for a line without a champion to be proven against."""
    if not state.reigns:
        raise RegistryError(f"line {line} has no champion yet: nothing can be carried beside it")
    return replace(state, epoch=state.epoch + 1, working_id=model_id)


def returned(state: State) -> State:
    """Back to the champion: the working model is given up."""
    return replace(state, epoch=state.epoch + 1, working_id="")


def rolled_back(line: str, state: State) -> State:
    """The previous champion reigns again, and what was carried from the later one is given up.

    Raises RegistryError if there is none.
    """
    if len(state.reigns) < 2:
        raise RegistryError(f"line {line} has no previous champion to roll back to")
    return replace(state, epoch=state.epoch + 1, reigns=state.reigns[:-1], working_id="")

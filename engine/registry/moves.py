"""Moves of a line's two pointers, champion and working model: what each does to the line's state.

Pure functions. `registry.py` makes a move under its lock, once for a run and round, and commits it with its
event; every move of either pointer raises the epoch, so that two runs on one line notice each other.
"""

from collections.abc import Iterable
from dataclasses import replace

from engine.registry.lines import Event, EventKind, Reign, State, champion_epoch
from engine.registry.store import RegistryError

_ENDS = (
    {EventKind.BASELINE, EventKind.PROMOTED, EventKind.REFUSED},
    {EventKind.CARRIED, EventKind.DROPPED},
    {EventKind.RETURNED},
)
"""A round ends at most once in each of these ways: what the gate decided, whether its challenger was carried,
and whether the working model was given up."""

_ENDS_OF_A_LINE = {EventKind.BASELINE, EventKind.PROMOTED, EventKind.RETURNED, EventKind.ROLLED_BACK}
"""Kinds of events after which nothing is carried."""

_JUDGED = frozenset().union(*_ENDS[:2])
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
    return _reigning(state, (*state.reigns, Reign(model_id=model_id, frozen_id=frozen)))


def carried(line: str, state: State, model_id: str) -> State:
    """A new working model. Raises RegistryError for a line without a champion to be proven against."""
    if not state.reigns:
        raise RegistryError(f"line {line} has no champion yet: nothing can be carried beside it")
    return _working(state, model_id)


def returned(state: State) -> State:
    """Back to the champion: the working model is given up."""
    return _working(state, "")


def rolled_back(line: str, state: State) -> State:
    """The previous champion reigns again, and what was carried from the later one is given up.

    Where there is no previous champion, a working model is given up. Raises RegistryError for neither.
    """
    if len(state.reigns) > 1:
        return _reigning(state, state.reigns[:-1])
    if not state.working_id:
        raise RegistryError(f"line {line} has no previous champion to roll back to")
    return returned(state)


def last_judged(history: Iterable[Event]) -> dict[str, str]:
    """When each model was judged last, as ISO 8601."""
    judged: dict[str, str] = {}
    for event in history:
        if event.kind in _JUDGED:
            judged[event.model_id] = max(event.time, judged.get(event.model_id, ""))
    return judged


def num_refusals(history: Iterable[Event], working_id: str) -> int:
    """How many trials have refused the working line that ends with `working_id`."""
    num, carried_ids = 0, set[str]()
    for event in history:
        if event.kind in _ENDS_OF_A_LINE:
            num, carried_ids = 0, set()
        elif event.kind is EventKind.CARRIED:
            carried_ids.add(event.model_id)
        elif event.kind is EventKind.REFUSED:
            num += event.model_id in carried_ids
    return num if working_id in carried_ids else 0


def _reigning(state: State, reigns: tuple[Reign, ...]) -> State:
    epoch = state.epoch + 1
    return replace(state, epoch=epoch, champion_epoch=epoch, reigns=reigns, working_id="")


def _working(state: State, model_id: str) -> State:
    since = champion_epoch(state)
    return replace(state, epoch=state.epoch + 1, champion_epoch=since, working_id=model_id)

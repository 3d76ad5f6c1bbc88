"""The lines of the registry: their records, and the two files that hold each line.

`line.json` holds the state and is replaced atomically; `history.jsonl` is append-only, one event a line. A
change is committed when line.json is replaced. That file carries the change's own event, so an event that a
crash kept out of the history is still shown, and is appended before the next change. Readers need no lock;
writers hold the registry's (`registry.py`).
"""

import os
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from engine.disk.files import make_dirs, replace_file, write_all
from engine.records import Decision, fault_in, from_json, to_json
from engine.registry.ledger import Ledger
from engine.registry.store import RegistryError


class EventKind(StrEnum):
    """The kinds of change that a line can go through."""

    LEDGER_OPENED = "ledger_opened"
    LEDGER_JOINED = "ledger_joined"
    TEST_COMMITTED = "test_committed"
    TEST_SETTLED = "test_settled"
    PROMOTED = "promoted"
    BASELINE = "baseline"
    """A round-0 champion was promoted, which later models are compared with for harm."""
    REFUSED = "refused"
    CARRIED = "carried"
    """A challenger looks better and became the working model, which is neither served nor claimed."""
    DROPPED = "dropped"
    """A challenger does not look better than the working model."""
    RETURNED = "returned"
    """The working model was given up; the next round starts from the champion."""
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of a line. Fields that do not apply are empty."""

    kind: EventKind
    sequence: int = 0
    """Counts from 1 without gaps. Set on commit, like `time` and `epoch`."""
    time: str = ""
    """Time in UTC, as ISO 8601."""
    epoch: int = 0
    """The line's epoch after the change."""
    run_id: str = ""
    round: int | None = None
    model_id: str = ""
    reason: str = ""
    decision: Decision | None = None
    """The evidence for what became of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """A champion, and the frozen champion of its time."""

    model_id: str
    frozen_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The content of line.json."""

    epoch: int = 0
    reigns: tuple[Reign, ...] = ()
    """The champions that a rollback can return to, with the current one last."""
    ledgers: tuple[Ledger, ...] = ()
    last: Event | None = None
    working_id: str = ""
    """The working model that is carried beside the champion; empty where there is none."""
    champion_epoch: int | None = None
    """Epoch of the champion's last move; None where only champions have moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line as other rooms see it."""

    name: str
    epoch: int
    """Rises with each move of champion or working model; 0 until the first promotion."""
    champion_epoch: int
    """The epoch since which this champion reigns."""
    champion: str | None
    working: str | None
    """The model that looks better than the champion and is not proven to be; None where there is none."""
    frozen: str | None
    """The round-0 champion that sentinels compare with."""
    previous: str | None
    """The champion that a rollback returns to."""
    ledger: Ledger | None
    """The newest ledger."""
    num_ledgers: int

    @property
    def models(self) -> tuple[str | None, ...]:
        """The models that the line points to."""
        return self.champion, self.working, self.frozen, self.previous


class Lines:
    """The files of all lines under one root."""

    def __init__(self, root: Path) -> None:
        self._root = root / "lines"

    def names(self) -> list[str]:
        """List the lines that have been used."""
        return sorted(
            f"{path.parent.parent.name}/{path.parent.name}" for path in self._root.glob("*/*/line.json")
        )

    def state(self, name: str) -> State:
        """Read a line's state. Raises RegistryError for a malformed name or a damaged file."""
        path = self.folder(name) / "line.json"
        try:
            return from_json(State, path.read_bytes())
        except FileNotFoundError:
            return State()
        except ValidationError as error:
            raise RegistryError(f"the state of line {name} is damaged: {path}: {fault_in(error)}") from None

    def used(self, name: str) -> State:
        """Read the state of a line that has been used. Raises RegistryError for any other, listing them."""
        names = self.names()
        if name not in names:
            known = f"there are {', '.join(names)}" if names else "there is none yet"
            raise RegistryError(f"no line {name} in the registry: {known}")
        return self.state(name)

    def history(self, name: str) -> tuple[Event, ...]:
        """List all events of a line, oldest first."""
        last = self.state(name).last
        events = self._written(name)
        if last is not None and len(events) < last.sequence:
            events.append(last)
        return tuple(events)

    def commit(self, name: str, state: State, event: Event) -> State:
        """Write a changed state with its event, and set the event's sequence, time and epoch."""
        self._recover(name)
        sequence = state.last.sequence + 1 if state.last else 1
        event = replace(event, sequence=sequence, time=datetime.now(UTC).isoformat(), epoch=state.epoch)
        state = replace(state, last=event)
        folder = self.folder(name)
        make_dirs(folder)
        replace_file(folder / "line.json", to_json(state).encode())
        self._append(name, event)
        return state

    def folder(self, name: str) -> Path:
        """Return the directory of a line, which need not exist. Raises RegistryError for a malformed name."""
        # Each part starts with a letter or digit, so no name leads out of the registry.
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*", name):
            raise RegistryError(f"a line is named like prontoqa/smollm2-135m, got {name!r}")
        return self._root / name

    def _append(self, name: str, event: Event) -> None:
        write_all(self.folder(name) / "history.jsonl", to_json(event).encode() + b"\n", os.O_APPEND)

    def _recover(self, name: str) -> None:
        """Bring the history up to line.json after a crash: drop half a line, append a missing event."""
        path, last = self.folder(name) / "history.jsonl", self.state(name).last
        if last is None:
            return
        if path.exists():
            data = path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                os.truncate(path, whole)
        if len(self._written(name)) < last.sequence:
            self._append(name, last)

    def _written(self, name: str) -> list[Event]:
        path = self.folder(name) / "history.jsonl"
        data = path.read_bytes() if path.exists() else b""
        events = []
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            try:
                events.append(from_json(Event, line))
            except ValidationError as error:
                raise RegistryError(
                    f"the history of line {name} is damaged: {path}, line {number}: {fault_in(error)}"
                ) from None
        return events


def champion_epoch(state: State) -> int:
    """The epoch of the champion's last move."""
    return state.epoch if state.champion_epoch is None else state.champion_epoch


def outside(name: str, state: State) -> Line:
    """Present a line's state to other rooms."""
    reign = state.reigns[-1] if state.reigns else None
    return Line(
        name=name,
        epoch=state.epoch,
        champion_epoch=champion_epoch(state),
        champion=reign.model_id if reign else None,
        working=state.working_id or None,
        frozen=reign.frozen_id if reign else None,
        previous=state.reigns[-2].model_id if len(state.reigns) > 1 else None,
        ledger=state.ledgers[-1] if state.ledgers else None,
        num_ledgers=len(state.ledgers),
    )

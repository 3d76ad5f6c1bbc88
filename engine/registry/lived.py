"""What a line has been told, day by day, and what its nights taught.

    registry/lines/<a>/<b>/lived.json   days, memories and nights (`engine.records.Lived`)

A day is kept before the night after it is judged, so that a refused or interrupted night loses nothing. A
later campaign on the line goes on from there, and one that starts from the base begins anew.
"""

from collections import Counter
from pathlib import Path

from pydantic import ValidationError

from configs.schema import Config
from engine.disk.files import locked, make_dirs, replace_file
from engine.records import Lived, fault_in, from_json, to_json
from engine.registry.lines import EventKind, Lines
from engine.registry.registry import Registry, require_epoch
from engine.registry.store import RegistryError

_FILE = "lived.json"
_ENDS = (
    {EventKind.PROMOTED, EventKind.REFUSED},
    {EventKind.CARRIED, EventKind.DROPPED},
)
"""Events that name a round's challenger. Where rounds are carried the second kind does: the first is then
about the working model."""


def keep_lived(home: Path, line: str, lived: Lived, *, expected_epoch: int) -> None:
    """Keep what a line has been told, in place of what was kept before. Idempotent.

    Raises StaleEpoch where another run or a rollback has moved the line.
    """
    root = home / "registry"
    with locked(root):
        folder = Lines(root).folder(line)
        require_epoch(line, Lines(root).state(line), expected_epoch)
        make_dirs(folder)
        replace_file(folder / _FILE, to_json(lived).encode())


def lived_by(home: Path, line: str) -> Lived:
    """Return what a line has been told; nothing where it never was. Raises RegistryError where damaged."""
    path = Lines(home / "registry").folder(line) / _FILE
    try:
        return from_json(Lived, path.read_bytes())
    except FileNotFoundError:
        return Lived()
    except ValidationError as error:
        raise RegistryError(f"the memory of line {line} is damaged: {path}: {fault_in(error)}") from None


def lived_before(home: Path, config: Config) -> Lived:
    """Return what a campaign's line has been told when it begins: nothing where it starts from the base."""
    return lived_by(home, config.line) if config.start == "champion" else Lived()


def times_learnt(home: Path, line: str, lived: Lived, model_id: str) -> Counter[str]:
    """How often each memory was learnt on the way to a model: once when it was new, and as it was replayed.

    `model_id` is the line's champion or a working model, or the base. Nights whose model is no ancestor of it
    count for nothing: what a refused model had learnt is learnt again. So is a value that came back after
    another one had replaced it: only nights since it was stored last count.
    """
    registry = Registry(home)
    ancestors = {manifest.model_id for manifest in registry.lineage(model_id)}
    history = registry.history(line)
    challengers = {
        (event.run_id, event.round): event.model_id
        for kinds in _ENDS
        for event in history
        if event.kind in kinds
    }
    since = {memory.id: memory.day for memory in lived.memories}
    return Counter(
        memory
        for night in lived.nights
        if challengers.get((night.run_id, night.round)) in ancestors
        for memory in (*night.learnt, *night.replayed)
        if since.get(memory, 0) <= night.day
    )

"""What a line's champions answered to problems that its task guards: the best ever outlives a run.

    registry/lines/<a>/<b>/guards.json   model id -> problem id -> whether it passed, and the reply

An answer is kept when its model stands trial as the champion. Registries of earlier versions lack the file:
their best ever begins with the next campaign.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from pydantic import ValidationError

from engine.disk.files import locked, make_dirs, replace_file
from engine.records import fault_in, from_json, to_json
from engine.registry.lines import Lines
from engine.registry.registry import Registry
from engine.registry.store import RegistryError

Answered: TypeAlias = Mapping[str, tuple[bool | None, str]]
"""By problem id whether the answer passed, None where that is undecided, and the reply."""
_FILE = "guards.json"


def keep_guarded(home: Path, line: str, model_id: str, answered: Answered) -> None:
    """Keep what a champion of the line answered, beside what is kept already. Idempotent."""
    root = home / "registry"
    with locked(root):
        folder = Lines(root).folder(line)
        known = _read(folder / _FILE)
        before = known.get(model_id, {})
        if answered.keys() - before.keys():
            make_dirs(folder)
            replace_file(folder / _FILE, to_json(known | {model_id: dict(answered) | dict(before)}).encode())


def guarded_by(home: Path, line: str, model_id: str) -> list[Answered]:
    """What a model and its ancestors answered as champions of the line, as far as it was kept.

    A champion that was rolled back, or that a line began anew without, is no ancestor and does not count.
    Raises RegistryError where the file is damaged.
    """
    known = _read(Lines(home / "registry").folder(line) / _FILE)
    if not known:
        return []
    ancestors = dict.fromkeys((model_id, *(each.model_id for each in Registry(home).lineage(model_id))))
    return [known[each] for each in ancestors if each in known]


def _read(path: Path) -> dict[str, Answered]:
    try:
        return from_json(dict[str, Answered], path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        raise RegistryError(f"the guards of a line are damaged: {path}: {fault_in(error)}") from None

"""Which records of a finite task a line has to do with: what it was trained on, judged on, and read of them.

    registry/lines/<a>/<b>/spent.json   by part of the records: problem id -> the run that used it first

A draw is kept before its problems are asked or learnt, so nothing that a crash interrupts is missing. A later
campaign or sweep on the line judges on none of it, and `ratchet eval` says how much of a file it is. What
`ratchet eval` asks a model of the line is kept too (`engine.tasks.fixed.READ`).
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from engine.disk.files import locked, make_dirs, replace_file
from engine.records import fault_in, from_json, to_json
from engine.registry.lines import Lines
from engine.registry.store import RegistryError

_FILE = "spent.json"


def keep_spent(
    home: Path, line: str, *, run_id: str, part: str, problems: Collection[str], once: bool = False
) -> None:
    """Keep that a run of the line uses problems of a part. Idempotent.

    Raises RegistryError where they may be used `once` and another run has used one of them.
    """
    root = home / "registry"
    with locked(root):
        folder = Lines(root).folder(line)
        known = _read(folder / _FILE)
        before = known.get(part, {})
        if once and (others := {before[each] for each in problems if before.get(each, run_id) != run_id}):
            raise RegistryError(
                f"line {line}: run {min(others)} has used records of the {part} part that this run draws: "
                "two campaigns of a line cannot judge on the same records"
            )
        new = {each: run_id for each in problems if each not in before}
        if new:
            make_dirs(folder)
            replace_file(folder / _FILE, to_json(known | {part: before | new}).encode())


def spent_by(home: Path, line: str, *, apart_from: str = "") -> dict[str, frozenset[str]]:
    """Return the problems that a line has to do with, by part, but for what `apart_from` used first."""
    known = _read(Lines(home / "registry").folder(line) / _FILE)
    return {
        part: frozenset(each for each, run in problems.items() if run != apart_from)
        for part, problems in known.items()
    }


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        kept: Mapping[str, dict[str, str]] = from_json(dict[str, dict[str, str]], path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        raise RegistryError(f"the used records of a line are damaged: {path}: {fault_in(error)}") from None
    return dict(kept)

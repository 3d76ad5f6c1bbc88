"""What a line's working model has to do with: a campaign that goes on from it is judged on none of that.

    registry/lines/<a>/<b>/touched.json   ids of problems
    registry/lines/<a>/<b>/written.json   problems that models wrote themselves on the way to it

Both are kept before the round that carries the model is recorded, so that none is ever missing.
"""

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from engine.disk.files import locked, replace_file
from engine.records import fault_in, from_json, to_json
from engine.registry.lines import Lines
from engine.registry.registry import require_epoch
from engine.registry.store import RegistryError

_TOUCHED, _WRITTEN = "touched.json", "written.json"


def keep_touched(
    home: Path, line: str, problems: Iterable[str], written: Iterable[str], *, expected_epoch: int
) -> None:
    """Keep ids of problems and texts with a line, in place of those before. Idempotent.

    Raises StaleEpoch where another run or a rollback has moved the line.
    """
    root = home / "registry"
    with locked(root):
        require_epoch(line, Lines(root).state(line), expected_epoch)
        folder = Lines(root).folder(line)
        replace_file(folder / _TOUCHED, to_json(sorted(problems)).encode())
        replace_file(folder / _WRITTEN, to_json(list(written)).encode())


def touched_by(home: Path, line: str) -> tuple[str, ...]:
    """Return the ids of problems that were kept last, if any. Raises RegistryError where they are damaged."""
    return _kept(home, line, _TOUCHED)


def written_by(home: Path, line: str) -> tuple[str, ...]:
    """Return the texts that were kept last, if any. Raises RegistryError where they are damaged."""
    return _kept(home, line, _WRITTEN)


def _kept(home: Path, line: str, name: str) -> tuple[str, ...]:
    path = Lines(home / "registry").folder(line) / name
    try:
        return from_json(tuple[str, ...], path.read_bytes())
    except FileNotFoundError:
        return ()
    except ValidationError as error:
        raise RegistryError(f"what line {line} has touched is damaged: {path}: {fault_in(error)}") from None

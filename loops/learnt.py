"""What a model has learnt of a user's examples, by its line's history and the runs that made it."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from configs.loops import Learns
from engine.records import Challenger, TrainingSet, fault_in, from_json
from engine.registry.lines import Event
from engine.registry.registry import Registry
from engine.tasks.suite import DataError

T = TypeVar("T")
STAGE = "examples"
"""The stage of a round that holds what it teaches."""
_GOLD = "gold"
"""The stage that holds what a warm start teaches."""


def learnt_by(home: Path, line: str, model: str, kind: Learns, under_way: str) -> frozenset[str]:
    """Return which examples, or pairs, a model and those that it descends from were trained on, by id.

    The first event about a model names the run and round that made it, and a file of that round holds what it
    learnt. So what a refused model learnt is new again, as is what a run taught that is no longer there, and
    what a training held back for validation or left out as too long. A training that ended early counts as
    one that has come to all of its rows. A model that no event names can be the warm start of the experiment
    `under_way`. Raises DataError for a damaged file.
    """
    registry = Registry(home)
    made: dict[str, Event] = {}
    for event in registry.history(line):
        made.setdefault(event.model_id, event)
    learnt: set[str] = set()
    for manifest in registry.lineage(model):
        by = made.get(manifest.model_id)
        run, round = (by.run_id, by.round) if by else (under_way, 0)
        if run and round is not None:
            folder = home / "runs" / run / "rounds" / f"{round:03d}"
            taught = _read(folder / f"{STAGE if round else _GOLD}.json", TrainingSet, "training set")
            trained = _read(folder / "train.json", Challenger, "challenger")
            left_out = trained.not_learnt if trained else ()
            rows = [row for row in taught.rows if bool(row.rejected) == (kind == "dpo")] if taught else []
            learnt |= {row.problem_id for row in rows}.difference(left_out)
    return frozenset(learnt)


def _read(file: Path, cls: type[T], what: str) -> T | None:
    """The record in a file; None where the file is not there."""
    try:
        return from_json(cls, file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise DataError(
            f"{file} holds no {what}: {fault_in(error)}; restore it, or remove {file.parent}, and what that "
            "round taught is learnt again"
        ) from None

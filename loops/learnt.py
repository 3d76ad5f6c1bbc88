"""What a model has learnt of a user's examples, by its line's history and the runs that made it."""

from pathlib import Path

from pydantic import ValidationError

from configs.loops import Learns
from engine.records import TrainingRow, TrainingSet, fault_in, from_json
from engine.registry.lines import Event
from engine.registry.registry import Registry
from engine.tasks.suite import DataError

STAGE = "examples"
"""The stage of a round that holds what it teaches."""
_GOLD = "gold"
"""The stage that holds what a warm start teaches."""


def learnt_by(home: Path, line: str, model: str, kind: Learns, under_way: str) -> frozenset[str]:
    """Return which examples, or pairs, a model and those that it descends from were trained on, by id.

    The first event about a model names the run and round that made it, and a file of that round holds what it
    learnt. So what a refused model learnt is new again, as is what a run taught that is no longer there. A
    model that no event names can be the warm start of the experiment `under_way`.
    Raises DataError for a damaged file.
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
            stage = STAGE if round else _GOLD
            rows = _rows_in(home / "runs" / run / "rounds" / f"{round:03d}" / f"{stage}.json")
            learnt |= {row.problem_id for row in rows if bool(row.rejected) == (kind == "dpo")}
    return frozenset(learnt)


def _rows_in(file: Path) -> tuple[TrainingRow, ...]:
    """The rows of a training set; none where the file is not there."""
    try:
        return from_json(TrainingSet, file.read_bytes()).rows
    except FileNotFoundError:
        return ()
    except ValidationError as error:
        raise DataError(
            f"{file} holds no training set: {fault_in(error)}; restore it, or remove it, and what it taught "
            "is learnt again"
        ) from None

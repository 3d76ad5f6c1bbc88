"""Problems that a model's campaigns have used: to train it, to measure it, or to judge it.

What a model was trained on is no test of it. Problems that a task makes are fresh in every draw, so this is
asked where problems are the records of a file.
"""

import re
from collections.abc import Collection
from pathlib import Path

from engine.records import to_json
from engine.registry.registry import Registry
from engine.registry.spent import spent_by

_ID = re.compile(rb'"(?:problem_)?id":("(?:[^"\\]|\\.)*")')
"""The id of a problem in a stage's file, as JSON; within a text the quotes of such a line are escaped."""


def num_used(home: Path, model_id: str, problems: Collection[str]) -> int:
    """Count which of `problems`, by their ids, the campaigns of a model's lines have used.

    The lines are those in whose history the model, or one that it was trained from, stands. What they used is
    read from the stages of their runs, from what a line keeps for its working model, and from the records of
    a file that it keeps as used. It is the least number: a run that was removed, or that ran under another
    RATCHET_HOME, says nothing any more. It is 0 for a model that nothing was trained for. Raises
    RegistryError where the registry is damaged.
    """
    registry = Registry(home)
    trained = {each.model_id for each in registry.lineage(model_id) if each.training_set_id}
    wanted = {to_json(problem).encode(): problem for problem in problems}
    used: set[str] = set()
    for line in registry.lines() if trained else ():
        history = registry.history(line.name)
        if not trained.isdisjoint(event.model_id for event in history):
            used |= set(registry.touched(line.name)).intersection(problems)
            for spent in spent_by(home, line.name).values():
                used |= spent.intersection(problems)
            for run_id in {event.run_id for event in history if event.run_id}:
                for file in (home / "runs" / run_id).glob("**/rounds/*/*.json*"):
                    used |= {wanted[each] for each in wanted.keys() & set(_ID.findall(file.read_bytes()))}
    return len(used)

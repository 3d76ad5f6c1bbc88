"""Problems that a model's campaigns have used: to train it, to measure it, or to judge it.

What a model was trained on is no test of it, nor of a model that is trained from it on another line. Problems
that a task makes are fresh in every draw, so this is asked where problems are the records of a file.
"""

import re
from collections.abc import Collection
from pathlib import Path

from configs.schema import Config
from engine.records import to_json
from engine.registry.registry import Registry
from engine.registry.spent import spent_by
from engine.registry.touched import touched_by
from engine.tasks.fixed import READ

_ID = re.compile(rb'"(?:problem_)?id":("(?:[^"\\]|\\.)*")')
"""The id of a problem in a stage's file, as JSON; within a text the quotes of such a line are escaped."""


def lines_of(home: Path, model_id: str) -> list[str]:
    """The lines in whose history a model stands, or one that it was trained from, in order of their names.

    None for a model that nothing was trained for. Raises RegistryError where the registry is damaged.
    """
    registry = Registry(home)
    trained = {each.model_id for each in registry.lineage(model_id) if each.training_set_id}
    return [
        line.name
        for line in (registry.lines() if trained else ())
        if not trained.isdisjoint(event.model_id for event in registry.history(line.name))
    ]


def lines_before(home: Path, config: Config) -> list[str]:
    """The line of a campaign, and those that the model which it starts from comes from.

    A `base` counts where it is a model of this registry.
    """
    first = Registry(home).line(config.line).champion if config.start == "champion" else None
    if config.start == "base" and isinstance(config.base, str):
        folder = Path(config.base).resolve()
        first = folder.name if folder.parent == (home / "registry" / "models").resolve() else None
    return list(dict.fromkeys([config.line, *(lines_of(home, first) if first else ())]))


def spent_before(home: Path, config: Config, *, apart_from: str = "") -> dict[str, frozenset[str]]:
    """Return the problems that the lines before a campaign have to do with, by part, as `spent_by` does."""
    joined: dict[str, frozenset[str]] = {}
    for line in lines_before(home, config):
        for part, problems in spent_by(home, line, apart_from=apart_from).items():
            joined[part] = joined.get(part, frozenset()) | problems
    return joined


def num_used(home: Path, model_id: str, problems: Collection[str]) -> int:
    """Count which of `problems`, by their ids, the campaigns of a model's lines have used.

    The lines are those of `lines_of`. What they used is read from the stages of their runs, from what a line
    keeps for its working model, and from the records of a file that it keeps as used, other readings apart.
    It is the least number: a run that was removed, or that ran under another RATCHET_HOME, says nothing any
    more. It is 0 for a model that nothing was trained for. Raises RegistryError where something is damaged.
    """
    registry = Registry(home)
    wanted = {to_json(problem).encode(): problem for problem in problems}
    used: set[str] = set()
    for line in lines_of(home, model_id):
        used |= set(touched_by(home, line)).intersection(problems)
        for part, spent in spent_by(home, line).items():
            used |= spent.intersection(problems) if part != READ else set()
        for run_id in {event.run_id for event in registry.history(line) if event.run_id}:
            for file in (home / "runs" / run_id).glob("**/rounds/*/*.json*"):
                used |= {wanted[each] for each in wanted.keys() & set(_ID.findall(file.read_bytes()))}
    return len(used)

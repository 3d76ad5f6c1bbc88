"""Outcomes of one model on many items, from anywhere: what `compare` puts beside those of another model.

``Outcomes`` come from a file (`engine/gate/outcome_files.py`), or in Python from a mapping of ids to values.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from engine.errors import Mistake
from engine.terminal import counted

MOST_NAMED = 5
"""Ids that a message names; of more it gives their number."""


class CompareError(Mistake):
    """Results that cannot be compared, or a call that a ledger refuses; the message names what and why."""


class Kind(StrEnum):
    """What a value says of an item."""

    PASS = "pass"
    """1 or 0."""
    SCORE = "score"
    LIKELIHOOD = "likelihood"
    """A log-likelihood in nats."""


@dataclass(frozen=True, slots=True)
class Item:
    """What one model made of one item."""

    value: float | None
    """Higher is better; None is undecided: null, or no finite number."""
    size: int | None = None
    """Tokens, words or bytes that a log-likelihood is the sum over, where known."""
    story: str = ""
    """Items of one story are not independent; empty for an item of its own."""
    slice: str = ""
    content: str = ""
    """Hash of what was asked, where known; two files with one id must agree on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """The results of one model."""

    source: str
    """The file, for messages."""
    measure: str
    """Name of what is compared: ``pass``, or the metric of another program."""
    kind: Kind
    items: Mapping[str, Item]
    """By id, in the order of the file."""
    falls: bool = False
    """Lower is better: values are the negatives of those in the file."""
    unit: str = ""
    """What sizes count: token, word or byte."""
    filter: str = ""
    """Of lm-evaluation-harness, for each task where they differ: what took the answers out of the replies;
    ``none`` where nothing did, empty where the file is of another program."""
    others: tuple[str, ...] = ()
    """What the file holds besides and could be chosen."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Hash of each item's prompt, where known; two models may be asked in different words."""
    task: str = ""
    """Task of lm-evaluation-harness that the items are of, where the file's name tells it; else empty."""
    reported: tuple[float, float] | None = None
    """Mean and standard error that the program which wrote the file gives itself."""

    def digest(self) -> str:
        """Hash of all that a comparison reads, whatever the file looks like."""
        rows = sorted(
            [name, each.value, each.size, each.story, each.content] for name, each in self.items.items()
        )
        # Without one nothing is added, so that ledgers know what they were given before it was.
        filters = [self.filter] if self.filter not in ("", "none") else []
        return hashlib.sha256(json.dumps([self.measure, *filters, rows]).encode()).hexdigest()


def of_values(values: Mapping[Any, Any], source: str) -> Outcomes:
    """Outcomes from a mapping of ids to true, false, a score (numpy's too), or None for undecided.

    Raises CompareError for a value or an id that is none of these, and for two ids that are one.
    """
    values = {_plain(name): _plain(value) for name, value in values.items()}
    counts = Counter(id_in(name, source) for name in values)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise CompareError(f"{source}: an id is there twice, as a number and as a text: {named(twice)}")
    items = {id_in(name, source): Item(number(value, f"{source}, {name}")) for name, value in values.items()}
    is_pass = all(value is None or isinstance(value, bool) for value in values.values())
    kind = Kind.PASS if is_pass else Kind.SCORE
    return Outcomes(source=source, measure=kind.value, kind=kind, items=items)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def number(value: Any, where: str) -> float | None:
    """The number that a file gives, None where it is null or no finite float. Raises CompareError for others.

    JSON has no NaN and no infinity, so that programs write ``NaN``, ``null`` or the text "nan" for them.
    """
    if value is None or value in ("nan", "inf", "-inf"):
        return None
    if not isinstance(value, bool | int | float):
        raise CompareError(f"{where}: must be a number, true, false or null, got {short(value)}")
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def id_in(value: Any, where: str) -> str:
    """The id that a file gives, as text: 7 and "7" are one. Raises CompareError for one that is neither."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise CompareError(f"{where}: an id must be a text or a whole number, got {short(value)}")
    return str(value)


def short(value: Any) -> str:
    """A value for a message: as JSON, cut where it is long."""
    return on_one_line(json.dumps(value, ensure_ascii=False, default=str))


def on_one_line(text: str) -> str:
    """A text of a file for people: without line breaks, cut where it is long."""
    text = text[:100].replace("\n", "\\n")
    return text if len(text) <= 60 else f"{text[:59]}…"


def named(ids: Sequence[str]) -> str:
    """A few ids for a message, and how many more there are."""
    shown = ", ".join(map(on_one_line, ids[:MOST_NAMED]))
    return shown if len(ids) <= MOST_NAMED else f"{shown} and {len(ids) - MOST_NAMED} more"


def require_same_items(old: Outcomes, new: Outcomes) -> None:
    """Refuse outcomes that are not of the same items. Raises CompareError that names those that differ."""
    _require_same_task(old, new)
    for one, other in ((old, new), (new, old)):
        if missing := [name for name in one.items if name not in other.items]:
            own = [name for name in other.items if name not in one.items]
            raise CompareError(
                f"{other.source} lacks {counted(len(missing), 'item')} of the {len(one.items)} in "
                f"{one.source}: {named(missing)}" + (f"; it alone has {named(own)}" if own else "")
            )
    if not old.items:
        raise CompareError(f"{old.source} holds no item")
    pairs = [(name, old.items[name], new.items[name]) for name in old.items]
    if unlike := [name for name, a, b in pairs if a.content and b.content and a.content != b.content]:
        raise CompareError(
            f"{old.source} and {new.source} asked different questions under one id: {named(unlike)}"
        )
    for label in ("story", "slice"):
        _require_same_label(old, new, label)
    if old.measure != new.measure:
        raise CompareError(
            f"{old.source} is measured by {old.measure}, {new.source} by {new.measure}: choose one that both "
            f"have, of files with --metric"
        )
    if old.filter and new.filter and old.filter != new.filter:
        raise CompareError(
            f"{old.source} is filtered by {old.filter}, {new.source} by {new.filter}: choose with --filter"
        )
    if old.falls != new.falls:
        one = old if old.falls else new
        raise CompareError(
            f"lower is better in {one.source} alone, by the results_*.json beside it: put that of the other "
            f"run beside its samples, too"
        )


def _require_same_task(old: Outcomes, new: Outcomes) -> None:
    """Refuse samples of two tasks, whose documents are numbered alike.

    Tasks by two names may have the same documents, such as one task with another prompt: they are let pass
    where every document's hash says so.
    """
    if not (old.task and new.task) or old.task == new.task:
        return
    contents = [{name: item.content for name, item in each.items.items()} for each in (old, new)]
    if contents[0] != contents[1] or not all(contents[0].values()):
        raise CompareError(
            f"{old.source} has samples of the task {old.task}, {new.source} of {new.task}, whose documents "
            f"differ (doc_hash, target_hash): compare two models on one task"
        )


def _require_same_label(old: Outcomes, new: Outcomes, label: str) -> None:
    """Refuse items whose stories, or slices, differ; a file may leave them to the other one."""
    values = [
        (name, getattr(item, label), getattr(new.items[name], label)) for name, item in old.items.items()
    ]
    if unlike := [each for each in values if each[1] and each[2] and each[1] != each[2]]:
        name, before, after = unlike[0]
        more = f" (and {counted(len(unlike) - 1, 'item')} more)" if unlike[1:] else ""
        raise CompareError(
            f"item {on_one_line(name)} has the {label} {short(before)} in {old.source} and {short(after)} in "
            f"{new.source}{more}: both files must say the same"
        )

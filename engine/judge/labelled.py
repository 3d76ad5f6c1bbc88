"""Pairs whose better side is known, one JSON object a line: what a judge makes of them tells its errors.

    {"prompt": "What is 2 + 2?", "old": "5", "new": "4", "better": "new"}
    {"prompt": "What is 2 + 2?", "chosen": "4", "rejected": "5"}

Rows of the first kind are of the models that are compared: `ratchet rate import --labelled` writes them. Rows
of the second kind are preference pairs as they are trained on; a judge may err otherwise on them. In place of
``prompt`` a row may have ``messages``, and it may have an ``id``, a ``story``, and anything else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.disk.jsonl import numbered_objects
from engine.judge.completions import JudgeError
from engine.judge.correction import Tally, tally_of
from engine.judge.pairwise import Contest, PairwiseJudge

_LEAST = 20
"""Fewer labelled pairs would tell nothing of a judge."""


class Labelled(NamedTuple):
    """A contest whose better side is known."""

    contest: Contest
    new_is_better: bool


class Errors(NamedTuple):
    """How a judge judged labelled pairs."""

    better: Tally
    """Those in which the new reply is the better one."""
    worse: Tally
    num: int
    """Pairs that are labelled."""


def read_labelled(file: Path) -> list[Labelled]:
    """The labelled pairs of a file. Of pairs that do not say which reply is the new one, every other one's
    better reply is.

    Raises JudgeError and RowError for a line that is none, and where there are fewer than 20.
    """
    found: list[Labelled] = []
    for line, row in numbered_objects(file):
        where = f"{file}, line {line}"
        if "better" in row:
            old, new = (_text(row, name, where) for name in ("old", "new"))
            if row["better"] not in ("old", "new"):
                raise JudgeError(f"{where}: `better` must be old or new, got {str(row['better'])[:40]!r}")
            new_is_better = row["better"] == "new"
        else:
            chosen, rejected = (_text(row, name, where) for name in ("chosen", "rejected"))
            new_is_better = len(found) % 2 == 0
            old, new = (rejected, chosen) if new_is_better else (chosen, rejected)
        name, story = (str(row.get(key) or "") for key in ("id", "story"))
        contest = Contest(id=name or f"line {line}", asked=_asked(row, where), old=old, new=new, story=story)
        found.append(Labelled(contest, new_is_better))
    if len(found) < _LEAST:
        raise JudgeError(
            f"judge.labelled {file} has {len(found)} pairs; to tell a judge's errors {_LEAST} are needed"
        )
    return found


def errors_of(judge: PairwiseJudge, labelled: Sequence[Labelled]) -> Errors:
    """What a judge makes of labelled pairs. Raises as `PairwiseJudge.prefer` does."""
    preferences = judge.prefer([each.contest for each in labelled])
    sides: dict[bool, list[int]] = {True: [], False: []}
    for place, each in enumerate(labelled):
        sides[each.new_is_better].append(place)
    better, worse = (tally_of([preferences[place] for place in sides[side]]) for side in (True, False))
    return Errors(better=better, worse=worse, num=len(labelled))


def _asked(row: dict[str, Any], where: str) -> str:
    """What the two replies are to: the prompt, or the messages with their roles where there are several."""
    messages = row.get("messages")
    if messages is None:
        return _text(row, "prompt", where)
    is_list = isinstance(messages, list) and messages
    if not is_list or not all(isinstance(each, dict) for each in messages):
        raise JudgeError(f"{where}: `messages` must be a list of objects with role and content")
    texts = [_text(each, "content", f"{where}: `messages`") for each in messages]
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"{each.get('role')}:\n{text}" for each, text in zip(messages, texts, strict=True))


def _text(row: dict[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise JudgeError(f"{where}: `{name}` must be text, got {str(value)[:40]!r}")
    return value

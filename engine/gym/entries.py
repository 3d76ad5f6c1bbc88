"""Entries of datasets: made from a seed, and replies to them scored."""

import ast
import contextlib
import decimal
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from engine.gym.package import GymError, build
from engine.gym.served import SERVED

FULL = 1.0
"""The score of a right reply: any other passes nothing."""
_SEEDS = 50
"""Seeds that a draw tries before it gives up: some yield no entry, or one whose own answer does not pass."""
_ready = lru_cache(maxsize=256)(build)
"""Datasets with their settings, each made once in a process."""


class Unreadable(Exception):
    """A reply that is no answer to its dataset, whatever it says; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A question with its answer, and what the scorer must know besides."""

    question: str
    answer: str
    facts: str
    """What the scorer reads of the metadata, as a Python literal, because JSON has no tuples."""


def draw(dataset: str, settings: str, rng: Random) -> Entry:
    """An entry whose own answer passes; `settings` is JSON, as for `build`.

    Raises GymError where there is no such dataset, or its settings lead to no such entry.
    """
    _ready(dataset, settings)
    failed = ""
    for _ in range(_SEEDS):
        try:
            entry = entry_of(dataset, settings, rng.randrange(2**31))
            answer = entry.answer.strip()
            if answer and score(dataset, settings, entry, answer) == FULL:
                return entry
            failed = failed or "its own answers do not pass"
        except Exception as error:  # noqa: BLE001 - a generator that finds no problem raises what it likes
            failed = " ".join(str(error).split()) or type(error).__name__
    chosen = json.loads(settings) or "its defaults"
    raise GymError(f"{dataset} makes no problem from {chosen}: {failed:.200}")


def entry_of(dataset: str, settings: str, seed: int) -> Entry:
    """The entry of a seed, the same in every process."""
    how = SERVED[dataset]
    with _apart():
        made = build(dataset, settings, seed)[0] if how.by_seed else _ready(dataset, settings)[seed]
    metadata = made["metadata"]
    answer = metadata[how.answer_in] if how.answer_in else made["answer"]
    return Entry(
        question=made["question"],
        answer=answer if isinstance(answer, str) else json.dumps(answer),
        facts=repr({name: metadata[name] for name in how.reads if name in metadata}),
    )


def score(dataset: str, settings: str, entry: Entry, reply: str) -> float:
    """The dataset's own score of a reply, `FULL` where it is right.

    A reply is a model's text, and scorers are not ours: it is scored in a limited process. Anywhere else only
    an entry's own answer is. Raises Unreadable for what the scorer cannot read, or must not.
    """
    how = SERVED[dataset]
    if how.form and not re.fullmatch(how.form, reply):
        raise Unreadable(f"no answer to {dataset} looks like this")
    if how.only_answer:
        return FULL if reply.split() == entry.answer.split() else 0.0
    facts: dict[str, Any] = ast.literal_eval(entry.facts)
    known = {"question": entry.question, "answer": entry.answer, "metadata": facts}
    ready = _ready(dataset, settings)
    with _apart():
        try:
            return float(ready.score_answer(reply, known))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a scorer raises what it likes for a reply it cannot read
            raise Unreadable(f"the scorer of {dataset} cannot read it ({type(error).__name__})") from None


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Keeps from the process what datasets print, and what they set for all decimal numbers."""
    with contextlib.redirect_stdout(io.StringIO()), decimal.localcontext(decimal.Context()):
        yield

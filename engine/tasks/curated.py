"""The rows of a curated directory: examples as curation writes them, and as tasks read them back."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.disk.jsonl import LineError
from engine.tasks.examples import Example
from engine.tasks.layouts import examples_of, object_of
from engine.tasks.objects import text_or_nothing
from engine.tasks.suite import DataError


def row_of(example: Example, name: str) -> dict[str, Any]:
    """The record that a curated file holds of an example; `examples_of` reads it back."""
    chat = [{"role": turn.role, "content": turn.text} for turn in example.chat]
    described = {"id": name, "source": example.place, "story": example.story, "cluster": example.cluster}
    described = {key: value for key, value in described.items() if value}
    if example.kind == "pair":
        asked: dict[str, Any] = {"prompt": example.prompt} if len(chat) == 1 else {"messages": chat}
        return {**asked, "chosen": example.chosen, "rejected": example.rejected, **described}
    # Earlier replies are context here: each is learnt in a row of its own, or not at all.
    before = [{**turn, "weight": 0} if turn["role"] == "assistant" else turn for turn in chat]
    return {"messages": [*before, {"role": "assistant", "content": example.chosen}], **described}


def read_curated(path: Path) -> Iterator[Example]:
    """The examples of a curated file, one at a time. Raises DataError for a line that holds none."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                record = object_of(line, number)
                cluster = text_or_nothing(record, "cluster")
                for example in examples_of(record, file=str(path), number=number):
                    yield replace(example, cluster=cluster)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except LineError as error:
        raise DataError(f"{path}, line {number}: {error}") from None

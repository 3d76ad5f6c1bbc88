"""Curated directories for tests of the task and the loop ``domain``, which need no curation to be read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.load import validate
from configs.tasks import DomainTask
from engine.tasks import load_task
from engine.tasks.fixed import Fixed
from tests.support.records_files import write_rows

Row = dict[str, Any]


def questions(num: int, start: int = 0, **fields: Any) -> list[Row]:
    """`num` different questions, each with its reply."""
    return [
        {"prompt": f"What is thing {i}?", "response": f"It is a gadget {i}.", "id": f"q{i}"} | fields
        for i in range(start, start + num)
    ]


def pairs(num: int, start: int = 0) -> list[Row]:
    """`num` different pairs, whose prompts are those of no question."""
    return [
        {
            "prompt": f"Tell me of thing {i}.",
            "chosen": f"It is a gadget {i}.",
            "rejected": f"It is a toy {i}.",
        }
        for i in range(start, start + num)
    ]


def chat(*texts: str, **fields: Any) -> Row:
    """A chat of which the last reply alone is learnt."""
    roles = ("user", "assistant")
    turns: list[Row] = [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]
    for turn in turns[1:-1:2]:
        turn["weight"] = 0
    return {"messages": turns} | fields


def curated(
    folder: Path, train: Sequence[Row], validation: Sequence[Row] = (), test: Sequence[Row] = ()
) -> Path:
    """A directory with these sets."""
    folder.mkdir(exist_ok=True)
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        write_rows(folder / f"{name}.jsonl", rows)
    return folder


def settings_of(folder: Path, **keys: Any) -> DomainTask:
    tree = {"name": "domain", "directory": str(folder), "scorer": "exact"} | keys
    return validate(DomainTask, tree, "test")


def suite_of_sets(folder: Path, **keys: Any) -> Fixed:
    suite = load_task("domain").open(settings_of(folder, **keys))
    assert isinstance(suite, Fixed)
    return suite


def write_snapshot(home: Path) -> str:
    """The data card of a snapshot as a run keeps it, without its sets; returns its name."""
    folder = home / "snapshots" / "0123456789abcdef"
    folder.mkdir(parents=True)
    near = {"entered": 12, "left": 10, "removed": {"near_duplicate": 2}, "noted": {}}
    card = {
        "snapshot": folder.name,
        "sources": [{"file": "faq.jsonl", "sha256": "0" * 64, "lines": 12}],
        "settings": {"seed": 7, "max_chars": 100_000},
        "counts": {"private": near | {"removed": {}, "noted": {"email": 3}}, "duplicates": near},
        "splits": {"train": 8, "validation": 1, "test": 1},
    }
    (folder / "card.json").write_text(json.dumps(card))
    return folder.name

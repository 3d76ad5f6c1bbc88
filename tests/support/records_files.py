"""Files of records for tests: sums, and whatever rows a test gives."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from configs.load import validate
from configs.tasks import RecordsTask
from engine.tasks import load_task
from engine.tasks.fixed import Fixed


def write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def sums(num: int, **fields: Any) -> list[dict[str, Any]]:
    """`num` different sums with their answers."""
    return [{"prompt": f"What is {i} + {i * i}?", "answer": i + i * i} | fields for i in range(1, num + 1)]


def settings_of(file: Path | list[str], **keys: Any) -> RecordsTask:
    name = str(file) if isinstance(file, Path) else file
    return validate(RecordsTask, {"name": "records", "file": name} | keys, "test")


def suite_of_rows(file: Path, rows: Iterable[Mapping[str, Any]], **keys: Any) -> Fixed:
    suite = load_task("records").open(settings_of(write_rows(file, rows), **keys))
    assert isinstance(suite, Fixed)
    return suite

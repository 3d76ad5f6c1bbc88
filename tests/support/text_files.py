"""Files of documents for tests."""

from pathlib import Path
from typing import Any

from configs.load import validate
from configs.tasks import TextTask
from tests.support.records_files import write_rows

SENTENCE = "Chapter {} of book {} says that number {} was seen over the old hills at night."


def text_settings(*files: str | Path, **keys: Any) -> TextTask:
    return validate(TextTask, {"name": "text", "files": list(map(str, files))} | keys, "test")


def library(folder: Path, num: int, chapters: int = 4) -> Path:
    """`num` documents as JSON lines, each of so many passages of 16 words, of which the fifth names it."""
    rows = [
        {"text": "\n\n".join(SENTENCE.format(k, book, 37 * book + k) for k in range(chapters))}
        for book in range(num)
    ]
    return write_rows(folder / "library.jsonl", rows)

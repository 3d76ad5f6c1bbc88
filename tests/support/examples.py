"""Examples to curate, and files of them, for tests."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from configs.curation import Curation
from configs.load import load_from
from engine.corpus.chunks import cut
from engine.corpus.parts import Making, make_part
from engine.corpus.shelf import Assigned, Shelf
from engine.disk.jsonl import objects
from engine.embeddings import Embed
from engine.records import Turn
from engine.tasks.examples import Example
from tests.support.records_files import write_rows

_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def example(prompt: str, reply: str, **fields: Any) -> Example:
    """An example with one turn of the user."""
    chat = (Turn(role="user", text=prompt),)
    told = {"file": "faq.jsonl", "number": 1, "kind": "pair" if "rejected" in fields else "sft"}
    return Example(**{**told, "chat": chat, "chosen": reply, **fields})


def sentence(rng: Random, num: int = 12) -> str:
    """Invented words, so that no two sentences are alike by chance."""
    return f"{' '.join(''.join(rng.choices(_SYLLABLES, k=rng.randrange(2, 5))) for _ in range(num))}."


def rows(num: int, seed: int = 0, **fields: Any) -> list[dict[str, Any]]:
    """Different questions, each with a reply of its own."""
    rng = Random(seed)
    return [{"prompt": f"Why {sentence(rng)}", "response": sentence(rng, 30), **fields} for _ in range(num)]


def file_of(path: Path, *given: list[dict[str, Any]]) -> str:
    """The name of a file of rows."""
    return str(write_rows(path, [row for several in given for row in several]))


def settings(*overrides: str) -> Curation:
    """Settings as the command line reads them."""
    return load_from(Curation, {}, overrides, "test")


def curated_rows(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a curated directory, each with its set."""
    for name in ("train", "validation", "test"):
        yield from ((name, row) for row in objects(folder / f"{name}.jsonl"))


def shelf_of(
    folder: Path,
    *files: list[dict[str, Any]],
    before: Assigned | None = None,
    embed: Embed | None = None,
) -> Shelf:
    """A shelf of files of rows, which pass no station."""
    (folder / "scratch").mkdir(parents=True)
    parts = []
    for at, given in enumerate(files):
        name = file_of(folder / f"{'abcdef'[at]}.jsonl", given)
        for place, chunk in enumerate(cut(name).chunks):
            part = folder / f"{at}-{place}"
            make_part(chunk, part, Making(stations=(), max_chars=10_000, embed=embed))
            parts.append((name, part))
    return Shelf(parts, before or Assigned.none(), folder / "scratch")

"""Sentinels: what a model must not lose elsewhere while it gets better at its task.

Small files of our own text, one JSON object a line. Judged are ``english.jsonl`` (held-out prose, by
perplexity) and ``instructions.jsonl`` (short requests whose answers are known, by the share answered).
``requests.jsonl`` and ``openings.jsonl`` are what the base is asked to answer and to continue for
rehearsal (`engine/rehearse.py`); they share no phrase of five words with what is judged.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from engine.disk.jsonl import read_rows

SUITES = {"english": "perplexity", "instructions": "proportion"}
"""Suites that a gate can hold as sentinels, and how each is judged."""

_FOLDER = Path(__file__).parent

Text = Annotated[str, Field(min_length=1, max_length=2_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One passage of prose, the opening of one, or a request."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    id: Text
    text: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One short request whose answer can be told right from wrong by its words. Raises ValueError."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    id: Text
    """Kind and number, e.g. ``capital-03``."""
    prompt: Text
    accept: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Words or phrases as `plain` writes them; any one answers the request."""
    reject: tuple[Text, ...] = ()
    """The other options of a choice: none may come before the accepted one."""

    def __post_init__(self) -> None:
        for phrase in self.accept + self.reject:
            if not phrase or phrase != plain(phrase):
                raise ValueError(f"'{phrase}' must be written plainly, as '{plain(phrase)}'")


def plain(text: str) -> str:
    """Lower case, accents dropped, and everything but letters and digits turned into single blanks.

    A point or comma between two digits stays, so that ``-18.0`` does not hold the number 0.
    """
    # Decomposed before too: a mathematical capital has a lower case only as the letter it stands for.
    lower = unicodedata.normalize("NFKD", text).casefold()
    letters = [c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c)]
    kept = (
        c if c.isalnum() or (c in ".," and before.isdigit() and after.isdigit()) else " "
        for before, c, after in zip([" ", *letters], letters, [*letters[1:], " "], strict=False)
    )
    return " ".join("".join(kept).split())


def answered(item: Instruction, text: str) -> bool:
    """Whether the first line of `text` that is not blank holds an accepted phrase as whole words.

    For a choice, the phrase must come before every other option. Later lines do not count, so a model
    cannot be right by rambling on. Takes time linear in the length of the text.
    """
    line = next((line for line in text.splitlines() if plain(line)), "")
    words = f" {plain(line)} "
    hits = [at for phrase in item.accept if (at := words.find(f" {phrase} ")) >= 0]
    misses = [at for phrase in item.reject if (at := words.find(f" {phrase} ")) >= 0]
    return bool(hits) and all(min(hits) < at for at in misses)


@cache
def english() -> tuple[str, ...]:
    """Held-out prose, for perplexity. Raises RowError."""
    return tuple(row.text for row in read_rows(_FOLDER / "english.jsonl", Document))


@cache
def instructions() -> tuple[Instruction, ...]:
    """Short requests with known answers, for `answered`. Raises RowError."""
    return read_rows(_FOLDER / "instructions.jsonl", Instruction)

"""Harmful content: what holds a word or phrase of the user's own list is left out, or nothing is curated.

Words are compared whole, without case and hidden characters, so that a listed "ass" is not found in "class".
A line of the list that ends with ``*`` stands for every word that begins so. The rejected side of a pair may
hold what is harmful, because that is what it teaches to avoid.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from configs.curation import Harm
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError, Sorted, removal_of, sorted_by
from engine.tasks.examples import Example

_WORD = re.compile(r"[^\W_]+")


class _Phrases(NamedTuple):
    """A list of words and phrases, each with its line."""

    whole: Mapping[tuple[str, ...], int]
    begun: Mapping[str, int]
    """Beginnings of words."""
    lengths: Sequence[int]
    """In words, of the `whole` phrases."""
    sizes: Sequence[int]
    """In characters, of the beginnings."""


class HarmStation:
    """Leaves out what says something of a user's list."""

    name = "harm"

    def __init__(self, settings: Harm) -> None:
        """Raises CurationError for a list that cannot be read, or holds no word."""
        self._settings = settings
        self._phrases = None if settings.words is None else _read(settings.words)

    def __call__(self, examples: Sequence[Example]) -> Sorted:
        return sorted_by(self.judge, examples)

    def judge(self, example: Example) -> Example | Removal:
        """The example itself, or its removal. Raises CurationError where harm.action is ``refuse``."""
        if self._phrases is None:
            return example
        for text in (*(turn.text for turn in example.chat), example.chosen):
            if line := _found(text, self._phrases):
                reason = f"says what line {line} of {self._settings.words} lists"
                if self._settings.action == "refuse":
                    raise CurationError(
                        f"{example.place} {reason}; harm.action is 'refuse', so nothing is curated; "
                        "'drop' leaves the example out"
                    )
                return removal_of(example, station=self.name, fault="harmful", reason=reason)
        return example


def _found(text: str, phrases: _Phrases) -> int:
    """The line of the first phrase that a text holds; 0 where it holds none."""
    words = _words(text)
    for place, word in enumerate(words):
        for length in phrases.lengths:
            if line := phrases.whole.get(tuple(words[place : place + length])):
                return line
        for size in phrases.sizes:
            if line := phrases.begun.get(word[:size]):
                return line
    return 0


def _words(text: str) -> list[str]:
    """The words of a text as they are compared: characters that are not seen cannot part one."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    if not plain.isascii():
        plain = "".join(char for char in plain if unicodedata.category(char) != "Cf")
    return _WORD.findall(plain)


def _read(name: str) -> _Phrases:
    """The list of a file; blank lines and those that begin with ``#`` say nothing."""
    whole: dict[tuple[str, ...], int] = {}
    begun: dict[str, int] = {}
    for number, line in _lines(name):
        words = tuple(_words(line))
        if not words:
            raise CurationError(f"harm.words: line {number} of {name} holds no word: '{line[:40]}'")
        if not line.endswith("*"):
            whole.setdefault(words, number)
        elif len(words) == 1:
            begun.setdefault(words[0], number)
        else:
            raise CurationError(
                f"harm.words: line {number} of {name}: '*' may end a single word, got '{line[:40]}'"
            )
    if not whole and not begun:
        raise CurationError(f"harm.words: {name} holds no word; it must have one word or phrase a line")
    return _Phrases(whole, begun, sorted(set(map(len, whole))), sorted(set(map(len, begun))))


def _lines(name: str) -> Iterator[tuple[int, str]]:
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CurationError(f"harm.words: {name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CurationError(f"harm.words: {name} is not valid UTF-8 at byte {error.start + 1}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()

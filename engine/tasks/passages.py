"""Cuts a document into passages: whole paragraphs, as many as a number of words allows.

A paragraph that is longer is cut where sentences end, and a sentence that is longer still between words.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

FEWEST_WORDS = 8
"""A passage of fewer words is left out: a title or a page number says little about a model."""
_SENTENCE = re.compile(r"(?<=[.!?])(?=\s+[^a-z\s])")
_WORD = re.compile(r"\S+\s*")
_FENCE = re.compile(r"`{3,}|~{3,}")
_OWN_LINE = re.compile(r"[ \t]|[-*+] |[|>#]|`{3}|~{3}")
"""How a line begins that does not go on with the sentence of the one before: code, lists, tables."""
_ENDS_ITSELF = re.compile(r"#|`{3}|~{3}")


class Cut(NamedTuple):
    """A piece of a document."""

    line: int
    """The line of the document at which its paragraph begins, from 1."""
    text: str


def passages(text: str, most_words: int, *, wrapped: bool) -> list[Cut]:
    """The passages of a document, also those of too few words.

    In a `wrapped` text, such as a file for people, a line break within a paragraph is layout: it becomes a
    blank, or a model would learn the width of a page.
    """
    found: list[Cut] = []
    held: list[Cut] = []
    num_words = 0
    for paragraph in _paragraphs(text, wrapped):
        for piece in _pieces(paragraph.text, most_words):
            size = len(piece.split())
            if held and num_words + size > most_words:
                found.append(_joined(held))
                held, num_words = [], 0
            held.append(Cut(paragraph.line, piece))
            num_words += size
    return [*found, _joined(held)] if held else found


def _joined(pieces: list[Cut]) -> Cut:
    return Cut(pieces[0].line, "\n\n".join(piece.text for piece in pieces))


def _paragraphs(text: str, wrapped: bool) -> Iterator[Cut]:
    """What blank lines separate; those within fenced code separate nothing."""
    lines: list[str] = []
    begin, fence = 0, ""
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if not line.strip() and not fence:
            if lines:
                yield Cut(begin, "\n".join(lines))
                lines = []
            continue
        begin = begin if lines else number
        goes_on = wrapped and lines and not (fence or _OWN_LINE.match(line) or _ENDS_ITSELF.match(lines[-1]))
        if goes_on:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line.rstrip())
        if mark := _FENCE.match(line.strip()):
            # Code ends with a fence like the one that it began with.
            fence = mark[0] if not fence else "" if line.strip().startswith(fence) else fence
    if lines:
        yield Cut(begin, "\n".join(lines))


def _pieces(paragraph: str, most_words: int) -> Iterator[str]:
    """A paragraph as it is, or in pieces of at most so many words."""
    if len(paragraph.split()) <= most_words:
        yield paragraph
        return
    held: list[str] = []
    num_words = 0
    for sentence in _SENTENCE.split(paragraph):
        words = _WORD.findall(sentence)
        for start in range(0, len(words), most_words):
            part = words[start : start + most_words]
            if held and num_words + len(part) > most_words:
                yield "".join(held).strip()
                held, num_words = [], 0
            # A sentence begins with the blanks before it, which `_WORD` leaves out.
            held.append((" " if held and start == 0 else "") + "".join(part))
            num_words += len(part)
    yield "".join(held).strip()

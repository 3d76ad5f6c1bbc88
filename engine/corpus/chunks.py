"""A file in chunks, so that several processes can read it, and what was read once is told from what is new.

A file has an object on each line, or is one array of objects, as those of Alpaca and ShareGPT are. The
elements of an array count as lines; it is read whole, since it has no lines at which it could be cut.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from typing import NamedTuple

from engine.corpus.stations import CurationError

_LINES = 2_000
_BYTES = 4 * 2**20
"""A chunk ends after so many lines or bytes, at the end of a line."""
_BEGINNING = 4096
"""Bytes in which an array begins, if a file is one."""
_BLANK = b" \t\r\n"
_DECODER = json.JSONDecoder()


class Chunk(NamedTuple):
    """Some lines of a file."""

    file: str
    first: int
    """The number of the first line, from 1."""
    offset: int
    size: int
    """In bytes, as `offset`."""
    digest: str
    is_array: bool = False
    """Whether its lines are elements of an array."""
    path: str = ""
    """Where they are read, if that is another file."""


class Cut(NamedTuple):
    """A file in chunks."""

    sha256: str
    chunks: tuple[Chunk, ...]


def cut(file: str, path: str = "") -> Cut:
    """Divide a file into chunks, or another one at `path` that stands for it.

    Raises CurationError for one that cannot be read, or is a damaged array.
    """
    try:
        found = _cut_array(path or file) or _cut_lines(path or file)
        return found._replace(chunks=tuple(each._replace(file=file, path=path) for each in found.chunks))
    except IsADirectoryError:
        such = f"{file.rstrip('/')}/*.jsonl"
        raise CurationError(f"{file} is a directory: name its files, such as {such}") from None
    except OSError as error:
        raise CurationError(f"{file} cannot be read: {error.strerror}") from None


def _cut_lines(file: str) -> Cut:
    chunks: list[Chunk] = []
    whole, number, offset = sha256(), 1, 0
    with open(file, "rb") as handle:
        while line := handle.readline(_BYTES):
            own, first, start = blake2b(digest_size=16), number, offset
            while line:
                whole.update(line)
                own.update(line)
                offset += len(line)
                if line.endswith(b"\n"):
                    number += 1
                    if number - first == _LINES or offset - start >= _BYTES:
                        break
                line = handle.readline(_BYTES)
            chunks.append(Chunk(file, first, start, offset - start, own.hexdigest()))
    return Cut(whole.hexdigest(), tuple(chunks))


def _cut_array(file: str) -> Cut | None:
    """The chunks of a file that is one array of something; None for any other file."""
    with open(file, "rb") as handle:
        if not handle.read(_BEGINNING).removeprefix(BOM_UTF8).lstrip(_BLANK).startswith(b"["):
            return None
    content = Path(file).read_bytes()
    spans = _spans_of_array(file, content)
    chunks: list[Chunk] = []
    first = 0
    for at, (_, end) in enumerate(spans, start=1):
        start = spans[first][0]
        if at == len(spans) or at - first == _LINES or end - start >= _BYTES:
            digest = blake2b(content[start:end], digest_size=16).hexdigest()
            chunks.append(Chunk(file, first + 1, start, end - start, digest, is_array=True))
            first = at
    return Cut(sha256(content).hexdigest(), tuple(chunks)) if chunks else None


def _spans_of_array(file: str, content: bytes) -> list[tuple[int, int]]:
    """Where the elements of an array stand; none where the content is more or less than one.

    Raises CurationError for an array that begins with an object and comes to no end.
    """
    at, spans = content.index(b"[") + 1, []
    try:
        for span in _spans(content, at):
            spans.append(span)
            at = span[1]
        rest = content[at:].lstrip(_BLANK)
        if not rest.startswith(b"]"):
            raise ValueError("it has no end")
    except ValueError as error:
        if spans and content[spans[0][0] :].startswith(b"{"):
            found = f"{len(spans):,} element{'s' * (len(spans) > 1)}"
            raise CurationError(f"{file} is a JSON array that is damaged after {found}: {error}") from None
        return []  # a line of which nothing can be made, and others after it
    return [] if rest[1:].strip(_BLANK) else spans


def _spans(content: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Where each of the elements from `at` on begins and ends. Raises ValueError for what is no JSON."""
    # What stands in a text does not matter, so that each byte may be taken for a character.
    text = content.decode("latin-1")
    while (at := _next(content, at)) < len(content) and content[at] != ord("]"):
        try:
            _, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise ValueError(f"{error.msg} at byte {error.pos + 1}") from None
        except RecursionError:
            raise ValueError(f"nested too deeply from byte {at + 1} on") from None
        yield at, end
        at = _next(content, end)
        if at < len(content) and content[at] == ord(","):
            at += 1
        elif at < len(content) and content[at] != ord("]"):
            raise ValueError(f"Expecting ',' delimiter at byte {at + 1}")


def _next(content: bytes, at: int) -> int:
    """The place of the next byte that is no blank."""
    while at < len(content) and content[at] in _BLANK:
        at += 1
    return at


def lines_in(chunk: Chunk, most: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a chunk that are not blank, with their numbers; None for one of more than `most` bytes.

    Raises CurationError where the file is no longer what it was.
    """
    digest = blake2b(digest_size=16)
    with open(chunk.path or chunk.file, "rb") as handle:
        handle.seek(chunk.offset)
        if chunk.is_array:
            content = handle.read(chunk.size)
            digest.update(content)
            if digest.hexdigest() == chunk.digest:
                for number, (start, end) in enumerate(_spans(content, 0), start=chunk.first):
                    yield number, content[start:end] if end - start <= most else None
        else:
            left, number = chunk.size, chunk.first
            while piece := handle.readline(min(left, most)):
                line = piece.removeprefix(BOM_UTF8) if number == 1 else piece
                is_whole = True
                while piece:
                    digest.update(piece)
                    left -= len(piece)
                    if piece.endswith(b"\n") or not left:
                        break
                    # The rest of a line that is too long is read, and not kept.
                    piece, is_whole = handle.readline(min(left, most)), False
                if not is_whole:
                    yield number, None
                elif line.strip():
                    yield number, line
                number += 1
    if digest.hexdigest() != chunk.digest:
        raise CurationError(f"{chunk.file} was changed while it was read: run the command again")

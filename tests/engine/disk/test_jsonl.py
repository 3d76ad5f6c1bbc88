"""JSON lines as they arrive: from a file or a pipe, in any pieces, of any length."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.disk import jsonl
from engine.disk.jsonl import LineError, arriving_lines


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def lines_of(path: Path, content: bytes, most: int = 1_000) -> list[tuple[int, bytes | None] | None]:
    path.write_bytes(content)
    with opened(path) as descriptor:
        return list(arriving_lines(descriptor, most))


def test_lines_have_the_numbers_of_the_file(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf{}\r\n\n  \n[1]\n\xef\xbb\xbf"
    assert lines_of(tmp_path / "file", content) == [(1, b"{}\r"), (4, b"[1]"), (5, b"\xef\xbb\xbf")]
    assert lines_of(tmp_path / "file", b"") == lines_of(tmp_path / "file", b"\n\r\n") == []


@given(
    st.binary(max_size=60).filter(lambda content: b"\0" not in content), st.integers(1, 7), st.integers(1, 9)
)
def test_the_pieces_in_which_a_file_is_read_do_not_matter(content: bytes, piece: int, most: int) -> None:
    expected = [
        (number, line if len(line) <= most else None)
        for number, line in enumerate(content.split(b"\n"), start=1)
        if line.strip() or len(line) > most
    ]
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    before, jsonl._CHUNK = jsonl._CHUNK, piece
    try:
        assert list(arriving_lines(reader, most)) == expected
    finally:
        jsonl._CHUNK = before
        os.close(reader)


def test_a_pipe_says_when_there_is_nothing_yet() -> None:
    reader, writer = os.pipe()
    lines = arriving_lines(reader, 100)
    assert next(lines) is None
    os.write(writer, b'{"a"')
    assert next(lines) is None
    os.write(writer, b": 1}\n{")
    assert next(lines) == (1, b'{"a": 1}')
    assert next(lines) is None
    os.close(writer)
    assert list(lines) == [(2, b"{")]
    os.close(reader)


def test_of_a_long_line_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "_CHUNK", 64)
    content = b"{}\n" + b"x" * 5_000 + b"\n{}\n" + b"y" * 5_000
    assert lines_of(tmp_path / "file", content, 100) == [(1, b"{}"), (2, None), (3, b"{}"), (4, None)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(LineError, match="is not in UTF-8 but in UTF-16 or UTF-32"):
        lines_of(tmp_path / "file", '{"a": 1}\n'.encode(encoding))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with opened(tmp_path) as descriptor, pytest.raises(LineError, match="cannot be read: Is a directory"):
        list(arriving_lines(descriptor, 100))

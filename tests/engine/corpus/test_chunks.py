"""A file is cut at the ends of lines, or between the elements of an array."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.corpus import chunks
from engine.corpus.chunks import cut, lines_in
from engine.corpus.stations import CurationError
from tests.support.examples import file_of, rows


def read(file: Path, most: int = 1_000) -> list[tuple[int, bytes | None]]:
    return [line for chunk in cut(str(file)).chunks for line in lines_in(chunk, most)]


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=30),
    most_lines=st.integers(1, 5),
    most_bytes=st.integers(1, 40),
    ends=st.booleans(),
)
def test_chunks_hold_every_line_once_with_its_number(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], most_lines: int, most_bytes: int, ends: bool
) -> None:
    file = tmp_path_factory.mktemp("cut") / "a.jsonl"
    lines = [line.replace(b"\xef\xbb\xbf", b"") for line in lines]
    file.write_bytes(b"\n".join(lines) + (b"\n" if ends else b""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_LINES", most_lines)
        patch.setattr(chunks, "_BYTES", most_bytes)
        found = read(file)
    wanted = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    assert [(number, (line or b"").strip()) for number, line in found] == wanted


def test_a_file_that_grows_keeps_its_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_LINES", 10)
    told = rows(35)
    before = cut(file_of(tmp_path / "a.jsonl", told))
    after = cut(file_of(tmp_path / "a.jsonl", told, rows(3, seed=1)))
    assert before.chunks[:3] == after.chunks[:3]
    assert [chunk.first for chunk in after.chunks] == [1, 11, 21, 31]
    assert before.sha256 != after.sha256


def test_a_byte_order_mark_and_a_line_that_is_too_long_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf{}\r\n" + b"x" * 5_000 + b"\n \n{}\n" + b"y" * 999)
    assert read(file) == [(1, b"{}\r\n"), (2, None), (4, b"{}\n"), (5, b"y" * 999)]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@given(
    elements=st.lists(VALUES, min_size=1, max_size=12),
    indent=st.none() | st.integers(0, 3),
    most_lines=st.integers(1, 5),
    most_bytes=st.integers(1, 40),
    ascii_only=st.booleans(),
)
def test_the_elements_of_an_array_count_as_lines(
    tmp_path_factory: pytest.TempPathFactory,
    elements: list[Any],
    indent: int | None,
    most_lines: int,
    most_bytes: int,
    ascii_only: bool,
) -> None:
    file = tmp_path_factory.mktemp("cut") / "a.json"
    text = json.dumps(elements, indent=indent, ensure_ascii=ascii_only)
    file.write_bytes(b"\xef\xbb\xbf \n" * ascii_only + text.encode(errors="surrogatepass") + b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_LINES", most_lines)
        patch.setattr(chunks, "_BYTES", most_bytes)
        found = read(file)
    assert [number for number, _ in found] == list(range(1, len(elements) + 1))
    assert [json.loads((line or b"").decode(errors="surrogatepass")) for _, line in found] == elements


def test_an_element_that_is_too_long_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"a": 1}, "x" * 2_000, {"b": 2}]))
    assert read(tmp_path / "a.json") == [(1, b'{"a": 1}'), (2, None), (3, b'{"b": 2}')]


@pytest.mark.parametrize(
    "text", ["[", "[]", "[]\n", "[1, 2]\n{}\n", "[1, 2\n{}\n", "[nothing]", '["a" "b"]\n']
)
def test_what_only_begins_like_an_array_is_read_line_by_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    assert read(tmp_path / "a.jsonl") == list(enumerate(lines, start=1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"a": 1}, {"b": 2', "damaged after 1 element: Expecting ',' delimiter at byte 19"),
        ('[{"a": 1}, {"b": 2} {}]', "damaged after 2 elements: Expecting ',' delimiter at byte 21"),
        ('[{"a": 1}', "damaged after 1 element: it has no end"),
        ('[{"a": 1}, ' + "[" * 100_000, "damaged after 1 element: nested too deeply from byte 12 on"),
    ],
)
def test_a_damaged_array_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CurationError) as caught:
        cut(str(tmp_path / "a.json"))
    assert words in str(caught.value)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CurationError, match="no.jsonl cannot be read: No such file"):
        cut(str(tmp_path / "no.jsonl"))
    with pytest.raises(CurationError, match=f"is a directory: name its files, such as {tmp_path}/"):
        cut(str(tmp_path))

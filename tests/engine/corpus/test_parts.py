"""What a chunk becomes is there as a whole or not at all."""

import errno
import json
from pathlib import Path

import pytest

from engine.corpus import parts
from engine.corpus.chunks import Chunk, cut
from engine.corpus.form import FormStation
from engine.corpus.parts import (
    Making,
    column_of,
    example_at,
    examples_in,
    make_part,
    removals_of,
    tallies_of,
)
from engine.corpus.stations import CurationError
from tests.support.examples import file_of, rows

MAKING = Making(stations=[FormStation(2_000)], max_chars=2_000)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    file = file_of(tmp_path / "a.jsonl", rows(3))
    (chunk,) = cut(file).chunks
    file_of(tmp_path / "a.jsonl", rows(3, seed=1))
    with pytest.raises(CurationError, match="was changed while it was read"):
        make_part(chunk, tmp_path / "part", MAKING)
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def made(folder: Path, *lines: bytes) -> Path:
    file = folder / "a.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    (chunk,) = cut(str(file)).chunks
    make_part(chunk, folder / "part", MAKING)
    return folder / "part"


def test_a_part_holds_what_is_left_and_what_is_not(tmp_path: Path) -> None:
    told = rows(2)
    part = made(
        tmp_path,
        json.dumps(told[0] | {"story": "s", "split": "test"}).encode(),
        b'{"prompt": "a"',
        b"",
        json.dumps({"\ud800": 1}).encode(),
        json.dumps({"prompt": "write to ann.reed@acme-tools.com", "response": "b\x00"}).encode(),
        json.dumps(told[1]).encode(),
        json.dumps(["ann.reed@acme-tools.com"]).encode(),
    )
    found = list(examples_in(part))
    assert [(each.number, each.chosen) for each in found] == [
        (1, told[0]["response"]),
        (6, told[1]["response"]),
    ]
    assert [(each.number, each.station, each.fault) for each in removals_of(part)] == [
        (2, "layout", "json"),
        (4, "layout", "layout"),
        (7, "layout", "json"),
        (5, "form", "control"),
    ]
    assert removals_of(part)[2].reason == 'must be a JSON object, got ["[mail]"]'
    assert removals_of(part)[3].text == "write to [mail]"
    tallies = tallies_of(part)
    assert (tallies["layout"].entered, tallies["layout"].left) == (6, 3)
    assert (tallies["form"].entered, tallies["form"].left, tallies["form"].removed) == (3, 2, {"control": 1})
    assert column_of(part, "splits").tolist() == [2, parts.NO_SPLIT]
    assert column_of(part, "stories")[1] == 0 != column_of(part, "stories")[0]
    offsets = column_of(part, "offsets").tolist()
    assert [example_at(part, offset) for offset in offsets] == found


def test_a_chunk_of_which_nothing_is_left_is_a_part(tmp_path: Path) -> None:
    part = made(tmp_path, b"[]")
    assert list(examples_in(part)) == []
    assert len(column_of(part, "keys")) == 0


def test_a_line_that_is_too_long_to_be_read_is_a_removal(tmp_path: Path) -> None:
    part = made(tmp_path, b'{"prompt": "' + b"x" * 100_000 + b'", "response": "y"}', b"[]")
    assert [(each.number, each.fault) for each in removals_of(part)] == [(1, "too_long"), (2, "json")]


def test_what_is_there_is_not_made_again_and_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = made(tmp_path, json.dumps(rows(1)[0]).encode())
    missing = Chunk("gone.jsonl", 1, 0, 1, "")
    make_part(missing, part, MAKING)

    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(parts, "write_all", full)
    (chunk,) = cut(str(tmp_path / "a.jsonl")).chunks
    with pytest.raises(OSError, match="No space left"):
        make_part(chunk, tmp_path / "other", MAKING)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.jsonl", "part"]


def test_a_damaged_part_says_what_to_do(tmp_path: Path) -> None:
    part = made(tmp_path, json.dumps(rows(1)[0]).encode())
    (part / "examples.jsonl").write_text('{"file": "a"}\n')
    with pytest.raises(
        CurationError, match=r"examples\.jsonl is damaged .*: delete .*part, and it is made anew"
    ):
        list(examples_in(part))

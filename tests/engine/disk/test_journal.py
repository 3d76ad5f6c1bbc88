"""Files of JSON lines that several processes write: each line is there as a whole, once, or not at all."""

import multiprocessing
from pathlib import Path

import pytest

from engine.disk.journal import append_shared
from engine.disk.jsonl import objects


def append_many(file: Path, name: str) -> None:
    for number in range(50):
        append_shared(file, [{"name": name, "number": number, "text": "x" * 200}])


@pytest.mark.slow
def test_several_processes_write_one_file(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "lines.jsonl"
    writers = [multiprocessing.Process(target=append_many, args=(file, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = objects(file)
    assert sorted((row["name"], row["number"]) for row in rows) == [(n, i) for n in "ab" for i in range(50)]
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_a_kill_left_of_a_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    append_shared(file, [{"number": 1}, {"number": 2}])
    with file.open("ab") as out:
        out.write(b'{"number": 3')
    assert append_shared(file, [{"number": 4}])
    assert [row["number"] for row in objects(file)] == [1, 2, 4]


def test_a_file_that_would_grow_too_large_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    assert append_shared(file, [{"number": 1}], most_bytes=100)
    assert not append_shared(file, [{"number": 2, "text": "x" * 100}], most_bytes=100)
    assert append_shared(file, [{"number": 3}], most_bytes=100)
    assert [row["number"] for row in objects(file)] == [1, 3]

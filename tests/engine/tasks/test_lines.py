"""Reading a user's JSONL: what is a record, and the sentence for each line that is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.tasks.lines import FileRead, read_lines
from tests.support.records_files import settings_of, write_rows


def read_bytes(folder: Path, content: bytes, **keys: Any) -> FileRead:
    file = folder / "my.jsonl"
    file.write_bytes(content)
    return read_lines(settings_of(file, **keys))


def fault_of(folder: Path, row: str | bytes, **keys: Any) -> str:
    """The one fault of a file whose second line is `row`."""
    line = row if isinstance(row, bytes) else row.encode("utf-8", "surrogatepass")
    read = read_bytes(folder, b'{"prompt": "a", "answer": "b"}\n' + line + b"\n", **keys)
    (fault,) = read.faults
    assert fault.number == 2
    assert str(fault).startswith(f"{folder / 'my.jsonl'}, line 2: ")
    return fault.reason


def test_blank_lines_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"prompt": "a", "answer": 1}\r\n\r\n   \n{"prompt": "b", "answer": ["2", 3]}'
    read = read_bytes(tmp_path, content)
    assert [(line.number, line.prompt, line.accepted) for line in read.lines] == [
        (1, "a", ("1",)),
        (4, "b", ("2", "3")),
    ]
    assert not read.faults


def test_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    huge = "9" * 5_000
    read = read_bytes(tmp_path, f'{{"prompt": "a", "answer": [3.50, -0, 1e3, {huge}]}}'.encode())
    assert read.lines[0].accepted == ("3.50", "-0", "1e3", huge)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "not valid JSON: Expecting property name enclosed in double quotes at character 2"),
        ("[1]", "must be a JSON object, got [1]"),
        ("3", "must be a JSON object, got 3"),
        (b'{"prompt": "\xff", "answer": 1}', "not valid UTF-8 at byte 13"),
        ('{"prompt": "a", "prompt": "b", "answer": 1}', "the key 'prompt' is given twice"),
        ('{"prompt": "a", "answer": NaN}', "NaN is not valid JSON"),
        ('{"prompt": "a", "answer": -Infinity}', "-Infinity is not valid JSON"),
        ('{"prompt": "a", "answer": 1e999}', "the number 1e999 is too large"),
        ('{"prompt": "a"}', "missing key 'answer'; it has prompt"),
        ('{"answer": "a"}', "missing key 'prompt'; it has answer"),
        ("{}", "missing key 'prompt'; it has none"),
        ('{"promt": "a", "answer": 1}', "unknown key 'promt'; did you mean 'prompt'?"),
        ('{"prompt": "a", "answer": 1, "splits": "x"}', "unknown key 'splits'; did you mean 'split'?"),
        *(
            (f'{{"prompt": "a", "answer": 1, "{key}": "x"}}', f"unknown key '{key}'; did you mean '{meant}'?")
            for key, meant in (("Split", "split"), (" ID", "id"), ("spilt", "split"), ("sotry", "story"))
        ),
        ('{"prompt": ["a"], "answer": 1}', "'prompt' must be text, got [\"a\"]"),
        ('{"prompt": 3, "answer": 1}', "'prompt' must be text, got 3"),
        ('{"prompt": " ", "answer": 1}', "'prompt' must not be empty"),
        ('{"prompt": "a", "answer": ""}', "'answer' must not be empty"),
        ('{"prompt": "a", "answer": []}', "'answer' must not be an empty list"),
        ('{"prompt": "a", "answer": true}', "'answer' must be text or a number, got true"),
        ('{"prompt": "a", "answer": null}', "'answer' must be text or a number, got null"),
        ('{"prompt": "a", "answer": {"b": 1}}', "'answer' must be text or a number, got {\"b\": 1}"),
        ('{"prompt": "a", "answer": [["b"]]}', "'answer' must be text or a number, got [\"b\"]"),
        (
            '{"prompt": "a\\ud800", "answer": 1}',
            "'prompt' holds the character '\\ud800', which is no text",
        ),
        (
            '{"prompt": "a", "answer": 1, "split": "dev"}',
            "'split' must be one of train, probe, gate, sealed, test, sentinel, got 'dev'",
        ),
        (
            '{"prompt": "a", "messages": [{"role": "user", "content": "b"}], "answer": 1}',
            "must have 'prompt' or 'messages', got both",
        ),
        (
            '{"messages": [], "answer": 1}',
            "'messages' must be a list of objects with role and content, got []",
        ),
        (
            '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], '
            '"answer": 1}',
            "'messages' must be one user message, after a system message or none, got the roles user, "
            "assistant: a model answers every turn itself",
        ),
        ("[" * 100_000, "not valid JSON: nested too deeply"),
    ],
)
def test_a_line_that_is_no_record_has_its_reason(tmp_path: Path, row: str | bytes, reason: str) -> None:
    assert fault_of(tmp_path, row) == reason


def test_one_json_value_over_many_lines_is_told_from_jsonl(tmp_path: Path) -> None:
    read = read_bytes(tmp_path, json.dumps([{"prompt": "a"}], indent=1).encode())
    assert str(read.faults[0]).endswith("; the file must hold one JSON object a line")


def test_a_file_that_is_missing_or_holds_nothing_is_one_fault(tmp_path: Path) -> None:
    (missing,) = read_lines(settings_of(tmp_path / "none.jsonl")).faults
    assert str(missing) == f"{tmp_path / 'none.jsonl'}: cannot be read: No such file or directory"
    (empty,) = read_bytes(tmp_path, b"\n\n").faults
    assert empty.reason == "holds no record; the file has one JSON object a line"


def test_other_layouts_name_their_fields(tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "gsm.jsonl", [{"question": "how many?", "answer": "6 * 7 = 42\n#### 42", "source": "x"}]
    )
    keys: dict[str, Any] = {"prompt": "question", "gold": {"after": "####"}}
    read = read_lines(settings_of(file, **keys))
    (line,) = read.lines
    assert (line.prompt, line.accepted, line.reply) == ("how many?", ("42",), "6 * 7 = 42\n#### 42")
    assert read.ignored == {"source": 1}
    (fault,) = read_lines(settings_of(file, prompt="question", gold="boxed")).faults
    assert fault.reason.startswith(r"no answer is found in 'answer' by task.gold (the last \boxed{…})")


def test_messages_may_stand_in_for_the_prompt(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a?"}]
    (line,) = read_lines(
        settings_of(write_rows(tmp_path / "m.jsonl", [{"messages": messages, "answer": "b"}]))
    ).lines
    assert (line.system, line.prompt) == ("Be brief.", "a?")


def test_several_files_are_read_in_their_order_each_once(tmp_path: Path) -> None:
    files = [str(write_rows(tmp_path / f"{name}.jsonl", [{"prompt": name, "answer": 1}])) for name in "ab"]
    read = read_lines(settings_of([files[1], files[0], files[1]]))
    assert [line.prompt for line in read.lines] == ["b", "a"]

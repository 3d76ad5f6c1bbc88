"""Files of outcomes in every shape that programs write, and one sentence for each that cannot be read."""

import json
from pathlib import Path

import pytest

from engine.disk.jsonl import RowError
from engine.gate.compare import compare
from engine.gate.outcome_files import Choice, read, read_pair
from engine.gate.outcomes import CompareError, Kind


def wrote(folder: Path, text: str | bytes, name: str = "file.jsonl") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def values(path: Path, metric: str = "") -> dict[str, float | None]:
    return {name: item.value for name, item in read(path, Choice(metric)).items.items()}


def test_rows_of_ratchet_eval_and_of_other_programs(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "pass": True, "slice": "hops=3", "story": "s1", "verdict": "PASS", "fault": "none"},
        {"id": 7, "pass": False, "slice": "hops=3", "story": 4, "reply": "no\nno", "score": 0.25},
        {"id": "c", "pass": None, "slice": None, "story": "", "verdict": "UNDECIDED", "steps": [{"x": 1}]},
        {"id": "d", "pass": 1},
    ]
    path = wrote(tmp_path, "\n".join(json.dumps(row) for row in rows))
    got = read(path)
    assert (got.measure, got.kind) == ("pass", Kind.PASS)
    assert [(name, item.value, item.story, item.slice) for name, item in got.items.items()] == [
        ("a", 1.0, "s1", "hops=3"),
        ("7", 0.0, "4", "hops=3"),
        ("c", None, "", ""),
        ("d", 1.0, "", ""),
    ]


def test_a_byte_order_mark_crlf_blank_lines_and_no_last_line_break(tmp_path: Path) -> None:
    path = wrote(
        tmp_path, b'\xef\xbb\xbf{"id": "a", "pass": true}\r\n\r\n  \n{"id": "\xc3\xa9", "pass": false}'
    )
    assert values(path) == {"a": 1.0, "é": 0.0}


def test_numbers_of_every_size_and_what_is_none(tmp_path: Path) -> None:
    given = [
        "0.5",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "9" * 5000,
        "9" * 309,
        "null",
        '"nan"',
        '"-inf"',
        "true",
        "3",
    ]
    text = "\n".join(f'{{"id": {at}, "score": {each}}}' for at, each in enumerate(given))
    nothing = [None] * 9
    assert list(values(wrote(tmp_path, text)).values()) == [0.5, *nothing, 1.0, 3.0]


def test_what_is_compared_where_nothing_is_chosen(tmp_path: Path) -> None:
    path = wrote(
        tmp_path, '{"id": 1, "pass": null, "score": 0.5, "nll": 12.5, "num_tokens": 5, "reward": -2}'
    )
    assert values(path) == {"1": 0.5}  # every `pass` is undecided, as where a task has scores alone
    assert read(path).others == ("pass", "nll")
    assert values(path, "pass") == {"1": None}
    assert values(path, "reward") == {"1": -2.0}
    nll = read(path, Choice("nll"))
    assert (nll.items["1"].value, nll.items["1"].size) == (-12.5, 5)
    assert (nll.kind, nll.falls, nll.unit) == (Kind.LIKELIHOOD, True, "token")
    other = read(wrote(tmp_path, '{"id": 1, "loglikelihood": -3.5}'))
    assert (other.items["1"].value, other.kind, other.falls, other.unit) == (-3.5, Kind.LIKELIHOOD, False, "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no line; the file has one JSON object a line"),
        ("\n \n", "holds no line"),
        ('{"id": 1, "pass": "true"}', r'line 1: `pass`: must be a number, true, false or null, got "true"'),
        ('{"id": 1, "pass": 0.5}', r"line 1: `pass` must be true, false or null, got 0.5"),
        ('{"id": 1, "score": [1]}', r"line 1: `score`: must be a number, true, false or null, got \[1\]"),
        ('{"id": 1, "score": "0.5"}', 'got "0.5"'),
        (
            '{"id": 1, "answer": 3}',
            "needs one of pass, score, nll, loglikelihood, logprob, or --metric KEY; it has id, answer",
        ),
        ('{"id": 1, "pass": true}\n{"id": 2}', "line 2: has no `pass`; it has id"),
        ('{"pass": true, "name": 1}', "line 1: has no `id`; it has pass, name"),
        ('{"id": null, "pass": true}', "line 1: an id must be a text or a whole number, got null"),
        ("{}", "line 1: needs one of pass, .* or --metric KEY; it has nothing"),
        ('{"id": true, "pass": true}', "got true"),
        ('{"id": 1.5, "pass": true}', "an id must be a text or a whole number, got 1.5"),
        ('{"id": "", "pass": true}', 'got ""'),
        (f'{{"id": {"9" * 400}, "pass": true}}', "an id must be a text or a whole number, got Infinity"),
        ('{"id": 1, "pass": true}\n\n{"id": "1", "pass": true}', 'line 3: id "1" is already taken by line 1'),
        (
            '{"id": 1, "pass": true, "story": [1]}',
            r"`story`: an id must be a text or a whole number, got \[1\]",
        ),
        ('{"id": 1, "nll": 3, "num_tokens": 0}', "line 1: `num_tokens` must be a whole number from 1, got 0"),
        ('{"id": 1, "nll": 3, "num_tokens": true}', "`num_tokens` must be a whole number from 1, got true"),
        ('{"id": 1, "pass": tru', "line 1: not valid JSON: Expecting value"),
        ('{"id": 1, "pass": true, "id": 2}', "line 1: the key 'id' is given twice"),
        ("[1]", r"line 1: must be a JSON object, got \[1\]; the file must hold one JSON object a line"),
        ('[\n{"id": 1, "pass": true}\n]', "line 1: not valid JSON: .* must hold one JSON object a line"),
        ("[" * 200_000, "line 1: not valid JSON: nested too deeply"),
        (b'{"id": "\xff", "pass": true}', "line 1: not valid UTF-8 at byte 9"),
        (json.dumps({"id": "x" * 500 + "\n", "pass": 7}), "`pass` must be true, false or null, got 7"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    path = wrote(tmp_path, text)
    with pytest.raises((CompareError, RowError), match=sentence) as error:
        read(path)
    message = str(error.value)
    assert message.startswith(str(path)) and "\n" not in message and len(message) < len(str(path)) + 200


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RowError, match="cannot be read: No such file"):
        read(tmp_path / "none.jsonl")


@pytest.mark.parametrize("choice", [Choice(filter="none"), Choice(tasks=("arc",))])
def test_options_of_the_harness_mean_nothing_for_other_files(tmp_path: Path, choice: Choice) -> None:
    with pytest.raises(
        CompareError, match="is no sample file of lm-evaluation-harness: --(filter|task) has no"
    ):
        read(wrote(tmp_path, '{"id": 1, "pass": true}'), choice)


def test_two_files_of_the_same_items(tmp_path: Path) -> None:
    old = wrote(tmp_path, '{"id": 1, "pass": true}\n{"id": "b", "pass": false, "story": "s"}', "old.jsonl")
    new = wrote(tmp_path, '{"id": "b", "pass": true}\n{"id": "1", "pass": true}', "new.jsonl")
    got = compare(*read_pair(old, new))
    assert (got.won, got.lost, got.items_won) == (1, 0, ("b",))
    lacks = wrote(tmp_path, '{"id": 1, "pass": true}', "lacks.jsonl")
    with pytest.raises(CompareError, match=r"lacks.jsonl lacks 1 item of the 2 in .*old.jsonl: b"):
        read_pair(old, lacks)
    scored = wrote(tmp_path, '{"id": 1, "score": 1}\n{"id": "b", "score": 1}', "scored.jsonl")
    with pytest.raises(CompareError, match=r"old.jsonl is measured by pass, .*scored.jsonl by score: choose"):
        read_pair(old, scored)


def test_a_hash_of_results_changes_with_what_is_compared_and_with_nothing_else(tmp_path: Path) -> None:
    first = read(wrote(tmp_path, '{"id": 1, "pass": true}\n{"id": 2, "pass": false}'))
    same = read(
        wrote(tmp_path, '\r\n{"pass": 0, "id": "2", "reply": "x"}\r\n{"id": 1, "pass": 1}', "other.jsonl")
    )
    assert first.digest() == same.digest()
    for text in (
        '{"id": 1, "pass": true}\n{"id": 2, "pass": true}',
        '{"id": 1, "pass": true, "story": 1}\n{"id": 2, "pass": false}',
    ):
        assert read(wrote(tmp_path, text, "changed.jsonl")).digest() != first.digest()

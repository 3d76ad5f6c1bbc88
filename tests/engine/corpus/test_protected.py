"""What a model is evaluated on is read from files in any layout, and from public sets by name."""

from pathlib import Path

import pytest

from engine.corpus.protected import protected_in
from engine.corpus.stations import CurationError
from engine.disk.jsonl import RowError
from tests.support.records_files import write_rows

LONG = "What would you do with twelve eggs, a bag of flour and no oven at all?"


def test_what_is_asked_is_protected_in_whatever_layout(tmp_path: Path) -> None:
    rows = [
        {"question": "Why?", "answer": "So.", "id": 7, "source": "book"},
        {"prompt": LONG, "response": "Yes.", "meta": {"note": f"{LONG} Really?"}},
        {"messages": [
            {"role": "system", "content": f"{LONG} You are kind."},
            {"role": "user", "content": "How?"},
            {"role": "assistant", "content": "So."},
        ]},
        {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": f"I say: {LONG}"}]},
        {"doc": {"instruction": "Sum it up.", "choices": ["a", "b"]}},
    ]  # fmt: skip
    file = str(write_rows(tmp_path / "test.jsonl", rows))
    found = sorted((where.removeprefix(f"{file}, line "), text) for text, where in protected_in([file, file]))
    assert found == [
        ("1", "Why?"),
        ("2", LONG),
        ("2", f"{LONG} Really?"),
        ("3", "How?"),
        ("4", f"I say: {LONG}"),
        ("4", "Who?"),
        ("5", "Sum it up."),
    ]


def test_the_lines_of_a_text_file_are_protected(tmp_path: Path) -> None:
    file = tmp_path / "test.txt"
    file.write_text("\ufeffWhy?\n\n  \nHow so?\r\n")
    assert [(text.strip(), where) for text, where in protected_in([str(file)])] == [
        ("Why?", f"{file}, line 1"),
        ("How so?", f"{file}, line 4"),
    ]


def test_a_public_set_is_protected_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of the same name is read in place of the hub, so that no network is needed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "acme" / "sums"
    folder.mkdir(parents=True)
    write_rows(folder / "test.jsonl", [{"question": "What is 2 + 2?", "answer": "4"}, {"question": LONG}])
    assert protected_in(["hub:acme/sums/test"]) == [
        ("What is 2 + 2?", "hub:acme/sums/test, row 1"),
        (LONG, "hub:acme/sums/test, row 2"),
    ]
    with pytest.raises(CurationError, match="hub:acme/sums/train cannot be read: Unknown split"):
        protected_in(["hub:acme/sums/train"])
    for name in ("hub:", "hub:acme/sums", "hub:acme//test", "hub:a/b/c/d/e"):
        with pytest.raises(CurationError, match=f"a public set is named hub:OWNER/NAME/SPLIT.*got '{name}'"):
            protected_in([name])


def test_files_that_cannot_be_protected_are_refused(tmp_path: Path) -> None:
    for name in ("none.txt", "none.jsonl"):
        with pytest.raises((CurationError, RowError), match="cannot be read: No such file"):
            protected_in([str(tmp_path / name)])
    for name, content in (("empty.txt", b"\n"), ("empty.jsonl", b'{"a": "b"}\n')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CurationError, match=f"contamination.against: .*{name} holds no text"):
            protected_in([str(tmp_path / name)])
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(CurationError, match="is not valid UTF-8 at byte 4"):
        protected_in([str(tmp_path / "latin.txt")])
    (tmp_path / "list.jsonl").write_bytes(b"[1]\n")
    with pytest.raises(RowError, match="must be a JSON object"):
        protected_in([str(tmp_path / "list.jsonl")])

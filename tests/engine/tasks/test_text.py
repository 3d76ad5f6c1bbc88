"""The task `text`: what a document is, which part its passages go to, and what is refused in one sentence."""

from pathlib import Path
from typing import Any

import pytest

from configs.load import ConfigError, from_tree, load
from configs.tasks import TextTask
from engine.preflight.blocks import examine_records, needs_of, require_records
from engine.preflight.doctor import require_parts
from engine.records import Passage, Problem
from engine.tasks import load_task, read_file, suite_of
from engine.tasks.fixed import Fixed
from engine.tasks.lines import PARTS
from engine.tasks.suite import DataError
from engine.tasks.text import gather, problems_in
from tests.support.records_files import write_rows
from tests.support.text_files import SENTENCE, library, text_settings


def suite_on(*files: str | Path, **keys: Any) -> Fixed:
    suite = load_task("text").open(text_settings(*files, **keys))
    assert isinstance(suite, Fixed)
    return suite


def book_of(problem: Problem) -> str:
    assert isinstance(problem.truth, Passage)
    return problem.truth.text.split()[4]


def refusal(*files: str | Path, **keys: Any) -> str:
    with pytest.raises(DataError) as error:
        suite_on(*files, **keys)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_files_of_every_kind_become_passages_with_their_places(tmp_path: Path) -> None:
    plain, page = tmp_path / "a.txt", tmp_path / "b.md"
    plain.write_text("\ufeff\n\nOne two three four\nfive six seven eight.\n\nShort.\n", encoding="utf-8")
    page.write_text("# Nine\nten eleven twelve thirteen fourteen sixteen seventeen eighteen.\n")
    rows = [{"text": "A record of eight words is long enough.", "id": "x7", "slice": "law", "url": "u"}]
    read = gather(text_settings(plain, page, write_rows(tmp_path / "c.jsonl", rows), words=20))
    assert (read.num_documents, read.num_short, read.gathered.faults) == (3, 0, ())
    assert read.gathered.ignored == {"url": 1}
    one, two, three = problems_in(text_settings(plain, page, tmp_path / "c.jsonl", words=20))
    assert isinstance(one.truth, Passage)
    assert one.truth.text == "One two three four five six seven eight.\n\nShort."
    assert (one.origin, two.origin, three.origin) == ("a.txt#3", "b.md#1", "c.jsonl#x7")
    assert [(each.slice, each.turns, each.gold, each.split) for each in (one, two, three)] == [
        ("all", (), (), "public"),
        ("all", (), (), "public"),
        ("law", (), (), "public"),
    ]
    assert read_file(text_settings("elsewhere.txt", words=20), page) == [two]
    assert load_task("text").read(page) == [two]


def test_patterns_and_files_of_packages_are_found(tmp_path: Path) -> None:
    for name in ("b/two.md", "a/one.md", "a/deep/three.md", "a/skip.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"The page {name} has eight words in all, or more.")
    found = problems_in(text_settings(f"{tmp_path}/**/*.md", f"{tmp_path}/a/one.md"))
    assert [each.origin for each in found] == ["three.md#1", "one.md#1", "two.md#1"]
    (tmp_path / "odd[1].txt").write_text("A file may be called by letters that patterns use, too.")
    assert len(problems_in(text_settings(tmp_path / "odd[1].txt"))) == 1
    assert refusal(tmp_path / "*.rst") == f"{tmp_path}/*.rst: matches no file"
    assert refusal("package:nonsense_xyz/a.txt") == (
        "package:nonsense_xyz/a.txt: no package 'nonsense_xyz' is installed"
    )


def test_a_document_never_falls_into_two_parts_and_is_asked_once_where_it_judges(tmp_path: Path) -> None:
    suite = suite_on(library(tmp_path, 120), words=20)
    books = {part: {book_of(record.problem) for record in suite.records(part)} for part in PARTS}
    assert sum(map(len, books.values())) == 120 == len(set().union(*books.values()))
    assert suite.sizes["train"] == 4 * len(books["train"]) and suite.sizes["gate"] == len(books["gate"])
    asked = suite.draw(suite.sizes["gate"], split="gate", seed=1)
    assert sorted(map(book_of, asked)) == sorted(books["gate"])
    with pytest.raises(DataError, match="needs 200 passages of the gate part that nothing has used, but "):
        suite.draw(200, split="gate", seed=1)
    apart = suite_on(library(tmp_path, 120), words=20, divide="passages")
    assert sum(apart.sizes.values()) == 480
    divided = [{book_of(record.problem) for record in apart.records(part)} for part in PARTS]
    assert sum(map(len, divided)) > 120, "the chapters of a book now go their own ways"


def test_parts_follow_neither_names_nor_order_of_files(tmp_path: Path) -> None:
    first = suite_on(library(tmp_path, 60), words=20)
    rows = (tmp_path / "library.jsonl").read_text().splitlines()
    (tmp_path / "other.jsonl").write_text("\n".join(reversed(rows)))
    assert suite_on(tmp_path / "other.jsonl", words=20).digest == first.digest
    assert suite_on(tmp_path / "other.jsonl", words=40).digest != first.digest


def test_documents_of_one_source_stay_together_and_a_split_of_their_own_decides(tmp_path: Path) -> None:
    texts = [SENTENCE.format(1, book, book) for book in range(40)]
    rows = [{"text": text, "source": f"s{i % 5}"} for i, text in enumerate(texts)]
    suite = suite_on(write_rows(tmp_path / "a.jsonl", rows))
    assert sum(len({record.story for record in suite.records(part)}) for part in PARTS) == 5
    rows = [{"text": text, "split": "test" if i % 2 else "train"} for i, text in enumerate(texts)]
    suite = suite_on(write_rows(tmp_path / "b.jsonl", rows))
    assert suite.sizes["train"] == 20
    assert all(int(book_of(record.problem)) % 2 == 0 for record in suite.records("train"))


def test_a_passage_that_occurs_again_is_used_once(tmp_path: Path) -> None:
    notice = "All rights are reserved, and this notice stands on every page of the book."
    rows = [{"text": f"{notice}\n\n{SENTENCE.format(1, book, book)}"} for book in range(3)]
    read = gather(text_settings(write_rows(tmp_path / "a.jsonl", rows), words=20))
    assert len(read.gathered.lines) == 4 and len(read.gathered.repeats) == 2
    rows = [row | {"split": part} for row, part in zip(rows, ("train", "gate", "gate"), strict=True)]
    said = refusal(write_rows(tmp_path / "b.jsonl", rows), words=20)
    assert "b.jsonl, line 2: repeats " in said and "b.jsonl, line 1, in another split" in said


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"", "FILE: holds no text"),
        ("a.txt", b" \n\n\t\n", "FILE: holds no text"),
        ("a.txt", b"word\nw\xf6rd", "FILE, line 2: not valid UTF-8 at byte 7"),
        ("a.txt", b"a\x00b", "FILE: the file holds the character '\\x00', which is no text"),
        ("a.md", b"# Title\n\nToo few words.", "FILE: holds no passage of 8 words or more"),
        ("a.pdf", b"%PDF", "FILE: must end in .txt, .md, .jsonl, .ndjson to be read as text"),
        ("a.jsonl", b"\n", "FILE: holds no text; the file has one JSON object a line"),
        (
            "a.jsonl",
            b"[1]",
            "FILE, line 1: must be a JSON object, got [1]; the file must hold one JSON object a line",
        ),
        ("a.jsonl", b'{"txt": "a"}', "FILE, line 1: unknown key 'txt'; did you mean 'text'?"),
        ("a.jsonl", b'{"body": "a"}', "FILE, line 1: missing key 'text'; it has body"),
        ("a.jsonl", b'{"text": 3}', "FILE, line 1: 'text' must be text, got 3"),
        ("a.jsonl", b'{"text": " "}', "FILE, line 1: 'text' must not be empty"),
        (
            "a.jsonl",
            b'{"text": "a", "story": "s", "source": "t"}',
            "FILE, line 1: must have 'story' or 'source', got both",
        ),
        (
            "a.jsonl",
            b'{"text": "a", "split": "dev"}',
            "FILE, line 1: 'split' must be one of train, probe, gate, sealed, test, got 'dev'",
        ),
        (
            "a.jsonl",
            b'{"text": "a", "id": 7}\n{"text": "b", "id": 7}',
            "FILE, line 2: the id '7' is that of FILE, line 1",
        ),
        (
            "a.jsonl",
            b'{"text": "a", "story": "s"}\n{"text": "b", "story": "s", "split": "gate"}',
            "FILE, line 2: its story 's' is in another split in FILE, line 1",
        ),
        (
            "a.jsonl",
            b'{"text": 1}\n{}',
            "FILE, line 1: 'text' must be text, got 1 (and 1 more fault: `ratchet data check` lists them)",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).replace(str(tmp_path / name), "FILE") == sentence


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "none.txt")
        == f"{tmp_path / 'none.txt'}: cannot be read: No such file or directory"
    )
    assert refusal(tmp_path / "none.jsonl").endswith("cannot be read: No such file or directory")


def test_mistakes_of_a_config_are_one_sentence() -> None:
    for task, sentence in (
        ({}, "key task.files is missing"),
        ({"files": []}, "task.files must not be empty"),
        ({"files": "a.txt"}, "task.files must be a list, got 'a.txt'"),
        ({"files": ["a.txt"], "word": 9}, "unknown key task.word; did you mean task.words?"),
        ({"files": ["a.txt"], "file": "a"}, "unknown key task.file with task text"),
        ({"files": ["a.txt"], "divide": "pages"}, "task.divide must be 'documents' or 'passages'"),
    ):
        with pytest.raises(ConfigError) as error:
            from_tree({"name": "a", "line": "a/b", "task": {"name": "text"} | task}, "test")
        assert sentence in str(error.value)
    with pytest.raises(
        ConfigError, match="notes.txt holds text: a config names it, `task: {name: text, files"
    ):
        load("notes.txt")
    with pytest.raises(DataError, match="notes.md holds text: a config names it"):
        load_task("notes.md")
    with pytest.raises(ConfigError, match="notes.md holds text: a config names it"):
        from_tree({"name": "a", "line": "a/b", "task": {"name": "notes.md"}}, "test")


def test_too_few_documents_for_the_looks_of_the_gate_are_refused(tmp_path: Path) -> None:
    task = {"name": "text", "files": [str(library(tmp_path, 100))], "words": 20}
    small = {"baseline": None, "warm_start": None, "final": {"num_problems": 5}, "stop": {"rounds": 1}}
    small["loop"] = {"probe": {"num_problems": 5}, "num_problems": 20}
    tree = {"name": "a", "line": "a/b", "task": task, "gate": {"looks": 4, "look_size": 20}} | small
    config = from_tree(tree, "test")
    with pytest.raises(DataError) as error:
        require_records(config, suite_of(config), tmp_path / "home")
    said = str(error.value)
    assert said.startswith("the passages do not suffice: of 400 the gate part has ")
    assert ", one of each document, but 80 are needed (1 test of gate.looks 4 x look_size 20)" in said
    assert "; task.divide=passages is for a single long text; with task.per_test=true tests share" in said

    apart = from_tree(tree | {"task": task | {"divide": "passages"}}, "test")
    suite = suite_of(apart)
    found = {each.what: each for each in examine_records(apart, suite, tmp_path / "home")}
    assert found["gate"].section == "passages"
    assert found["gate tests left"].found == "1, on 80 fresh passages"
    assert {need.part: need.num for need in needs_of(apart, suite)}["gate"] == 80, "nothing is sampled"
    # The default baseline shows solved problems where there are any; a passage has none to show.
    require_records(
        from_tree(tree | {"task": task | {"divide": "passages"}, "baseline": {}}, "test"), suite, tmp_path
    )
    assert require_parts(apart).task.exam == "likelihood"


def test_the_shipped_corpus_has_enough_passages() -> None:
    config = load("configs/error-driven-text.yaml")
    suite = suite_of(config)
    assert isinstance(suite, Fixed) and isinstance(config.task, TextTask)
    assert sum(len(suite.records(part)) for part in PARTS) == 1342
    assert all(need.num <= suite.sizes[need.part] for need in needs_of(config, suite))

"""Files become three sets, what was left out and a card; twice, killed, grown and with other settings."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.corpus import chunks, workers
from engine.corpus.pipeline import curate
from engine.corpus.stations import Curated, CurationError
from engine.disk.jsonl import objects
from engine.tasks.curated import read_curated
from engine.tasks.examples import SPLITS
from tests.support.examples import curated_rows, file_of, rows, settings

PLAIN = settings()


def by_text(folder: Path) -> dict[str, str]:
    """The set of each row, by what is learnt and what is asked."""
    return {f"{row['messages']}": split for split, row in curated_rows(folder)}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def run(folder: Path, *given: list[dict[str, Any]], told: Any = PLAIN) -> Curated:
    names = [file_of(folder / f"{'abc'[at]}.jsonl", each) for at, each in enumerate(given)]
    return curate(names, told, folder / "out", workers=1)


def test_three_sets_and_a_card_come_of_files(tmp_path: Path) -> None:
    told = [*rows(50), {"prompt": "Who?"}, rows(1)[0], rows(1, seed=1)[0] | {"id": "mine", "story": "s"}]
    pair = {"prompt": "What is a fjord?", "chosen": "A long inlet.", "rejected": "Some kind of car."}
    curated = run(tmp_path, told, [pair])
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        ".parts",
        "card.html",
        "card.json",
        "removed.jsonl",
        "snapshot.json",
        "splits.npz",
        "test.jsonl",
        "train.jsonl",
        "validation.jsonl",
    ]
    assert dict(curated.splits) == {"train": 42, "validation": 5, "test": 5}
    assert [len(objects(out / f"{name}.jsonl")) for name in SPLITS] == [42, 5, 5]
    assert [(row["number"], row["station"], row["fault"]) for row in objects(out / "removed.jsonl")] == [
        (51, "layout", "layout"),
        (52, "duplicates", "duplicate"),
    ]
    assert objects(out / "removed.jsonl")[1]["reason"].endswith(
        "is the same as " + f"{tmp_path}/a.jsonl, line 1"
    )
    found = {row["source"]: row for _, row in curated_rows(out)}
    mine = found[f"{tmp_path}/a.jsonl, line 53"]
    assert (mine["id"], mine["story"]) == ("mine", "s")
    assert mine["messages"][0] == {"role": "user", "content": told[-1]["prompt"]}
    assert found[f"{tmp_path}/b.jsonl, line 1"].keys() == {*pair, "id", "source"}, "it has no story"
    assert pair.items() <= found[f"{tmp_path}/b.jsonl, line 1"].items()
    ids = [row["id"] for row in found.values()]
    assert len(set(ids)) == 52 and all(len(each) == 16 for each in ids if each != "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "out"]


def test_the_card_and_the_snapshot_say_what_was_done(tmp_path: Path) -> None:
    curated = run(tmp_path, [*rows(30), rows(1)[0]])
    assert [(source.lines, len(source.sha256)) for source in curated.sources] == [(31, 64)]
    counts = list(curated.counts.values())
    assert [tally.entered for tally in counts[1:]] == [tally.left for tally in counts[:-1]]
    assert counts[0].entered == 31 and counts[-1].left == 30
    assert list(curated.counts) == [
        "layout", "form", "private", "length", "quality", "pairs", "conflicts", "duplicates", "split"
    ]  # fmt: skip
    prompts, replies = curated.histograms["prompt"], curated.histograms["reply"]
    assert sum(prompts.counts) == sum(replies.counts) == 30
    assert len(prompts.edges) == len(prompts.counts) + 1
    assert {name: len(each) for name, each in curated.samples.items()} == {
        "train": 5,
        "validation": 3,
        "test": 3,
    }
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["counts"]["duplicates"]["removed"] == {"duplicate": 1}
    assert card["settings"]["private"]["action"] == "mask"
    snapshot = json.loads((tmp_path / "out" / "snapshot.json").read_text())
    assert snapshot["id"] == curated.snapshot and snapshot["sources"][0]["lines"] == 31
    assert set(snapshot["files"]) == {
        "train.jsonl",
        "validation.jsonl",
        "test.jsonl",
        "removed.jsonl",
        "splits.npz",
    }
    assert "<script" not in (tmp_path / "out" / "card.html").read_text()


def test_the_same_call_gives_the_same_bytes(tmp_path: Path) -> None:
    told = rows(40)
    run(tmp_path, told)
    first = contents(tmp_path / "out")
    again = run(tmp_path, told)
    second = contents(tmp_path / "out")
    changed = {name for name in first if first[name] != second[name]}
    assert first.keys() == second.keys()
    assert changed <= {"card.html", "card.json", "snapshot.json"}, "these name the snapshot before"
    assert again.before == again.snapshot
    assert again.gone == sum(again.added.values()) == 0


def test_a_further_file_moves_nothing_and_reads_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, rows(60))
    before = by_text(tmp_path / "out")
    read: list[str] = []
    real = workers.make_part
    monkeypatch.setattr(
        workers, "make_part", lambda chunk, *rest: (read.append(chunk.file), real(chunk, *rest))
    )
    more = run(tmp_path, rows(60), rows(40, seed=1))
    after = by_text(tmp_path / "out")
    assert [Path(name).name for name in read] == ["b.jsonl"]
    assert before.items() <= after.items() and len(after) == 100
    assert sum(more.added.values()) == 40 and more.gone == 0
    less = run(tmp_path, rows(60)[:30])
    assert less.gone == 70 and by_text(tmp_path / "out").items() <= before.items()
    assert len(list((tmp_path / "out" / ".parts").iterdir())) == 1


@pytest.mark.slow
def test_what_is_gone_comes_back_into_its_set(tmp_path: Path) -> None:
    told, others = rows(80), rows(40, seed=1)
    run(tmp_path, told, others)
    before = by_text(tmp_path / "out")
    less = run(tmp_path, told[:40], rows(40, seed=2))
    assert less.gone == 80 and sum(less.added.values()) == 40
    again = run(tmp_path, told[:40], rows(40, seed=2))
    assert again.gone == 0 == sum(again.added.values()), "what was gone before is not gone again"
    whole = run(tmp_path, told, others, rows(40, seed=2))
    assert before.items() <= by_text(tmp_path / "out").items()
    assert sum(whole.added.values()) == 80 and whole.gone == 0


def test_a_question_that_was_asked_stays_in_its_set_with_another_reply(tmp_path: Path) -> None:
    told = rows(80)
    run(tmp_path, told)
    asked = {row["messages"][0]["content"]: split for split, row in curated_rows(tmp_path / "out")}
    for given in (rows(20, seed=1), [{**row, "response": "Something else."} for row in told]):
        run(tmp_path, given, told=settings("seed=5"))
    found = {row["messages"][0]["content"]: split for split, row in curated_rows(tmp_path / "out")}
    assert found == asked


def test_a_directory_of_an_earlier_version_keeps_its_sets(tmp_path: Path) -> None:
    run(tmp_path, rows(60))
    before, out = by_text(tmp_path / "out"), tmp_path / "out"
    with np.load(out / "splits.npz") as columns:
        packed = BytesIO()
        np.savez(packed, keys=columns["keys"], splits=columns["splits"])
    described = json.loads((out / "snapshot.json").read_bytes())
    described["files"]["splits.npz"] = sha256(packed.getvalue()).hexdigest()
    (out / "splits.npz").write_bytes(packed.getvalue())
    (out / "snapshot.json").write_text(json.dumps(described))
    more = run(tmp_path, rows(60), rows(30, seed=1))
    assert before.items() <= by_text(out).items() and sum(more.added.values()) == 30 and more.gone == 0


def test_what_is_new_gives_way_to_what_was_there(tmp_path: Path) -> None:
    told = rows(20)
    run(tmp_path, told)
    before = by_text(tmp_path / "out")
    twin = {**told[4], "response": f"Well, {told[4]['response']}"}
    # The new file is read first.
    names = [file_of(tmp_path / "new.jsonl", [twin]), str(tmp_path / "a.jsonl")]
    curate(names, PLAIN, tmp_path / "out", workers=1)
    assert by_text(tmp_path / "out") == before
    (removed,) = objects(tmp_path / "out" / "removed.jsonl")
    assert removed["fault"] == "near_duplicate" and removed["reason"].endswith("a.jsonl, line 5")


def test_other_settings_make_other_parts_but_move_nothing(tmp_path: Path) -> None:
    told = [*rows(30), {"prompt": "Mail ann.reed@acme-tools.com?", "response": "Yes, do so at once."}]
    run(tmp_path, told)
    before = by_text(tmp_path / "out")
    assert any("[mail]" in text for text in before)
    dropped = run(
        tmp_path, told, told=settings("private.action=drop", "seed=3", "shares={train: 0.2, test: 0.7}")
    )
    after = by_text(tmp_path / "out")
    assert after.items() < before.items() and len(after) == 30
    assert dropped.counts["private"].removed == {"mail": 1} and dropped.gone == 1


@pytest.mark.slow
def test_files_in_several_processes_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts two processes, which takes seconds."""
    # The other processes make what is cut here.
    monkeypatch.setattr(chunks, "_LINES", 20)
    told = [*rows(70), {"prompt": "Who?"}]
    name = file_of(tmp_path / "a.jsonl", told)
    curate([name], PLAIN, tmp_path / "one", workers=1)
    curate([name], PLAIN, tmp_path / "two", workers=2)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert len([name for name in one if name.endswith("columns.npz")]) == 4
    for set_ in (*SPLITS, "removed"):
        assert one[f"{set_}.jsonl"] == two[f"{set_}.jsonl"]


def test_only_the_best_share_is_kept(tmp_path: Path) -> None:
    told = [*rows(20), {"prompt": "Why is the sky blue in the morning?", "response": "No idea."}]
    curated = run(tmp_path, told, told=settings("quality.keep_share=0.95"))
    assert curated.counts["share"].removed == {"below_share": 1}
    (removed,) = objects(tmp_path / "out" / "removed.jsonl")
    assert removed["number"] == 21 and removed["reason"].endswith("quality.keep_share keeps the best 95%")


def test_near_twins_that_are_kept_are_in_one_set(tmp_path: Path) -> None:
    told = rows(40)
    twins = [{**row, "response": f"Well, {row['response']}"} for row in told]
    run(tmp_path, told, twins, told=settings("duplicates.near=false"))
    sets: dict[str, Counter[str]] = {}
    for split, row in curated_rows(tmp_path / "out"):
        sets.setdefault(row["messages"][0]["content"], Counter())[split] += 1
    assert len(sets) == 40
    assert all(len(each) == 1 and each.total() == 2 for each in sets.values())
    # A training divides the set further, and keeps them together by what the rows say.
    read = [each for split in SPLITS for each in read_curated(tmp_path / "out" / f"{split}.jsonl")]
    named = Counter((each.cluster, each.prompt) for each in read)
    assert set(named.values()) == {2} and len({cluster for cluster, _ in named}) == 40
    assert all(re.fullmatch("[0-9a-f]{16}", cluster) for cluster, _ in named)


def test_conflicts_take_their_duplicates_with_them(tmp_path: Path) -> None:
    asked = "Is this mail spam: win a car today"
    told = [
        {"prompt": asked, "response": "spam"},
        {"prompt": f" {asked}", "response": "spam"},
        {"prompt": asked, "response": "ham"},
        *rows(10),
    ]
    curated = run(tmp_path, told)
    assert curated.counts["conflicts"].removed == {"label_conflict": 2}
    assert curated.counts["duplicates"].removed == {"duplicate": 1}
    assert sum(curated.splits.values()) == 10


def test_a_curated_file_can_be_curated_again(tmp_path: Path) -> None:
    chat = [
        {"role": role, "content": text} for role, text in zip(["user", "assistant"] * 2, "abcd", strict=True)
    ]
    run(tmp_path, [*rows(20), {"messages": chat}])
    again = curate([str(tmp_path / "out" / "train.jsonl")], PLAIN, tmp_path / "again", workers=1)
    assert sum(again.splits.values()) == len(list(read_curated(tmp_path / "out" / "train.jsonl")))


def test_an_array_is_curated_as_its_lines_would_be(tmp_path: Path) -> None:
    told = [*rows(20), {"instruction": "Say it.", "input": "", "output": "So it is, as all of us know."}, 7]
    (tmp_path / "a.json").write_text(json.dumps(told, indent=2))
    curated = curate([str(tmp_path / "a.json")], PLAIN, tmp_path / "out", workers=1)
    assert curated.sources[0].lines == 22 and sum(curated.splits.values()) == 21
    (removed,) = objects(tmp_path / "out" / "removed.jsonl")
    assert (removed["number"], removed["fault"]) == (22, "json")
    lines = curate([file_of(tmp_path / "a.jsonl", told[:-1])], PLAIN, tmp_path / "lines", workers=1)
    assert by_text(lines.directory) == by_text(curated.directory)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a.jsonl holds nothing; a file has one JSON object a line"),
        ("\n \n", "nothing is left of 0 lines: all are blank"),
        ('{"a": 1}\n[\n', "nothing is left of 2 lines: 1 × layout, 1 × json; the first: "),
    ],
)
def test_nothing_is_written_where_nothing_is_left(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(CurationError) as caught:
        curate([str(tmp_path / "a.jsonl")], PLAIN, tmp_path / "out", workers=1)
    assert words in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_wrong_files_and_settings_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    name = file_of(tmp_path / "a.jsonl", rows(3))
    with pytest.raises(CurationError, match="no heuristic"):
        curate([name], settings("quality.drop=[beauty]"), tmp_path / "out", workers=1)
    with pytest.raises(CurationError, match="cannot be read"):
        curate([name, str(tmp_path / "b.jsonl")], PLAIN, tmp_path / "out", workers=1)
    with pytest.raises(CurationError, match="which is to be replaced"):
        curate([name], PLAIN, tmp_path, workers=1)
    latin = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl")
    os.rename(file_of(tmp_path / "b.jsonl", rows(1)), latin)
    with pytest.raises(CurationError, match=r"must be valid UTF-8, got .*caf\\udce9\.jsonl': rename it"):
        curate([latin], PLAIN, tmp_path / "out", workers=1)
    os.unlink(latin)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_refusal_leaves_the_directory_as_it_was(tmp_path: Path) -> None:
    run(tmp_path, rows(10))
    before = contents(tmp_path / "out")
    secret = [{"prompt": "Mail ann.reed@acme-tools.com?", "response": "Yes, do so at once."}]
    with pytest.raises(CurationError, match=r"b\.jsonl, line 1 holds private data"):
        run(tmp_path, rows(10), secret, told=settings("private.action=refuse"))
    assert contents(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "out"]


CODE = """
import sys
from pathlib import Path
from engine.corpus import chunks
from engine.corpus.pipeline import curate
from tests.support.examples import settings
chunks._LINES = 20
if __name__ == "__main__":
    curate(sys.argv[2:], settings(), Path(sys.argv[1]), workers=1)
"""


def killed_at(fault: str, out: Path, *files: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", CODE, str(out), *files], env={**os.environ, "RATCHET_FAULT": fault}
    ).returncode


@pytest.mark.slow
def test_what_is_killed_goes_on_and_ends_with_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts four processes, which import what curation needs."""
    monkeypatch.setattr(chunks, "_LINES", 20)
    name, out = file_of(tmp_path / "a.jsonl", rows(70)), tmp_path / "out"
    assert killed_at("curate/parts:after", out, name) == -signal.SIGKILL
    (made,) = (tmp_path / ".out.new" / ".parts").iterdir()
    stamp = (made / "columns.npz").stat().st_mtime_ns
    assert not out.exists()
    assert killed_at("", out, name) == 0
    assert (out / ".parts" / made.name / "columns.npz").stat().st_mtime_ns == stamp
    before = by_text(out)
    more = file_of(tmp_path / "b.jsonl", rows(30, seed=1))
    assert killed_at("curate/exchange:inside", out, name, more) == -signal.SIGKILL
    assert not out.exists(), "killed between the two renames"
    curated = curate([name, more], PLAIN, out, workers=1)
    assert before.items() <= by_text(out).items() and sum(curated.added.values()) == 30
    whole = curate([name, more], PLAIN, tmp_path / "other", workers=1)
    assert sum(whole.splits.values()) == sum(curated.splits.values()) == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "other", "out"]

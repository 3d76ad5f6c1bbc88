"""What a run remembers, read from its files while it runs and after."""

from pathlib import Path

import pytest

from configs.load import ConfigError
from engine.disk.home import LocateError
from engine.disk.jsonl import RowError
from engine.memory.recollect import Remembered, chosen, remembered, replaced_by
from engine.records import Disposal
from tests.support.judging import held
from tests.support.remembering import ANN, live, run_of


def values(found: Remembered) -> list[str]:
    return [memory.fact.value for memory in found.memories]


def kept_out(found: Remembered) -> list[tuple[int, str]]:
    return [
        (each.day, each.judgement.statement.fact.value)
        for each in found.decided
        if each.judgement.disposal in (Disposal.REJECT, Disposal.UNDECIDED)
    ]


def test_memory_is_that_of_the_last_day_with_the_decisions_of_all(tmp_path: Path) -> None:
    found = remembered(live(run_of(tmp_path / "r")))
    assert (found.run, found.day, values(found)) == ("r", 2, ["Oslo", "Turku", "Port Lenn"])
    assert kept_out(found) == [(1, "1999"), (1, "soup"), (2, "a lamp")]
    old, _, new = found.memories
    assert replaced_by(new, {memory.id: memory for memory in found.memories}) == [old]


def test_memory_as_it_was_after_a_day(tmp_path: Path) -> None:
    run = live(run_of(tmp_path / "r"))
    found = remembered(run, 1)
    assert (found.day, values(found), kept_out(found)) == (1, ["Oslo", "Turku"], [(1, "1999"), (1, "soup")])
    with pytest.raises(LocateError, match=r"^run r has no memory of day 3: there are days 1 to 2$"):
        remembered(run, 3)


def test_a_run_that_is_under_way_shows_what_is_there(tmp_path: Path) -> None:
    """Its lock is held by the process that drives it, and a stage may be half done."""
    run = live(run_of(tmp_path / "r"))
    (run / ".lock").write_text("")
    (run / "rounds/002/memory.jsonl").rename(run / "rounds/002/.memory.jsonl.tmp")
    (run / "rounds/000").mkdir()
    found = remembered(run)
    assert (found.day, values(found)) == (1, ["Oslo", "Turku"])
    assert kept_out(found)[-1] == (2, "a lamp")


def test_nothing_yet_and_never(tmp_path: Path) -> None:
    found = remembered(run_of(tmp_path / "new"))
    assert (found.day, found.memories, found.decided) == (0, (), ())
    with pytest.raises(LocateError, match="has no memory of day 1: its first day has not ended"):
        remembered(tmp_path / "new", 1)
    with pytest.raises(LocateError) as error:
        remembered(run_of(tmp_path / "other", "configs/quickstart.yaml"))
    assert str(error.value) == "run other keeps no memory: its loop is oak_dpo, and only sleep keeps one"
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigError, match="config.yaml"):
        remembered(tmp_path / "none")


def test_days_before_the_run_count(tmp_path: Path) -> None:
    known = tuple(held((ANN, "job", "baker")))
    first = live(run_of(tmp_path / "first"), 0, before=3, known=known)
    found = remembered(first)
    assert (found.day, values(found)) == (3, ["baker"])
    later = live(run_of(tmp_path / "later"), 1, before=3, known=known)
    assert [remembered(later).day, remembered(later, 3).day] == [4, 3]
    assert (values(remembered(later)), values(remembered(later, 3))) == (
        ["baker", "Oslo", "Turku"],
        ["baker"],
    )
    assert kept_out(remembered(later))[0] == (4, "1999")
    with pytest.raises(LocateError, match="of day 1: there are days 3 to 4"):
        remembered(later, 1)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("rounds/001/memory.jsonl", "{}\n", "rounds/001/memory.jsonl, line 1: no Memory: "),
        ("rounds/001/judgements.jsonl", "nonsense\n", "line 1: no Judgement: "),
        ("start.json", "[]", "start.json, line 1: no Start: "),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, text: str, reason: str) -> None:
    run = live(run_of(tmp_path / "r"), 1)
    (run / file).write_text(text)
    with pytest.raises(RowError, match=reason):
        remembered(run)


@pytest.mark.parametrize(
    ("words", "person", "found", "out"),
    [
        ([], "", ["Oslo", "Turku", "Port Lenn"], ["1999", "soup", "a lamp"]),
        (["lenn"], "", ["Oslo", "Port Lenn"], []),
        (["home", "OSLO"], "", ["Oslo", "Port Lenn"], []),
        (["lunch"], "", [], ["soup"]),
        (["guess"], "", [], ["1999"]),
        (["oslo", "turku"], "", [], []),
        ([], "ann reed", ["Oslo", "Port Lenn"], ["1999"]),
        ([], "Anna", ["Turku"], ["soup", "a lamp"]),
        ([], "Reed", ["Oslo", "Turku", "Port Lenn"], ["1999", "soup", "a lamp"]),
        (["turku"], "Ann Reed", [], []),
    ],
)
def test_search(tmp_path: Path, words: list[str], person: str, found: list[str], out: list[str]) -> None:
    """A full name is one person, not all whose names begin so; what was replaced is found with its heir."""
    all_of = remembered(live(run_of(tmp_path / "r")))
    some = chosen(all_of, words, person)
    assert (values(some), [value for _, value in kept_out(some)]) == (found, out)


def test_nobody_of_the_name(tmp_path: Path) -> None:
    found = remembered(live(run_of(tmp_path / "r")))
    with pytest.raises(
        LocateError, match="^run r remembers nobody called 'An': it knows Ann Reed, Anna Reed$"
    ):
        chosen(found, [], "An")
    empty = remembered(run_of(tmp_path / "new"))
    with pytest.raises(LocateError, match="it knows nobody yet$"):
        chosen(empty, [], "Ann")

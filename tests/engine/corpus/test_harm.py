"""What a user's list names is left out wherever a model would learn it; words that only hold it are kept."""

from pathlib import Path

import pytest

from configs.curation import Harm
from engine.corpus.harm import HarmStation
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError
from engine.records import Turn
from tests.support.examples import example


@pytest.fixture
def words(tmp_path: Path) -> str:
    file = tmp_path / "words.txt"
    file.write_text("# what nobody says\n\nzorblax\nto grind the vexo\nquirgle*\ngrüß\n")
    return str(file)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("It was a zorblax.", 3),
        ("ZORBLAX!", 3),
        ("zor\u200bblax", 3),
        ("ｚｏｒｂｌａｘ", 3),
        ("Nobody dares to  grind\nthe Vexo here.", 4),
        ("quirgle", 5),
        ("They quirgled on.", 5),
        ("GRÜSS", 6),
    ],
)
def test_what_the_list_names_is_found(words: str, text: str, line: int) -> None:
    station = HarmStation(Harm(words=words))
    for one in (
        example("Why?", text),
        example(text, "So."),
        example("", "So.", chat=(Turn(role="system", text=text), Turn(role="user", text="Why?"))),
        example("Why?", text, rejected="So."),
    ):
        found = station.judge(one)
        assert isinstance(found, Removal)
        assert (found.station, found.fault) == ("harm", "harmful")
        assert found.reason == f"says what line {line} of {words} lists"


@pytest.mark.parametrize(
    "text", ["zorblaxes", "azorblax", "to grind a vexo", "the vexo to grind", "quirg", "q" * 1_000, ""]
)
def test_what_only_holds_a_listed_word_is_kept(words: str, text: str) -> None:
    one = example("Why?", text)
    assert HarmStation(Harm(words=words)).judge(one) is one


def test_the_rejected_side_of_a_pair_may_say_it(words: str) -> None:
    one = example("Why?", "So.", rejected="It was a zorblax.")
    assert HarmStation(Harm(words=words)).judge(one) is one


def test_without_a_list_nothing_is_looked_for() -> None:
    one = example("Why?", "It was a zorblax.")
    assert HarmStation(Harm())([one]) == ([one], [], {})


def test_where_it_is_refused_nothing_is_curated(words: str) -> None:
    station = HarmStation(Harm(words=words, action="refuse"))
    with pytest.raises(CurationError, match="faq.jsonl, line 1 says what line 3 of .* so nothing is curated"):
        station.judge(example("Why?", "It was a zorblax."))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no word; it must have one word or phrase a line"),
        (b"# nothing\n\n", "holds no word; it must have one word or phrase a line"),
        (b"zorblax\n!!!\n", "line 2 of .* holds no word: '!!!'"),
        (b"to grind*\n", "may end a single word, got 'to grind"),
        (b"caf\xe9\n", "is not valid UTF-8 at byte 4"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(content)
    with pytest.raises(CurationError, match=f"^harm.words: .*{reason}"):
        HarmStation(Harm(words=str(file)))


def test_a_list_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CurationError, match="cannot be read: No such file or directory"):
        HarmStation(Harm(words=str(tmp_path / "none.txt")))

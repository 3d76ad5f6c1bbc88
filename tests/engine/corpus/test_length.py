"""What does not fit the model's context is left out, by its tokenizer where there is one."""

from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from configs.curation import Length
from engine.corpus.length import LengthStation, fitted
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError
from tests.support.examples import example


def is_kept(station: LengthStation, prompt: str, reply: str, rejected: str = "") -> bool:
    fields = {"rejected": rejected} if rejected else {}
    return not isinstance(station.judge(example(prompt, reply, **fields)), Removal)


def test_words_stand_for_tokens_where_no_model_is_named() -> None:
    station = LengthStation(Length(max_tokens=200))
    assert is_kept(station, "word " * 50, "word " * 50)  # 46 for the template, and 140
    found = station.judge(example("word " * 60, "word " * 60))
    assert isinstance(found, Removal)
    assert (found.station, found.fault) == ("length", "too_long")
    assert found.reason == "about 214 tokens; length.max_tokens is 200"


def test_symbols_count_and_several_of_one_in_a_row_once() -> None:
    station = LengthStation(Length(max_tokens=200))
    assert is_kept(station, "word", "a=b[i]+c; " * 14)  # 5.6 for the words and 4.2 for the symbols of each
    assert not is_kept(station, "word", "a=b[i]+c; " * 17)
    assert is_kept(station, "word", f"{'word ' * 80}{'-' * 400}")


def test_a_word_without_end_has_many_tokens() -> None:
    station = LengthStation(Length())
    assert not is_kept(station, "word", "0123456789abcdef" * 4_000)
    lines = "/".join(["kQ4zP0v9Xb7TqLwE2mYsR8dC"] * 1_400)
    assert not is_kept(station, "word", lines)
    assert is_kept(station, "word", "Donaudampfschifffahrtsgesellschaft " * 400)


def test_what_is_left_open_is_the_campaigns(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    base, limits = str(tmp_path), [4096, 1024, 2048]
    assert fitted(Length(), base, limits) == Length(model=base, max_tokens=1024)
    assert fitted(Length(), "embedded", limits) == Length(max_tokens=1024)
    told = Length(model="mine", max_tokens=3000)
    assert fitted(told, base, limits) == told
    assert not is_kept(LengthStation(Length()), "word", "word " * 2_900)


def test_of_a_pair_the_longer_side_counts() -> None:
    station = LengthStation(Length(max_tokens=200))
    assert is_kept(station, "word", "word " * 70, "word " * 80)
    assert not is_kept(station, "word", "word", "word " * 120)
    assert not is_kept(station, "word", "word " * 120, "word")


def test_a_language_without_blanks_has_as_many_tokens_as_characters() -> None:
    station = LengthStation(Length(max_tokens=100))
    assert not is_kept(station, "今日はとても良い天気ですね" * 5, "はい")
    assert is_kept(station, "今日はとても良い天気ですね", "はい")


def test_the_models_tokenizer_counts(tmp_path: Path) -> None:
    letters = Tokenizer(WordLevel({"a": 0, "?": 1}, unk_token="?"))
    letters.pre_tokenizer = Split(Regex("."), "isolated")
    letters.save(str(tmp_path / "tokenizer.json"))
    station = LengthStation(Length(model=str(tmp_path), max_tokens=100))
    assert is_kept(station, "a" * 27, "a" * 27)  # 46 for the template
    found = station.judge(example("a" * 28, "a" * 27))
    assert isinstance(found, Removal) and found.reason == "101 tokens; length.max_tokens is 100"


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CurationError, match=f"length.model: there is no tokenizer.json in {tmp_path}"):
        LengthStation(Length(model=str(tmp_path)))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CurationError, match="tokenizer.json cannot be read"):
        LengthStation(Length(model=str(tmp_path)))

"""What no model should read is left out with its reason, and plain text in any language is kept."""

import pytest

from engine.corpus.form import FormStation
from engine.corpus.removal import Removal
from engine.records import Turn
from tests.support.examples import example

STATION = FormStation(max_chars=40)


@pytest.mark.parametrize(
    ("text", "fault", "reason"),
    [
        ("x" * 50, "too_long", "has 53 characters; max_chars is 40"),
        ("a\x00b", "control", "holds the character '\\x00' at 2, which is no text"),
        ("a\x1b[31m", "control", "'\\x1b'"),
        ("a\x85", "control", "'\\x85'"),
        ("\ud800", "control", "'\\ud800' at 1"),
        ("a<|im_end|>", "markup", "holds <|im_end|>, which a tokenizer reads as the mark of a turn"),
        ("[INST] a", "markup", "[INST]"),
        ("<start_of_turn>a", "markup", "<start_of_turn>"),
    ],
)
def test_a_fault_in_any_text_is_found(text: str, fault: str, reason: str) -> None:
    chat = (Turn(role="system", text=text), Turn(role="user", text="b"))
    for faulty in (
        example(text, "c" * 3),
        example("b" * 3, text),
        example("b", "cd", rejected=text),
        example("", "cd", chat=chat),
    ):
        found = STATION.judge(faulty)
        assert isinstance(found, Removal)
        assert (found.station, found.fault) == ("form", fault)
        assert reason in found.reason


@pytest.mark.parametrize(
    "text", ["a\tb\r\nc", "Grüße 你好 🙂", "a < b > c", "[1] <b>bold</b> <|x|>", "e\u0301"]
)
def test_what_is_text_is_kept_as_it_is(text: str) -> None:
    given = [example(text, "b"), example("a", text)]
    assert STATION(given) == (given, [], {})


def test_the_label_of_a_removal_can_be_written() -> None:
    found = STATION.judge(example("\ud800 \n  first line", "b"))
    assert isinstance(found, Removal)
    assert found.text == "? first line"
    long = FormStation(max_chars=10).judge(example("word " * 100, "b"))
    assert isinstance(long, Removal) and len(long.text) == 81 and long.text.endswith("…")


def test_a_label_shows_no_piece_of_private_data() -> None:
    station = FormStation(max_chars=400)
    for at in range(30, 90):
        for secret in ("4111 1111 1111 1111", "anna.schmidt@acme-tools.com", "415-555-2671"):
            prompt = f"{'so ' * (at // 3)}{'.' * (at % 3)} {secret} <|im_start|> {'and so on ' * 30}"
            for faulty in (prompt, f"{prompt}{'x' * 400}"):
                found = station.judge(example(faulty, "b"))
                assert isinstance(found, Removal)
                left = found.text.removesuffix("…").rsplit("so ", 1)[-1].lstrip(". ")
                assert not left.startswith(secret[:3]), found.text


def test_a_long_prompt_is_looked_at_from_its_beginning() -> None:
    found = STATION.judge(example(f"Hello {'1 ' * 500_000}", "b"))
    assert isinstance(found, Removal) and found.text.startswith("Hello 1 1")

"""The sentinel suites are sound, and `answered` tells a right answer from a wrong one.

Run: ``python -m pytest tests/engine/gate/test_sentinels.py -q``
"""

import time
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from configs.schema import Sentinels
from engine.curate.rehearse import openings, requests
from engine.disk.jsonl import RowError, read_rows
from engine.gate import sentinels
from engine.gate.sentinels import Document, Instruction, answered, plain
from engine.measure.stats import paired_drop_power

ECHO_KINDS = {"repeat", "recall", "yesno", "category", "compare"}
"""Kinds whose request names the answer, or all the options."""


def kind(item: Instruction) -> str:
    return item.id.rsplit("-", 1)[0]


def phrases(text: str, length: int) -> set[tuple[str, ...]]:
    words = plain(text).split()
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def make(*accept: str, reject: tuple[str, ...] = ()) -> Instruction:
    return Instruction(id="test-01", prompt="?", accept=accept, reject=reject)


def test_suites_are_those_a_config_names() -> None:
    assert set(Sentinels().suites) <= set(sentinels.SUITES)
    assert sentinels.SUITES["english"] == "perplexity"
    assert sentinels.SUITES["instructions"] == "proportion"


def test_instructions_have_power_to_show_no_harm() -> None:
    assert len(sentinels.instructions()) == 320
    assert paired_drop_power(len(sentinels.instructions()), Sentinels().margin, 0.10) >= 0.8


def test_english_is_64_different_documents_of_45_to_80_words() -> None:
    documents = sentinels.english()
    assert len(documents) == len(set(documents)) == 64
    assert [text for text in documents if not 45 <= len(text.split()) <= 80] == []
    openings = Counter(" ".join(text.split()[:3]) for text in documents)
    assert openings.most_common(1)[0][1] == 1
    shared = Counter(phrase for text in documents for phrase in phrases(text, 7))
    assert max(shared.values()) == 1


def test_instructions_are_different_and_of_many_kinds() -> None:
    items = sentinels.instructions()
    assert len({plain(item.prompt) for item in items}) == len(items)
    kinds = Counter(kind(item) for item in items)
    assert sum(count >= 4 for count in kinds.values()) >= 12
    assert max(kinds.values()) <= 40


def test_repeating_the_request_does_not_answer_it() -> None:
    given_away = [
        i.id for i in sentinels.instructions() if kind(i) not in ECHO_KINDS and answered(i, i.prompt)
    ]
    assert given_away == []


def test_choices_name_their_other_option_and_both_answers_are_asked_for() -> None:
    items = sentinels.instructions()
    assert all(item.reject for item in items if kind(item) in {"yesno", "category", "compare"})
    for item in (i for i in items if kind(i) in {"category", "compare"}):
        assert all(f" {option} " in f" {plain(item.prompt)} " for option in item.accept[:1] + item.reject[:1])
    assert min(Counter(i.accept for i in items if kind(i) == "yesno").values()) >= 6


def test_every_item_takes_its_answers_and_no_other_options() -> None:
    for item in sentinels.instructions():
        assert all(answered(item, f"The answer is {phrase.upper()}!") for phrase in item.accept), item.id
        assert not any(answered(item, phrase) for phrase in item.reject), item.id
        assert not answered(item, "")
        assert not answered(item, "I am not sure what you mean."), item.id


@pytest.mark.parametrize(("texts", "num"), [(requests(), 200), (openings(), 96)])
def test_what_is_rehearsed_shares_nothing_with_what_is_judged(texts: tuple[str, ...], num: int) -> None:
    assert len(texts) == len({plain(text) for text in texts}) == num
    judged = {phrase for text in sentinels.english() for phrase in phrases(text, 5)}
    judged |= {phrase for item in sentinels.instructions() for phrase in phrases(item.prompt, 5)}
    assert [text for text in texts if phrases(text, 5) & judged] == []
    assert not {plain(text) for text in texts} & {plain(item.prompt) for item in sentinels.instructions()}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (make("paris"), "Paris"),
        (make("paris"), "The capital of France is **Paris**."),
        (make("paris"), "\n  \nparis\nand Lyon"),
        (make("paris"), "***\nParis"),
        (make("4", "four"), "It has 4."),
        (make("4", "four"), "2+2=4"),
        (make("new delhi"), "New-Delhi, of course"),
        (make("adios"), "¡Adiós!"),
        (make("h2o"), "H₂O"),
        (make("yes", reject=("no",)), "Yes, and no doubt about it."),
        (make("no", reject=("yes",)), "No."),
        (make("flower", reject=("tool",)), "A rose is a flower, not a tool."),
        (make("yes", reject=("no",)), "Nobody knows it better: yes"),
    ],
)
def test_accepts(item: Instruction, text: str) -> None:
    assert answered(item, text)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (make("paris"), ""),
        (make("paris"), "Lyon\nParis"),
        (make("paris"), "comparison of Parisians"),
        (make("4", "four"), "14"),
        (make("4", "four"), "fourteen"),
        (make("0"), "-18.0 degrees"),
        (make("5"), "1.5"),
        (make("new delhi"), "new and delhi"),
        (make("cat"), "category"),
        (make("yes", reject=("no",)), "No, yes is wrong."),
        (make("no", reject=("yes",)), "Yes or no? No."),
        (make("flower", reject=("tool",)), "It is a tool, or a flower."),
        (make("flower", reject=("tool",)), "It is a thing."),
    ],
)
def test_refuses(item: Instruction, text: str) -> None:
    assert not answered(item, text)


@example("𝑨")  # has no lower case until it is decomposed
@given(st.text(max_size=60))
def test_plain_is_stable_and_answers_never_crash(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert answered(make("zzz", reject=("yyy",)), text + "\n") in (True, False)


def test_long_answers_take_linear_time() -> None:
    begun = time.perf_counter()
    assert not answered(make("a b", "a a b"), "a " * 200_000)
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2"),
        ("", "line 2"),
        ('{"id": "x", "prompt": "p"}', "line 2: accept"),
        ('{"id": "x", "prompt": "p", "accept": []}', "line 2: accept"),
        ('{"id": "x", "prompt": "p", "accept": [3]}', "line 2: accept"),
        ('{"id": "x", "prompt": "p", "accept": ["Yes"]}', "must be written plainly, as 'yes'"),
        ('{"id": "x", "prompt": "p", "accept": ["!"]}', "must be written plainly"),
        ('{"id": "x", "prompt": "p", "accept": ["a"], "acept": ["b"]}', "line 2: acept"),
        ('{"id": "ok-01", "prompt": "p", "accept": ["a"]}', "line 2: id 'ok-01' is already taken"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line: str, reason: str) -> None:
    path = tmp_path / "suite.jsonl"
    path.write_text('{"id": "ok-01", "prompt": "p", "accept": ["a"]}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(RowError) as caught:
        read_rows(path, Instruction)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_empty_and_undecodable_files_are_named(tmp_path) -> None:
    with pytest.raises(RowError, match="absent.jsonl: cannot be read"):
        read_rows(tmp_path / "absent.jsonl", Document)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    with pytest.raises(RowError, match="empty.jsonl: holds no line"):
        read_rows(tmp_path / "empty.jsonl", Document)
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "x", "text": "caf\xe9"}\n')
    with pytest.raises(RowError, match="latin.jsonl, line 1"):
        read_rows(tmp_path / "latin.jsonl", Document)

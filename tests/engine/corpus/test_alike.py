"""Candidates hold all near duplicates and little else, however many texts share a band."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from engine.corpus import alike
from engine.corpus.alike import (
    BANDS,
    candidates,
    candidates_by_meaning,
    fingerprints,
    read_text,
    similarity,
    whole_of,
)
from engine.records import Turn
from tests.support.examples import example, sentence


def pairs_of(found: np.ndarray) -> set[tuple[int, int]]:
    assert all(one < other for one, other in found.tolist())
    assert found[:, 1].tolist() == sorted(found[:, 1].tolist())
    return {(one, other) for one, other in found.tolist()}


def test_similarity_is_of_words_and_none_where_numbers_differ() -> None:
    one = read_text("Sell 48 clips, please!")
    assert similarity(one, read_text("sell 48  CLIPS please")) == 1.0
    assert similarity(one, read_text("Sell 49 clips, please!")) == 0.0
    assert 0 < similarity(one, read_text("Sell 48 pins, please!")) < 1
    both = whole_of(one, read_text("Yes, 2."))
    assert both.marks == ("48", "2") and both.shingles > one.shingles


def test_texts_that_differ_in_a_few_letters_are_candidates_and_others_are_not() -> None:
    rng = Random(0)
    texts = [sentence(rng, 40) for _ in range(300)]
    twins = [f"{text[:100]} other {text[100:].upper()}" for text in texts[:100]]
    found = fingerprints([example(text, "yes") for text in texts + twins], None)
    pairs = pairs_of(candidates(found.asked_bands, np.arange(400)))
    assert {(at, 300 + at) for at in range(100)} <= pairs
    assert len(pairs) < 110


def test_other_numbers_make_no_candidates() -> None:
    found = fingerprints(
        [example(f"What is {at} times the number of sheep on the hill?", "9") for at in range(200)], None
    )
    assert len(candidates(found.asked_bands, np.arange(200))) == 0


def test_a_band_that_many_share_gives_few_pairs_for_each() -> None:
    bands = np.full((1_000, BANDS), 7, np.uint32)
    found = pairs_of(candidates(bands, np.arange(1_000)))
    assert len(found) < 10 * 1_000
    # Each is compared with the first and with those just before it.
    assert {(0, at) for at in range(1, 1_000)} | {(at - 1, at) for at in range(1, 1_000)} <= found


@pytest.mark.parametrize("num", [0, 1, 2])
def test_pairs_are_positions_in_the_places_that_are_asked_for(num: int) -> None:
    bands = np.arange(10 * BANDS, dtype=np.uint32).reshape(10, BANDS)
    bands[7] = bands[2]
    places = np.array([7, 2], np.int64)[:num]
    assert pairs_of(candidates(bands, places)) == ({(0, 1)} if num == 2 else set())


def test_keys_are_equal_for_what_is_the_same_but_for_blanks() -> None:
    system = (Turn(role="system", text="Be kind."), Turn(role="user", text="a b"))
    keys = fingerprints(
        [
            example("a b", "c d"),
            example(" a  b", "c\nd "),
            example("a b", "c d", chat=system),
            example("a b c", "d"),
            example("a b", "c d", rejected="e"),
            example("A b", "c d"),
        ],
        None,
    ).keys.tolist()
    assert keys[0] == keys[1] and len(set(keys)) == 5


def test_keys_differ_where_lines_begin_elsewhere() -> None:
    code = "for x in y:\n    a(x)\n{}b(x)"
    told = [
        code.format("    "),
        code.format(""),
        code.format("\t").replace("    ", "\t"),
        code.format("        "),
    ]
    keys = fingerprints([example("Mend it.", text) for text in told], None).keys.tolist()
    assert len(set(keys)) == 4
    spaced = fingerprints([example("Mend it.", told[0].replace("in y", "in  y") + "\n")], None).keys.tolist()
    assert spaced == keys[:1]


def fake_meanings(num: int, dims: int = 16) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(num, dims)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("num", [50, 6_000])
def test_meanings_that_are_near_are_found_in_one_cluster_or_in_several(num: int) -> None:
    meanings = fake_meanings(num)
    meanings[10:20] = meanings[:10]
    found = pairs_of(candidates_by_meaning(meanings.astype(np.float16), np.arange(num), 0.99, seed=0))
    assert found == {(at, at + 10) for at in range(10)}


def test_of_many_that_mean_the_same_each_is_compared_with_the_nearest_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alike, "_CELLS", 1_000)  # a few rows at a time
    rng = np.random.default_rng(0)
    meanings = np.array([1.0, 0, 0, 0]) + 0.1 * rng.normal(size=(300, 4))
    meanings /= np.linalg.norm(meanings, axis=1, keepdims=True)
    meanings[1::2] = meanings[::2]  # each second one is the one before it
    found = pairs_of(candidates_by_meaning(meanings.astype(np.float32), np.arange(300), 0.5, seed=0))
    assert {(at, at + 1) for at in range(0, 300, 2)} <= found
    assert len(found) == 7 * 8 // 2 + 8 * 292


def test_meanings_are_of_the_prompt_with_its_replies() -> None:
    told: list[str] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        told.extend(texts)
        return fake_meanings(len(texts))

    found = fingerprints([example("a", "b", rejected="c")] * 2, embed)
    assert told == ["a\nb\nc"] * 2 and found.meanings.shape == (2, 16)
    assert fingerprints([], embed).meanings.shape == (0, 0)
    assert fingerprints([], None).keys.shape == (0,)

"""Planted faults are found by the whole of curation, kind by kind, and what only looks like one is kept.

Two thousand rows go through every station twice, which takes some seconds.
"""

import json
from pathlib import Path

import pytest

from configs.curation import Duplicates
from engine.curate.leaks import FALSE_ALARMS
from tests.support.faults_found import FOUND_AS, Result, found_in
from tests.support.faulty_corpus import NUM_EACH, NUM_ROWS, FaultyCorpus, faulty_corpus
from tests.support.planted_secrets import MAKERS
from tests.support.planted_texts import BAITS

EXACT = 0.95
LEAST = {
    "language": (0.9, 0.95),
    "mojibake": (0.9, EXACT),
    "near_duplicate": (0.9, 0.9),
    "reworded": (0.9, 0.9),
}
"""Recall and precision of kinds that cannot be told exactly."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> FaultyCorpus:
    return faulty_corpus(tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="module")
def result(corpus: FaultyCorpus) -> Result:
    return found_in(corpus, corpus.file.parent / "out")


def test_as_many_of_each_kind_are_planted(corpus: FaultyCorpus) -> None:
    assert set(corpus.planted) == {*FOUND_AS, *MAKERS}
    assert {len(lines) for lines in corpus.planted.values()} == {NUM_EACH}
    assert len(corpus.file.read_bytes().splitlines()) == NUM_ROWS
    assert sum(map(len, corpus.planted.values())) == len(set().union(*corpus.planted.values()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*FOUND_AS, *MAKERS])
def test_a_planted_fault_of_each_kind_is_found(result: Result, kind: str) -> None:
    found, planted = result.found(kind), result.corpus.planted[kind]
    recall, precision = LEAST.get(kind, (EXACT, EXACT))
    missed = sorted(planted - found)
    assert len(planted & found) >= recall * len(planted), f"missed lines {missed[:5]}"
    wrong = sorted(found - result.planted_alike(kind))
    assert len(wrong) <= (1 - precision) * len(found), f"wrong lines {wrong[:5]}"


def test_hardly_a_clean_row_is_left_out(result: Result) -> None:
    wrong = {line: result.removed[line] for line in result.clean & result.removed.keys()}
    assert len(wrong) <= 0.01 * len(result.clean), wrong


def test_what_looks_like_a_fault_is_kept_as_it_stands(result: Result) -> None:
    for prompt, reply in BAITS:
        told = json.dumps(reply, ensure_ascii=False)
        assert any(told in row for row in result.kept.values()), f"{prompt} {reply}"


def test_hardly_a_row_is_taken_for_an_evaluation_question(result: Result) -> None:
    wrong = result.found("verbatim") - result.planted_alike("verbatim")
    assert len(wrong) <= FALSE_ALARMS * NUM_ROWS, wrong


def test_no_private_data_is_written_anywhere(result: Result) -> None:
    held = [
        line for line, secret in result.corpus.secrets.items() if json.dumps(secret)[1:-1] in result.written
    ]
    assert len(held) <= 0.05 * len(result.corpus.secrets), held[:5]


def test_every_line_is_kept_or_has_its_reason(result: Result) -> None:
    assert result.kept.keys() | result.removed.keys() == set(range(1, NUM_ROWS + 1))


@pytest.mark.slow
def test_planted_twins_are_all_on_one_side(corpus: FaultyCorpus) -> None:
    near = found_in(corpus, corpus.file.parent / "twins", duplicates=Duplicates(near=False))
    pairs = {line: near.corpus.twins[line] for line in corpus.planted["near_duplicate"] & near.splits.keys()}
    assert len(pairs) == NUM_EACH
    assert all(near.splits[line] == near.splits[other] for line, other in pairs.items())


def test_another_seed_plants_elsewhere_and_the_same_seed_does_not(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    for folder in (one, same, other):
        folder.mkdir()
    assert faulty_corpus(one, 3).planted == faulty_corpus(same, 3).planted != faulty_corpus(other, 4).planted

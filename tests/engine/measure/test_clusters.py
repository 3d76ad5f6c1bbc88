"""Slices that are found: texts alike fall together, by name, and fresh ones where they belong."""

from dataclasses import replace
from statistics import mean

import numpy as np
import pytest

from engine.embeddings import embedder
from engine.measure.clusters import Clusters, usual_number
from engine.records import Cluster, Passage, from_json, to_json
from tests.support.bag_of_words import bag_of_words
from tests.support.proof_helpers import problem
from tests.support.simulated_mining import asked_topics
from tests.support.topics import TOPICS

SEA = ["The ship sails over the sea.", "A storm at sea sank the ship.", "The ship came home by sea."]
BREAD = ["The baker bakes bread.", "Fresh bread from the baker!", "Who sold bread to the baker?"]
FRESH = ["Is bread what the baker eats?", "At sea on a ship."]


def found(num: int = 2, seed: int = 0, texts: list[str] | None = None) -> Clusters:
    return Clusters.of(texts or SEA + BREAD, num, bag_of_words, seed)


def test_texts_alike_fall_together_and_are_named_by_what_is_typical_of_them() -> None:
    clusters = found()
    sea, bread = clusters.assign(SEA), clusters.assign(BREAD)
    assert len(set(sea)) == len(set(bread)) == 1 and {*sea, *bread} == set(clusters.names)
    assert {"sea", "ship"} < set(sea[0].split(", ")) and {"bread", "baker"} < set(bread[0].split(", "))
    assert not {"the", "to", "at", "by"} & {word for name in clusters.names for word in name.split(", ")}


def test_fresh_problems_come_to_the_cluster_that_is_nearest() -> None:
    clusters = found()
    (bread,), (sea,) = set(clusters.assign(BREAD)), set(clusters.assign(SEA))
    assert clusters.assign(FRESH) == [bread, sea] and clusters.assign([]) == []
    question = replace(problem(["A"], "A"), turns=("Tell me", FRESH[0]))
    passage = replace(question, turns=(), truth=Passage(text=FRESH[1]))
    sliced = clusters.sliced([question, passage])
    assert sliced == [replace(question, slice=bread), replace(passage, slice=sea)]


def test_a_resumed_round_assigns_as_before() -> None:
    """Clusters are the same for a seed, and what is read back from the stage's file is what was found."""
    clusters = found(seed=3)
    assert found(seed=3).found == clusters.found
    kept = [from_json(Cluster, to_json(cluster)) for cluster in clusters.found]
    again = Clusters(kept, bag_of_words)
    assert again.found == clusters.found and again.assign(FRESH) == clusters.assign(FRESH)


def test_what_they_were_found_among_is_not_embedded_again() -> None:
    problems = [replace(problem(["A"], "A"), turns=(text,)) for text in [SEA[0], *BREAD, *SEA[1:]]]
    clusters = Clusters.of([each.text for each in problems], 2, bag_of_words, 0)
    kept = [from_json(Cluster, to_json(cluster)) for cluster in clusters.found]

    def refuse(texts: object) -> np.ndarray:
        raise AssertionError("it is embedded again")

    assert Clusters(kept, refuse).of_found(problems) == clusters.sliced(problems)


@pytest.mark.parametrize(("num", "found"), [(16, 0), (23, 0), (24, 2), (96, 8), (480, 40), (5000, 40)])
def test_as_many_are_looked_for_as_have_about_a_dozen_problems(num: int, found: int) -> None:
    assert usual_number(num) == found


def test_fewer_texts_than_clusters_and_texts_without_words() -> None:
    clusters = found(num=8, texts=["a1", "a1", "22"])
    assert len(clusters.names) == 2 == len(set(clusters.names))
    one = found(num=8, texts=["the same"] * 5)
    assert one.names == ("cluster 1",) and one.assign(["anything"]) == ["cluster 1"]


def test_how_a_task_asks_is_in_no_name() -> None:
    asked = [f"Compute the following and explain: {text}" for text in SEA + BREAD]
    clusters = found(texts=asked)
    assert {*clusters.assign(asked[:3])} | {*clusters.assign(asked[3:])} == set(clusters.names)
    assert not {"compute", "following", "explain"} & {w for name in clusters.names for w in name.split(", ")}
    sums = found(num=3, texts=[f"What is {n} + {n * n}?" for n in range(9)])
    assert sums.names == ("cluster 1", "cluster 2", "cluster 3")


def test_names_differ_and_hold_letters_alone() -> None:
    """Texts of a model can hold anything; clusters of the same words are still told apart."""
    texts = [
        *["\x1b[31m<b>cat</b> dog fox owl 5" + " cow" * n for n in range(4)],
        *["cat dog fox owl" + " hen" * 9 * n for n in range(4)],
        "x" * 400,
    ]
    names = found(num=6, texts=texts).names
    assert len(set(names)) == 6
    assert all(char.isalnum() or char in ", " for name in names for char in name)
    assert max(map(len, names)) < 100


@pytest.mark.slow
def test_real_embeddings_find_topics_that_questions_do_not_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the embedder asks the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    embed = embedder()
    rows = embed(["A cat is sleeping.", "A kitten sleeps.", "Interest rates rose."])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1) and rows[0] @ rows[1] > 0.6 > 0.3 > rows[0] @ rows[2]
    _, topics, slices = asked_topics(40, embed)(1)
    main = {name: max(set(own), key=own.count) for name in set(slices) if (own := _of(name, slices, topics))}
    assert mean(main[name] == topic for name, topic in zip(slices, topics, strict=True)) > 0.9
    typical = [bool(set(name.split(", ")) & {topic, *TOPICS[topic]}) for name, topic in main.items()]
    assert mean(typical) > 0.9


def _of(name: str, slices: list[str], topics: list[str]) -> list[str]:
    return [topic for own, topic in zip(slices, topics, strict=True) if own == name]

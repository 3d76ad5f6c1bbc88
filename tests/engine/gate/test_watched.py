"""What a sentinel suite shows beside its check: which items broke, and both replies."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.gate.sentinels import SentinelSuite, suite_of_name
from engine.gate.watched import watched
from engine.records import SentinelScores, Watched, from_json, to_json


def requests(folder: Path, num: int = 12) -> SentinelSuite:
    rows = [{"id": f"kind-{i:02d}", "prompt": f"Say {i}.", "accept": [str(i)]} for i in range(num)]
    return suite_on(folder, rows)


def suite_on(folder: Path, rows: list[dict[str, object]]) -> SentinelSuite:
    file = folder / "own.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return suite_of_name(str(file))


def scores(model: str, right: str, replies: tuple[str, ...] = ()) -> SentinelScores:
    marks = tuple(float(mark == "1") for mark in right)
    return SentinelScores(model_id=model, suite="own", scores=marks, replies=replies)


def test_requests_that_broke_are_shown_with_both_replies(tmp_path: Path) -> None:
    suite = requests(tmp_path)
    old = tuple(str(i) for i in range(12))
    new = tuple("no idea" if i % 2 else old[i] for i in range(11)) + (" ",)
    seen = watched(suite, scores("old", "0" + "1" * 11, old), scores("new", "1" + "01" * 5 + "0", new))
    assert (seen.suite, seen.before_id, seen.after_id) == ("own", "old", "new")
    assert seen.broken == tuple(f"kind-{i:02d}" for i in (1, 3, 5, 7, 9, 11))
    assert seen.num_mended == 1
    assert [each.id for each in seen.examples] == ["kind-01", "kind-03", "kind-07", "kind-09"]
    first = seen.examples[0]
    assert (first.asked, first.before, first.after) == ("Say 1.", "1", "no idea")
    assert {figure.key for figure in seen.before} == {figure.key for figure in seen.after} > {"repetition"}
    assert from_json(Watched, to_json(seen)) == seen
    lost = watched(suite, scores("old", "1" * 12, old), scores("new", "0" * 12, (" ",) * 12))
    assert lost.examples[-1].after == "(an empty reply)"


def test_how_far_replies_lie_apart_is_shown_where_they_are_embedded(tmp_path: Path) -> None:
    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.array([(1.0, 0.0) if "no" in text else (0.0, 1.0) for text in texts])

    both = scores("old", "11", ("0", "no")), scores("new", "00", ("no", "no idea"))
    seen = watched(requests(tmp_path, 2), *both, embed)
    assert [side[-1].key for side in (seen.before, seen.after)] == ["spread", "spread"]
    assert [side[-1].number for side in (seen.before, seen.after)] == [1.0, 0.0]
    assert from_json(Watched, to_json(seen)) == seen
    plain = watched(requests(tmp_path, 2), *both)
    assert (plain.before, plain.after) == (seen.before[:-1], seen.after[:-1])


def test_replies_that_an_earlier_version_did_not_keep_are_empty(tmp_path: Path) -> None:
    old = from_json(SentinelScores, '{"model_id":"old","suite":"own","scores":[1.0,1.0],"num_tokens":[]}')
    assert old.replies == ()
    seen = watched(requests(tmp_path, 2), old, scores("new", "10", ("0", "x" * 5_000)))
    (broken,) = seen.examples
    assert broken.before == "" and broken.after == "x" * 400
    assert seen.before == () and seen.after


def test_documents_are_shown_from_the_worst(tmp_path: Path) -> None:
    suite = suite_on(tmp_path, [{"id": f"d{i}", "text": f"Document number {i}."} for i in range(8)])

    def read(model: str, *nats: float) -> SentinelScores:
        return SentinelScores(model_id=model, suite="own", scores=nats, num_tokens=(10,) * 8)

    seen = watched(
        suite,
        read("old", *(20.0,) * 8),
        read("new", 20.0, 21.0, 35.0, math.nan, 19.0, 22.0, math.inf, 24.0),
    )
    assert {*seen.broken[:2]} == {"d3", "d6"} and seen.broken[2:] == ("d2", "d7", "d5", "d1")
    assert seen.num_mended == 1 and len(seen.examples) == 4
    assert (seen.examples[2].before, seen.examples[2].after) == ("2.00 nats a token", "3.50 nats a token")
    assert seen.before == () == seen.after


@pytest.mark.parametrize("right", ["1" * 12, "0" * 12])
def test_nothing_broke_between_models_that_are_alike(tmp_path: Path, right: str) -> None:
    seen = watched(requests(tmp_path), scores("old", right), scores("new", right))
    assert (seen.broken, seen.num_mended, seen.examples) == ((), 0, ())

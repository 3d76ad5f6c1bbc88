"""Where a champion is weak before an experiment's trials, and the problems that all of them answer."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from configs.loops import Probe
from engine.disk import steps
from engine.records import Score
from engine.verify.pool import VerifierPool
from loops import weak
from tests.support.bag_of_words import bag_of_words
from tests.support.provers import PARENT, Prover, config_of, round_of
from tests.support.records_files import suite_of_rows, sums
from tests.support.runs import journal
from tune import ground
from tune.ground import MIXED_SPLIT, WEAK_SPLIT, Mined, draw_problems

pytestmark = pytest.mark.slow

PASSAGES = "tests/support/passage_task.py"
DESIGN: Any = SimpleNamespace(settings=SimpleNamespace(probe=Probe(num_problems=120), num_problems=80))


class Reader(Prover):
    """Finds what is about the sea unlikely."""

    def likelihood(self, text: str) -> Score:
        num = len(text.split())
        return Score(num * (4.5 if "sea" in text else 2.0), num, PARENT.id)


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool("rules", num_processes=1, seconds=5.0, memory_mib=512) as opened:
        yield opened


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "environment_of", lambda _: {})
    monkeypatch.setattr(weak, "embedder", lambda: bag_of_words)


def mined(home: Path, pool: VerifierPool, sampler: Prover, task: Any, **loop: Any) -> tuple[Mined, Any]:
    with round_of(home, config_of(home, loop, task), sampler, pool) as context:
        found = ground._mined(context, PARENT, DESIGN, frozenset())
        return found, context.suite


def test_passages_are_mined_by_their_likelihood(tmp_path: Path, pool: VerifierPool) -> None:
    found, suite = mined(tmp_path, pool, Reader(), {"name": PASSAGES})
    (weakness,) = found.weaknesses
    assert (weakness.slice, weakness.signal, weakness.limit) == ("place=sea", "likelihood", 50.0)
    assert len(found.probed) == 120 and found.clusters is None
    problems = draw_problems(suite, found, 80, 7, found.probed)
    assert [each.split for each in problems] == [MIXED_SPLIT] * 40 + [WEAK_SPLIT] * 40
    assert {each.slice for each in problems[40:]} == {"place=sea"}
    assert len({each.id for each in problems} - found.probed) == 80


def test_the_limit_is_the_campaigns(tmp_path: Path, pool: VerifierPool) -> None:
    assert not mined(tmp_path / "a", pool, Reader(), {"name": PASSAGES}, threshold=95.0)[0].weaknesses
    (weakness,) = mined(tmp_path / "b", pool, Reader(), {"name": PASSAGES}, quantile=0.3)[0].weaknesses
    assert weakness.limit == pytest.approx(np.exp(2.0))


def test_what_a_finite_task_has_no_more_of_is_not_asked_again(tmp_path: Path) -> None:
    rows = [row | {"slice": "rare" if i < 9 else "usual"} for i, row in enumerate(sums(200, split="probe"))]
    suite = suite_of_rows(tmp_path / "my.jsonl", [*rows, *(sums(220)[200:])])
    probed = frozenset(each.id for each in suite.draw(100, split="probe", seed=0))
    weakness: Any = SimpleNamespace(slice="rare")
    problems = draw_problems(suite, Mined([weakness], probed, None), 60, 7, probed)
    asked = [each.id for each in problems]
    assert not probed & set(asked) and len(asked) == len(set(asked))
    assert 30 <= len(asked) < 39, "of the rare ones only those that nothing has looked at"


CELLS = {"negation": [True], "irrelevant": [0], "distractors": [0]}


def test_answers_are_mined_in_the_tasks_own_slices(tmp_path: Path, pool: VerifierPool) -> None:
    sampler = Prover({1: 0.95, 2: 0.95, 3: 0.2})
    task = {"name": "prontoqa", "slices": {"hops": [1, 2, 3], **CELLS}}
    found, suite = mined(tmp_path, pool, sampler, task)
    (weakness,) = found.weaknesses
    assert weakness.slice.startswith("hops=3") and found.clusters is None and weakness.quota == 40
    assert "champion/clusters" not in journal(tmp_path / "runs" / "r")
    assert mined(tmp_path, pool, Prover(), task)[0] == found, "when it is resumed"
    sure = Mined([], found.probed, None)
    assert [each.split for each in draw_problems(suite, sure, 30, 7, found.probed)] == [MIXED_SPLIT] * 30
    (easy,) = (name for name in suite.slices if name.startswith("hops=1"))
    for where in (found, sure):
        about = draw_problems(suite, where, 30, 7, found.probed, about=easy)
        assert [each.split for each in about] == [MIXED_SPLIT] * 15 + [WEAK_SPLIT] * 15
        assert {each.slice for each in about[15:]} == {easy}, "a hypothesis about a slice is judged there"
    elsewhere = draw_problems(suite, found, 30, 7, found.probed, about="english")
    assert {each.slice for each in elsewhere[15:]} == {weakness.slice}


def test_where_the_task_names_no_slices_they_are_found(
    tmp_path: Path, pool: VerifierPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The problems of the experiment come to the slices that were found on the probe, weak ones in turn."""

    def about(texts: Any) -> np.ndarray:
        return np.eye(2)[[1 if "sea" in text else 0 for text in texts]]

    monkeypatch.setattr(weak, "embedder", lambda: about)
    file = tmp_path / "one.py"
    file.write_text(
        "from tests.support import passage_task\n"
        "NAME, EXAM, VERIFIERS = 'one', 'likelihood', ()\n"
        "DIMENSIONS, DEFAULT_SLICES = {'place': ('any',)}, {'place': ['any']}\n"
        "def make(settings, rng, **names):\n"
        "    return passage_task.make({'place': rng.choice(['sea', 'land', 'land'])}, rng, **names)\n"
    )
    found, suite = mined(tmp_path, pool, Reader(), {"name": str(file)})
    assert found.clusters and len(found.clusters.found) == 2
    (weakness,) = found.weaknesses
    assert "sea" in weakness.slice.split(", ") and "champion/clusters" in journal(tmp_path / "runs" / "r")
    problems = draw_problems(suite, found, 80, 7, found.probed)
    assert [each.split for each in problems] == [MIXED_SPLIT] * 40 + [WEAK_SPLIT] * 40
    assert all((each.slice == weakness.slice) is ("sea" in each.text) for each in problems)
    assert {each.slice for each in problems[:40]} == set(found.clusters.names)
    assert {each.slice for each in problems[40:]} == {weakness.slice}
    own = mined(tmp_path / "none", pool, Reader(), {"name": str(file)}, clusters="none")[0]
    assert own.clusters is None and not own.weaknesses

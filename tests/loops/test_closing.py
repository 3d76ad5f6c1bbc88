"""After training: fresh problems of every weak slice show whether it closed, and passages are read again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.gate.trial import Evidence
from engine.measure.clusters import Clusters
from engine.measure.evaluate import Unjudged
from engine.models.identity import Model
from engine.records import Answer, Cluster, Duel, Fault, Likelihood, Problem, Status, Verdict, Weakness
from engine.tasks.suite import Suite
from loops import closing
from loops.closing import Again, closures_of, look_again
from loops.loop import Proposal, Read
from loops.weak import MOST_FRESH
from tests.support.proof_helpers import attempt
from tests.support.records_files import suite_of_rows, sums
from tests.support.suites import suite

OLD, NEW = Model(id="old", path=Path("old")), Model(id="new", path=Path("new"))
RARE, OFTEN = (
    "hops=3 negation=yes irrelevant=0 distractors=0",
    "hops=1 negation=yes irrelevant=0 distractors=0",
)
TASKS = suite("prontoqa", {"hops": [1, 2, 3], "negation": [True], "irrelevant": [0], "distractors": [0]})
WEAK = Weakness(
    slice=RARE, fault="wrong_answer", rate=0.8, elsewhere=0.2, low=0.6, high=0.9, p_adjusted=0.01, quota=40
)


def answered(problem: Problem, passes: bool) -> Answer:
    verdict = Verdict(
        problem_id=problem.id,
        sample=0,
        status=Status.PASS if passes else Status.FAIL,
        right=passes,
        answer="",
        fault=Fault.NONE if passes else Fault.WRONG_ANSWER,
        verifier="test",
        reason="",
    )
    return Answer(attempt=attempt("", problem_id=problem.id), verdict=verdict)


class Exam:
    """The old model fails all problems of three hops, the new one none."""

    def __init__(self) -> None:
        self.asked: list[Sequence[Problem]] = []

    def ask(self, bench: Any, model: Model, problems: Sequence[Problem], sampling: Any) -> list[Answer]:
        self.asked.append(problems)
        return [answered(each, model is NEW or not each.slice.startswith("hops=3")) for each in problems]


def context_of(suite: Suite) -> Any:
    stages: dict[str, Any] = {}

    def step_many(name: str, cls: type, make: Any, **told: Any) -> Any:
        return stages.setdefault(name, make() if name not in stages else None)

    return SimpleNamespace(
        run=SimpleNamespace(step_many=step_many),
        stage=lambda number, name: name,
        suite=suite,
        judging=lambda number: suite,
        bench=None,
        judges=None,
        config=SimpleNamespace(seed=3, sampler=SimpleNamespace(max_new_tokens=8)),
    )


@pytest.fixture
def exam(monkeypatch: pytest.MonkeyPatch) -> Exam:
    exam = Exam()
    monkeypatch.setattr(closing, "exam_of", lambda task: exam)
    return exam


def evidence_of(problems: Sequence[Problem]) -> Evidence:
    duels = [
        Duel(problem=each, champion=answered(each, False), challenger=answered(each, False))
        for each in problems
    ]
    return Evidence(checks=(), duels=tuple(duels))


GATE = evidence_of(TASKS.draw(2, split="gate", seed=0, weights={RARE: 1.0}))
"""Hardly a problem of the weak slice is the gate's, and both fail it."""


def test_a_rare_weak_slice_closes_on_problems_of_its_own(exam: Exam) -> None:
    proposal = Proposal(data=None, seen=frozenset(), weaknesses=(WEAK, replace(WEAK, slice=OFTEN)))
    context, out = context_of(TASKS), TASKS.draw(9, split="probe-closed-1", seed=3, weights={RARE: 1.0})
    seen = frozenset(problem.id for problem in out)
    again = look_again(context, 1, OLD, NEW, proposal, GATE, seen)
    slices = [duel.problem.slice for duel in again.duels]
    assert len(slices) == 60 and slices.count(RARE) >= 20 and slices.count(OFTEN) >= 20
    assert not seen & {duel.problem.id for duel in again.duels}
    assert look_again(context, 1, OLD, NEW, proposal, GATE, seen) == again and len(exam.asked) == 2
    rare, often = closures_of(proposal, GATE.duels, again)
    assert (rare.closed, rare.at_gate, rare.num, rare.cured) == (True, False, slices.count(RARE), rare.num)
    assert (often.closed, often.at_gate, often.before) == (False, False, 0)
    # Without them it is left with the gate's.
    (at_gate, none) = closures_of(proposal, GATE.duels, Again())
    assert (at_gate.at_gate, at_gate.num, at_gate.closed) == (True, 2, False) and none.num == 0


def test_found_slices_are_asked_for_too(exam: Exam) -> None:
    clusters = Clusters(
        [
            Cluster(name=name, centre=(float(i), 1.0 - i), places=())
            for i, name in enumerate(("short", "long"))
        ],
        lambda texts: __import__("numpy").array(
            [[float(len(text) < 150), float(len(text) >= 150)] for text in texts]
        ),
    )
    weak = replace(WEAK, slice=clusters.names[0])
    proposal = Proposal(data=None, seen=frozenset(), weaknesses=(weak,), clusters=clusters)
    again = look_again(context_of(TASKS), 1, OLD, NEW, proposal, GATE, frozenset())
    assert {duel.problem.slice for duel in again.duels} == {weak.slice} and len(again.duels) <= 30
    (closure,) = closures_of(proposal, GATE.duels, again)
    assert closure.num == len(again.duels) > 0 and not closure.at_gate


def test_of_very_many_weak_slices_no_more_problems_are_asked_than_a_plan_says(exam: Exam) -> None:
    tasks = suite("prontoqa", {"hops": [1, 2, 3, 4, 5], "irrelevant": [0, 1, 2], "distractors": [0, 1]})
    proposal = Proposal(
        data=None, seen=frozenset(), weaknesses=tuple(replace(WEAK, slice=name) for name in tasks.slices)
    )
    again = look_again(context_of(tasks), 1, OLD, NEW, proposal, GATE, frozenset())
    assert len(tasks.slices) > 24 and len(again.duels) == MOST_FRESH
    assert {duel.problem.slice for duel in again.duels} <= set(tasks.slices[:24])


def test_what_was_used_shows_nothing_of_a_small_task(tmp_path: Path, exam: Exam) -> None:
    rows = [row | {"slice": "common" if i % 5 else "rare"} for i, row in enumerate(sums(60))]
    records = suite_of_rows(tmp_path / "my.jsonl", rows)
    probe = [record.problem for record in records.records("probe")]
    rare = [each.id for each in probe if each.slice == "rare"]
    proposal = Proposal(data=None, seen=frozenset(), weaknesses=(replace(WEAK, slice="rare"),))
    again = look_again(context_of(records), 1, OLD, NEW, proposal, GATE, frozenset(rare[:1]))
    assert {duel.problem.id for duel in again.duels} == set(rare[1:])
    used = look_again(context_of(records), 1, OLD, NEW, proposal, GATE, frozenset(rare))
    assert used == Again()


def test_nothing_is_asked_where_there_is_nothing_to_show(exam: Exam, monkeypatch: pytest.MonkeyPatch) -> None:
    proposal = Proposal(data=None, seen=frozenset(), weaknesses=(WEAK,))
    context = context_of(TASKS)
    for given, evidence in (
        (None, GATE),
        (proposal, None),
        (proposal, replace(GATE, duels=())),
        (replace(proposal, weaknesses=()), GATE),
    ):
        assert look_again(context, 1, OLD, NEW, given, evidence, frozenset()) == Again()
    assert not exam.asked

    def fail(*_: Any) -> list[Answer]:
        raise Unjudged("more than the allowed share of answers could not be judged")

    monkeypatch.setattr(exam, "ask", fail)
    assert look_again(context, 1, OLD, NEW, proposal, GATE, frozenset()) == Again(), "the round is not lost"


def read(problem: Problem, nats: float, model: str = "old") -> Likelihood:
    return Likelihood(problem_id=problem.id, model_id=model, nll=10 * nats, num_tokens=10)


def test_passages_of_the_probe_are_read_again(exam: Exam, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = suite("tests/support/passage_task.py")
    probe = tasks.draw(6, split="probe-1", seed=0)
    given = [read(each, 4.0 if place < 2 else 1.0) for place, each in enumerate(probe)]
    monkeypatch.setattr(
        closing, "likelihoods", lambda bench, model, some: [read(each, 0.5, model.id) for each in some]
    )
    monkeypatch.setattr(
        exam,
        "ask",
        lambda bench, model, some, sampling: [read(each, 2.0 if model is OLD else 1.0) for each in some],
    )
    proposal = Proposal(
        data=None,
        seen=frozenset(),
        weaknesses=(replace(WEAK, slice="place=sea", signal="likelihood", limit=20.0),),
        read=Read(passages=tuple(probe), given=tuple(given), limit=20.0),
    )
    again = look_again(context_of(tasks), 1, OLD, NEW, proposal, GATE, frozenset())
    (panel,) = again.panels
    assert panel.title == "Unlikely passages"
    assert panel.rows == (
        ("passages", "number", "before", "after"),
        ("above 20", "2", "54.60", "1.65"),
        ("all of the probe", "6", "7.39", "1.65"),
        ("fresh ones of weak slices", "30", "7.39", "2.72"),
    )
    assert "regression to the mean" in panel.note

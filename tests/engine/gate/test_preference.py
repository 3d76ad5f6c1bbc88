"""The exam by preference: what a judge's verdicts say for a model, and a whole trial with a judge."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.judging import Judge as Settings
from configs.load import from_tree
from configs.schema import Gate
from engine.disk.steps import Run
from engine.gate.exams import EXAMS
from engine.gate.preference import JUDGED, Judge, advantage, require_judge, win_rate
from engine.gate.terms import Trial
from engine.gate.trial import Evidence, ask_champion, conclude, try_carry, try_challenger
from engine.judge.adviser import Adviser, open_adviser
from engine.judge.completions import JudgeError
from engine.judge.endpoint import JudgeLost
from engine.judge.pairwise import Choice
from engine.measure import paired
from engine.measure.bench import Bench
from engine.measure.evaluate import TooManyUndecided
from engine.measure.stats import StatsError
from engine.models.identity import Model
from engine.models.liveness import TEXTS
from engine.records import Answer, Check, Decision, Duel, Interval, Status
from engine.registry.registry import Registry
from engine.sample.protocol import Request
from engine.tasks.suite import DataError
from engine.verify.pool import VerifierPool
from tests.support.judge_server import JudgeServer, better_by_number, biased, serving
from tests.support.proof_helpers import attempt, problem
from tests.support.scripted import Script, Scripted
from tests.support.simulated_campaigns import verdict
from tests.support.suites import suite

EXAM = EXAMS["preference"]
JUDGE = {"url": "http://127.0.0.1:9/v1", "model": "judge"}
LINE = "test/preference"
PASSED, FAILED, OPEN = Status.PASS, Status.FAIL, Status.UNDECIDED


def answer(status: Status, grade: float | None, number: int = 0, by: str = f"{JUDGED}m") -> Answer:
    name = f"p{number}"
    judged = replace(verdict(status, name), verifier=by, grade=grade)
    return Answer(attempt=attempt("", problem_id=name), verdict=judged)


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        (FAILED, PASSED, (False, True)),
        (PASSED, FAILED, (True, False)),
        (PASSED, PASSED, (True, True)),
        (OPEN, OPEN, (True, False)),
    ],
)
def test_a_preference_speaks_for_who_is_preferred(old: Status, new: Status, outcome: Any) -> None:
    duel = Duel(problem=problem(["A"], "A"), champion=answer(old, 1), challenger=answer(new, 0))
    assert EXAM.outcome(replace(duel, problem=replace(duel.problem, id="p0"))) == outcome


def test_the_win_rate_is_measured_where_a_judge_has_compared_every_answer() -> None:
    task = suite().task
    problems = [problem(["A"], "A", name=f"p{number}") for number in range(5)]
    grades = [(PASSED, 1.0), (PASSED, 0.5), (FAILED, 0.0), (PASSED, 1.0), (OPEN, None)]
    given = [answer(status, grade, number) for number, (status, grade) in enumerate(grades)]
    measured = EXAM.measure(task, problems, given)
    figure = measured.figure("win_rate")
    assert isinstance(figure.value, Interval) and figure.value.rate == pytest.approx(2.5 / 5)
    assert figure.value.low < 0.5 < figure.value.high and figure.value.num == 5
    assert measured.head.key == task.headline and measured.num_undecided == 1
    for others in (
        [*given[:4], answer(PASSED, None, 4, by="rules")],
        [answer(PASSED, None, number, by="rules") for number in range(5)],
    ):
        assert "win_rate" not in {figure.key for figure in EXAM.measure(task, problems, others).figures}


@given(
    st.lists(
        st.tuples(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), st.integers(0, 12)), min_size=1, max_size=80
    )
)
def test_an_advantage_lies_in_its_interval_and_turns_with_its_sign(items: list[tuple[float, int]]) -> None:
    values, clusters = [value for value, _ in items], [str(cluster) for _, cluster in items]
    found, turned = advantage(values, clusters), advantage([-value for value in values], clusters)
    assert -1 <= found.low <= found.mean <= found.high <= 1 and found.low < found.high
    assert found.mean == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert turned == (
        pytest.approx(-found.mean),
        pytest.approx(-found.high, abs=1e-9),
        pytest.approx(-found.low, abs=1e-9),
    )
    rate = win_rate(values, clusters)
    assert rate == tuple(pytest.approx((1 + each) / 2) for each in found)


def test_it_is_the_interval_of_the_gates_own_comparison() -> None:
    found = advantage([1.0] * 31 + [-1.0] * 11 + [0.0] * 158, [str(number) for number in range(200)])
    assert found.mean == pytest.approx(0.1)
    assert found.high == paired.paired_drop_bound(31, 11, 200, 0.025)
    assert found.low == -paired.paired_drop_bound(11, 31, 200, 0.025)
    with pytest.raises(StatsError):
        advantage([], [])


def test_a_task_by_preference_needs_a_judge() -> None:
    task = replace(suite().task, exam="preference", name="chat")
    with pytest.raises(DataError, match=r"task chat is examined by preference, .* gate.judge"):
        require_judge(task, Gate())
    require_judge(task, Gate(judge=Settings(**JUDGE)))
    require_judge(suite().task, Gate())


def test_what_was_not_run_has_the_names_of_what_would_have_been() -> None:
    names = [check.name for check in EXAM.further_not_run(Gate(judge=Settings(**JUDGE)))]
    assert names == ["judge", "equal length"]
    checks = EXAM.further_not_run(Gate(judge=Settings(**JUDGE, labelled="pairs.jsonl")))
    assert [check.name for check in checks] == ["judge", "equal length", "judge's errors"]
    assert not any(check.ran or check.passed for check in checks)


# ------------------------------------------------------------------------------------------- whole trials

VERIFIER = """
from dataclasses import replace
from engine.records import Status, Verdict

FAULTS = {}

def replied(problem, attempt):
    status = Status.PASS if attempt.text.strip() else Status.FAIL
    return Verdict(problem_id=problem.id, sample=attempt.sample, status=status, right=True, answer="",
                   fault="none" if attempt.text.strip() else "no_answer", verifier="replied", reason="")
"""


class Talkers(Scripted):
    """Models whose replies are numbers, of which the judge prefers the larger one."""

    said = ("1", "2", "0")
    """What the other models say; what the challenger says to its share `skill` of the problems, and else."""

    def text(self, script: Script, request: Request) -> str:
        known = super().text(script, request)
        if known not in ("prove", "Answer: Unknown"):
            return known  # a request of a sentinel suite
        chance = int(request.problem_id[:8], 16) / 16**8
        return self.said[0] if script.skill == 0 else self.said[1] if chance < script.skill else self.said[2]


@contextmanager
def trial(
    tmp_path: Path, sampler: Talkers, judge: Judge | None, settings: Settings
) -> Iterator[tuple[Trial, Registry]]:
    """A trial of two models that talk, on a task that is examined by preference."""
    file = tmp_path / "replied.py"
    file.write_text(VERIFIER)
    examined = suite("prontoqa", {"hops": [1], "irrelevant": [0], "distractors": [0]})
    examined.task = replace(examined.task, exam="preference", verifiers=(f"{file}:replied",))
    gate = from_tree(
        {
            "name": "tiny",
            "line": LINE,
            "gate": {"looks": 3, "look_size": 20, "entropy": 5, "sentinels": {"suites": ["instructions"]}},
        },
        "test",
    ).gate.model_copy(update={"judge": settings})
    run = Run.create(tmp_path, from_tree({"name": "tiny", "line": LINE}, "test"), "r")
    registry = Registry(tmp_path)
    registry.open_ledger(LINE, alpha=0.05, planned_tests=1, run_id="r", fresh=False)
    model = {name: Model(id=name, path=Path(name)) for name in sampler.models}
    with VerifierPool(f"{file}:replied", num_processes=1, seconds=5.0, memory_mib=1024) as pool:
        try:
            yield (
                Trial(
                    run=run,
                    prefix="rounds/001/",
                    bench=Bench(sampler, pool, "", 0.05),
                    suite=examined,
                    settings=gate,
                    max_new_tokens=64,
                    champion=model["champion"],
                    challenger=model["challenger"],
                    reference=(103.0,) * len(TEXTS),
                    frozen=model["frozen"],
                    base=model["base"],
                    seen=frozenset(),
                    judge=judge,
                ),
                registry,
            )
        finally:
            run.close()


def talkers(skill: float) -> Talkers:
    return Talkers(
        champion=Script(skill=0, nll=102.0),
        challenger=Script(skill=skill, nll=103.0),
        frozen=Script(skill=0, nll=101.0),
        base=Script(skill=0, nll=100.0),
    )


@contextmanager
def judging(server: JudgeServer, tmp_path: Path, **changes: Any) -> Iterator[tuple[Adviser, Settings]]:
    settings = server.settings(num_parallel=8, **changes)
    with open_adviser(settings, tmp_path / "judge.jsonl") as adviser:
        yield adviser, settings


def judged_trial(
    tmp_path: Path, server: JudgeServer, skill: float, **changes: Any
) -> tuple[Evidence, Decision, Talkers]:
    sampler = talkers(skill)
    with (
        judging(server, tmp_path, **changes) as (adviser, settings),
        trial(tmp_path, sampler, adviser, settings) as (each, registry),
    ):
        evidence = try_challenger(each, registry, LINE, 1)
        return evidence, conclude(each, evidence), sampler


@pytest.mark.slow
def test_a_judge_that_decides_accepts_what_it_prefers_and_the_decision_says_so(tmp_path: Path) -> None:
    with serving() as server:
        evidence, decision, sampler = judged_trial(tmp_path, server, 0.9, decides=True)
        assert decision.accepted, decision.reason
        assert [check.name for check in decision.checks] == [
            "superiority",
            "alive",
            "judge",
            "equal length",
            "instructions",
        ]
        assert decision.checks[2].threshold == "none: the judge decides (gate.judge.decides)"
        last = decision.looks[-1]
        assert last.wins > last.losses and last.wins + last.losses == last.num_problems
        assert len(server.requests) == 2 * last.num_problems
        figures = [each.evaluation.figure("win_rate") for each in evidence.measured]
        assert figures[0].number == pytest.approx(1 - figures[1].number) and figures[1].number > 0.7
        assert {EXAM.outcome(duel) for duel in evidence.duels} == {(False, True), (True, False)}

        # Once more from the run's files alone: nobody is asked anything.
        asked = len(server.requests)
        again, decided, silent = judged_trial(tmp_path, server, 0.9, decides=True)
        assert (
            (again, decided) == (evidence, decision) and silent.calls == [] and len(server.requests) == asked
        )


@pytest.mark.slow
def test_a_judge_that_advises_accepts_nothing_alone(tmp_path: Path) -> None:
    with serving() as server:
        _, decision, _ = judged_trial(tmp_path, server, 0.9)
        assert not decision.accepted and decision.reason.startswith("superiority: 0 won, 0 lost")
        assert not server.requests, "a refused challenger needs no advice"


@pytest.mark.slow
def test_advice_on_what_is_carried_stands_beside_and_decides_nothing(tmp_path: Path) -> None:
    """By the task's own verifier the challenger is better, by the judge it is not."""
    sampler = talkers(1.0)
    sampler.said = ("", "-2", "")

    def prefers(asked: str, first: str, second: str) -> Choice:
        return better_by_number(asked, first or "0", second or "0")

    with (
        serving(prefers) as server,
        judging(server, tmp_path) as (adviser, settings),
        trial(tmp_path, sampler, adviser, settings) as (each, _),
    ):
        problems = each.suite.draw(20, split="carry-1", seed=1)
        evidence = try_carry(each, problems, 1)
    assert [check.name for check in evidence.checks] == [
        "carry",
        "alive",
        "judge",
        "equal length",
        "instructions",
    ]
    assert all(check.passed for check in evidence.checks)
    said = evidence.checks[2]
    assert said.value == 0.0 and "0 won, 20 lost, 0 tied of 20" in said.observed
    assert said.threshold == "none: the judge advises, and does not decide"


@pytest.mark.slow
def test_two_equal_models_are_not_accepted_by_a_judge_that_prefers_the_first(tmp_path: Path) -> None:
    """What is shown first wins in one order and loses in the other: a tie, which speaks for nobody."""
    with serving(biased(better_by_number, first=1.0)) as server:
        _, decision, _ = judged_trial(tmp_path, server, 0.5, decides=True)
    assert not decision.accepted and decision.reason.startswith("superiority: 0 won, 0 lost of ")


def unknown(server: JudgeServer) -> None:
    server.trouble = (401, b"{}", {})


def refusing(server: JudgeServer) -> None:
    server.trouble = (400, b'{"error": {"message": "unknown field: seed"}}', {})


def busy(server: JudgeServer) -> None:
    server.trouble = (529, b"overloaded", {})


def down(server: JudgeServer) -> None:
    server.hangs_up = True


def slow(server: JudgeServer) -> None:
    server.drips = 0.02


def rude(server: JudgeServer) -> None:
    server.trouble = (200, b"<html>Go away</html>", {})


def nonsense(server: JudgeServer) -> None:
    server.says = "I like both."


def cut_off(server: JudgeServer) -> None:
    server.finish = "length"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("misbehaves", "error", "says"),
    [
        (unknown, JudgeError, "cannot be asked: 401"),
        (refusing, JudgeError, "refuses whatever it is asked, last with: 400 unknown field: seed"),
        (busy, JudgeLost, "does not answer: 529 overloaded"),
        (down, JudgeLost, "does not answer: RemoteProtocolError"),
        (slow, JudgeLost, "does not answer: ReadTimeout: an answer that was still coming"),
        (rude, JudgeLost, "does not answer: an answer that is no chat completion"),
        (nonsense, TooManyUndecided, "gave no verdict on 20 of 20 pairs, such as 'I like both.'"),
        (cut_off, TooManyUndecided, "gave no verdict on 20 of 20 pairs"),
    ],
)
def test_a_judge_that_fails_is_named_accepts_nothing_and_what_was_answered_is_kept(
    tmp_path: Path, misbehaves: Callable[[JudgeServer], None], error: type[Exception], says: str
) -> None:
    with serving() as server:
        misbehaves(server)
        hasty = {"decides": True, "seconds": 0.5 if misbehaves is slow else 20.0, "retries": 0}
        with pytest.raises(error, match=rf"the judge judge at http://127\.0\.0\.1:\d+/v1 {says}"):
            judged_trial(tmp_path, server, 0.9, **hasty)
        run = tmp_path / "runs" / "r"
        done = [json.loads(line)["stage"] for line in (run / "journal.jsonl").read_text().splitlines()]
        assert "rounds/001/look-01" in done and "rounds/001/look-01-judged" not in done

        if error is TooManyUndecided:
            return  # it has answered, so that it would not be asked again: the round is over
        server.trouble, server.drips, server.hangs_up = None, None, False
        _, decision, sampler = judged_trial(tmp_path, server, 0.9, decides=True)
        assert decision.accepted
        firsts = [call for call in sampler.calls if call == "sample champion"]
        assert len(firsts) == len(decision.looks) - 1, "the first look's answers were kept"


@pytest.mark.slow
def test_a_working_model_is_compared_anew_with_the_champion(tmp_path: Path) -> None:
    """Verdicts of a round's duels are against its parent: for the champion they are asked again."""
    with (
        serving() as server,
        judging(server, tmp_path, decides=True) as (adviser, settings),
        trial(tmp_path, talkers(1.0), adviser, settings) as (each, _),
    ):
        problems = each.suite.draw(10, split="carry-1", seed=1)
        carried = try_carry(each, problems, 1).duels
        assert [EXAM.outcome(duel) for duel in carried] == [(False, True)] * 10
        # Against itself the model that won everything wins nothing.
        itself = replace(each, champion=each.challenger, prefix="rounds/002/")
        assert ask_champion(itself, problems, carried) == [(True, True)] * 10


def test_the_protocol_of_a_judge_is_all_that_the_exam_needs(tmp_path: Path) -> None:
    class Silent:
        decides = True

        def settled(self, duels: Sequence[Duel]) -> list[Duel]:
            raise JudgeLost("gone")

        def advice(self, duels: Sequence[Duel], *, proves: bool) -> list[Check]:
            return [Check(name="judge", observed="nothing", threshold="none", passed=True)]

    run: Any = SimpleNamespace(step_many=lambda stage, cls, make, **_: make())
    with pytest.raises(JudgeLost):
        EXAM.settled(run, Silent(), "look", [])
    assert EXAM.settled(run, None, "look", []) == []
    without: Any = SimpleNamespace(judge=None, run=run, prefix="", suite=suite(), sides="both")
    with pytest.raises(DataError, match="needs a judge"):
        EXAM.further(without, [], 0)
    silent: Any = SimpleNamespace(judge=Silent(), run=run, prefix="", suite=suite(), sides="both")
    assert [check.observed for check in EXAM.glance(silent, [], 0)[0]] == ["nothing"]


def test_the_other_exams_leave_duels_as_they_are() -> None:
    run: Any = None
    for name in ("verdicts", "likelihood"):
        assert EXAMS[name].settled(run, None, "look", []) == []

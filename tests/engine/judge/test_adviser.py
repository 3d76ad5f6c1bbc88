"""A judge as the gate asks it: its verdicts, and the checks that say what they are worth."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.judging import Judge
from engine.errors import Mistake
from engine.gate import arithmetic as gate
from engine.gate.preference import ERRORS, JUDGED, is_judged
from engine.judge.adviser import Adviser, open_adviser, require_usable
from engine.judge.completions import JudgeError
from engine.judge.pairwise import Choice
from engine.records import Answer, Duel, Fault, Status, from_json, to_json
from tests.support.judge_server import JudgeServer, better_by_number, biased, mistaken, serving
from tests.support.outcomes import write_rows
from tests.support.proof_helpers import attempt, problem
from tests.support.simulated_campaigns import verdict

LONG = " and so on"


def duel(old: str, new: str, number: int = 0, status: Status = Status.FAIL) -> Duel:
    """Two replies that the task's own verifier finds alike."""
    asked = replace(problem(["A"], "A", name=f"p{number}"), turns=(f"How many, number {number}?",))
    sides = [
        Answer(
            attempt=replace(attempt(text, problem_id=asked.id), model_id=who),
            verdict=replace(verdict(status, asked.id), right=True, answer=text),
        )
        for who, text in (("m0", old), ("m1", new))
    ]
    return Duel(problem=asked, champion=sides[0], challenger=sides[1])


def duels(num: int, *, won: int, longer: int = 0) -> list[Duel]:
    """Duels of which the new reply wins the first ones, and is the longer one in others, spread evenly."""
    found = []
    for number in range(num):
        old, new = ("1", "2") if number < won else ("2", "1")
        is_longer = (number * longer) // num != ((number + 1) * longer) // num
        found.append(duel(old + LONG * (not is_longer), new + LONG * is_longer, number))
    return found


@contextmanager
def advising(server: JudgeServer, tmp_path: Path, **changes: Any) -> Iterator[Adviser]:
    with open_adviser(server.settings(num_parallel=8, **changes), tmp_path / "judge.jsonl") as adviser:
        yield adviser


def statuses(found: Sequence[Duel]) -> list[tuple[Status, Status]]:
    return [(each.champion.verdict.status, each.challenger.verdict.status) for each in found]


def test_settled_duels_say_who_is_preferred(tmp_path: Path) -> None:
    def says(asked: str, first: str, second: str) -> Choice:
        return Choice.NONE if "?!" in first + second else better_by_number(asked, first, second)

    asked = [
        duel("1", "2", 0),
        duel("2", "1", 1),
        duel("2", "2.0", 2),
        duel("3", "3", 3),
        duel("4", "5?!", 4),
    ]
    with serving(says) as server, advising(server, tmp_path, max_undecided=0.5) as adviser:
        settled = adviser.settled(asked)
        assert len(server.requests) == 8, "equal replies need no judge"
    passed, failed, open_ = Status.PASS, Status.FAIL, Status.UNDECIDED
    assert statuses(settled) == [
        (failed, passed),
        (passed, failed),
        (passed, passed),
        (passed, passed),
        (open_, open_),
    ]
    pairs = [gate.pair(each.champion.verdict, each.challenger.verdict) for each in settled]
    assert pairs == [(False, True), (True, False), (True, True), (True, True), (True, False)], (
        "without a verdict the challenger has lost"
    )
    verdicts = [each.challenger.verdict for each in settled]
    assert [each.grade for each in verdicts] == [1.0, 0.0, 0.5, 0.5, None]
    assert [each.fault for each in verdicts] == [
        Fault.NONE,
        "judged_worse",
        Fault.NONE,
        Fault.NONE,
        "not_judged",
    ]
    assert verdicts[1].reason == "the judge prefers the other reply: Reply second. [[2]]"
    assert verdicts[4].reason == "the judge gives no verdict: Reply none. Well."
    assert all(map(is_judged, verdicts)) and verdicts[0].verifier == f"{JUDGED}judge-1"
    # What the judge does not say stays as the task's own verifier found it.
    assert all(each.right for each in verdicts) and [each.answer for each in verdicts][:2] == ["2", "1"]
    assert [each.challenger.attempt for each in settled] == [each.challenger.attempt for each in asked]
    assert [from_json(Duel, to_json(each)) for each in settled] == settled


def test_settled_again_against_another_model_they_say_so(tmp_path: Path) -> None:
    with serving() as server, advising(server, tmp_path) as adviser:
        (first,) = adviser.settled([duel("1", "2")])
        (again,) = adviser.settled([replace(first, champion=duel("3", "2").champion)])
    assert statuses([first, again]) == [(Status.FAIL, Status.PASS), (Status.PASS, Status.FAIL)]


def test_advice_that_does_not_decide_passes_whatever_it_says(tmp_path: Path) -> None:
    with serving(biased(better_by_number, first=0.2)) as server, advising(server, tmp_path) as adviser:
        checks = adviser.advice(duels(40, won=10, longer=20), proves=True)
    assert [check.name for check in checks] == ["judge", "equal length"]
    assert all(check.passed and check.ran and check.limit is None for check in checks)
    assert {check.threshold for check in checks} == {"none: the judge advises, and does not decide"}
    said, length = checks
    assert said.value is not None and said.value < 0.5 and said.unit == "share"
    assert "lost" in said.observed and "of verdicts turn with the order (first place +0." in said.observed
    assert "judged by judge-1 (8,800 tokens in this run)" in said.observed
    assert "if both were equally long; the longer reply" in length.observed


@pytest.mark.parametrize(("won", "seen", "proven"), [(30, True, True), (22, True, False), (10, False, False)])
def test_a_judge_that_decides_says_so_in_the_decision(
    won: int, seen: bool, proven: bool, tmp_path: Path
) -> None:
    price = {"prompt": 1.0, "reply": 1.0}
    with serving() as server, advising(server, tmp_path, decides=True, price=price) as adviser:
        glanced = adviser.advice(duels(40, won=won, longer=20), proves=False)
        checks = adviser.advice(duels(40, won=won, longer=20), proves=True)
        assert len(server.requests) == 80
    assert checks[0].passed and checks[0].threshold == "none: the judge decides (gate.judge.decides)"
    assert "tokens in this run, at a cost of 0.0088)" in checks[0].observed
    assert (glanced[1].passed, checks[1].passed) == (seen, proven)
    assert glanced[1].limit == checks[1].limit == 0.5
    assert glanced[1].threshold == "seen above 50 %: the judge decides (gate.judge.decides)"
    assert checks[1].threshold == "interval above 50 %: the judge decides (gate.judge.decides)"
    decision = gate.decide(checks, champion_id="m0", challenger_id="m1", level=0.05, entropy=1, looks=())
    assert decision.accepted is proven


def test_a_win_by_length_alone_is_not_accepted(tmp_path: Path) -> None:
    """The judge sees nothing but length, and the new model talks more: it wins, and is not better."""
    with (
        serving(biased(better_by_number, longer=1.0)) as server,
        advising(server, tmp_path, decides=True) as adviser,
    ):
        said, length = adviser.advice(duels(100, won=40, longer=70), proves=True)
        always = adviser.advice(duels(60, won=30, longer=60), proves=True)[1]
    assert said.value == pytest.approx(0.7) and not length.passed
    assert not always.passed and always.observed.startswith("what length explains cannot be told; ")


def test_without_differences_of_length_the_win_rate_stands(tmp_path: Path) -> None:
    with serving() as server, advising(server, tmp_path, decides=True) as adviser:
        said, length = adviser.advice([duel("1", "2", number) for number in range(20)], proves=True)
    assert said.value == 1.0 and length.passed and length.observed.endswith("no two replies differ in length")


@pytest.mark.parametrize(("error", "passed"), [(0.1, True), (0.5, False)])
def test_labelled_pairs_say_what_the_judge_is_worth(error: float, passed: bool, tmp_path: Path) -> None:
    rows = [{"prompt": f"Which, {n}?", "chosen": "2", "rejected": "1"} for n in range(80)]
    file = write_rows(tmp_path / "labelled.jsonl", rows)
    with (
        serving(mistaken(better_by_number, error)) as server,
        advising(server, tmp_path, decides=True, labelled=str(file)) as adviser,
    ):
        *_, errors = adviser.advice(duels(60, won=50, longer=30), proves=True)
        assert len(server.requests) == 2 * 140
        assert adviser.advice(duels(60, won=50, longer=30), proves=True)[2] == errors
        assert len(server.requests) == 2 * 140
    assert errors.name == ERRORS and errors.passed is passed
    assert "on 80 labelled pairs" in errors.observed and "sensitivity" in errors.observed
    assert errors.observed.startswith("win rate " if passed else "nothing is known of the win rate: ")
    assert (errors.value is not None) is passed


def test_a_judge_that_cannot_be_asked_is_refused_before_it_is(tmp_path: Path) -> None:
    with serving() as server:
        rows = write_rows(tmp_path / "l.jsonl", [{"prompt": "q", "chosen": "a", "rejected": "b"}])
        with pytest.raises(JudgeError, match="has 1 pairs"), advising(server, tmp_path, labelled=str(rows)):
            pass
        own = open_adviser(server.settings(model="m1"), tmp_path / "judge.jsonl", own=["m1"])
        with pytest.raises(JudgeError, match="may not judge itself"), own:
            pass
        assert not server.requests


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "NO_SUCH_JUDGE_KEY"}, "NO_SUCH_JUDGE_KEY is not set"),
        ({"prompt": "no-such-prompt.txt"}, "judge.prompt no-such-prompt.txt cannot be read"),
        ({"labelled": "no-such-pairs.jsonl"}, "no-such-pairs.jsonl: cannot be read"),
    ],
)
def test_what_a_run_would_fail_by_is_refused_before_it(changes: dict[str, str], message: str) -> None:
    settings = {"url": "http://127.0.0.1:9/v1", "model": "judge"}
    require_usable(Judge.model_validate(settings))
    with pytest.raises(Mistake, match=message):
        require_usable(Judge.model_validate({**settings, **changes}))


def test_neither_of_the_two_models_may_be_the_judge(tmp_path: Path) -> None:
    with serving() as server, advising(server, tmp_path) as adviser:
        server.model = "m1"
        with pytest.raises(JudgeError, match="is the model m1 of the line on trial"):
            adviser.settled([duel("1", "2")])
    with serving() as server, advising(server, tmp_path / "else", own_line=True) as adviser:
        server.model = "m1"
        assert statuses(adviser.settled([duel("1", "2")])) == [(Status.FAIL, Status.PASS)]


def test_what_the_judge_wrote_is_kept_short_in_a_verdict(tmp_path: Path) -> None:
    with serving() as server, advising(server, tmp_path) as adviser:
        server.says = "word " * 1000 + "\n{mark}"
        (settled,) = adviser.settled([duel("2", "1")])
    assert isinstance(settled.challenger, Answer) and len(settled.challenger.verdict.reason) < 400

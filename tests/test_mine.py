"""Weaknesses: a planted one is found, chance is not called one, and half of the problems are aimed."""

import random
from dataclasses import replace

import pytest

from engine.evaluate import Answer
from engine.mine import mine, slice_weights
from engine.records import Fault, Problem, Status, Verdict, Weakness
from tests.proof_helpers import attempt, problem

SLICES = ["hops=1", "hops=2", "hops=3", "hops=4"]


def asked(number: int) -> list[Problem]:
    base = problem(["A"], "A")
    return [replace(base, id=f"p{i}", slice=SLICES[i % len(SLICES)]) for i in range(number)]


def answer(to: Problem, fault: Fault, status: Status | None = None) -> Answer:
    failed = fault is not Fault.NONE
    verdict = Verdict(
        problem_id=to.id,
        sample=0,
        status=status or (Status.FAIL if failed else Status.PASS),
        answer_right=not failed,
        proof_valid=not failed,
        answer="",
        steps=(),
        num_valid_steps=0,
        fault=fault,
        fault_step=0,
        verifier="test",
        reason="",
    )
    return Answer(attempt=attempt("", problem_id=to.id), verdict=verdict)


def found(problems: list[Problem], answers: list[Answer], num: int = 100) -> list[Weakness]:
    return mine(problems, answers, false_discovery=0.1, num_problems=num)


def planted(problems: list[Problem], rates: dict[tuple[str, Fault], float], seed: int) -> list[Answer]:
    rng = random.Random(seed)
    answers = []
    for each in problems:
        kinds = [fault for (name, fault), rate in rates.items() if name == each.slice and rng.random() < rate]
        answers.append(answer(each, kinds[0] if kinds else Fault.NONE))
    return answers


def test_a_planted_weakness_is_found_with_its_kind() -> None:
    problems = asked(200)
    even = {(name, Fault.WRONG_RULE): 0.1 for name in SLICES}
    answers = planted(problems, {("hops=4", Fault.WRONG_POLARITY): 0.5, **even}, seed=1)
    (weakness,) = found(problems, answers)
    assert (weakness.slice, weakness.fault) == ("hops=4", Fault.WRONG_POLARITY)
    assert weakness.low <= weakness.rate <= weakness.high and weakness.elsewhere == 0
    assert 0.3 < weakness.rate < 0.7 and weakness.p_adjusted < 0.001
    assert weakness.quota == 50


def test_the_larger_and_more_frequent_deficit_gets_more() -> None:
    problems = asked(400)
    rates = {("hops=4", Fault.BAD_CITATION): 0.8, ("hops=2", Fault.WRONG_CLAIM): 0.3}
    weaknesses = found(problems, planted(problems, rates, seed=2), num=200)
    assert [w.slice for w in weaknesses] == ["hops=4", "hops=2"]
    assert sum(w.quota for w in weaknesses) == 100
    assert weaknesses[0].quota > 2 * weaknesses[1].quota


def test_without_a_difference_mostly_nothing_is_found() -> None:
    """Benjamini-Hochberg at 0.10: under the null a false weakness in at most a tenth of the rounds."""
    problems = asked(100)
    kinds = [Fault.WRONG_RULE, Fault.WRONG_CLAIM, Fault.UNSETTLED]
    rates = {(name, fault): 0.2 for name in SLICES for fault in kinds}
    false = sum(bool(found(problems, planted(problems, rates, seed))) for seed in range(100))
    assert false <= 15


@pytest.mark.parametrize("fault", [Fault.NONE, Fault.WRONG_ANSWER])
def test_where_all_is_alike_nothing_is_found(fault: Fault) -> None:
    problems = asked(80)
    assert found(problems, [answer(each, fault) for each in problems]) == []


def test_one_slice_alone_has_no_elsewhere() -> None:
    problems = [replace(each, slice="hops=1") for each in asked(40)]
    assert found(problems, [answer(each, Fault.WRONG_RULE) for each in problems]) == []


def test_undecided_says_nothing_of_the_model() -> None:
    problems = asked(80)
    answers = [
        answer(each, Fault.VERIFIER_LIMIT, Status.UNDECIDED)
        if each.slice == "hops=4"
        else answer(each, Fault.NONE)
        for each in problems
    ]
    assert found(problems, answers) == []


def test_the_mixture_is_half_aimed_and_half_even() -> None:
    weakness = Weakness(
        slice="hops=3",
        fault=Fault.WRONG_RULE,
        rate=0.5,
        elsewhere=0.1,
        low=0.4,
        high=0.6,
        p_adjusted=0.01,
        quota=30,
    )
    other = replace(weakness, fault=Fault.WRONG_CLAIM, quota=20)
    weights = slice_weights(SLICES, [weakness, other], 100)
    assert weights == {"hops=1": 12.5, "hops=2": 12.5, "hops=3": 62.5, "hops=4": 12.5}
    assert sum(weights.values()) == 100
    assert set(slice_weights(SLICES, [], 100).values()) == {25.0}

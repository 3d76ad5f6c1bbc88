"""Pass rates from samples, and the problems that they choose."""

from dataclasses import replace

from engine.measure.pass_rate import nearest_half, pass_rates
from engine.records import Answer, Fault, Status, Verdict
from tests.support.proof_helpers import attempt, problem

P, F, U = Status.PASS, Status.FAIL, Status.UNDECIDED


def samples(of: str, *statuses: Status) -> list[Answer]:
    faults = {P: Fault.NONE, F: Fault.WRONG_ANSWER, U: Fault.VERIFIER_LIMIT}
    return [
        Answer(
            attempt=attempt("", problem_id=of, sample=sample),
            verdict=Verdict(
                problem_id=of,
                sample=sample,
                status=status,
                right=status is P,
                answer="",
                fault=faults[status],
                verifier="test",
                reason="",
            ),
        )
        for sample, status in enumerate(statuses)
    ]


def test_undecided_samples_are_neither_right_nor_wrong() -> None:
    problems = [replace(problem(["A"], "A"), id=name) for name in "abcd"]
    answers = [
        *samples("c", U, U, U),
        *samples("a", P, F, F),
        *samples("b", P, U, F),
        *samples("d", U, P, U),
    ]
    assert pass_rates(problems, answers, 3) == [1 / 3, 0.5, None, 1.0]


def test_problems_near_one_half_come_first_and_those_without_a_rate_never() -> None:
    rates = [1.0, 0.75, None, 0.5, 0.0, 0.3]
    assert nearest_half(rates, 3, seed=0) == [3, 5, 1]
    every = nearest_half(rates, 10, seed=0)
    assert sorted(every) == [0, 1, 3, 4, 5] and set(every[3:]) == {0, 4}


def test_the_seed_decides_ties() -> None:
    rates = [0.25, 0.75] * 20
    chosen = {tuple(nearest_half(rates, 10, seed)) for seed in range(5)}
    assert len(chosen) == 5 and nearest_half(rates, 10, 3) == nearest_half(rates, 10, 3)
    # Neither the order of the problems nor the side of one half decides.
    first = [nearest_half(rates, 1, seed)[0] for seed in range(40)]
    assert {index % 2 for index in first} == {0, 1} and max(first) > 20

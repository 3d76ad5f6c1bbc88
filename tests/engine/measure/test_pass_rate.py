"""Pass rates from samples."""

from dataclasses import replace

from engine.measure.pass_rate import pass_rates
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

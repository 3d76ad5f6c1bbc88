"""How often a model solves each problem."""

from collections.abc import Sequence

from engine.records import Answer, Problem, Status


def pass_rates(problems: Sequence[Problem], answers: Sequence[Answer], k: int) -> list[float | None]:
    """The share of each problem's `k` samples that passed, in the order of the problems.

    UNDECIDED samples are left out; the rate is None where nothing else was drawn.
    """
    decided: dict[str, list[bool]] = {problem.id: [] for problem in problems}
    assert len(answers) == k * len(decided), f"{len(answers)} answers are not {k} to each of {len(decided)}"
    for answer in answers:
        if answer.verdict.status is not Status.UNDECIDED:
            decided[answer.verdict.problem_id].append(answer.verdict.status is Status.PASS)
    return [sum(passed) / len(passed) if passed else None for passed in decided.values()]

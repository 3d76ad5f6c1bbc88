"""A reply to each turn of a problem becomes rows to learn from."""

from collections.abc import Sequence

from engine.models.prompts import messages
from engine.records import Problem, TrainingRow


def row_of(
    problem: Problem, replies: Sequence[str], turn: int, *, system: str, rejected: str = ""
) -> TrainingRow:
    """The row that learns the reply to one turn, counted from 0, after the replies before it."""
    return TrainingRow(
        problem_id=problem.id,
        chat=messages(system, problem.turns[: turn + 1], replies=replies[:turn]),
        chosen=replies[turn],
        rejected=rejected,
        story=problem.story or problem.id,
    )


def rows_of(problem: Problem, replies: Sequence[str], *, system: str) -> list[TrainingRow]:
    """One row for each turn of a problem: a single one where the problem is one question."""
    return [row_of(problem, replies, turn, system=system) for turn in range(len(problem.turns))]

"""Replies to a problem, or the text of a passage, become rows to learn from."""

from collections.abc import Sequence

from engine.models.prompts import messages
from engine.records import Passage, Problem, TrainingRow
from engine.tasks.suite import Suite


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


def text_row(text: str, problem_id: str = "") -> TrainingRow:
    """The row that learns a plain text, with no end after it: a passage is a part of something longer."""
    return TrainingRow(problem_id=problem_id, chat=(), chosen=text, ends=False)


def gold_rows(problem: Problem, *, system: str) -> list[TrainingRow]:
    """What is right about a problem: its passage, or its gold reply to each turn; nothing without one."""
    if isinstance(problem.truth, Passage):
        return [text_row(problem.truth.text, problem.id)]
    return rows_of(problem, problem.gold, system=system) if problem.gold else []


def gold_example(suite: Suite, system: str) -> TrainingRow:
    """The last row of what is right about a problem, for people to look at."""
    (problem,) = suite.draw(1, split="example", seed=0)
    return gold_rows(problem, system=system)[-1]

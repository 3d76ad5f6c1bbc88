"""Equal learnt tokens: the rows of every arm are cut to the same number of tokens with a loss.

Rows are taken whole and in the order in which the loop proposes them, so a loop that wants its best rows
learnt puts them first. Tokens are counted by the trainer's own method.
"""

from collections.abc import Sequence
from pathlib import Path

from configs.training import Train
from engine.curate.choose import within
from engine.errors import Mistake
from engine.models.prompts import tokenizer_of
from engine.records import Role, TrainingRow, TrainingSet
from engine.train.methods import num_learnt

_SHORT = 0.05
"""Largest share of the tokens that may be missing: whole rows rarely come out even."""


class TooFewTokens(Mistake):
    """An arm has not enough to learn for a fair comparison."""


def learnt_tokens(rows: Sequence[TrainingRow], config: Train, model: Path) -> list[int]:
    """Tokens with a loss in each row; 0 for one that is left out as too long, or only holds the model."""
    tokenizer = tokenizer_of(model)
    return [num_learnt(row, tokenizer, config) if row.role is Role.LEARN else 0 for row in rows]


def cut(data: TrainingSet, lengths: Sequence[int], num_tokens: int) -> TrainingSet:
    """The first rows that together have at most so many learnt tokens; what does not fit in is passed over.

    Rows that only hold the model have none, and stay. Raises TooFewTokens where all that can be learnt is
    fewer by more than a twentieth.
    """
    places = set(within(lengths, num_tokens))
    total = sum(lengths[place] for place in places)
    if total < (1 - _SHORT) * num_tokens:
        raise TooFewTokens(
            f"its rows have {total:,} learnt tokens of the {num_tokens:,} that every arm learns: let the "
            "loop make more of them (loop.num_problems), or set learnt_tokens lower"
        )
    rows = [row for place, row in enumerate(data.rows) if place in places or row.role is Role.HOLD]
    return TrainingSet.of(rows, data.funnel)

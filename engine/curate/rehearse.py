"""Rehearsal: the untrained base's own text, mixed into training so that the model keeps its abilities.

This is self-synthesized rehearsal (Huang et al. 2024, after Robins' pseudo-rehearsal, 1995). The base answers
short requests and continues a few openings, sampled at temperature 1, so that the text is its own. Training
holds the model to its parent on these rows (`engine/train/loss.py`).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from engine.disk.jsonl import read_rows
from engine.models.prompts import messages
from engine.records import Finish, Role, TrainingRow
from engine.sample.protocol import Request, Sampler, Sampling

_CHATS_A_TEXT = 6
"""So many answers for each plain text, which preserves writing outside a chat."""
MAX_NEW_TOKENS = 48
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A request for the base to answer, or the first words of a text for it to continue."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    id: str
    text: Annotated[str, Field(min_length=1, max_length=2_000)]


def num_rows(num_task_rows: int, share: float) -> int:
    """How many rows are `share` of all rows, beside `num_task_rows` others."""
    return round(num_task_rows * share / (1 - share))


def rehearsal(sampler: Sampler, base: Path, num: int, seed: int) -> list[TrainingRow]:
    """`num` rows sampled from `base`: requests with answers, and plain texts. Each `seed` gives others."""
    num_texts = num // (_CHATS_A_TEXT + 1)
    rows = _sampled(sampler, base, requests(), num - num_texts, seed, is_chat=True)
    return rows + _sampled(sampler, base, openings(), num_texts, seed, is_chat=False)


def _sampled(
    sampler: Sampler, base: Path, prompts: tuple[str, ...], num: int, seed: int, *, is_chat: bool
) -> list[TrainingRow]:
    # Another seed starts elsewhere in the list, so that rounds rehearse different prompts.
    asked = {f"rehearsal-{i}": prompts[(seed * num + i) % len(prompts)] for i in range(num)}
    sampling = Sampling(temperature=1.0, seed=seed, max_new_tokens=MAX_NEW_TOKENS)
    answers = sampler.sample(
        base,
        [
            Request(problem_id=name, messages=messages("", (text,)) if is_chat else text)
            for name, text in asked.items()
        ],
        sampling,
    )
    given = {attempt.problem_id: attempt for attempt in answers}
    return [
        TrainingRow(
            problem_id="",
            chat=messages("", (text,)) if is_chat else (),
            chosen=given[name].text if is_chat else text + given[name].text,
            role=Role.HOLD,
            ends=given[name].finish is Finish.STOP,
        )
        for name, text in asked.items()
    ]


@cache
def requests() -> tuple[str, ...]:
    """Short requests for rehearsal, none of them like the problems and sentinels. Raises RowError."""
    return tuple(row.text for row in read_rows(_HERE / "requests.jsonl", Opening))


@cache
def openings() -> tuple[str, ...]:
    """The first words of texts for the base to continue. Raises RowError."""
    return tuple(row.text for row in read_rows(_HERE / "openings.jsonl", Opening))

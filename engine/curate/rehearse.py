"""Rehearsal: text of the untrained base's own, mixed into training so that what it could do stays.

Self-synthesized rehearsal (Huang et al. 2024, after Robins' pseudo-rehearsal, 1995). The base answers short
requests and continues a few openings, drawn at temperature 1, so that they are what it would say. Training
holds the model to its parent on them (`engine/train/loss.py`).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from engine.disk.jsonl import read_rows
from engine.records import Finish, TrainingRow
from engine.sample.protocol import Request, Sampler, Sampling

_TEXTS_A_CHAT = 6
"""One plain text for every so many answers: it holds what is written outside a chat."""
MAX_NEW_TOKENS = 48
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A request for the base to answer, or the first words of a text for it to continue."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    id: str
    text: Annotated[str, Field(min_length=1, max_length=2_000)]


def num_rows(num_task_rows: int, share: float) -> int:
    """How many rows make `share` of all rows, beside `num_task_rows` others."""
    return round(num_task_rows * share / (1 - share))


def rehearsal(sampler: Sampler, base: Path, num: int, seed: int) -> list[TrainingRow]:
    """`num` rows drawn from `base`: requests with its answers, and plain texts; others for another `seed`."""
    num_texts = num // (_TEXTS_A_CHAT + 1)
    rows = _drawn(sampler, base, requests(), num - num_texts, seed, chat=True)
    return rows + _drawn(sampler, base, openings(), num_texts, seed, chat=False)


def _drawn(
    sampler: Sampler, base: Path, prompts: tuple[str, ...], num: int, seed: int, *, chat: bool
) -> list[TrainingRow]:
    # Another seed begins elsewhere in the list, so that rounds rehearse different prompts.
    asked = {f"rehearsal-{i}": prompts[(seed * num + i) % len(prompts)] for i in range(num)}
    sampling = Sampling(temperature=1.0, seed=seed, max_new_tokens=MAX_NEW_TOKENS)
    answers = sampler.sample(
        base,
        [
            Request(problem_id=name, messages=[{"role": "user", "content": text}] if chat else text)
            for name, text in asked.items()
        ],
        sampling,
    )
    given = {attempt.problem_id: attempt for attempt in answers}
    return [
        TrainingRow(
            problem_id="",
            prompt=text if chat else "",
            chosen=given[name].text if chat else text + given[name].text,
            ends=given[name].finish is Finish.STOP,
        )
        for name, text in asked.items()
    ]


@cache
def requests() -> tuple[str, ...]:
    """Short requests for rehearsal, sharing nothing with what is judged. Raises RowError."""
    return tuple(row.text for row in read_rows(_HERE / "requests.jsonl", Opening))


@cache
def openings() -> tuple[str, ...]:
    """The first words of texts, to be continued for rehearsal. Raises RowError."""
    return tuple(row.text for row in read_rows(_HERE / "openings.jsonl", Opening))

"""Rehearsal: text of the untrained base's own, mixed into training so that what it could do stays.

Self-synthesized rehearsal (Huang et al. 2024, after Robins' pseudo-rehearsal, 1995). The base answers short
requests and continues a few openings, drawn at temperature 1, so that they are what it would say. Training
holds the model to its parent on them (`train_loss.py`).
"""

from pathlib import Path

from engine.records import Finish, TrainingRow
from engine.sampling import Request, Sampler, Sampling
from engine.sentinels import openings, requests

_TEXTS_A_CHAT = 6
"""One plain text for every so many answers: it holds what is written outside a chat."""
MAX_NEW_TOKENS = 48


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

"""What is found means about the same as an accepted answer: cosine similarity of sentence embeddings.

The model of `engine/embeddings.py` is loaded once in each process of the pool, while that starts. Similar
texts may say opposite things, so calibrate the threshold with `ratchet data check`, and prefer another scorer
where there is one.
"""

import os
import tempfile
from collections.abc import Sequence
from functools import lru_cache

from configs.scorers import Semantic
from engine.answers import find_answer
from engine.embeddings import Embed, embedder
from engine.records import Attempt, Fault, Problem, Reference, Verdict
from engine.verify.scorers.scoring import Score, judged, listed, nothing_found

NAME = "semantic"
_MOST_TEXTS = 4_096
"""Embeddings of accepted answers that are kept."""


def _load() -> Embed:
    # A checker may write no file, and torch asks for a directory of temporary files: Python would try it out.
    tempfile.tempdir = os.environ.get("TMPDIR", "/tmp")
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    embed = embedder()
    embed([""])  # loads the model: not in the time of the first answer
    return embed


_EMBED = _load()


@lru_cache(maxsize=_MOST_TEXTS)
def _embedding(text: str) -> tuple[float, ...]:
    return tuple(float(each) for each in _EMBED([text])[0])


def similarity(one: str, other: str) -> float:
    """Cosine similarity of two texts, from -1 to 1."""
    return sum(a * b for a, b in zip(_embedding(one), _embedding(other), strict=True))


def nearest(found: str, accepted: Sequence[str]) -> float:
    """Similarity to the nearest accepted answer."""
    return max(similarity(found, answer) for answer in accepted)


def score(truth: Reference, reply: str, settings: Semantic) -> Score:
    """Right where the nearest accepted answer is near enough; the grade is how near it is."""
    found = find_answer(reply, settings.find)
    if not found:
        return nothing_found(settings.find)
    near = nearest(found, truth.accepted)
    if near >= settings.threshold:
        return Score(found, Fault.NONE, grade=near)
    wanted = f"{settings.threshold:.2f} to {listed(truth.accepted)}"
    return Score(found, Fault.WRONG_ANSWER, f"its similarity must be {wanted}, got {near:.2f}", near)


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one reply."""
    return judged(problem, attempt, Semantic, NAME, score)

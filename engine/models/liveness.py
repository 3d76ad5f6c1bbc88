"""Is the model that is judged the one that was trained? Shown before any problem is spent on it.

When a challenger is saved, the trainer scores a few texts with transformers; before it is judged, the
sampler scores them with the engine that will answer, and the decision shows how far they agree. That the
engine holds the right weights is also proved at every swap (`proof.py`).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.models.prompts import text_ids
from engine.models.reference import logprobs
from engine.records import Check, Score

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# A stored model is compared with its trainer's scores of these very texts: they must never change.
TEXTS = (
    "Each wumpus is a tumpus. [1]\nMax is a wumpus. [2]\nTrue or false: Max is a tumpus.\n"
    "Max is a tumpus. [1 2 mp] [3]",
    "The sun rises in the east and sets in the west.",
    "To make tea, boil some water and pour it over the leaves. Wait for some minutes, take the leaves out, "
    "and drink it while it is hot, with a little milk if you like.",
    "My grandmother kept bees behind the old mill. Every summer she gave each of us a small jar of honey, "
    "and told us to make it last until the snow.",
)
TOLERANCE = 0.03
"""Largest difference between the two engines, in nats a token over all texts.

On the embedded model the rounding of bf16 makes 0.004 to 0.017, a stale head about 0.1.
"""


def reference(model: "PreTrainedModel", tokenizer: Any) -> list[float]:
    """Negative log-likelihood of each of `TEXTS` after its first token, in nats, by transformers.

    The model should be in fp32, so that only the sampler's arithmetic is inexact.
    """
    found = logprobs(model, [text_ids(tokenizer, text) for text in TEXTS])
    return [-sum(each) for each in found]


def check(champion: Sequence[Score], challenger: Sequence[Score], trained: Sequence[float]) -> Check:
    """The challenger's numbers are finite, agree with the trainer's, and are not the champion's.

    `champion` and `challenger` are the sampler's scores of `TEXTS`, `trained` the trainer's. They are empty
    for a model whose scores were not kept, which then has only to be finite and changed.
    """
    finite = all(math.isfinite(score.nll) for score in challenger)
    change = off = math.nan
    if finite:
        change = max(abs(new.nll - old.nll) for new, old in zip(challenger, champion, strict=True))
        known = trained or [run.nll for run in challenger]
        differences = (abs(run.nll - nll) for run, nll in zip(challenger, known, strict=True))
        off = sum(differences) / sum(run.num_tokens for run in challenger)
    return Check(
        name="alive",
        observed=f"log-likelihoods {'finite' if finite else 'not finite'}, changed by up to {change:.3g} "
        f"nats, "
        + (f"{off:.2g} nats a token from the trainer's" if trained else "the trainer's were not kept"),
        threshold=f"finite, changed, at most {TOLERANCE} nats a token from the trainer's",
        passed=finite and change > 0 and off <= TOLERANCE,
        value=off if math.isfinite(off) else None,
        limit=TOLERANCE,
        unit="nats a token",
    )

"""What a sentinel suite shows beside its check: what broke, with both replies, and how varied replies are.

Pure functions over what two models scored. Nothing is decided here: `Watched` is for people.
"""

import math
from collections.abc import Sequence

from engine.embeddings import Embed
from engine.gate.sentinels import Prose, SentinelSuite
from engine.gate.sentinels.proportion import Proportion
from engine.measure.diversity import figures_of
from engine.records import Broken, SentinelScores, Watched

_EXAMPLES = 4
_MOST_CHARACTERS = 400
"""Characters that are kept of a request, a document or a reply."""


def watched(
    suite: SentinelSuite, before: SentinelScores, after: SentinelScores, embed: Embed | None = None
) -> Watched:
    """Compare two models item by item; both have been asked every row of the suite.

    With `embed` it is shown how far the replies lie apart, too.
    """
    assert isinstance(suite, Proportion | Prose), "the two kinds of suites"
    shown: list[Sequence[str]]
    if isinstance(suite, Proportion):
        items = suite.items
        shown = [_replies(each) for each in (before, after)]
        falls = [old - new for old, new in zip(before.scores, after.scores, strict=True)]
        order = [i for i, fall in enumerate(falls) if fall > 0]
    else:
        items = [(each.id, each.text) for each in suite.documents]
        shown = [_nats(each) for each in (before, after)]
        falls = [
            (new - old) / num
            for old, new, num in zip(before.scores, after.scores, before.num_tokens, strict=True)
        ]
        worse = [i for i, fall in enumerate(falls) if not fall <= 0]
        order = sorted(worse, key=lambda i: -falls[i] if math.isfinite(falls[i]) else -math.inf)
    return Watched(
        suite=suite.name,
        before_id=before.model_id,
        after_id=after.model_id,
        broken=tuple(items[i][0] for i in order),
        num_mended=sum(fall < 0 for fall in falls),
        examples=tuple(
            Broken(
                id=items[i][0],
                asked=items[i][1][:_MOST_CHARACTERS],
                before=shown[0][i][:_MOST_CHARACTERS],
                after=shown[1][i][:_MOST_CHARACTERS],
            )
            for i in (_apart(order) if isinstance(suite, Proportion) else order[:_EXAMPLES])
        ),
        before=figures_of(before.replies, embed) if before.replies else (),
        after=figures_of(after.replies, embed) if after.replies else (),
    )


def _replies(scores: SentinelScores) -> list[str]:
    """What was answered; empty strings where that was not kept."""
    if not scores.replies:
        return [""] * len(scores.scores)
    return [reply if reply.strip() else "(an empty reply)" for reply in scores.replies]


def _nats(scores: SentinelScores) -> list[str]:
    return [
        f"{nll / num:.2f} nats a token" for nll, num in zip(scores.scores, scores.num_tokens, strict=True)
    ]


def _apart(order: Sequence[int]) -> list[int]:
    """A few of some requests, evenly from the first to the last: suites list them by kind."""
    num = min(_EXAMPLES, len(order))
    return [order[i * len(order) // num] for i in range(num)]

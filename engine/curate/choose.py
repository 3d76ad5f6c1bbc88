"""Which candidates are learnt: in what order they are taken, how many fit, and what each weighs.

Arms of an experiment differ in the order alone. ``high_loss`` takes what the model finds least likely,
``pass_rate`` problems whose samples pass nearest to half of the time (uncertainty sampling, Lewis and Gale
1994), ``diverse`` candidates far from each other, ``longest`` the longest, a cheap baseline that beat curated
sets (Zhao et al. 2024, arXiv:2402.04833). ``placebo`` pairs every problem with the replies to another.
"""

import math
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from configs.loops import Choose
from engine.curate.candidates import Candidate
from engine.embeddings import Embed

_HUNDRED = math.log(100)


def in_order(
    candidates: Sequence[Candidate],
    choose: Choose,
    *,
    seed: int,
    aimed: Collection[str] = (),
    embed: Embed | None = None,
) -> list[Candidate]:
    """All candidates in the order in which they are taken; equals come in an order that the seed decides.

    `aimed` are the ids of problems that were made for a weakness. ``diverse`` needs `embed`.
    """
    shuffled = random.Random(seed).sample(candidates, len(candidates))
    match choose:
        case "targeted":
            return _in_turn(shuffled, aimed)
        case "high_loss":
            return sorted(shuffled, key=lambda each: -each.loss)
        case "pass_rate":
            return sorted(shuffled, key=lambda each: _from_half(each.pass_rate))
        case "longest":
            return sorted(shuffled, key=lambda each: -len(_learnt(each)))
        case "diverse":
            assert embed is not None, "what is far apart is seen by embeddings"
            texts = ["\n".join([each.problem.text, *each.replies]) for each in shuffled]
            return [shuffled[place] for place in farthest_first(texts, embed)]
        case "random" | "placebo":
            return shuffled


def _learnt(candidate: Candidate) -> str:
    """What is learnt of a candidate: its replies, or the passage itself."""
    return "".join(candidate.replies) or candidate.problem.text


def _in_turn(candidates: Sequence[Candidate], aimed: Collection[str]) -> list[Candidate]:
    """Aimed candidates and others in turn while both last, so that a budget divides among them evenly."""
    own = [each for each in candidates if each.problem.id in aimed]
    others = [each for each in candidates if each.problem.id not in aimed]
    num = min(len(own), len(others))
    pairs = zip(own[:num], others[:num], strict=True)
    return [each for pair in pairs for each in pair] + own[num:] + others[num:]


def _from_half(rate: float | None) -> float:
    return 1.0 if rate is None else abs(rate - 0.5)


def farthest_first(texts: Sequence[str], embed: Embed) -> list[int]:
    """All places of `texts`, each next one the farthest from those before it; the first text comes first.

    Any beginning of this order covers the texts with a radius at most twice the smallest possible.
    Source: greedy k-centre (Gonzalez 1985; for active learning Sener and Savarese 2018).
    """
    import numpy as np

    if not texts:
        return []
    rows = np.asarray(embed(texts))
    order = [0]
    nearest = 1 - rows @ rows[0]
    while len(order) < len(texts):
        nearest[order[-1]] = -np.inf
        order.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, 1 - rows @ rows[order[-1]])
    return order


def within(sizes: Iterable[int], budget: int | None) -> list[int]:
    """Places of what is taken, in order: everything that still fits into the budget; all where it is None.

    What has no size cannot be learnt, and is left out.
    """
    taken, left = [], math.inf if budget is None else budget
    for place, size in enumerate(sizes):
        if 0 < size <= left:
            taken.append(place)
            left -= size
    return taken


def deranged(candidates: Sequence[Candidate], seed: int) -> list[Candidate]:
    """Every problem with the replies to another one: a placebo, which has the same texts and wrong labels.

    A problem gets other replies than its own wherever that is possible, and only those to a problem with as
    many turns.
    """
    rng = random.Random(seed)
    by_turns: dict[int, list[int]] = defaultdict(list)
    for place in rng.sample(range(len(candidates)), len(candidates)):
        by_turns[len(candidates[place].replies)].append(place)
    given = [each.replies for each in candidates]
    for places in by_turns.values():
        alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place in places:
            alike[candidates[place].replies].append(place)
        # Equal replies side by side, moved on by the longest such stretch: none comes to rest on its like.
        ring = [place for group in alike.values() for place in group]
        step = max(map(len, alike.values()))
        for i, place in enumerate(ring):
            given[place] = candidates[ring[(i + step) % len(ring)]].replies
    return [replace(each, replies=replies) for each, replies in zip(candidates, given, strict=True)]


def uncertainty_weights(losses: Sequence[float]) -> list[float]:
    """A weight for each row by its loss in nats a token: log(perplexity + 1) / log(100), at most 1.

    They are scaled to a mean of 1, so that a learning rate means what it means without weights.
    """
    raw = [min(1.0, math.log1p(math.exp(min(loss, _HUNDRED))) / _HUNDRED) for loss in losses]
    mean = sum(raw) / len(raw) if raw else 1.0
    return [weight / mean for weight in raw]

"""Two pawls: a round carries on what looks better, and the champion moves only when a trial shows it.

One question is what the next round starts from: whatever looks better is the best bet. Another is what is
served and called better: what is proven against the champion, all steps since it together. A *working model*
answers the first, the champion the second. Where both moved only on what is shown, most gains would be lost:
one round's gain is seldom large enough to be shown, while steps add up to something that can be.

Pure functions over paired outcomes, as in `engine/gate/arithmetic.py`. `loops/pawls.py` asks the models.
Source: the noise of selection and the cost of testing each step, as in *Winner's Curse*, arXiv 2610.09239.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from engine.gate import arithmetic as gate
from engine.gate.arithmetic import Pair
from engine.measure.stats import sign_test
from engine.records import Check, Decision

MOST_REFUSALS = 2
"""Trials that may refuse a working line; then the next round starts from the champion."""


class Standing(StrEnum):
    """How the working model stands against the champion where a trial is due."""

    READY = "ready"
    UNCLEAR = "unclear"
    WORSE = "worse"


class Move(StrEnum):
    """What follows from it."""

    PROVE = "prove"
    WAIT = "wait"
    GO_BACK = "go back"


def due(number: int, every: int, last: bool) -> bool:
    """Whether round `number` ends with a look at the champion: every so many rounds, and in the last one."""
    return last or number % every == 0


def looks_better(pairs: Sequence[Pair]) -> Check:
    """The challenger wins more fresh problems than it loses against its parent.

    `pairs` are (parent passed, challenger passed). That is the better bet, and no claim.
    """
    wins, losses = gate.discordant(pairs)
    return Check(
        name="carry",
        observed=f"{wins} won, {losses} lost of {len(pairs)} problems against its parent",
        threshold="more won than lost",
        passed=wins > losses,
        value=wins,
        limit=losses + 1,
        unit="wins",
    )


def no_visible_drop(name: str, pairs: Sequence[Pair], margin: float) -> Check:
    """The share seen drops by less than `margin`: `pairs` are (before, after). A guard: it shows nothing."""
    gained, lost = gate.discordant(pairs)
    drop = (lost - gained) / len(pairs)
    return Check(
        name=name,
        observed=f"{gained} gained, {lost} lost of {len(pairs)}: a drop of {drop:.1%}",
        threshold=f"drop seen under {margin:.1%}",
        passed=drop < margin,
        value=drop,
        limit=margin,
        unit="share",
    )


def no_visible_rise(
    name: str, before: Sequence[float], after: Sequence[float], num_tokens: Sequence[int], ratio: float
) -> Check:
    """The perplexity seen rises by less than `ratio`; documents are given by summed nats."""
    rise = math.exp(min((sum(after) - sum(before)) / sum(num_tokens), 700.0))
    return Check(
        name=name,
        observed=f"perplexity x {rise:.3f} over {len(after)} documents",
        threshold=f"perplexity ratio seen under {ratio:.3f}",
        passed=rise < ratio,
        value=rise if math.isfinite(rise) else None,
        limit=ratio,
        unit="ratio",
    )


def readiness(pairs: Sequence[Pair], ready: float) -> tuple[Check, Standing]:
    """How the working model stands against the champion: `pairs` are (champion passed, working model passed).

    It shows nothing, for the working model was chosen on these problems; it tells whether a trial is worth
    its share of the error budget.
    """
    wins, losses = gate.discordant(pairs)
    p = sign_test(wins, losses)
    check = Check(
        name="readiness",
        observed=f"{wins} won, {losses} lost of {len(pairs)} problems against the champion, p = {p:.3g}",
        threshold=f"p at most {ready:g}",
        passed=p <= ready,
        value=p,
        limit=ready,
        unit="",
    )
    if losses > wins:
        return check, Standing.WORSE
    return check, Standing.READY if check.passed else Standing.UNCLEAR


def next_move(standing: Standing, last: bool) -> Move:
    """What is done with a working model: after the last round there is nothing left to wait for."""
    if standing is Standing.WORSE:
        return Move.GO_BACK
    return Move.PROVE if last or standing is Standing.READY else Move.WAIT


def decide(
    checks: Sequence[Check], *, parent_id: str, challenger_id: str, entropy: int, second_verifier: str
) -> Decision:
    """Carried if and only if every check passed: a decision without a level, which claims nothing."""
    decision = gate.decide(
        checks,
        champion_id=parent_id,
        challenger_id=challenger_id,
        level=0,
        entropy=entropy,
        looks=(),
        second_verifier=second_verifier,
    )
    if decision.accepted:
        decision = replace(decision, reason=f"Looks better, which is not proven: {checks[0].observed}.")
    return decision

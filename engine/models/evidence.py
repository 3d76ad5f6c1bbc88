"""What log-likelihoods show about the weights of an engine: the arithmetic of `proof.py`, without any engine.

Rounding moves the log-likelihood of a token by 1 - p of what it does to the token's logit, so that every
difference is divided by 1 - p first; what is left is alike for all texts and models (0.06 nats in bfloat16).
The few tokens that are off the most are left out: one in a thousand can be off by nats. Tokens in the same
context are off together, so that a standard deviation counts equal pairs of neighbours as one.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

Ids: TypeAlias = tuple[int, ...]
"""A text as tokens."""
LogProbs: TypeAlias = tuple[float, ...]
"""The log-likelihood of each token of a text after its first, in nats."""

FEWEST = 4
"""Texts that are asked at least: some hundred tokens, which make a root mean square."""
_KEPT = 0.98
"""The share of tokens that counts: those that are off the least."""
_SUREST = 0.1
"""The least 1 - p that is divided by."""
_ENOUGH = 0.025
"""No further text is asked where the standard deviation of the projection is expected to be at most this."""
_APART = 0.07
"""Two models are told apart where it is expected to be at most this."""
_WINDOW = 3.5
"""How many standard deviations the projection may be from 1 …"""
_LEAST_WINDOW = 0.1
"""… and what it may be in any case."""
_SPREAD = 3.0
"""How many times its rounding an engine may be off a reference."""
LEAST_ROUNDING = 3e-4
"""What is taken for an engine's rounding at least, in nats; kernels in float32 differ by less."""
_SAME = 1e-3
"""Models that differ by more than this, in nats, do not give all texts the same digits."""


class Unproven(Exception):
    """An engine does not answer as the model whose weights it was given; the message says how it does."""


class Pair(NamedTuple):
    """A text with its log-likelihoods by the model to be proved and by the one before it."""

    ids: Ids
    own: LogProbs
    other: LogProbs
    """Those of `own` where there is none before it."""


class Trial(NamedTuple):
    """What an engine is asked of a model, and what it may answer."""

    name: str
    other: str
    """The model before it; empty where it is compared with none."""
    pairs: Sequence[Pair]
    rounding: float
    """The engine's own, as far as it is known, in nats."""
    deviation: float = 0.0
    """The standard deviation of the projection that is expected."""
    said: Sequence[LogProbs] = ()
    """Where the pairs do not tell the two models apart, what the engine said with the weights before."""

    @property
    def apart(self) -> bool:
        """Whether the pairs tell the two models apart."""
        return self.deviation <= _APART


class _Token(NamedTuple):
    key: Ids
    """The token before it, and itself."""
    own: float
    unit: float
    """1 - p."""
    step: float
    """The way from the other model to this one."""


def off_by(found: Sequence[LogProbs], exact: Sequence[LogProbs]) -> float:
    """How far an implementation is off the exact log-likelihoods, in nats; infinite if one is not finite."""
    errors = [
        (a - b) / _unit(b)
        for one, two in zip(found, exact, strict=True)
        for a, b in zip(one, two, strict=True)
    ]
    if not all(map(math.isfinite, errors)):
        return math.inf
    return _root_mean_square(sorted(errors, key=abs)[: _num_kept(len(errors))])


def chosen(pairs: Sequence[Pair], rounding: float) -> tuple[list[Pair], float]:
    """The texts on which two models differ most, and the standard deviation of the projection on them.

    They are as few as suffice for an engine's `rounding`; all where none do. Infinite where there is no
    difference.
    """
    ordered = sorted(pairs, key=_square, reverse=True)
    sums, square, deviation = defaultdict[Ids, float](float), 0.0, math.inf
    for number, pair in enumerate(ordered, 1):
        for token in _tokens([pair]):
            sums[token.key] += token.step
            square += token.step**2
        deviation = rounding * math.hypot(*sums.values()) / square if square else math.inf
        if number >= FEWEST and deviation <= _ENOUGH:
            return ordered[:number], deviation
    return ordered, deviation


def judged(trial: Trial, said: Sequence[LogProbs]) -> tuple[str, float]:
    """What an engine's log-likelihoods prove, in words, and how far they are off the reference, in nats.

    Raises Unproven.
    """
    name, other, found = trial.name, trial.other, [value for each in said for value in each]
    if not all(map(math.isfinite, found)):
        raise Unproven(f"with the weights of {name} the engine gives texts no finite likelihood")
    tokens, allowed = _tokens(trial.pairs), _SPREAD * trial.rounding
    errors = [(value - token.own) / token.unit for value, token in zip(found, tokens, strict=True)]
    kept = sorted(range(len(errors)), key=lambda place: abs(errors[place]))[: _num_kept(len(errors))]
    off = _root_mean_square([errors[place] for place in kept])
    shown = f"what it says is {off:.2g} nats off its reference (at most {allowed:.2g}, {len(found)} tokens)"
    is_there = True
    if other and trial.apart:
        if trial.rounding > _APART * math.hypot(*(tokens[place].step for place in kept)):
            kept = list(range(len(errors)))  # what tells the two apart is among what was left out
        steps = [tokens[place].step for place in kept]
        square = math.fsum(step * step for step in steps) or math.inf
        way = 1 + math.fsum(errors[place] * step for place, step in zip(kept, steps, strict=True)) / square
        is_there = abs(way - 1) <= max(_LEAST_WINDOW, _WINDOW * trial.deviation)
        shown += f" and {100 * way:.0f} % of the way there from that of {other}"
    if off > allowed or not is_there:
        raise Unproven(f"the engine does not hold {name}: {shown}")
    if trial.apart:
        return f"the engine holds {name}: {shown}", off
    difference = _root_mean_square([token.step for token in tokens])
    if difference > _SAME and list(said) == list(trial.said):
        raise Unproven(f"the engine does not hold {name}: what it says is to the last digit as with {other}")
    return (
        f"the engine holds {name} or {other}: they differ by {difference:.2g} nats, less than its rounding "
        f"lets be told; {shown}"
    ), off


def _tokens(pairs: Sequence[Pair]) -> list[_Token]:
    return [
        _Token(pair.ids[place : place + 2], own, unit, (own - other) / unit)
        for pair in pairs
        for place, (own, other) in enumerate(zip(pair.own, pair.other, strict=True))
        for unit in [max(_unit(own), _unit(other))]
    ]


def _square(pair: Pair) -> float:
    """How much a text tells two models apart."""
    return math.fsum(token.step**2 for token in _tokens([pair]))


def _unit(logprob: float) -> float:
    return max(_SUREST, 1 - math.exp(min(logprob, 0.0)))


def _num_kept(num: int) -> int:
    return math.ceil(_KEPT * num)


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value * value for value in values) / len(values))

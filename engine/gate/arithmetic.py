"""The gate: is the challenger better than the champion, and no worse anywhere else?

Pure functions over paired outcomes; nothing is sampled and no file is read here. A trial draws fresh
problems, asks both models, and feeds `SequentialTest` look by look; the other checks take all their
outcomes at once; `decide` turns the checks into a decision, accepted where all passed.
``ratchet doctor CONFIG`` shows what gain this gate can detect.
"""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np

from configs.schema import Gate
from engine.errors import Broken
from engine.measure import paired, sequential
from engine.records import Attempt, Check, Decision, Likelihood, Look, Score, Status, Verdict

Pair = tuple[bool, bool]
"""(champion passed, challenger passed) on one problem; only a problem where the two differ counts."""


class GateError(Broken):
    """The outcomes are of other weights or of different problems, or arrive after the test has ended."""


class Outcome(StrEnum):
    """The conclusion of one look of the sequential test."""

    CONTINUE = "continue"
    BETTER = "better"
    FUTILE = "futile"
    EXHAUSTED = "exhausted"
    """All looks are used without reaching the boundary."""


def pair(champion: Verdict, challenger: Verdict) -> Pair:
    """One problem's paired outcome; UNDECIDED counts against the challenger, whichever model's answer it is.

    Dropping such problems would let a challenger win by making the verifier give up where it would lose.
    Raises GateError where the two verdicts are of different problems.
    """
    return pair_at_k([champion], [challenger])


def pair_at_k(champion: Sequence[Verdict], challenger: Sequence[Verdict]) -> Pair:
    """The outcome of one problem with k samples of each model: does any of them pass?"""
    problems = {verdict.problem_id for verdict in (*champion, *challenger)}
    if len(problems) != 1:
        raise GateError(f"paired verdicts must be of one problem, got {sorted(problems)}")
    return (
        any(verdict.status is not Status.FAIL for verdict in champion),
        any(verdict.status is Status.PASS for verdict in challenger),
    )


def discordant(pairs: Sequence[Pair]) -> tuple[int, int]:
    """Problems that the second model alone passed, and those that the first alone passed."""
    return sum(new and not old for old, new in pairs), sum(old and not new for old, new in pairs)


def require_answered_by(
    outcomes: Iterable[Attempt | Likelihood | Score], model_id: str, what: str = ""
) -> None:
    """Refuse outcomes of other weights than those on trial; `what` was scored, if any. Raises GateError."""
    for outcome in outcomes:
        if (who := outcome.model_id) != model_id:
            asked = what if isinstance(outcome, Score) else f"problem {outcome.problem_id}"
            raise GateError(f"{asked} was answered by {who or 'an unknown model'}, on trial is {model_id}")


class SequentialTest:
    """An exact paired test of "the challenger wins more than half of the problems on which the two differ".

    Given the number of discordant pairs at each look, wins under the null are binomial, so the boundary is
    computed exactly, by dynamic programming over the looks with what crossed earlier removed; unspent level
    carries over. Futility does not enter the boundary: stopping early, for whatever reason, cannot raise the
    chance of a false acceptance. The state is a function of the pairs seen, so replaying them resumes.
    Sources: Lan and DeMets 1983; Kim and DeMets 1987; Jennison and Turnbull 2000.
    """

    def __init__(
        self, *, level: float, looks: int, look_size: int, win_share: float, futility: float, spending: float
    ) -> None:
        """`level`: chance of a false acceptance; `win_share`: planned share of discordant pairs won."""
        if not 0 < level < 1:
            raise GateError(f"the level of a test must lie between 0 and 1, got {level}")
        self._budgets = sequential.power_spending(level, spending, looks)
        self._look_size, self._win_share, self._futility = look_size, win_share, futility
        self._null, self._spent = paired.binomial(0, 0.5), 0.0
        self._wins = self._losses = self._looks = 0
        self._outcome = Outcome.CONTINUE

    @classmethod
    def of(cls, settings: Gate, level: float) -> "SequentialTest":
        """The test that a gate's settings describe, at the level committed."""
        return cls(
            level=level,
            looks=settings.looks,
            look_size=settings.look_size,
            win_share=settings.win_share,
            futility=settings.futility,
            spending=settings.spending,
        )

    def look(self, pairs: Sequence[Pair]) -> tuple[Look, Outcome]:
        """Add one look's `pairs`, of which there must be `look_size`, and conclude whether to go on.

        Raises GateError for another number of pairs or after the test has ended.
        """
        if self._outcome is not Outcome.CONTINUE:
            raise GateError(f"the test has ended ({self._outcome}); no further look is allowed")
        if len(pairs) != self._look_size:
            raise GateError(f"a look takes {self._look_size} pairs, got {len(pairs)}")
        wins, losses = discordant(pairs)
        self._wins, self._losses, self._looks = self._wins + wins, self._losses + losses, self._looks + 1

        null = np.convolve(self._null, paired.binomial(wins + losses, 0.5))
        crossing = sequential.cross(null, self._budgets[self._looks - 1] - self._spent)
        self._null, self._spent = crossing.kept, self._spent + crossing.spent
        crossed = crossing.boundary is not None and self._wins >= crossing.boundary
        power = 1.0 if crossed else self._conditional_power()
        self._outcome = self._conclude(crossed, power)
        record = Look(
            num_problems=self._looks * self._look_size,
            wins=self._wins,
            losses=self._losses,
            boundary=crossing.boundary,
            conditional_power=power,
            spent=self._spent,
        )
        return record, self._outcome

    def _conclude(self, crossed: bool, power: float) -> Outcome:
        if crossed:
            return Outcome.BETTER
        if self._looks == len(self._budgets):
            return Outcome.EXHAUSTED
        return Outcome.FUTILE if power < self._futility else Outcome.CONTINUE

    def _conditional_power(self) -> float:
        """Judged at the planned share of wins: at the share seen, bad luck alone would stop good models."""
        left = len(self._budgets) - self._looks
        # One pair of each kind is added: a few problems without a discordant one do not show a rate of 0.
        rate = (self._wins + self._losses + 1) / (self._looks * self._look_size + 2)
        return sequential.conditional_power(
            self._null,
            self._wins,
            sequential.spread(rate * self._look_size * left, left),
            self._budgets[self._looks :],
            spent=self._spent,
            share=self._win_share,
        )


def superiority(looks: Sequence[Look], outcome: Outcome) -> Check:
    """The sequential test as a check, from all its looks and the outcome of the last one."""
    if not looks or outcome is Outcome.CONTINUE:
        raise GateError("the superiority test has not ended")
    last = looks[-1]
    observed = f"{last.wins} won, {last.losses} lost of {last.num_problems} problems"
    if outcome is Outcome.FUTILE:
        observed += f"; stopped with a chance of {last.conditional_power:.1%} to show a gain"
    discordant = last.wins + last.losses
    needed = "no number of wins" if last.boundary is None else f"at least {last.boundary} wins"
    return Check(
        name="superiority",
        observed=observed,
        threshold=f"{needed} of {discordant} discordant at look {len(looks)} (level spent {last.spent:.4f})",
        passed=outcome is Outcome.BETTER,
        value=last.wins,
        limit=last.boundary,
        unit="wins",
    )


def no_harm_proportion(
    name: str, pairs: Sequence[Pair], margin: float, *, base_rate: float | None = None
) -> Check:
    """No harm: the one-sided 95 % bound of the drop against the frozen champion is under `margin`.

    `pairs` are (frozen round-0 champion passed, challenger passed). `base_rate`, the untrained base's share,
    is only shown.
    """
    shown = "" if base_rate is None else f" (base {base_rate:.1%})"
    before = sum(old for old, _ in pairs) / max(len(pairs), 1)
    after = sum(new for _, new in pairs) / max(len(pairs), 1)
    gained, lost = discordant(pairs)
    bound = paired.paired_drop_bound(lost, gained, len(pairs))
    return Check(
        name=name,
        observed=f"{before:.1%} -> {after:.1%}{shown} of {len(pairs)}; drop under {bound:.1%} (95 %)",
        threshold=f"drop under {margin:.1%}",
        passed=bound < margin,
        value=bound,
        limit=margin,
        unit="share",
    )


def pass_at_k_not_inferior(pairs: Sequence[Pair], k: int, margin: float) -> Check:
    """Not by narrowing: the share of problems solved by any of `k` samples drops by less than `margin`.

    `pairs` come from `pair_at_k` on fresh problems, champion first.
    """
    return no_harm_proportion(f"pass@{k}", pairs, margin)


def no_harm_perplexity(
    name: str, before: Sequence[float], after: Sequence[float], num_tokens: Sequence[int], ratio: float
) -> Check:
    """No harm to text: the one-sided 95 % bound of the perplexity ratio is under `ratio`.

    `before` (frozen round-0 champion) and `after` (challenger) hold each document's summed negative
    log-likelihood in nats. A challenger whose value is not finite fails; a frozen champion's, or too few
    documents, raises StatsError.
    """
    threshold = f"perplexity ratio under {ratio:.3f}"
    if broken := sum(not math.isfinite(value) for value in after):
        return Check(
            name=name,
            observed=f"{broken} documents not finite",
            threshold=threshold,
            passed=False,
            limit=ratio,
            unit="ratio",
        )
    change = paired.nll_change(before, after, num_tokens)
    return Check(
        name=name,
        observed=f"perplexity x {math.exp(change.mean):.3f} over {len(after)} documents; "
        f"under x {math.exp(change.upper):.3f} (95 %)",
        threshold=threshold,
        passed=change.upper < math.log(ratio),
        value=math.exp(change.upper),
        limit=ratio,
        unit="ratio",
    )


def gain_in_likelihood(gains: Sequence[float], min_gain: float) -> Check:
    """Enough to matter: documents become likelier by at least `min_gain` on average.

    `gains` holds each document's relative fall of nats a token. Documents count alike, as they do in the
    sequential test.
    """
    mean = sum(gains) / len(gains)
    return Check(
        name="gain",
        observed=f"{mean:.2%} fewer nats a token, mean of {len(gains)} documents",
        threshold=f"at least {min_gain:.2%} fewer",
        passed=mean >= min_gain,
        value=mean if math.isfinite(mean) else None,
        limit=min_gain,
        unit="share",
    )


def not_run(name: str, threshold: str) -> Check:
    """A check that an earlier refusal made needless; the decision shows it as not passed."""
    return Check(name=name, observed="not run", threshold=threshold, passed=False, ran=False)


def decide(
    checks: Sequence[Check],
    *,
    champion_id: str,
    challenger_id: str,
    level: float,
    entropy: int,
    looks: Sequence[Look],
    second_verifier: str = "none",
) -> Decision:
    """Accepted if and only if every check ran and passed; `level` is 0 for a baseline round.

    Raises GateError without checks, because then nothing has been shown.
    """
    if not checks:
        raise GateError("a decision needs at least one check")
    refused = [check for check in checks if not (check.passed and check.ran)]
    # A failed check explains more than those that were left out because of it.
    refused.sort(key=lambda check: not check.ran)
    if refused:
        reason = f"{refused[0].name}: {refused[0].observed}; needed: {refused[0].threshold}."
    elif level:
        reason = f"Better, and all {len(checks)} checks passed: {checks[0].observed}."
    else:
        reason = f"Baseline: all {len(checks)} checks passed."
    return Decision(
        champion_id=champion_id,
        challenger_id=challenger_id,
        level=level,
        entropy=entropy,
        looks=tuple(looks),
        checks=tuple(checks),
        accepted=not refused,
        reason=reason,
        second_verifier=second_verifier,
    )

"""A judge as the gate asks it: whose reply is better on each problem, and what that is worth.

    with open_adviser(config.gate.judge, run.path / "judge-answers.jsonl", own=models_of_the_line) as adviser:
        trial = Trial(judge=adviser, …)

Its answers are kept in the run, so a look that is judged again, after an interruption or for the figures of
the decision, costs nothing.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from configs.judging import Judge as Settings
from engine.gate.preference import ADVICE, EQUAL_LENGTH, ERRORS, JUDGED
from engine.judge.bias import length_bias, position_bias, win_rate_of
from engine.judge.correction import Corrected, corrected, tally_of
from engine.judge.endpoint import Endpoint, key_of
from engine.judge.labelled import Labelled, errors_of, read_labelled
from engine.judge.pairwise import (
    Outcome,
    PairwiseJudge,
    Preference,
    contest_of,
    end_of,
    prompt_in,
    sides_of,
)
from engine.measure.paired import Bounds
from engine.records import Answer, Check, Duel, Fault, Status, Verdict
from engine.terminal import counted

_GRADES = {Outcome.WON: 1.0, Outcome.TIED: 0.5, Outcome.LOST: 0.0}
_MIRRORED = {Outcome.WON: Outcome.LOST, Outcome.LOST: Outcome.WON}
"""An outcome as the old model sees it, where that is another one."""
_ADVISES = "none: the judge advises, and does not decide"
_DECIDES = "none: the judge decides (gate.judge.decides)"
_ABOVE_HALF = "above 50 %: the judge decides (gate.judge.decides)"


class Adviser:
    """Implements `engine.gate.preference.Judge`."""

    def __init__(self, settings: Settings, judge: PairwiseJudge, labelled: Sequence[Labelled] = ()) -> None:
        self._settings, self._judge, self._labelled = settings, judge, labelled

    @property
    def decides(self) -> bool:
        return self._settings.decides

    def preferences(self, duels: Sequence[Duel]) -> list[Preference]:
        """What the judge says of each duel. Raises as `PairwiseJudge.prefer` does."""
        rivals = {side.attempt.model_id for duel in duels for side in sides_of(duel)}
        return self._judge.prefer([contest_of(duel) for duel in duels], rivals=rivals)

    def settled(self, duels: Sequence[Duel]) -> list[Duel]:
        """The duels with verdicts that say which reply the judge prefers."""
        preferences = self.preferences(duels)
        return [_settled(duel, said) for duel, said in zip(duels, preferences, strict=True)]

    def advice(self, duels: Sequence[Duel], *, proves: bool) -> list[Check]:
        """Win rate and position bias, the win rate at equal length, and the one without the judge's errors.

        All pass where the judge only advises. Where it decides, the last two must be above a half, and where
        that `proves` something their whole interval must: what is won by length, or before a judge that sees
        no difference, is not better.
        """
        preferences = self.preferences(duels)
        checks = [self._said(preferences), self._at_equal_length(preferences, proves)]
        if self._labelled:
            errors = errors_of(self._judge, self._labelled)
            found = corrected(tally_of(preferences), better=errors.better, worse=errors.worse)
            checks.append(self._without_errors(found, errors.num, proves))
        return checks

    def _said(self, preferences: Sequence[Preference]) -> Check:
        rate, position = win_rate_of(preferences), position_bias(preferences)
        outcomes = [each.outcome for each in preferences]
        without = outcomes.count(Outcome.NONE)
        parts = [
            f"win rate {percent(rate)}: {outcomes.count(Outcome.WON)} won, {outcomes.count(Outcome.LOST)} "
            f"lost, {outcomes.count(Outcome.TIED)} tied{f', {without} without a verdict' if without else ''} "
            f"of {len(outcomes)}"
        ]
        if position:
            parts.append(
                f"{position.flips.rate:.1%} of verdicts turn with the order "
                f"(first place {_signed(position.advantage)})"
            )
        parts.append(f"judged by {self._names(preferences)}{self._spent()}")
        return Check(
            name=ADVICE,
            observed="; ".join(parts),
            threshold=_DECIDES if self.decides else _ADVISES,
            passed=True,
            value=rate.mean,
            unit="share",
        )

    def _at_equal_length(self, preferences: Sequence[Preference], proves: bool) -> Check:
        bias = length_bias(preferences)
        if bias.advantage is None:
            rate = win_rate_of(preferences)
            observed = f"win rate {percent(rate)}; no two replies differ in length"
            return self._half(EQUAL_LENGTH, rate, observed, proves)
        longer = f"the longer reply {_signed(bias.advantage)}"
        if (at_equal := bias.at_equal_length) is None:
            return self._half(EQUAL_LENGTH, None, f"what length explains cannot be told; {longer}", proves)
        observed = f"win rate {percent(at_equal)} if both were equally long; {longer}"
        return self._half(EQUAL_LENGTH, at_equal, observed, proves)

    def _without_errors(self, found: Corrected, num: int, proves: bool) -> Check:
        named = (("sensitivity", found.sensitivity), ("specificity", found.specificity))
        rates = [f"{name} {rate:.1%}" for name, rate in named if rate is not None]
        on = f"{' and '.join(rates)} on {counted(num, 'labelled pair')}"
        if found.rate is None:
            return self._half(ERRORS, None, f"nothing is known of the win rate: {on}", proves)
        rate = Bounds(found.rate, found.low, found.high)
        return self._half(ERRORS, rate, f"win rate {percent(rate)} without them; {on}", proves)

    def _half(self, name: str, rate: Bounds | None, observed: str, proves: bool) -> Check:
        """A win rate, None where it is not known, that must be above a half where the judge decides."""
        value = None if rate is None else rate.low if self.decides and proves else rate.mean
        return Check(
            name=name,
            observed=observed,
            threshold=f"{'interval' if proves else 'seen'} {_ABOVE_HALF}" if self.decides else _ADVISES,
            passed=not self.decides or (value is not None and value > 0.5),
            value=value,
            limit=0.5 if self.decides else None,
            unit="share",
        )

    def _names(self, preferences: Sequence[Preference]) -> str:
        """The models that judged: more than one where the endpoint changed its model meanwhile."""
        names = dict.fromkeys(model for each in preferences for model in each.models if model)
        return " and ".join(names) or self._settings.model

    def _spent(self) -> str:
        spent = self._judge.endpoint.spent
        cost = "" if spent.cost is None else f", at a cost of {spent.cost:.4g}"
        return f" ({counted(spent.num_prompt_tokens + spent.num_tokens, 'token')} in this run{cost})"


@contextmanager
def open_adviser(
    settings: Settings, kept: Path, *, own: Collection[str] = (), system: str = ""
) -> Iterator[Adviser]:
    """Make a judge ready to be asked; `kept` is the file of its answers, `own` are ids that may not judge.

    `system` is the system message of the prompts that the replies are to. Raises JudgeError, and RowError for
    the labelled pairs. Nothing is sent yet.
    """
    labelled = _labelled_in(settings)
    with Endpoint(settings, kept) as endpoint:
        yield Adviser(settings, PairwiseJudge(settings, endpoint, own=own, system=system), labelled)


def require_usable(settings: Settings) -> None:
    """Refuse settings by which `open_adviser` would fail in a run that has begun. Raises as it does."""
    key_of(settings)
    prompt_in(settings)
    _labelled_in(settings)


def _labelled_in(settings: Settings) -> list[Labelled]:
    return read_labelled(Path(settings.labelled)) if settings.labelled else []


def percent(rate: Bounds) -> str:
    """A share with its interval."""
    return f"{rate.mean:.1%} ({rate.low:.1%} to {rate.high:.1%})"


def _signed(advantage: Bounds) -> str:
    return f"{advantage.mean:+.2f}, {advantage.low:+.2f} to {advantage.high:+.2f}"


def _settled(duel: Duel, said: Preference) -> Duel:
    """A duel with the preference as two verdicts."""
    old, new = sides_of(duel)
    return replace(
        duel,
        champion=replace(old, verdict=_verdict(old, said, _MIRRORED.get(said.outcome, said.outcome))),
        challenger=replace(new, verdict=_verdict(new, said, said.outcome)),
    )


def _verdict(answer: Answer, said: Preference, outcome: Outcome) -> Verdict:
    """What the judge says of one of the two replies; whether its answer is right is for the task to say."""
    statuses = {Outcome.LOST: Status.FAIL, Outcome.NONE: Status.UNDECIDED}
    reasons = {
        Outcome.LOST: "the judge prefers the other reply",
        Outcome.NONE: "the judge gives no verdict",
    }
    faults = {Outcome.LOST: "judged_worse", Outcome.NONE: "not_judged"}
    why = reasons.get(outcome, "")
    return replace(
        answer.verdict,
        status=statuses.get(outcome, Status.PASS),
        fault=faults.get(outcome, Fault.NONE),
        verifier=f"{JUDGED}{said.models[0] or 'not asked'}",
        reason=f"{why}: {end_of(said.reply, 300)}" if why else "",
        grade=_GRADES.get(outcome),
        proof=None,
    )

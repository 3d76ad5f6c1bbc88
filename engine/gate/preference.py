"""The exam ``preference``: a problem speaks for the model whose reply is better, as a judge says.

A judge advises. Where its settings let it decide, its preferences take the place of the verdicts of the
task's own verifiers, and the gate's test is about them; else the verifiers decide, and what the judge says
stands beside. Either way the decision shows which of the two it was. `engine/judge` has such a judge.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from configs.schema import Gate
from engine.disk.steps import Run
from engine.gate import arithmetic as gate
from engine.gate.arithmetic import Pair
from engine.measure import paired
from engine.measure.bench import Bench
from engine.measure.paired import Bounds
from engine.models.identity import Model
from engine.records import (
    Answer,
    Check,
    Duel,
    Evaluation,
    Figure,
    Interval,
    Likelihood,
    Measured,
    Problem,
    Verdict,
)
from engine.sample.protocol import Sampling
from engine.tasks.suite import DataError, Task

if TYPE_CHECKING:
    from engine.gate.exams import Exam
    from engine.gate.terms import Trial

JUDGED = "judge "
"""How the verifier of a verdict begins that says which of two replies is preferred."""
ADVICE, EQUAL_LENGTH, ERRORS = "judge", "equal length", "judge's errors"
"""Names of the checks of a judge's advice; the last is there where pairs are labelled."""


class Judge(Protocol):
    """What the gate needs of a judge, whomever and however it asks. What it has said it says again."""

    @property
    def decides(self) -> bool:
        """Whether its preferences decide the gate's test."""

    def settled(self, duels: Sequence[Duel]) -> list[Duel]:
        """The duels with verdicts that say which reply is preferred: PASS for the better one, and for both of
        a tie; UNDECIDED without a verdict. `Verdict.grade` is 1, 0.5, 0 or None."""

    def advice(self, duels: Sequence[Duel], *, proves: bool) -> list[Check]:
        """What it says of the duels, with its bias and its errors, as checks; all pass unless it decides."""


class PreferenceExam:
    """Implements `engine.gate.exams.Exam` on top of the exam ``verdicts``."""

    samples = True

    def __init__(self, verdicts: "Exam") -> None:
        self._verdicts = verdicts

    def ask(
        self,
        bench: Bench,
        model: Model,
        problems: Sequence[Problem],
        sampling: Sampling,
        shots: Sequence[Problem] = (),
    ) -> Sequence[Answer | Likelihood]:
        """Sample and verify. Raises GateError for answers of other weights, and Unjudged."""
        return self._verdicts.ask(bench, model, problems, sampling, shots)

    def settled(self, run: Run, judge: Judge | None, stage: str, duels: Sequence[Duel]) -> list[Duel]:
        """The duels of a stage with a judge's verdicts where it decides, in a stage of its own.

        So what both models answered is kept while the judge is asked, whose answers are about that. Raises
        Unjudged and Lost as the judge does.
        """
        if judge is None or not judge.decides:
            return list(duels)
        return run.step_many(
            f"{stage}-judged",
            Duel,
            partial(judge.settled, duels),
            doing=f"A judge compares {len(duels)} pairs of replies, in both orders",
            came=self._came,
        )

    def _came(self, duels: Sequence[Duel]) -> str:
        won, lost = gate.discordant([self.outcome(duel) for duel in duels])
        return f"{won} won, {lost} lost of {len(duels)}"

    def outcome(self, duel: Duel) -> Pair:
        """Only a preference counts: a tie is no win, and without a verdict the challenger has lost."""
        return self._verdicts.outcome(duel)

    def sealed(self, duel: Duel) -> Pair:
        return self._verdicts.sealed(duel)

    def further(
        self, trial: "Trial", duels: Sequence[Duel], entropy: int
    ) -> tuple[list[Check], list[Measured]]:
        """What the judge says of the gate's duels, whether or not it decides; it is a stage of its own."""
        return self._advice(trial, duels, proves=True), []

    def glance(
        self, trial: "Trial", duels: Sequence[Duel], entropy: int
    ) -> tuple[list[Check], list[Measured]]:
        """The same by what was seen: a judge that advises is worth hearing before anything is proven."""
        return self._advice(trial, duels, proves=False), []

    def _advice(self, trial: "Trial", duels: Sequence[Duel], *, proves: bool) -> list[Check]:
        if trial.judge is None:
            raise DataError(_needs_judge(trial.suite.task))
        return trial.run.step_many(
            f"{trial.prefix}judge",
            Check,
            partial(trial.judge.advice, duels, proves=proves),
            doing=f"What the judge says of {trial.sides}, and how far it is to be believed",
            came=lambda checks: checks[0].observed,
        )

    def further_not_run(self, settings: Gate) -> list[Check]:
        has_labelled = settings.judge is not None and settings.judge.labelled is not None
        names = (ADVICE, EQUAL_LENGTH, *([ERRORS] if has_labelled else []))
        return [gate.not_run(name, "what the judge says") for name in names]

    def measure(
        self, task: Task, problems: Sequence[Problem], given: Sequence[Answer | Likelihood], k: int = 1
    ) -> Evaluation:
        """The task's figures, and the win rate where a judge has compared every answer.

        Then its preferences are what the figures count, and what passes is what has not lost.
        """
        evaluation = self._verdicts.measure(task, problems, given, k)
        judged = [each.verdict for each in given if isinstance(each, Answer) and is_judged(each.verdict)]
        if k > 1 or len(judged) < len(given):
            return evaluation
        signs = [-1.0 if verdict.grade is None else 2 * verdict.grade - 1 for verdict in judged]
        rate = win_rate(signs, [problem.story or problem.id for problem in problems])
        figure = Figure(
            key="win_rate",
            title="win rate",
            value=Interval(rate=rate.mean, low=rate.low, high=rate.high, num=len(signs)),
            note="Problems on which a judge prefers this reply to the other model's; a tie counts half.",
        )
        return replace(evaluation, figures=(*evaluation.figures, figure))


def is_judged(verdict: Verdict) -> bool:
    """Whether a verdict says what a judge prefers, and not what the task's verifiers find."""
    return verdict.verifier.startswith(JUDGED)


def require_judge(task: Task, settings: Gate) -> None:
    """Refuse a task that is examined by preference where nobody judges. Raises DataError."""
    if task.exam == "preference" and settings.judge is None:
        raise DataError(_needs_judge(task))


def _needs_judge(task: Task) -> str:
    return (
        f"task {task.name} is examined by preference, so its campaign needs a judge: name one in gate.judge "
        f"(configs/judging.py)"
    )


def advantage(values: Sequence[float], clusters: Sequence[str], level: float = 0.05) -> Bounds:
    """The mean of values between -1 and 1 with its two-sided interval at confidence 1 - `level`.

    Each value says for whom an item speaks, and how much; `clusters` names the story of each item, or itself.
    The interval is that of Tango 1998 for a difference of paired shares, with the design effect of Rao and
    Scott 1992: halves make it wider than need be, never narrower. Raises StatsError without a value.
    """
    effect = paired.design_effect(values, clusters)
    gained = sum(value for value in values if value > 0) / effect
    lost = -sum(value for value in values if value < 0) / effect
    # Rounding must not leave more for and against than there are items.
    num = max(len(values) / effect, gained + lost)
    low = -paired.paired_drop_bound(lost, gained, num, level / 2)
    return Bounds((gained - lost) / num, low, paired.paired_drop_bound(gained, lost, num, level / 2))


def win_rate(signs: Sequence[float], clusters: Sequence[str], level: float = 0.05) -> Bounds:
    """The share of items that are won, a tie counting half, with its interval, as `advantage` has it.

    A sign is 1 for an item won, -1 for one lost, 0 for a tie.
    """
    return Bounds(*((1 + bound) / 2 for bound in advantage(signs, clusters, level)))

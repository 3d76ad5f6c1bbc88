"""Exams: how a problem speaks for one of two models. A task names its exam; all end as pairs of the gate.

``verdicts`` compares verified answers, ``likelihood`` the likelihood of passages, ``preference`` what a judge
prefers.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from configs.schema import Gate
from engine.disk.steps import Run
from engine.gate import arithmetic as gate
from engine.gate import carry
from engine.gate.arithmetic import GateError, Pair
from engine.gate.preference import Judge, PreferenceExam
from engine.gate.terms import Trial
from engine.measure.bench import Bench
from engine.measure.evaluate import answer, measure
from engine.measure.likelihood import likelihoods, measure_likelihoods
from engine.measure.readings import Examiner
from engine.models.identity import Model
from engine.records import (
    Answer,
    Check,
    Duel,
    Evaluation,
    Likelihood,
    Measured,
    Problem,
    Status,
)
from engine.sample.protocol import Sampling
from engine.tasks.suite import DataError, Task, split_of


class Exam(Examiner, Protocol):
    """How one model is asked and measured, and how two are compared on a problem."""

    samples: bool
    """Whether several completions of one problem can be drawn."""

    def settled(self, run: Run, judge: Judge | None, stage: str, duels: Sequence[Duel]) -> list[Duel]:
        """The duels of a stage with the verdicts that count: a judge's, where it decides."""

    def outcome(self, duel: Duel) -> Pair:
        """What the problem says at the gate; what could not be judged counts against the challenger."""

    def sealed(self, duel: Duel) -> Pair:
        """What the problem says where nothing is decided; an unjudged answer counts as not passed."""

    def further(
        self, trial: Trial, duels: Sequence[Duel], entropy: int
    ) -> tuple[list[Check], list[Measured]]:
        """The checks after superiority, from the gate's `duels` or fresh problems, and what they measured."""

    def further_not_run(self, settings: Gate) -> list[Check]:
        """The same checks, where an earlier refusal made them needless."""

    def glance(self, trial: Trial, duels: Sequence[Duel], entropy: int) -> tuple[list[Check], list[Measured]]:
        """The cheap form of `further`, for a challenger that is only carried: no visible harm."""


class Verdicts:
    """Answers are verified: a problem speaks for the model that alone passes."""

    samples = True

    def ask(
        self,
        bench: Bench,
        model: Model,
        problems: Sequence[Problem],
        sampling: Sampling,
        shots: Sequence[Problem] = (),
    ) -> list[Answer]:
        """Sample and verify. Raises GateError for answers of other weights, and Unjudged."""
        given = answer(bench, model.path, problems, sampling, shots)
        gate.require_answered_by((each.attempt for each in given), model.id)
        return given

    def settled(self, run: Run, judge: Judge | None, stage: str, duels: Sequence[Duel]) -> list[Duel]:
        return list(duels)

    def outcome(self, duel: Duel) -> Pair:
        champion, challenger = _answers(duel)
        return gate.pair(champion.verdict, challenger.verdict)

    def sealed(self, duel: Duel) -> Pair:
        champion, challenger = _answers(duel)
        return champion.verdict.status is Status.PASS, challenger.verdict.status is Status.PASS

    def further(
        self, trial: Trial, duels: Sequence[Duel], entropy: int
    ) -> tuple[list[Check], list[Measured]]:
        """Not by narrowing: on fresh problems, any of k samples passes about as often as before."""
        settings = trial.settings.pass_at_k
        outcomes, measured = self._sampled(trial, duels, entropy, "sampled")
        return [gate.pass_at_k_not_inferior(outcomes, settings.k, settings.margin)], measured

    def glance(self, trial: Trial, duels: Sequence[Duel], entropy: int) -> tuple[list[Check], list[Measured]]:
        """The same problems' share, by what was seen of it."""
        settings = trial.settings.pass_at_k
        outcomes, measured = self._sampled(trial, duels, entropy, "carry_sampled")
        return [carry.no_visible_drop(f"pass@{settings.k}", outcomes, settings.margin)], measured

    def _sampled(
        self, trial: Trial, duels: Sequence[Duel], entropy: int, where: str
    ) -> tuple[list[Pair], list[Measured]]:
        """What fresh problems say of both models by k samples each."""
        settings = trial.settings.pass_at_k
        seen = trial.seen | {duel.problem.id for duel in duels}
        split = split_of(trial.suite, "pass-at-k", proves=where == "sampled")
        problems = trial.suite.draw(settings.num_problems, split=split, seed=entropy, exclude=seen)
        sampling = Sampling(
            samples=settings.k,
            temperature=settings.temperature,
            seed=entropy % 2**31,
            max_new_tokens=trial.max_new_tokens,
        )
        sampled = trial.run.step_many(
            f"{trial.prefix}pass-at-k",
            Duel,
            lambda: duels_on(self, trial, problems, sampling),
            doing=f"Not by narrowing: {trial.sides} answer {len(problems)} other problems "
            f"{settings.k} times each",
        )
        answers = [_answers(duel) for duel in sampled]
        groups = [answers[i : i + settings.k] for i in range(0, len(answers), settings.k)]
        outcomes = [
            gate.pair_at_k([old.verdict for old, _ in group], [new.verdict for _, new in group])
            for group in groups
        ]
        return outcomes, measured_of(self, trial, problems, sampled, where, settings.k)

    def further_not_run(self, settings: Gate) -> list[Check]:
        margin = settings.pass_at_k.margin
        return [gate.not_run(f"pass@{settings.pass_at_k.k}", f"drop under {margin:.1%}")]

    def measure(
        self, task: Task, problems: Sequence[Problem], given: Sequence[Answer | Likelihood], k: int = 1
    ) -> Evaluation:
        answers = [each for each in given if isinstance(each, Answer)]
        assert len(answers) == len(given), "verdicts are of answers"
        return measure(task, problems, answers, k)


class LikelihoodExam:
    """Passages are scored: a passage speaks for the model that finds it likelier, ties for neither."""

    samples = False

    def ask(
        self,
        bench: Bench,
        model: Model,
        problems: Sequence[Problem],
        sampling: Sampling,
        shots: Sequence[Problem] = (),
    ) -> list[Likelihood]:
        """Score the passages, without sampling or `shots`. Raises GateError for scores of other weights."""
        given = likelihoods(bench, model, problems)
        gate.require_answered_by(given, model.id)
        return given

    def settled(self, run: Run, judge: Judge | None, stage: str, duels: Sequence[Duel]) -> list[Duel]:
        return list(duels)

    def outcome(self, duel: Duel) -> Pair:
        """A challenger's value that is not finite loses; a champion's lets nobody win."""
        old, new = (each.nll for each in _likelihoods(duel))
        worse = not math.isfinite(new) or (math.isfinite(old) and new > old)
        better = not worse and math.isfinite(old) and new < old
        return not better, not worse

    def sealed(self, duel: Duel) -> Pair:
        return self.outcome(duel)

    def further(
        self, trial: Trial, duels: Sequence[Duel], entropy: int
    ) -> tuple[list[Check], list[Measured]]:
        """Enough to matter: the mean relative fall of nats a token reaches `gate.min_gain`."""
        gains = [_gain(*_likelihoods(duel)) for duel in duels]
        return [gate.gain_in_likelihood(gains, trial.settings.min_gain)], []

    def glance(self, trial: Trial, duels: Sequence[Duel], entropy: int) -> tuple[list[Check], list[Measured]]:
        """Nothing: a gain below `gate.min_gain` may add up to one that matters."""
        return [], []

    def further_not_run(self, settings: Gate) -> list[Check]:
        return [gate.not_run("gain", f"at least {settings.min_gain:.2%} fewer")]

    def measure(
        self, task: Task, problems: Sequence[Problem], given: Sequence[Answer | Likelihood], k: int = 1
    ) -> Evaluation:
        scored = [each for each in given if isinstance(each, Likelihood)]
        assert len(scored) == len(given) and k == 1, "likelihoods are of passages, one each"
        return measure_likelihoods(problems, scored)


EXAMS: dict[str, Exam] = {
    "verdicts": Verdicts(),
    "likelihood": LikelihoodExam(),
    "preference": PreferenceExam(Verdicts()),
}


def exam_of(task: Task) -> Exam:
    """The exam that a task names. Raises DataError for an unknown one."""
    if task.exam not in EXAMS:
        raise DataError(f"task {task.name}: EXAM must be one of {', '.join(EXAMS)}, got '{task.exam}'")
    return EXAMS[task.exam]


def duels_on(exam: Exam, trial: Trial, problems: Sequence[Problem], sampling: Sampling) -> list[Duel]:
    """Both models on the same problems, each sample a duel. Raises GateError as `Exam.ask` does."""
    old, new = (
        exam.ask(trial.bench, model, problems, sampling) for model in (trial.champion, trial.challenger)
    )
    asked = [problem for problem in problems for _ in range(sampling.samples)]
    return [
        Duel(problem=problem, champion=champion, challenger=challenger)
        for problem, champion, challenger in zip(asked, old, new, strict=True)
    ]


def measured_of(
    exam: Exam, trial: Trial, problems: Sequence[Problem], duels: Sequence[Duel], where: str, k: int = 1
) -> list[Measured]:
    """The figures of both models from their `duels`, `k` a problem."""
    task = trial.suite.task
    return [
        Measured(
            who=trial.who[0],
            where=where,
            evaluation=exam.measure(task, problems, [duel.champion for duel in duels], k),
        ),
        Measured(
            who=trial.who[1],
            where=where,
            evaluation=exam.measure(task, problems, [duel.challenger for duel in duels], k),
        ),
    ]


def _answers(duel: Duel) -> tuple[Answer, Answer]:
    assert isinstance(duel.champion, Answer) and isinstance(duel.challenger, Answer)
    return duel.champion, duel.challenger


def _likelihoods(duel: Duel) -> tuple[Likelihood, Likelihood]:
    """Both likelihoods. Raises GateError where the two models did not read the same tokens."""
    old, new = duel.champion, duel.challenger
    assert isinstance(old, Likelihood) and isinstance(new, Likelihood)
    if old.problem_id != new.problem_id or old.num_tokens != new.num_tokens:
        raise GateError(
            f"passage {old.problem_id} of {old.num_tokens} tokens cannot be compared with passage "
            f"{new.problem_id} of {new.num_tokens}"
        )
    return old, new


def _gain(old: Likelihood, new: Likelihood) -> float:
    """The relative fall of nats a token, of which both have the same number."""
    if not old.nll:
        return -math.inf if new.nll > 0 else 0.0
    return (old.nll - new.nll) / old.nll

"""Judging a challenger: everything the gate needs is asked of the models here, a stage at a time.

The arithmetic is in `engine/gate/arithmetic.py`, how problems compare two models in `engine/gate/exams.py`.
Checks run in order of cost and stop at the first refusal; the decision shows the others as not run. A task's
own guards are asked all the same where the challenger is alive, so a refusal shows what it would have lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from engine.gate import arithmetic as gate
from engine.gate import carry
from engine.gate.arithmetic import Pair
from engine.gate.elsewhere import glance, not_asked, only_guards, sentinels
from engine.gate.exams import Exam, duels_on, exam_of, measured_of
from engine.gate.terms import Trial
from engine.models import liveness
from engine.records import Answer, Check, Decision, Duel, Likelihood, Look, Measured, Problem, Watched
from engine.registry.registry import Registry
from engine.sample.protocol import Sampling

_SHOWN_SAMPLES = 4
"""Problems of each outcome (won, lost, alike) that are kept for people to read."""
_REUSED = Check(
    name="fresh problems",
    observed="other tests of the line may have judged on the same records: per-test level only",
    threshold="none",
    passed=True,
)
"""What a decision says where tests of a finite suite may share records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The checks of a trial and the evidence behind them. Checks that did not run are absent."""

    checks: tuple[Check, ...]
    looks: tuple[Look, ...] = ()
    measured: tuple[Measured, ...] = ()
    """Both models on the gate's problems, and on those of further checks."""
    duels: tuple[Duel, ...] = ()
    """All problems of the gate."""
    samples: tuple[Duel, ...] = ()
    """A few of them of each outcome, in the order drawn."""
    level: float = 0.0
    """Level committed before the first problem was drawn; 0 for a baseline."""
    entropy: int = 0
    """Seed of the gate's problems; 0 for a baseline."""
    watched: tuple[Watched, ...] = ()
    """What the sentinels show beside their checks; empty where they were not asked."""


def try_baseline(trial: Trial) -> Evidence:
    """Try round 0: alive and harmless against the base, without a superiority test and its budget."""
    living = alive(trial)
    elsewhere = sentinels(trial, trial.base) if living.passed else not_asked(trial)
    return Evidence(checks=(living, *elsewhere.checks), watched=elsewhere.watched)


def try_challenger(trial: Trial, registry: Registry, line: str, round: int) -> Evidence:
    """Try a challenger. Level and entropy are committed before the first problem is drawn.

    Raises engine.registry.ledger.LedgerUsedUp and engine.measure.evaluate.Unjudged.
    """
    exam = exam_of(trial.suite.task)
    living = alive(trial)
    test = registry.commit_test(
        line,
        run_id=trial.run.id,
        round=round,
        challenger_id=trial.challenger.id,
        entropy=trial.settings.entropy,
    )
    if not living.passed:
        registry.settle_test(line, run_id=trial.run.id, round=round, rejected_null=False)
        untried = gate.not_run("superiority", f"level {test.level:.4f}")
        return Evidence(
            checks=(living, untried, *_later_not_run(trial, exam)), level=test.level, entropy=test.entropy
        )
    looks, outcome, duels = superiority(trial, exam, test.level, test.entropy)
    better = outcome is gate.Outcome.BETTER
    registry.settle_test(line, run_id=trial.run.id, round=round, rejected_null=better)
    checks = [gate.superiority(looks, outcome), living]
    measured = measured_of(exam, trial, [duel.problem for duel in duels], duels, "gate")
    if better:
        further, also_measured = exam.further(trial, duels, test.entropy)
        measured += also_measured
    else:
        further = exam.further_not_run(trial.settings)
    harmless_so_far = all(check.passed for check in further)
    elsewhere = sentinels(trial, trial.frozen) if harmless_so_far else only_guards(trial)
    return Evidence(
        checks=(*checks, *further, *elsewhere.checks),
        looks=tuple(looks),
        measured=tuple(measured),
        duels=tuple(duels),
        samples=_samples(exam, duels),
        level=test.level,
        entropy=test.entropy,
        watched=elsewhere.watched,
    )


def try_carry(trial: Trial, problems: Sequence[Problem], entropy: int) -> Evidence:
    """Try whether a challenger looks better than the model it was trained from, `trial.champion`.

    Nothing is claimed, so no level is spent: it wins more of the `problems` than it loses, and there is no
    visible harm. Raises engine.measure.evaluate.Unjudged.
    """
    exam = exam_of(trial.suite.task)
    living = alive(trial)
    if not living.passed:
        return Evidence(checks=(living,), entropy=entropy)
    greedy = Sampling(max_new_tokens=trial.max_new_tokens)
    duels = trial.run.step_many(
        f"{trial.prefix}look",
        Duel,
        partial(duels_on, exam, trial, problems, greedy),
        doing=f"To carry it on or not: {trial.sides} answer {len(problems)} fresh problems",
        came=partial(_score, exam),
    )
    duels = exam.settled(trial.run, trial.judge, f"{trial.prefix}look", duels)
    checks = [carry.looks_better([exam.outcome(duel) for duel in duels]), living]
    measured = measured_of(exam, trial, problems, duels, "carry")
    if checks[0].passed:
        further, also_measured = exam.glance(trial, duels, entropy)
        measured += also_measured
    else:
        further = exam.further_not_run(trial.settings)
    harmless_so_far = all(check.passed for check in further)
    elsewhere = glance(trial) if harmless_so_far else only_guards(trial, shows=False)
    return Evidence(
        checks=(*checks, *further, *elsewhere.checks),
        measured=tuple(measured),
        duels=tuple(duels),
        samples=_samples(exam, duels),
        entropy=entropy,
        watched=elsewhere.watched,
    )


def ask_champion(trial: Trial, problems: Sequence[Problem], carried: Sequence[Duel]) -> list[Pair]:
    """What the round's problems say of champion and working model, which is `trial.challenger`.

    The working model's answers are taken from the round's `carried` duels, of which it is one side; where the
    round compared nothing, it is asked too. Raises engine.measure.evaluate.Unjudged.
    """
    exam, greedy = exam_of(trial.suite.task), Sampling(max_new_tokens=trial.max_new_tokens)

    def ask() -> list[Duel]:
        if not carried:
            return duels_on(exam, trial, problems, greedy)
        old = exam.ask(trial.bench, trial.champion, problems, greedy)
        return [
            Duel(
                problem=duel.problem,
                champion=answered,
                challenger=next(
                    side for side in (duel.challenger, duel.champion) if model_of(side) == trial.challenger.id
                ),
            )
            for duel, answered in zip(carried, old, strict=True)
        ]

    doing = f"The champion answers the same {len(problems)} problems"
    duels = trial.run.step_many(f"{trial.prefix}ready", Duel, ask, doing=doing, came=partial(_score, exam))
    duels = exam.settled(trial.run, trial.judge, f"{trial.prefix}ready", duels)
    return [exam.outcome(duel) for duel in duels]


def conclude(trial: Trial, evidence: Evidence) -> Decision:
    """The decision that the evidence of a trial leads to."""
    is_reused = evidence.level and getattr(trial.suite, "per_test", False)
    return gate.decide(
        [*evidence.checks, *([_REUSED] if is_reused else [])],
        champion_id=trial.champion.id,
        challenger_id=trial.challenger.id,
        level=evidence.level,
        entropy=evidence.entropy,
        looks=evidence.looks,
        second_verifier=trial.bench.second_verifier or "none",
    )


def alive(trial: Trial) -> Check:
    """The challenger runs, is what was trained, and is not the champion under another name."""

    def ask() -> Check:
        before, after = (
            trial.bench.sampler.score(model.path, liveness.TEXTS)
            for model in (trial.champion, trial.challenger)
        )
        gate.require_answered_by(before, trial.champion.id, "the check of liveness")
        gate.require_answered_by(after, trial.challenger.id, "the check of liveness")
        return liveness.check(before, after, trial.reference)

    return trial.run.step(f"{trial.prefix}alive", Check, ask)


def superiority(
    trial: Trial, exam: Exam, level: float, entropy: int
) -> tuple[list[Look], gate.Outcome, list[Duel]]:
    """The sequential test, a stage for each look, until it concludes."""
    settings = trial.settings
    test = gate.SequentialTest.of(settings, level)
    looks: list[Look] = []
    duels: list[Duel] = []
    outcome = gate.Outcome.CONTINUE
    while outcome is gate.Outcome.CONTINUE:
        number = len(looks)
        problems = trial.suite.draw(
            settings.look_size,
            split="gate",
            seed=entropy,
            start=number * settings.look_size,
            exclude=trial.seen | {duel.problem.id for duel in duels},
        )
        greedy = Sampling(max_new_tokens=trial.max_new_tokens)
        stage = f"{trial.prefix}look-{number + 1:02d}"
        new = trial.run.step_many(
            stage,
            Duel,
            partial(duels_on, exam, trial, problems, greedy),
            doing=f"The gate: {trial.sides} answer {len(problems)} fresh problems, "
            f"look {number + 1} of at most {settings.looks}",
            came=partial(_score_so_far, exam, tuple(duels)),
        )
        new = exam.settled(trial.run, trial.judge, stage, new)
        duels += new
        look, outcome = test.look([exam.outcome(duel) for duel in new])
        looks.append(look)
    return looks, outcome, duels


def _later_not_run(trial: Trial, exam: Exam) -> list[Check]:
    return [*exam.further_not_run(trial.settings), *not_asked(trial).checks]


def _score(exam: Exam, duels: Sequence[Duel]) -> str:
    """What the duels come to so far, for people who follow."""
    won, lost = gate.discordant([exam.outcome(duel) for duel in duels])
    return f"{won} won, {lost} lost of {len(duels)}"


def _score_so_far(exam: Exam, before: Sequence[Duel], new: Sequence[Duel]) -> str:
    return f"so far {_score(exam, [*before, *new])}"


def model_of(given: Answer | Likelihood) -> str:
    """Id of the weights that answered."""
    return given.attempt.model_id if isinstance(given, Answer) else given.model_id


def _samples(exam: Exam, duels: Sequence[Duel]) -> tuple[Duel, ...]:
    """A few duels of each outcome, in the order drawn."""
    outcomes: dict[Pair, list[Duel]] = {}
    for duel in duels:
        shown = outcomes.setdefault(exam.outcome(duel), [])
        if len(shown) < _SHOWN_SAMPLES:
            shown.append(duel)
    return tuple(duel for shown in outcomes.values() for duel in shown)

"""Judging a challenger: everything the gate needs is asked of the models here, a stage at a time.

The arithmetic is in `gate.py`. Checks run in order of cost and stop at the first refusal; what was
then left out stands in the decision as not run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from configs.schema import Gate
from engine.disk.steps import Run
from engine.gate import arithmetic as gate
from engine.gate.sentinels import SUITES, answered, english, instructions
from engine.measure.bench import Bench
from engine.measure.evaluate import answer, measure
from engine.models import liveness
from engine.models.identity import Contestant
from engine.records import (
    Check,
    Decision,
    Evaluation,
    Look,
    Pair,
    Problem,
    Sample,
    SentinelScores,
    Status,
)
from engine.registry.registry import Registry
from engine.sample.protocol import Request, Sampling
from engine.tasks import Suite

_SHOWN_SAMPLES = 4
"""Of each kind (won, lost, alike) for people to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a trial needs, fixed before its first problem is drawn."""

    run: Run
    prefix: str
    """Of the round's stages."""
    bench: Bench
    suite: Suite
    settings: Gate
    max_new_tokens: int
    champion: Contestant
    challenger: Contestant
    reference: tuple[float, ...]
    """The trainer's scores of `liveness.TEXTS` by the challenger."""
    frozen: Contestant
    """The line's round-0 champion."""
    base: Contestant
    seen: frozenset[str]
    """Problems that were mined or trained on; none of them is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The checks of a trial with what they were made from; evaluations are None where nothing was asked."""

    checks: tuple[Check, ...]
    looks: tuple[Look, ...]
    champion_gate: Evaluation | None = None
    challenger_gate: Evaluation | None = None
    champion_sampled: Evaluation | None = None
    challenger_sampled: Evaluation | None = None
    samples: tuple[Sample, ...] = ()
    pairs: tuple[Pair, ...] = ()
    """All of the gate's, behind the two evaluations."""


def try_baseline(trial: Trial) -> Evidence:
    """Round 0: alive and harmless against the base; no superiority test, no budget spent."""
    checks = [alive(trial)]
    checks += sentinels(trial, trial.base) if checks[0].passed else _sentinels_not_run(trial)
    return Evidence(checks=tuple(checks), looks=())


def try_challenger(trial: Trial, registry: Registry, line: str, round: int) -> tuple[Evidence, float, int]:
    """The whole trial. Level and entropy are committed first and returned with the evidence.

    Raises engine.registry.LedgerUsedUp, engine.measure.evaluate.Unjudged.
    """
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
        rest = [gate.not_run("superiority", f"level {test.level:.4f}"), *_later_not_run(trial)]
        return Evidence(checks=(living, *rest), looks=()), test.level, test.entropy
    looks, outcome, pairs = superiority(trial, test.level, test.entropy)
    better = outcome is gate.Outcome.BETTER
    registry.settle_test(line, run_id=trial.run.id, round=round, rejected_null=better)
    checks = [gate.superiority(looks, outcome), living]
    champion_sampled = challenger_sampled = None
    if better:
        check, champion_sampled, challenger_sampled = pass_at_k(trial, test.entropy, pairs)
        checks.append(check)
        checks += sentinels(trial, trial.frozen) if check.passed else _sentinels_not_run(trial)
    else:
        checks += _later_not_run(trial)
    problems = [pair.problem for pair in pairs]
    evidence = Evidence(
        checks=tuple(checks),
        looks=tuple(looks),
        champion_gate=measure(problems, [pair.champion for pair in pairs]),
        challenger_gate=measure(problems, [pair.challenger for pair in pairs]),
        champion_sampled=champion_sampled,
        challenger_sampled=challenger_sampled,
        samples=_samples(pairs),
        pairs=tuple(pairs),
    )
    return evidence, test.level, test.entropy


def conclude(trial: Trial, evidence: Evidence, level: float, entropy: int) -> Decision:
    return gate.decide(
        evidence.checks,
        champion_id=trial.champion.id,
        challenger_id=trial.challenger.id,
        level=level,
        entropy=entropy,
        looks=evidence.looks,
        second_verifier=trial.bench.second_verifier or "none",
    )


def alive(trial: Trial) -> Check:
    """The challenger runs, is what was trained, and is not the champion under another name."""

    def ask() -> Check:
        before = trial.bench.sampler.score(trial.champion.path, liveness.TEXTS)
        after = trial.bench.sampler.score(trial.challenger.path, liveness.TEXTS)
        return liveness.check(before, after, trial.reference)

    return trial.run.step(f"{trial.prefix}/alive", Check, ask)


def superiority(trial: Trial, level: float, entropy: int) -> tuple[list[Look], gate.Outcome, list[Pair]]:
    settings = trial.settings
    test = gate.SequentialTest(
        level=level,
        looks=settings.looks,
        look_size=settings.look_size,
        win_share=settings.win_share,
        futility=settings.futility,
        spending=settings.spending,
    )
    looks: list[Look] = []
    pairs: list[Pair] = []
    outcome = gate.Outcome.CONTINUE
    while outcome is gate.Outcome.CONTINUE:
        number = len(looks)
        problems = trial.suite.draw(
            settings.look_size,
            split="gate",
            seed=entropy,
            start=number * settings.look_size,
            exclude=trial.seen | {pair.problem.id for pair in pairs},
        )
        greedy = Sampling(max_new_tokens=trial.max_new_tokens)
        stage = f"{trial.prefix}/look-{number + 1:02d}"
        new = trial.run.step_many(stage, Pair, partial(_duel, trial, problems, greedy))
        pairs += new
        look, outcome = test.look([gate.pair(pair.champion.verdict, pair.challenger.verdict) for pair in new])
        looks.append(look)
    return looks, outcome, pairs


def pass_at_k(trial: Trial, entropy: int, pairs: Sequence[Pair]) -> tuple[Check, Evaluation, Evaluation]:
    """Not by narrowing: on fresh problems, any of k samples passes no more rarely than before."""
    settings = trial.settings.pass_at_k
    seen = trial.seen | {pair.problem.id for pair in pairs}
    problems = trial.suite.draw(settings.num_problems, split="pass-at-k", seed=entropy, exclude=seen)
    sampling = Sampling(
        samples=settings.k,
        temperature=settings.temperature,
        seed=entropy % 2**31,
        max_new_tokens=trial.max_new_tokens,
    )
    duels = trial.run.step_many(f"{trial.prefix}/pass-at-k", Pair, lambda: _duel(trial, problems, sampling))
    groups = [duels[i : i + settings.k] for i in range(0, len(duels), settings.k)]
    outcomes = [
        gate.pair_at_k([pair.champion.verdict for pair in group], [pair.challenger.verdict for pair in group])
        for group in groups
    ]
    return (
        gate.pass_at_k_not_inferior(outcomes, settings.k, settings.margin),
        measure(problems, [pair.champion for pair in duels], settings.k),
        measure(problems, [pair.challenger for pair in duels], settings.k),
    )


def _duel(trial: Trial, problems: Sequence[Problem], sampling: Sampling) -> list[Pair]:
    """Both models on the same problems. Outcomes of any other weights are refused."""
    answers = []
    for contestant in (trial.champion, trial.challenger):
        given = answer(trial.bench, contestant.path, problems, sampling)
        gate.require_answered_by((each.attempt for each in given), contestant.id)
        answers.append(given)
    by_id = {problem.id: problem for problem in problems}
    return [
        Pair(problem=by_id[old.attempt.problem_id], champion=old, challenger=new)
        for old, new in zip(*answers, strict=True)
    ]


def sentinels(trial: Trial, before: Contestant) -> list[Check]:
    """No harm elsewhere, against `before`; every suite must pass."""
    settings = trial.settings.sentinels
    old = sentinel_scores(trial.run, trial.bench, before)
    new = sentinel_scores(trial.run, trial.bench, trial.challenger)
    base = sentinel_scores(trial.run, trial.bench, trial.base)
    checks = []
    for suite in settings.suites:
        if SUITES[suite] == "perplexity":
            checks.append(
                gate.no_harm_perplexity(suite, old.nll, new.nll, old.num_tokens, settings.perplexity_ratio)
            )
        else:
            pairs = list(zip(old.answered, new.answered, strict=True))
            rate = sum(base.answered) / len(base.answered)
            checks.append(gate.no_harm_proportion(suite, pairs, settings.margin, base_rate=rate))
    return checks


def sentinel_scores(run: Run, bench: Bench, model: Contestant) -> SentinelScores:
    """A model on all sentinel suites: asked once a run, however often it is compared."""

    def ask() -> SentinelScores:
        scores = bench.sampler.score(model.path, english())
        items = instructions()
        chats = [Request(problem_id=i.id, messages=[{"role": "user", "content": i.prompt}]) for i in items]
        given = bench.sampler.sample(model.path, chats, Sampling(max_new_tokens=24))
        texts = {attempt.problem_id: attempt for attempt in given}
        gate.require_answered_by(texts.values(), model.id)
        return SentinelScores(
            model_id=model.id,
            nll=tuple(score.nll for score in scores),
            num_tokens=tuple(score.num_tokens for score in scores),
            answered=tuple(answered(item, texts[item.id].text) for item in items),
        )

    return run.step(f"sentinels/{model.id}", SentinelScores, ask)


def _sentinels_not_run(trial: Trial) -> list[Check]:
    return [gate.not_run(suite, "no harm") for suite in trial.settings.sentinels.suites]


def _later_not_run(trial: Trial) -> list[Check]:
    settings = trial.settings.pass_at_k
    return [
        gate.not_run(f"pass@{settings.k}", f"drop under {settings.margin:.1%}"),
        *_sentinels_not_run(trial),
    ]


def _samples(pairs: Sequence[Pair]) -> tuple[Sample, ...]:
    """A few pairs of each kind, in the order drawn."""
    kinds: dict[tuple[bool, bool], list[Sample]] = {}
    for pair in pairs:
        outcome = (pair.champion.verdict.status is Status.PASS, pair.challenger.verdict.status is Status.PASS)
        shown = kinds.setdefault(outcome, [])
        if len(shown) < _SHOWN_SAMPLES:
            shown.append(
                Sample(
                    problem=pair.problem,
                    before=pair.champion.attempt,
                    before_verdict=pair.champion.verdict,
                    after=pair.challenger.attempt,
                    after_verdict=pair.challenger.verdict,
                )
            )
    return tuple(sample for shown in kinds.values() for sample in shown)

"""What frames the rounds: the untrained base before them, the sealed problems and the summary after them."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from engine.disk.home import ratchet_home
from engine.disk.steps import Run
from engine.measure.bench import open_benches
from engine.measure.evaluate import answer, measure
from engine.models.base import resolve_base
from engine.models.identity import Contestant, model_id
from engine.plan.plan import Plan
from engine.preflight.power import require_power
from engine.records import Baseline, Final, RoundRecord, Start, Status, Summary
from engine.registry.registry import Registry
from engine.report.campaign import write_report
from engine.sample.protocol import Sampling
from engine.tasks import suite_of
from loops.context import Context


def close(
    context: Context,
    baseline: Baseline | None,
    records: list[RoundRecord],
    seen: frozenset[str],
    stop_reason: str,
) -> Summary:
    """Open the sealed problems once, none of them one of `seen`, and write the summary and the report."""
    config, run, registry = context.config, context.run, context.registry
    line = registry.line(config.line)
    champion = context.stored(records[-1].champion_after) if records else context.start
    first = context.start
    if records:
        first = context.stored(records[0].champion_before if records[0].round else records[0].champion_after)

    def draw_entropy() -> int:
        return secrets.randbits(63) if config.gate.entropy is None else config.gate.entropy

    # A stage of its own: what a kill interrupts is opened again with the same problems, not with others.
    entropy = run.step("sealed", int, draw_entropy)

    def open_sealed() -> Final:
        problems = context.suite.draw(config.final.num_problems, split="sealed", seed=entropy, exclude=seen)
        sampling = Sampling(max_new_tokens=config.sampler.max_new_tokens)
        before = answer(context.judges, first.path, problems, sampling)
        after = (
            before if first.id == champion.id else answer(context.judges, champion.path, problems, sampling)
        )
        outcomes = [
            (old.verdict.status is Status.PASS, new.verdict.status is Status.PASS)
            for old, new in zip(before, after, strict=True)
        ]
        return Final(
            baseline=measure(problems, before),
            champion=measure(problems, after),
            wins=outcomes.count((False, True)),
            losses=outcomes.count((True, False)),
            entropy=entropy,
        )

    final = run.step("final", Final, open_sealed)
    judged = [record for record in records if record.round > 0]
    accepted = sum(record.decision.accepted for record in judged)
    ended = Summary(
        run_id=run.id,
        line=config.line,
        champion=champion.id,
        rounds=len(judged),
        accepted=accepted,
        refused=len(judged) - accepted,
        stop_reason=stop_reason,
        seconds=round(run.total_seconds, 1),
        ledgers_opened=line.num_ledgers,
        strict_base=baseline.few_shot.strict.rate if baseline else None,
        strict_baseline=final.baseline.strict.rate,
        strict_champion=final.champion.strict.rate,
        report=str(run.path / "report.html"),
    )
    summary = run.step("summary", Summary, lambda: ended)
    write_report(run.path)
    return summary


def measure_base(context: Context) -> Baseline:
    """The untrained base: few-shot greedy, and with self-consistency over samples."""
    settings, config = context.config.baseline, context.config
    assert settings is not None

    def ask() -> Baseline:
        shots = context.suite.draw(settings.shots, split="shots", seed=config.seed)
        problems = context.suite.draw(settings.num_problems, split="baseline", seed=config.seed)
        length, k = config.sampler.max_new_tokens, settings.samples
        greedy = answer(context.judges, context.base, problems, Sampling(max_new_tokens=length), shots)
        sampling = Sampling(
            samples=k, temperature=config.propose.temperature, seed=config.seed, max_new_tokens=length
        )
        sampled = answer(context.judges, context.base, problems, sampling, shots)
        return Baseline(few_shot=measure(problems, greedy), sampled=measure(problems, sampled, k))

    return context.run.step("baseline", Baseline, ask)


def begin(run: Run) -> Start:
    """Open the line's ledger, and record what the run starts from, so that it agrees when it is resumed.

    Raises RegistryError, GateError for sentinels without power, and ModelError.
    """
    config, registry = run.config, Registry(ratchet_home())
    require_power(config.gate.sentinels)
    base = resolve_base(config.base, ratchet_home())
    registry.open_ledger(
        config.line,
        alpha=config.gate.alpha,
        planned_tests=config.gate.planned_tests,
        run_id=run.id,
        fresh=config.budget == "new",
    )

    def look() -> Start:
        champion = model_id(base) if config.start == "base" else registry.champion(config.line)
        return Start(champion=champion, epoch=registry.line(config.line).epoch)

    return run.step("start", Start, look)


@contextmanager
def at_work(run: Run, plan: Plan) -> Iterator[Context]:
    """Samplers and verifiers of a run that has begun, with all else that its rounds are given."""
    config, start = run.config, begin(run)
    suite, base, registry = (
        suite_of(config),
        resolve_base(config.base, ratchet_home()),
        Registry(ratchet_home()),
    )
    with open_benches(config, plan, suite, base) as benches:
        yield Context(
            run=run,
            start=Contestant(
                id=start.champion,
                path=base if start.champion == model_id(base) else registry.path(start.champion),
            ),
            epoch=start.epoch,
            config=config,
            plan=plan,
            suite=suite,
            bench=benches.labels,
            judges=benches.gate,
            registry=registry,
            base=base,
        )

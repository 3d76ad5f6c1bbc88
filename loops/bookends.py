"""What opens a campaign and what closes it: ledger, samplers and base; sealed problems and summary."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from engine.disk.steps import Run
from engine.gate.exams import exam_of
from engine.judge.adviser import Adviser, open_adviser
from engine.measure.bench import open_benches
from engine.measure.evaluate import Unjudged
from engine.models.base import check_base, resolve_base
from engine.models.check import check_model
from engine.models.identity import Model, model_id
from engine.models.reference import References
from engine.models.templates import takes_system_message
from engine.plan.plan import Plan
from engine.preflight.power import require_power
from engine.records import Baseline, Duel, End, Final, Measured, Problem, RoundRecord, Start, Summary
from engine.registry.exported import versions_of
from engine.registry.lived import lived_before
from engine.registry.moves import num_refusals
from engine.registry.registry import Registry
from engine.registry.touched import touched_by, written_by
from engine.report.campaign import write_report
from engine.report.figures import headline_of
from engine.sample.protocol import Sampling
from engine.tasks import suite_of
from engine.tasks.suite import kept_apart
from engine.train.crew import Crew
from engine.train.driver import prepare
from loops import load_loop
from loops.context import Context, model_of
from loops.ready import planned_tests
from loops.record import gate_entropy
from loops.spent import suite_for
from loops.usage import usage_of

log = logging.getLogger(__name__)


def begin(run: Run) -> Start:
    """Open the line's ledger, and record what the run starts from.

    Raises RegistryError, PowerError for sentinels without power, and ModelError.
    """
    config, registry = run.config, Registry(run.home)
    require_power(config.gate.sentinels, kept_apart(suite_of(config)))
    for note in check_model(resolve_base(config.base, run.home)):
        log.info("%s", note)
    check_base(config.base, run.home, config.sampler.max_model_len, packed=config.packs)
    registry.open_ledger(
        config.line,
        alpha=config.gate.alpha,
        planned_tests=planned_tests(config, registry),
        run_id=run.id,
        fresh=config.budget == "new",
    )
    return start_of(run)


def start_of(run: Run) -> Start:
    """Record what the run starts from, so that it agrees when it is resumed.

    Raises RegistryError and ModelError.
    """
    config, registry = run.config, Registry(run.home)

    def look() -> Start:
        line = registry.line(config.line)
        if config.start == "base":
            base = resolve_base(config.base, run.home)
            in_turn = not takes_system_message(base)
            return Start(champion=model_id(base), epoch=line.epoch, system_in_turn=in_turn)
        champion, working = registry.champion(config.line), line.working
        in_turn = not takes_system_message(registry.place(champion))
        lived = lived_before(run.home, config)
        if not (config.carry and working):
            return Start(champion=champion, epoch=line.epoch, lived=lived, system_in_turn=in_turn)
        return Start(
            champion=champion,
            epoch=line.epoch,
            lived=lived,
            system_in_turn=in_turn,
            working=working,
            refusals=num_refusals(registry.history(config.line), working),
            touched=touched_by(run.home, config.line),
            written=written_by(run.home, config.line),
        )

    return run.step("start", Start, look)


@contextmanager
def at_work(run: Run, plan: Plan, *, trains: bool = True) -> Iterator[Context]:
    """Samplers and verifiers of a run that has begun, with all else that its rounds are given.

    Where it `trains`, its train worker starts beside them.
    """
    run.held = {"cores": plan.num_cpus, "gpus": plan.num_gpus}
    config, home, start = run.config, run.home, begin(run)
    suite, base, registry = suite_for(config, run), resolve_base(config.base, home), Registry(home)
    with (
        open_benches(
            config.sampler, config.verify, config.system, plan, suite, base, References(home)
        ) as benches,
        Crew(run.path / "crew") as crew,
        open_judge(run, benches.gate.system) as judge,
    ):
        if trains:
            key, first = next(iter(config.trains.items()))
            prepare(crew, first, plan.workers[key])
        yield Context(
            run=run,
            crew=crew,
            judge=judge,
            start=model_of(start.champion, base, registry),
            begun=start,
            config=config,
            plan=plan,
            suite=suite,
            bench=benches.labels,
            judges=benches.gate,
            registry=registry,
            base=base,
        )


def open_judge(run: Run, system: str) -> AbstractContextManager[Adviser | None]:
    """The judge that the config names, whose answers are kept in the run; none of the line may be it."""
    settings = run.config.gate.judge
    if settings is None:
        return nullcontext()
    events = Registry(run.home).history(run.config.line)
    models = {event.model_id for event in events if event.model_id}
    own = models | versions_of(run.home, models)
    return open_adviser(settings, run.path / "judge-answers.jsonl", own=own, system=system)


def measure_base(context: Context) -> Baseline:
    """The untrained base: few-shot greedy, and with samples, where its task has answers to sample."""
    settings, config = context.config.baseline, context.config
    assert settings is not None
    task, length = context.suite.task, config.sampler.max_new_tokens

    def ask() -> Baseline:
        shots = context.suite.draw(settings.shots, split="shots", seed=config.seed)
        problems = context.suite.draw(settings.num_problems, split="baseline", seed=config.seed)
        exam, base = exam_of(task), Model.of(context.base)
        greedy = Sampling(max_new_tokens=length)
        sampled = Sampling(
            samples=settings.samples,
            temperature=settings.temperature,
            seed=config.seed,
            max_new_tokens=length,
        )
        ways = {"few_shot": greedy, "sampled": sampled} if exam.samples else {"few_shot": greedy}
        return Baseline(
            measured=tuple(
                Measured(
                    who="base",
                    where=where,
                    evaluation=exam.measure(
                        task,
                        problems,
                        exam.ask(context.judges, base, problems, sampling, shots),
                        sampling.samples,
                    ),
                )
                for where, sampling in ways.items()
            )
        )

    return context.run.step(
        "baseline",
        Baseline,
        ask,
        doing=f"The untrained base tries {settings.num_problems} problems, which shows where it stands",
        came=lambda baseline: headline_of(baseline.measured[0].evaluation),
    )


def close(
    context: Context,
    baseline: Baseline | None,
    records: list[RoundRecord],
    seen: frozenset[str],
    stop_reason: str,
    champion: Model,
) -> Summary:
    """Open the sealed problems once, and write the summary and the report.

    None of them is one of `seen`, or one of those on which a round compared models. Where the answers cannot
    be judged, the summary says so: nothing is decided by them. `champion` is the line's where nothing was
    judged.
    """
    config, run, registry = context.config, context.run, context.registry
    line = registry.line(config.line)
    first = champion
    if records:
        first = context.stored(records[0].champion_before if records[0].round else records[0].champion_after)
        champion = context.stored(records[-1].champion_after)

    # A stage of its own: what a kill interrupts is opened again with the same problems, not with others.
    entropy = run.step("sealed", int, lambda: gate_entropy(config))
    seen = seen.union(*(context.asked(record.round) for record in records))
    final: Final | None = None
    not_judged = ""
    try:
        final = run.step(
            "final",
            Final,
            lambda: open_sealed(context, first, champion, entropy, seen, records[-1].round if records else 0),
            came=lambda final: f"{headline_of(final.baseline)} at first, {headline_of(final.champion)} now",
        )
    except Unjudged as error:
        not_judged = str(error)
        log.info("The sealed problems say nothing, because answers could not be judged: %s", not_judged)
    judged = [record for record in records if record.round > 0]
    ends = [record.end for record in judged]
    ended = Summary(
        run_id=run.id,
        line=config.line,
        champion=champion.id,
        rounds=len(judged),
        accepted=ends.count(End.PROVEN),
        carried=ends.count(End.CARRIED),
        refused=ends.count(End.DROPPED),
        working=records[-1].working_after if records else context.begun.working,
        stop_reason=stop_reason,
        seconds=round(run.total_seconds, 1),
        ledgers_opened=line.num_ledgers,
        headline=final.champion.head.title if final else "",
        base=baseline.measured[0].evaluation.head.number if baseline else None,
        baseline=final.baseline.head.number if final else None,
        best=final.champion.head.number if final else None,
        not_judged=not_judged,
        report=str(run.path / "report.html"),
        usage=usage_of(run, context.plan, run.taken("")),
    )
    summary = run.step("summary", Summary, lambda: ended)
    write_report(run.path)
    return summary


def open_sealed(
    context: Context, first: Model, champion: Model, entropy: int, seen: frozenset[str], last: int
) -> Final:
    """First and last champion on the sealed problems; `last` is the last round that was played.

    Raises Unjudged.
    """
    config, task = context.config, context.suite.task
    suite, exam = context.judging(last), exam_of(task)
    problems = suite.draw(config.final.num_problems, split="sealed", seed=entropy, exclude=seen)
    who = "The champion answers" if first.id == champion.id else "First and last champion answer"
    duels = context.run.step_many(
        "sealed-answers",
        Duel,
        lambda: _sealed_duels(context, first, champion, problems),
        doing=f"{who} {len(problems)} sealed problems, which nothing has touched",
    )
    duels = exam.settled(context.run, context.judge, "final", duels)
    outcomes = [exam.sealed(duel) for duel in duels]
    before, after = [duel.champion for duel in duels], [duel.challenger for duel in duels]
    return Final(
        baseline=exam.measure(task, problems, before),
        champion=exam.measure(task, problems, after),
        wins=outcomes.count((False, True)),
        losses=outcomes.count((True, False)),
        entropy=entropy,
        panels=load_loop(config.loop).sealed(context, problems, before, after),
    )


def _sealed_duels(context: Context, first: Model, champion: Model, problems: Sequence[Problem]) -> list[Duel]:
    """What both models answer; a judge may be asked afterwards, which is then not lost with the answers."""
    exam, greedy = exam_of(context.suite.task), Sampling(max_new_tokens=context.config.sampler.max_new_tokens)
    before = exam.ask(context.judges, first, problems, greedy)
    after = before if first.id == champion.id else exam.ask(context.judges, champion, problems, greedy)
    return [
        Duel(problem=problem, champion=old, challenger=new)
        for problem, old, new in zip(problems, before, after, strict=True)
    ]

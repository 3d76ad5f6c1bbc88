"""The campaign: rounds of propose, train, judge, record, promote.

    ratchet run configs/quickstart.yaml

Whatever the loop, a challenger becomes champion only by the gate's decision. Every stage is a file of
the run (`engine/steps.py`), so the same code starts a campaign and resumes it.
"""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from configs.load import config_hash
from configs.schema import Train
from engine import gate
from engine.evaluate import Bench, TooManyUndecided, answer, measure
from engine.judge import Contestant, Evidence, Trial, conclude, try_baseline, try_challenger
from engine.models import home, model_id, resolve_base
from engine.plan import Group, Plan
from engine.preferences import general_rows, training_set
from engine.records import (
    Baseline,
    Challenger,
    Check,
    Decision,
    Final,
    RoundRecord,
    Status,
    Summary,
    TrainFailure,
    TrainingRow,
    TrainingSet,
    to_json,
)
from engine.registry import Manifest, Registry, RegistryError
from engine.report import write_report
from engine.sampler import Request, SamplerGroup, Sampling
from engine.sentinels import general_prompts, instructions
from engine.steps import Run, code_version, write_atomically
from engine.tasks import Suite
from engine.train import train
from engine.verify import VerifierPool
from loops import oak_dpo
from loops.context import Context, Proposal

log = logging.getLogger(__name__)

LOOPS: dict[str, Callable[[Context, Path, int, frozenset[str]], Proposal]] = {"oak_dpo": oak_dpo.propose}


def run_campaign(run: Run, plan: Plan) -> Summary:
    """Drive `run` to its end and return what it came to. Raises what the stages raise; the run is then resumable."""
    config = run.config
    suite = Suite(config.task.name, config.task.slices)
    registry = Registry(home())
    require_power(config.gate)
    base = resolve_base(config.base, home())
    registry.open_ledger(
        config.line,
        alpha=config.gate.alpha,
        planned_tests=config.gate.planned_tests,
        run_id=run.id,
        fresh=config.budget == "new",
    )
    limits = config.verify
    with (
        SamplerGroup(
            config.sampler,
            base,
            threads=plan.samplers.threads,
            gpus=plan.samplers.gpus,
            share_gpu=plan.take_turns,
        ) as sampler,
        VerifierPool(
            suite.task.VERIFIER,
            num_processes=limits.num_processes,
            seconds=limits.seconds,
            memory_mib=limits.memory_mib,
        ) as pool,
    ):
        bench = Bench(sampler, pool, config.system, limits.max_undecided)
        context = Context(
            run=run,
            config=config,
            plan=plan,
            suite=suite,
            bench=bench,
            registry=registry,
            base=base,
            general=tuple(_general(run, bench, base)),
        )
        baseline = _baseline(context) if config.baseline else None
        records, stop_reason = _rounds(context)
        return _close(context, baseline, records, stop_reason)


def _rounds(context: Context) -> tuple[list[RoundRecord], str]:
    """Round 0 and then rounds until one of the stated ends; the records with the reason for stopping."""
    config, run, registry = context.config, context.run, context.registry
    records, seen = [], frozenset[str]()
    if config.start == "champion":
        if registry.line(config.line).champion is None:
            raise RegistryError(f"line {config.line} has no champion to start from; set start=base")
    else:
        record, seen = _round_zero(context)
        records.append(record)
        _report(context)
        if not record.decision.accepted:
            return records, f"the warm start was refused: {record.decision.reason}"
    refusals = 0
    for number in range(1, config.stop.rounds + 1):
        if config.stop.hours is not None and run.total_seconds > config.stop.hours * 3600:
            return records, f"{config.stop.hours} hours are over"
        if config.stop.refusals is not None and refusals >= config.stop.refusals:
            return records, f"{refusals} refusals in a row"
        done = run.is_done(context.stage(number, "round"))
        ledger = registry.line(config.line).ledger
        if not done and ledger is not None and not ledger.num_left and not _is_committed(ledger, run, number):
            return records, f"the error budget is used up (all {ledger.planned_tests} tests)"
        record, seen = _round(context, number, seen)
        records.append(record)
        _report(context)
        refusals = 0 if record.decision.accepted else refusals + 1
    return records, f"all {config.stop.rounds} rounds are done"


def _round_zero(context: Context) -> tuple[RoundRecord, frozenset[str]]:
    """The warm start: SFT from gold proofs, judged against the base for harm alone."""
    config, base = context.config, _contestant(context.base)
    warm = config.warm_start
    if warm is None:
        return _base_as_baseline(context, base), frozenset()
    problems = context.suite.draw(warm.proofs, split="warm-start", seed=config.seed)
    rows = [
        TrainingRow(problem_id=p.id, prompt=p.prompt, chosen=p.gold_text, system=config.system) for p in problems
    ]
    general = general_rows(context.general, len(rows), warm.train.general_share)
    data = context.run.step(
        context.stage(0, "prefer"), TrainingSet, lambda: training_set("sft", [*rows, *general], num_general=len(general))
    )
    seen = frozenset(problem.id for problem in problems)
    workers = context.plan.warm_start
    assert workers is not None
    outcome = _train(context, 0, warm.train, data, base, workers)
    return _judge_and_record(context, 0, base, outcome, None, data, seen), seen


def _base_as_baseline(context: Context, base: Contestant) -> RoundRecord:
    """Without a warm start the base itself is the line's first champion."""
    _register(context, base.path, base.id, parent_id="", training_set_id="")
    check = Check(name="baseline", observed="the untrained base", threshold="none", passed=True)
    decision = gate.decide([check], champion_id=base.id, challenger_id=base.id, level=0, entropy=0, looks=[])
    record = context.run.step(
        context.stage(0, "round"), RoundRecord, lambda: _record(context, 0, base, None, None, decision, None, base.id)
    )
    _promote(context, 0, base.id, decision, baseline=True)
    return record


def _round(context: Context, number: int, seen: frozenset[str]) -> tuple[RoundRecord, frozenset[str]]:
    """Propose, train, judge, record, promote."""
    champion = _champion(context, number)
    try:
        proposal = LOOPS[context.config.loop](context, champion.path, number, seen)
    except TooManyUndecided as error:
        return _stopped_round(context, number, champion, str(error)), seen
    outcome = _train(context, number, context.config.train, proposal.data, champion, context.plan.train)
    seen = seen | proposal.seen
    return _judge_and_record(context, number, champion, outcome, proposal, proposal.data, seen), seen


def _train(
    context: Context, number: int, config: Train, data: TrainingSet, parent: Contestant, workers: Group
) -> Challenger | TrainFailure:
    """The challenger, already in the registry by its content, or why there is none."""
    run = context.run

    def make() -> Challenger | TrainFailure:
        context.bench.sampler.sleep()
        out = run.path / context.stage(number, "training")
        outcome = train(
            config,
            data,
            parent=parent.path,
            out=out,
            workers=workers,
            seed=context.config.seed + number,
            on_metrics=lambda entries: run.metrics([{"round": number, "stage": "train", **e} for e in entries]),
        )
        if isinstance(outcome, Challenger):
            _register(
                context,
                Path(outcome.path),
                outcome.model_id,
                parent_id=parent.id,
                training_set_id=data.id,
            )
        shutil.rmtree(out, ignore_errors=True)
        return outcome

    return run.step(context.stage(number, "train"), Challenger | TrainFailure, make)  # type: ignore[arg-type]


def _judge_and_record(
    context: Context,
    number: int,
    champion: Contestant,
    outcome: Challenger | TrainFailure,
    proposal: Proposal | None,
    data: TrainingSet,
    seen: frozenset[str],
) -> RoundRecord:
    run, config, registry = context.run, context.config, context.registry
    if isinstance(outcome, TrainFailure):
        check = Check(name="training", observed=outcome.reason, threshold="a trained challenger", passed=False)
        return _refused_round(context, number, champion, outcome, proposal, check)
    challenger = Contestant(id=outcome.model_id, path=registry.path(outcome.model_id))
    frozen_id = registry.line(config.line).frozen or champion.id
    trial = Trial(
        run=run,
        prefix=f"rounds/{number:03d}",
        bench=context.bench,
        suite=context.suite,
        settings=config.gate,
        max_new_tokens=config.sampler.max_new_tokens,
        champion=champion,
        challenger=challenger,
        frozen=champion if number == 0 else Contestant(id=frozen_id, path=registry.path(frozen_id)),
        base=_contestant(context.base),
        seen=seen,
    )
    level, entropy = 0.0, 0
    try:
        if number == 0:
            evidence = try_baseline(trial)
        else:
            evidence, level, entropy = try_challenger(trial, registry, config.line, number)
    except TooManyUndecided as error:
        return _stopped_round(context, number, champion, str(error))
    decision = conclude(trial, evidence, level, entropy)
    after = challenger.id if decision.accepted else champion.id
    record = run.step(
        context.stage(number, "round"),
        RoundRecord,
        lambda: _record(context, number, champion, outcome, proposal, decision, evidence, after),
    )
    if decision.accepted:
        _promote(context, number, challenger.id, decision, baseline=number == 0)
    else:
        registry.refuse(config.line, challenger.id, run_id=run.id, round=number, decision=decision)
    log.info("round %d: %s. %s", number, "accepted" if decision.accepted else "refused", decision.reason)
    return record


def _stopped_round(context: Context, number: int, champion: Contestant, reason: str) -> RoundRecord:
    check = Check(name="verifier", observed=reason, threshold="judged answers", passed=False)
    return _refused_round(context, number, champion, None, None, check)


def _refused_round(
    context: Context,
    number: int,
    champion: Contestant,
    failure: TrainFailure | None,
    proposal: Proposal | None,
    check: Check,
) -> RoundRecord:
    """A round without a challenger to judge: refused for a named reason, at no cost to the error budget."""
    decision = gate.decide([check], champion_id=champion.id, challenger_id="", level=0, entropy=0, looks=[])
    log.info("round %d: refused. %s", number, decision.reason)
    return context.run.step(
        context.stage(number, "round"),
        RoundRecord,
        lambda: _record(context, number, champion, failure, proposal, decision, None, champion.id),
    )


def _record(
    context: Context,
    number: int,
    champion: Contestant,
    outcome: Challenger | TrainFailure | None,
    proposal: Proposal | None,
    decision: Decision,
    evidence: Evidence | None,
    after: str,
) -> RoundRecord:
    seconds = context.run.seconds(context.stage(number, ""))
    looks = [name for name in seconds if name.startswith("look-")]
    if looks:
        seconds["gate"] = round(sum(seconds.pop(name) for name in looks), 3)
    return RoundRecord(
        round=number,
        champion_before=champion.id,
        champion_after=after,
        challenger=outcome if isinstance(outcome, Challenger) else None,
        failure=outcome if isinstance(outcome, TrainFailure) else None,
        weaknesses=proposal.weaknesses if proposal else (),
        funnel=proposal.data.funnel if proposal else None,
        champion_probe=proposal.probe if proposal else None,
        champion_gate=evidence.champion_gate if evidence else None,
        challenger_gate=evidence.challenger_gate if evidence else None,
        champion_sampled=evidence.champion_sampled if evidence else None,
        challenger_sampled=evidence.challenger_sampled if evidence else None,
        decision=decision,
        samples=evidence.samples if evidence else (),
        seconds=seconds,
    )


def _promote(context: Context, number: int, model: str, decision: Decision, *, baseline: bool) -> None:
    line = context.config.line
    epoch = context.registry.line(line).epoch
    context.registry.promote(
        line, model, run_id=context.run.id, round=number, expected_epoch=epoch, baseline=baseline, decision=decision
    )


def _close(
    context: Context, baseline: Baseline | None, records: list[RoundRecord], stop_reason: str
) -> Summary:
    """Open the sealed problems once, and write the summary and the report."""
    config, run, registry = context.config, context.run, context.registry
    line = registry.line(config.line)
    last = records[-1].champion_after if records else line.champion
    champion = _stored(context, last)
    first = _stored(context, records[0].champion_after if records and records[0].round == 0 else line.frozen)

    def open_sealed() -> Final:
        problems = context.suite.draw(config.final.num_problems, split="sealed", seed=config.seed)
        sampling = Sampling(max_new_tokens=config.sampler.max_new_tokens)
        before = answer(context.bench, first.path, problems, sampling)
        after = before if first.id == champion.id else answer(context.bench, champion.path, problems, sampling)
        outcomes = [
            (old.verdict.status is Status.PASS, new.verdict.status is Status.PASS)
            for old, new in zip(before, after, strict=True)
        ]
        return Final(
            baseline=measure(problems, before),
            champion=measure(problems, after),
            wins=outcomes.count((False, True)),
            losses=outcomes.count((True, False)),
        )

    final = run.step("final", Final, open_sealed)
    judged = [record for record in records if record.round > 0]
    accepted = sum(record.decision.accepted for record in judged)
    summary = Summary(
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
    write_atomically(run.path / "summary.json", to_json(summary))
    _report(context)
    return summary


def _general(run: Run, bench: Bench, base: Path) -> list[TrainingRow]:
    """General prompts with the base's own answers: what a challenger should not forget to say."""
    prompts = general_prompts()

    def ask() -> list[TrainingRow]:
        chats = [
            Request(problem_id=f"general-{i}", messages=[{"role": "user", "content": text}])
            for i, text in enumerate(prompts)
        ]
        texts = {
            attempt.problem_id: attempt.text
            for attempt in bench.sampler.sample(base, chats, Sampling(max_new_tokens=64))
        }
        return [
            TrainingRow(problem_id=chat.problem_id, prompt=prompt, chosen=texts[chat.problem_id].strip())
            for chat, prompt in zip(chats, prompts, strict=True)
        ]

    return run.step_many("general", TrainingRow, ask)


def _baseline(context: Context) -> Baseline:
    """The untrained base: few-shot greedy, and with self-consistency over samples."""
    settings, config = context.config.baseline, context.config
    assert settings is not None

    def ask() -> Baseline:
        shots = context.suite.draw(settings.shots, split="shots", seed=config.seed)
        problems = context.suite.draw(settings.num_problems, split="baseline", seed=config.seed)
        length, k = config.sampler.max_new_tokens, settings.samples
        greedy = answer(context.bench, context.base, problems, Sampling(max_new_tokens=length), shots)
        sampling = Sampling(
            samples=k, temperature=config.propose.temperature, seed=config.seed, max_new_tokens=length
        )
        sampled = answer(context.bench, context.base, problems, sampling, shots)
        return Baseline(few_shot=measure(problems, greedy), sampled=measure(problems, sampled, k))

    return context.run.step("baseline", Baseline, ask)


def require_power(settings: gate.Gate) -> None:
    """Refuse sentinel suites too small to show no harm. Raises GateError."""
    margin = settings.sentinels.margin
    if "instructions" in settings.sentinels.suites:
        power = gate.sentinel_power(len(instructions()), margin, 0.10)
        if power < 0.8:
            raise gate.GateError(
                f"gate.sentinels.margin {margin} is too small for {len(instructions())} instructions: a harmless "
                f"model would pass with a chance of {power:.0%}, needed are 80 %"
            )


def _register(context: Context, path: Path, model: str, *, parent_id: str, training_set_id: str) -> None:
    context.registry.add(
        path,
        Manifest(
            model_id=model,
            parent_id=parent_id,
            training_set_id=training_set_id,
            config_hash=config_hash(context.config),
            seed=context.config.seed,
            code_version=code_version(),
            decision=None,
        ),
    )


def _contestant(path: Path) -> Contestant:
    return Contestant(id=model_id(path), path=path)


def _stored(context: Context, model: str | None) -> Contestant:
    assert model is not None
    base = _contestant(context.base)
    return base if model == base.id else Contestant(id=model, path=context.registry.path(model))


def _champion(context: Context, number: int) -> Contestant:
    """Champion at the start of a round: as the previous round's record says, so that a resumed run agrees."""
    previous = context.run.path / f"rounds/{number - 1:03d}/round.json"
    if previous.exists():
        from engine.records import from_json

        return _stored(context, from_json(RoundRecord, previous.read_bytes()).champion_after)
    return _stored(context, context.registry.line(context.config.line).champion)


def _is_committed(ledger: "object", run: Run, number: int) -> bool:
    return any((test.run_id, test.round) == (run.id, number) for test in ledger.tests)  # type: ignore[attr-defined]


def _report(context: Context) -> None:
    if os.environ.get("RATCHET_NO_REPORT") is None:
        write_report(context.run.path)

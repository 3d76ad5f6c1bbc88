"""The end of a round: judged, recorded, and followed by the registry."""

import logging
from pathlib import Path

from configs.load import config_hash
from engine.disk.steps import code_version
from engine.gate import arithmetic as gate
from engine.gate.trial import Evidence, Trial, conclude, try_baseline, try_challenger
from engine.measure.evaluate import Unjudged
from engine.measure.mine import closures
from engine.models.identity import Contestant
from engine.records import Challenger, Check, Decision, RoundRecord, TrainFailure
from engine.registry.registry import Manifest
from loops.context import Context
from loops.loop import Proposal

log = logging.getLogger(__name__)


def judge_and_record(
    context: Context,
    number: int,
    champion: Contestant,
    outcome: Challenger | TrainFailure,
    proposal: Proposal | None,
    seen: frozenset[str],
    num_promoted: int,
) -> RoundRecord:
    """The round's end, of a challenger that is in the registry or of a training that failed. `seen` are all
    problems that it has to do with, `num_promoted` how often this run has changed the champion before."""
    run, config, registry = context.run, context.config, context.registry
    recorded = run.read(context.stage(number, "round"), RoundRecord)
    if recorded:
        return _settle(context, recorded, num_promoted)
    if isinstance(outcome, TrainFailure):
        check = Check(
            name="training", observed=outcome.reason, threshold="a trained challenger", passed=False
        )
        return _refused_round(context, number, champion, outcome, proposal, check)
    challenger = Contestant(id=outcome.model_id, path=registry.path(outcome.model_id))
    frozen_id = registry.line(config.line).frozen or champion.id
    trial = Trial(
        run=run,
        prefix=f"rounds/{number:03d}",
        bench=context.judges,
        suite=context.suite,
        settings=config.gate,
        max_new_tokens=config.sampler.max_new_tokens,
        champion=champion,
        challenger=challenger,
        reference=outcome.reference,
        frozen=champion if number == 0 else Contestant(id=frozen_id, path=registry.path(frozen_id)),
        base=Contestant.of(context.base),
        seen=seen,
    )
    level, entropy = 0.0, 0
    try:
        if number == 0:
            evidence = try_baseline(trial)
        else:
            evidence, level, entropy = try_challenger(trial, registry, config.line, number)
    except Unjudged as error:
        return _stopped_round(context, number, champion, str(error))
    decision = conclude(trial, evidence, level, entropy)
    after = challenger.id if decision.accepted else champion.id
    record = run.step(
        context.stage(number, "round"),
        RoundRecord,
        lambda: _record(context, number, champion, outcome, proposal, decision, evidence, after),
    )
    log.info("round %d: %s. %s", number, "accepted" if decision.accepted else "refused", decision.reason)
    return _settle(context, record, num_promoted)


def _settle(context: Context, record: RoundRecord, num_promoted: int) -> RoundRecord:
    """Let the registry follow a committed record, also where a kill came between the two: nothing is judged
    again, and each change is made once."""
    challenger, decision = record.challenger, record.decision
    if challenger and decision.accepted:
        _promote(context, record.round, num_promoted, challenger.model_id, decision)
    elif challenger:
        context.registry.refuse(
            context.config.line,
            challenger.model_id,
            run_id=context.run.id,
            round=record.round,
            decision=decision,
        )
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
    """A round that was not judged to its end: refused for a named reason. It costs the error budget nothing,
    unless its test had been committed: then that is spent."""
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
        closures=tuple(closures(proposal.weaknesses, evidence.pairs)) if proposal and evidence else (),
    )


def _promote(context: Context, number: int, num_promoted: int, model: str, decision: Decision) -> None:
    """Raises engine.registry.StaleEpoch where anyone else changed the line's champion meanwhile."""
    context.registry.promote(
        context.config.line,
        model,
        run_id=context.run.id,
        round=number,
        expected_epoch=context.epoch + num_promoted,
        baseline=number == 0,
        decision=decision,
    )


def register(context: Context, path: Path, model: str, *, parent_id: str, training_set_id: str) -> None:
    """Put a model into the registry; it is nobody's champion by that."""
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

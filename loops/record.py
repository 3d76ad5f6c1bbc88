"""The end of a round: the challenger is judged, the round recorded, and the registry follows the record."""

import logging
import secrets
from pathlib import Path
from typing import Any

from configs.load import config_hash
from configs.schema import Config
from engine.disk.environment import code_version
from engine.disk.steps import Run
from engine.gate import arithmetic as gate
from engine.gate.terms import Trial
from engine.gate.trial import Evidence, conclude, try_baseline, try_challenger
from engine.measure.evaluate import Unjudged
from engine.models.identity import Model
from engine.records import (
    Challenger,
    Check,
    Decision,
    Measured,
    Panel,
    RoundRecord,
    TrainFailure,
    Who,
)
from engine.registry.ledger import LedgerUsedUp
from engine.registry.store import Example, Manifest
from loops.closing import Again, closures_of, look_again
from loops.context import Context
from loops.loop import Proposal
from loops.transfer import transfer_panels
from loops.usage import usage_of
from loops.weak import embed_of

log = logging.getLogger(__name__)

_SHARED = {"sentinels": "no harm elsewhere", "guards": "no harm elsewhere", "transfer": "transfer"}
"""What a round's record calls the stages that are kept by model, by how their names begin."""


class Stopped(str):
    """Why a round ended before there was a challenger: answers could not be judged."""


Outcome = Challenger | TrainFailure | Stopped
"""What came of a round's training."""


def judge_and_record(
    context: Context,
    number: int,
    champion: Model,
    outcome: Outcome,
    proposal: Proposal | None,
    seen: frozenset[str],
    num_moves: int,
) -> RoundRecord:
    """Judge a challenger that is in the registry, or record why there is none.

    `seen` are all problems that the challenger has to do with; `num_moves` is how often this run has moved
    the line's pointers before.
    """
    recorded = context.run.read(context.stage(number, "round"), RoundRecord)
    if recorded:
        return _settle(context, recorded, num_moves)
    if not isinstance(outcome, Challenger):
        return _refused_round(context, number, champion, outcome, proposal, failed(outcome), num_moves)
    trial = trial_of(context, number, champion, context.stored(outcome.model_id), outcome.reference, seen)
    try:
        if number == 0:
            evidence = try_baseline(trial)
        else:
            evidence = try_challenger(trial, context.registry, context.config.line, number)
    except Unjudged as error:
        return _refused_round(context, number, champion, outcome, proposal, unjudged(error), num_moves)
    except LedgerUsedUp as error:
        # Another run of the line has spent the last test meanwhile.
        spent = Check(name="error budget", observed=str(error), threshold="a test that is left", passed=False)
        return _refused_round(context, number, champion, outcome, proposal, spent, num_moves)
    decision = conclude(trial, evidence)
    after = outcome.model_id if decision.accepted else champion.id
    panels = transfer_panels(context, number, after)
    again = look_again(context, number, champion, trial.challenger, proposal, evidence, seen)
    record = context.run.step(
        context.stage(number, "round"),
        RoundRecord,
        lambda: record_of(
            context, number, champion, outcome, proposal, decision, evidence, after, panels, again
        ),
    )
    log.info("Round %d: %s. %s", number, "accepted" if decision.accepted else "refused", decision.reason)
    return _settle(context, record, num_moves)


def trial_of(
    context: Context,
    number: int,
    champion: Model,
    challenger: Model,
    reference: tuple[float, ...],
    seen: frozenset[str],
) -> Trial:
    """The terms of a round's trial; `reference` are the trainer's scores of the challenger."""
    config, registry, run = context.config, context.registry, context.run
    frozen = registry.line(config.line).frozen or champion.id
    return Trial(
        run=run,
        prefix=context.stage(number, ""),
        bench=context.judges,
        suite=context.judging(number),
        settings=config.gate,
        max_new_tokens=config.sampler.max_new_tokens,
        champion=champion,
        challenger=challenger,
        reference=reference,
        frozen=champion if number == 0 else Model(id=frozen, path=registry.path(frozen)),
        base=Model.of(context.base),
        seen=seen,
        embed=embed_of(config),
        judge=context.judge,
    )


def stopped_in(context: Context, number: int) -> Stopped | None:
    """Why a recorded round stopped before it had a challenger, which is not taken up again; None of others.

    A training that failed stopped nothing: it is a stage, which a resumed run reads like any other.
    """
    record = context.run.read(context.stage(number, "round"), RoundRecord)
    if record is None or record.failure or context.run.is_done(context.stage(number, "train")):
        return None
    return Stopped(record.decision.reason)


def failed(outcome: TrainFailure | Stopped) -> Check:
    """Why a round has no challenger, as a check."""
    if isinstance(outcome, Stopped):
        return Check(name="verifier", observed=outcome, threshold="judged answers", passed=False)
    return Check(name="training", observed=outcome.reason, threshold="a trained challenger", passed=False)


def unjudged(error: Unjudged) -> Check:
    """Why a comparison was broken off, as a check."""
    return failed(Stopped(error))


def untested(check: Check, champion_id: str, challenger_id: str = "") -> Decision:
    """The decision where no test was held, or none to its end: `check` says why."""
    return gate.decide(
        [check], champion_id=champion_id, challenger_id=challenger_id, level=0, entropy=0, looks=[]
    )


def gate_entropy(config: Config) -> int:
    """A seed for problems that nothing may have been aimed at: drawn now, unless the config pins it."""
    return secrets.randbits(63) if config.gate.entropy is None else config.gate.entropy


def _settle(context: Context, record: RoundRecord, num_moves: int) -> RoundRecord:
    """Let the registry follow a committed record, also after a kill between the two.

    Nothing is judged again, and each change is made once.
    """
    challenger, decision = record.challenger, record.decision
    if challenger and decision.accepted:
        promote(context, record.round, num_moves, challenger.model_id, decision)
    elif challenger:
        context.registry.refuse(
            context.config.line,
            challenger.model_id,
            run_id=context.run.id,
            round=record.round,
            decision=decision,
        )
    return record


def _refused_round(
    context: Context,
    number: int,
    champion: Model,
    outcome: Outcome,
    proposal: Proposal | None,
    check: Check,
    num_moves: int,
) -> RoundRecord:
    """A round that was not judged to its end: refused for a named reason, with all that it had found.

    It costs no error budget unless its test had been committed; the test is then spent.
    """
    challenger_id = outcome.model_id if isinstance(outcome, Challenger) else ""
    decision = untested(check, champion.id, challenger_id)
    log.info("Round %d: refused. %s", number, decision.reason)
    record = context.run.step(
        context.stage(number, "round"),
        RoundRecord,
        lambda: record_of(context, number, champion, outcome, proposal, decision, None, champion.id),
    )
    return _settle(context, record, num_moves)


def record_of(
    context: Context,
    number: int,
    champion: Model,
    outcome: Outcome | None,
    proposal: Proposal | None,
    decision: Decision,
    evidence: Evidence | None,
    after: str,
    panels: tuple[Panel, ...] = (),
    again: Again | None = None,
) -> RoundRecord:
    """The record of a round from all that it came to; `after` is the champion's id from now on.

    `panels` come after the loop's own, of which `again` may hold what they have become after training.
    """
    again = again or Again()
    run = context.run
    taken, shared = run.taken(context.stage(number, "")), _shared(run, context.stage(number - 1, "round"))
    seconds = {name: entry["seconds"] for name, entry in taken.items()}
    looks = [name for name in seconds if name.startswith("look-")]
    if looks:
        seconds["gate"] = round(sum(seconds.pop(name) for name in looks), 3)
    for name, entry in shared.items():
        what = _SHARED[name.partition("/")[0]]
        seconds[what] = round(seconds.get(what, 0.0) + entry["seconds"], 3)
    own = {panel.title: panel for panel in (*(proposal.panels if proposal else ()), *again.panels)}
    measured: list[Measured] = []
    if proposal and proposal.probe:
        who: Who = "champion" if proposal.probe.model_id == champion.id else "working"
        measured.append(Measured(who=who, where="probe", evaluation=proposal.probe))
    return RoundRecord(
        round=number,
        champion_before=champion.id,
        champion_after=after,
        challenger=outcome if isinstance(outcome, Challenger) else None,
        failure=outcome if isinstance(outcome, TrainFailure) else None,
        weaknesses=proposal.weaknesses if proposal else (),
        funnel=proposal.data.funnel if proposal and proposal.data else None,
        measured=(*measured, *(evidence.measured if evidence else ())),
        decision=decision,
        samples=evidence.samples if evidence else (),
        seconds=seconds,
        closures=closures_of(proposal, evidence.duels, again) if proposal and evidence else (),
        panels=(*own.values(), *panels),
        watched=evidence.watched if evidence else (),
        usage=usage_of(run, context.plan, {**taken, **shared}, number),
    )


def _shared(run: Run, before: str) -> dict[str, dict[str, Any]]:
    """What has been finished since the stage `before` and is kept by model, as later rounds use it too."""
    done = run.taken("")
    names = list(done)
    since = names[names.index(before) + 1 :] if before in done else names
    return {name: done[name] for name in since if name.partition("/")[0] in _SHARED}


def promote(context: Context, number: int, num_moves: int, model: str, decision: Decision) -> None:
    """Make a model the line's champion. Raises StaleEpoch where anyone else moved the line meanwhile."""
    context.registry.promote(
        context.config.line,
        model,
        run_id=context.run.id,
        round=number,
        expected_epoch=context.begun.epoch + num_moves,
        baseline=number == 0,
        decision=decision,
    )


def register(
    context: Context,
    path: Path,
    model: str,
    *,
    parent_id: str,
    training_set_id: str,
    reference: tuple[float, ...] = (),
) -> None:
    """Put a model into the registry, with a question of its task to try it by; it is no champion by that."""
    (problem,) = context.suite.draw(1, split="example", seed=context.config.seed)
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
            # Of a passage nothing is asked.
            example=Example(system=context.bench.system, turns=problem.turns) if problem.turns else None,
            reference=reference,
        ),
    )

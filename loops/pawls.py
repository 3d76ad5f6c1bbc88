"""Two pawls: the end of a round whose challenger may be carried, and of a working line that may be proven.

The rules are in `engine/gate/carry.py`. Here the models are asked, a stage at a time, and the registry
follows the record of the round.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from engine.gate import arithmetic as gate
from engine.gate import carry
from engine.gate.trial import Evidence, ask_champion, conclude, try_carry, try_challenger
from engine.measure.evaluate import Unjudged
from engine.models.identity import Model
from engine.records import Challenger, Check, Decision, Due, Duel, End, Problem, RoundRecord
from engine.registry.lines import EventKind
from loops.context import Context
from loops.loop import Proposal
from loops.record import Outcome, failed, gate_entropy, promote, record_of, trial_of, unjudged

log = logging.getLogger(__name__)


def carry_and_prove(
    context: Context,
    number: int,
    champion: Model,
    parent: Model,
    outcome: Outcome,
    proposal: Proposal | None,
    seen: frozenset[str],
    before: Sequence[RoundRecord],
) -> tuple[RoundRecord, frozenset[str]]:
    """Carry or drop a round's challenger, try the working model where that is due, and record the round.

    `before` are the records of the campaign so far. Also returns all problems that have been used by now:
    those of a trial too, so that the next one is made on problems that nothing before has touched.
    """
    run, settings = context.run, context.config.carry
    assert settings is not None
    entropy = run.step("carry", int, lambda: gate_entropy(context.config))
    problems = context.suite.draw(settings.problems, split=f"carry-{number}", seed=entropy, exclude=seen)
    seen = seen | {problem.id for problem in problems}
    stage = context.stage(number, "round")
    record = run.read(stage, RoundRecord)
    if record is None:
        decision, evidence = _carry(context, number, champion, parent, outcome, problems, seen, entropy)
        working = context.stored(decision.challenger_id) if decision.accepted else parent
        dropped = 0 if decision.accepted else 1 + _in_a_row(before)
        last = is_last(context, number, dropped)
        due, tried = None, None
        if working.id != champion.id and carry.due(number, settings.prove_every, last):
            duels = evidence.duels if evidence else ()
            due, tried = _try(context, number, champion, working, problems, duels, seen, before, last)
        record = run.step(
            stage,
            RoundRecord,
            lambda: _record(
                context, number, champion, parent, working, outcome, proposal, decision, evidence, due, tried
            ),
        )
        log.info("round %d: %s. %s", number, record.end, (record.trial or decision).reason)
    _settle(context, record, before)
    return record, seen | _asked_at_the_gate(context, number)


def is_last(context: Context, number: int, dropped: int) -> bool:
    """Whether the campaign ends with this round, `dropped` rounds in a row having moved nothing.

    Decided once and recorded where the clock decides, so that a resumed run agrees.
    """
    stop = context.config.stop
    if number == stop.rounds or (stop.refusals is not None and dropped >= stop.refusals):
        return True
    if stop.hours is None:
        return False
    limit = stop.hours * 3600
    return context.run.step(context.stage(number, "last"), bool, lambda: context.run.total_seconds > limit)


def _in_a_row(before: Sequence[RoundRecord]) -> int:
    """Rounds at the end of `before` that moved nothing."""
    moved = [i for i, record in enumerate(before) if record.round == 0 or record.end is not End.DROPPED]
    return len(before) - (moved[-1] + 1 if moved else 0)


def _refusals(before: Sequence[RoundRecord]) -> int:
    """Trials that have refused the present working line."""
    num = 0
    for record in before:
        if record.proven or (record.due and record.due.returned):
            num = 0
        elif record.due and record.due.trial:
            num += 1
    return num


def _carry(
    context: Context,
    number: int,
    champion: Model,
    parent: Model,
    outcome: Outcome,
    problems: Sequence[Problem],
    seen: frozenset[str],
    entropy: int,
) -> tuple[Decision, Evidence | None]:
    """Whether the next round starts from the challenger, with the evidence where there is one."""
    if not isinstance(outcome, Challenger):
        return _refused(parent, failed(outcome)), None
    trial = replace(
        trial_of(context, number, parent, context.stored(outcome.model_id), outcome.reference, seen),
        prefix=context.stage(number, "carry-"),
        who=("champion" if parent.id == champion.id else "working", "challenger"),
    )
    try:
        evidence = try_carry(trial, problems, entropy)
    except Unjudged as error:
        return _refused(parent, unjudged(error)), None
    decision = carry.decide(
        evidence.checks,
        parent_id=parent.id,
        challenger_id=outcome.model_id,
        entropy=entropy,
        second_verifier=context.judges.second_verifier or "none",
    )
    return decision, evidence


def _try(
    context: Context,
    number: int,
    champion: Model,
    working: Model,
    problems: Sequence[Problem],
    duels: Sequence[Duel],
    seen: frozenset[str],
    before: Sequence[RoundRecord],
    last: bool,
) -> tuple[Due, Evidence | None]:
    """What becomes of a working model where a trial is due, with its evidence where one was held."""
    settings, registry = context.config.carry, context.registry
    assert settings is not None
    reference = registry.manifest(working.id).reference
    trial = replace(
        trial_of(context, number, champion, working, reference, seen), who=("champion", "working")
    )
    try:
        readiness, standing = carry.readiness(ask_champion(trial, problems, duels), settings.ready)
    except Unjudged as error:
        return Due(working_id=working.id, readiness=unjudged(error), trial=None), None
    due = Due(working_id=working.id, readiness=readiness, trial=None)
    match carry.next_move(standing, last):
        case carry.Move.WAIT:
            return due, None
        case carry.Move.GO_BACK:
            return replace(due, returned=f"Found worse than the champion: {readiness.observed}."), None
    try:
        evidence = try_challenger(trial, registry, context.config.line, number)
        decision = conclude(trial, evidence)
    except Unjudged as error:
        evidence, decision = None, _refused(champion, unjudged(error), working)
    if not decision.accepted and _refusals(before) + 1 >= carry.MOST_REFUSALS:
        why = f"{carry.MOST_REFUSALS} trials refused it; the last: {decision.reason}"
        due = replace(due, returned=why)
    return replace(due, trial=decision), evidence


def _refused(old: Model, check: Check, new: Model | None = None) -> Decision:
    """A decision where nothing could be compared."""
    return gate.decide(
        [check], champion_id=old.id, challenger_id=new.id if new else "", level=0, entropy=0, looks=[]
    )


def _record(
    context: Context,
    number: int,
    champion: Model,
    parent: Model,
    working: Model,
    outcome: Outcome,
    proposal: Proposal | None,
    decision: Decision,
    evidence: Evidence | None,
    due: Due | None,
    tried: Evidence | None,
) -> RoundRecord:
    proven = due is not None and due.trial is not None and due.trial.accepted
    after = working.id if proven else champion.id
    record = record_of(context, number, champion, outcome, proposal, decision, evidence, after)
    gone = proven or working.id == champion.id or (due is not None and due.returned)
    return replace(
        record,
        measured=(*record.measured, *(tried.measured if tried else ())),
        samples=tried.samples if tried else record.samples,
        carries=True,
        working_before="" if parent.id == champion.id else parent.id,
        working_after="" if gone else working.id,
        due=due,
    )


def _settle(context: Context, record: RoundRecord, before: Sequence[RoundRecord]) -> None:
    """Let the registry follow a committed record, also after a kill between: no move is made twice."""
    registry, line, run_id, due = context.registry, context.config.line, context.run.id, record.due
    num_moves, decision = sum(each.num_moves for each in before), record.decision
    if record.challenger and decision.accepted:
        registry.carry(
            line,
            record.challenger.model_id,
            run_id=run_id,
            round=record.round,
            expected_epoch=context.epoch + num_moves,
            decision=decision,
        )
        num_moves += 1
    elif record.challenger:
        registry.refuse(
            line,
            record.challenger.model_id,
            run_id=run_id,
            round=record.round,
            decision=decision,
            kind=EventKind.DROPPED,
        )
    if due and due.trial and due.trial.accepted:
        promote(context, record.round, num_moves, due.working_id, due.trial)
        num_moves += 1
    elif due and due.trial:
        registry.refuse(line, due.working_id, run_id=run_id, round=record.round, decision=due.trial)
    if due and due.returned:
        registry.give_up(
            line,
            due.working_id,
            run_id=run_id,
            round=record.round,
            expected_epoch=context.epoch + num_moves,
            reason=due.returned,
        )


def _asked_at_the_gate(context: Context, number: int) -> frozenset[str]:
    """Problems of the round's trial."""
    stages = [
        name
        for name in context.run.seconds(context.stage(number, ""))
        if name.startswith("look-") or name.endswith("pass-at-k")
    ]
    return frozenset(
        duel.problem.id
        for name in stages
        for duel in context.run.read_many(context.stage(number, name), Duel)
    )

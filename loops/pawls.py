"""Two pawls: the end of a round whose challenger may be carried, and of a working line that may be proven.

The rules are in `engine/gate/carry.py`. Here the models are asked, a stage at a time, and the registry
follows the record of the round.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from configs.schema import Carry
from engine.gate import carry
from engine.gate.trial import Evidence, ask_champion, conclude, try_carry, try_challenger
from engine.measure.evaluate import Unjudged
from engine.models.identity import Model
from engine.records import Challenger, Decision, Due, Duel, Problem, RoundRecord
from engine.registry.ledger import LedgerUsedUp
from engine.registry.lines import EventKind
from engine.registry.touched import keep_touched
from loops import closing
from loops.context import Context
from loops.loop import Proposal
from loops.record import (
    Outcome,
    failed,
    gate_entropy,
    promote,
    record_of,
    trial_of,
    unjudged,
    untested,
)
from loops.transfer import transfer_panels

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
    those of a trial too, so that the next one is held on problems that nothing before has touched.
    """
    run, settings = context.run, context.config.carry
    assert settings is not None
    entropy = run.step("carry", int, lambda: gate_entropy(context.config))
    suite = context.judging(number)
    problems = suite.draw(settings.problems, split=f"carry-{number}", seed=entropy, exclude=seen)
    ending = _Ending(
        context=context,
        settings=settings,
        number=number,
        champion=champion,
        parent=parent,
        outcome=outcome,
        proposal=proposal,
        problems=problems,
        entropy=entropy,
        seen=seen | {problem.id for problem in problems},
        before=before,
    )
    record = run.read(context.stage(number, "round"), RoundRecord) or ending.record()
    ending.settle(record)
    return record, ending.asked()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    """The end of one round: what it started from, what came of its training, and what it may be asked."""

    context: Context
    settings: Carry
    number: int
    champion: Model
    parent: Model
    outcome: Outcome
    proposal: Proposal | None
    problems: Sequence[Problem]
    """Fresh problems of the round."""
    entropy: int
    seen: frozenset[str]
    """All problems used before the round's own are answered, and these."""
    before: Sequence[RoundRecord]

    def record(self) -> RoundRecord:
        """Judge the challenger, and the working model where that is due, and commit the round's record."""
        context, number = self.context, self.number
        decision, evidence = self._carry()
        working = context.stored(decision.challenger_id) if decision.accepted else self.parent
        last = self._is_last(decision.accepted)
        due, tried = None, None
        if working.id != self.champion.id and carry.due(number, self.settings.prove_every, last):
            due, tried = self._try(working, evidence.duels if evidence else (), last)
        proven = due is not None and due.trial is not None and due.trial.accepted
        after, given_up = (working if proven else self.champion), due is not None and bool(due.returned)

        again = closing.Again()
        if isinstance(self.outcome, Challenger):
            challenger = context.stored(self.outcome.model_id)
            again = closing.look_again(
                context, number, self.parent, challenger, self.proposal, evidence, self.asked()
            )

        working_after = "" if given_up or working.id == after.id else working.id
        if working_after:
            # Before the record, so that none is ever missing; not by `settle`, which resumes repeat.
            keep_touched(
                context.run.home,
                context.config.line,
                self.asked(),
                context.written(number),
                expected_epoch=self._epoch,
            )

        panels = transfer_panels(context, number, working_after or after.id)

        def make() -> RoundRecord:
            record = record_of(
                context,
                number,
                self.champion,
                self.outcome,
                self.proposal,
                decision,
                evidence,
                after.id,
                panels,
                again,
            )
            return replace(
                record,
                measured=(*record.measured, *(tried.measured if tried else ())),
                samples=tried.samples if tried else record.samples,
                # A challenger that is tried in the round that made it was watched already.
                watched=tuple(dict.fromkeys((*record.watched, *(tried.watched if tried else ())))),
                carries=True,
                working_before="" if self.parent.id == self.champion.id else self.parent.id,
                working_after=working_after,
                due=due,
            )

        record = context.run.step(context.stage(number, "round"), RoundRecord, make)
        log.info("Round %d: %s. %s", number, record.end, (record.trial or decision).reason)
        return record

    @property
    def _epoch(self) -> int:
        """Epoch of the line when the round began."""
        return self.context.begun.epoch + sum(record.num_moves for record in self.before)

    def asked(self, stages: str = "") -> frozenset[str]:
        """All problems used by now, with those of the round's stages whose names begin with `stages`."""
        return self.seen | self.context.asked(self.number, stages)

    def _is_last(self, accepted: bool) -> bool:
        """Whether the campaign ends with this round.

        Where the time decides, the decision is a stage's, so that a resumed run agrees.
        """
        stop, run = self.context.config.stop, self.context.run
        dropped = 0 if accepted else 1 + _dropped_in_a_row(self.before)
        if self.number == stop.rounds or (stop.refusals is not None and dropped >= stop.refusals):
            return True
        if stop.hours is None:
            return False
        limit = stop.hours * 3600
        return run.step(self.context.stage(self.number, "last"), bool, lambda: run.total_seconds > limit)

    def _carry(self) -> tuple[Decision, Evidence | None]:
        """Whether the next round starts from the challenger, with the evidence where there is one."""
        context, outcome, parent = self.context, self.outcome, self.parent
        if not isinstance(outcome, Challenger):
            return untested(failed(outcome), parent.id), None
        challenger = context.stored(outcome.model_id)
        trial = replace(
            trial_of(context, self.number, parent, challenger, outcome.reference, self.seen),
            prefix=context.stage(self.number, "carry-"),
            who=("champion" if parent.id == self.champion.id else "working", "challenger"),
        )
        try:
            evidence = try_carry(trial, self.problems, self.entropy)
        except Unjudged as error:
            return untested(unjudged(error), parent.id, challenger.id), None
        decision = carry.decide(
            evidence.checks,
            parent_id=parent.id,
            challenger_id=challenger.id,
            entropy=self.entropy,
            second_verifier=context.judges.second_verifier or "none",
        )
        return decision, evidence

    def _try(self, working: Model, duels: Sequence[Duel], last: bool) -> tuple[Due, Evidence | None]:
        """What becomes of a working model whose trial is due, with the evidence where it was held."""
        context, registry = self.context, self.context.registry
        trial = replace(
            trial_of(
                context, self.number, self.champion, working, self._reference(working), self.asked("carry-")
            ),
            who=("champion", "working"),
        )
        try:
            pairs = ask_champion(trial, self.problems, duels)
        except Unjudged as error:
            return Due(working_id=working.id, readiness=unjudged(error), trial=None), None
        readiness, standing = carry.readiness(pairs, self.settings.ready)
        due = Due(working_id=working.id, readiness=readiness, trial=None)
        match carry.next_move(standing, last):
            case carry.Move.WAIT:
                return due, None
            case carry.Move.GO_BACK:
                return replace(due, returned=f"Found worse than the champion: {readiness.observed}."), None
        evidence: Evidence | None = None
        try:
            evidence = try_challenger(trial, registry, context.config.line, self.number)
            decision = conclude(trial, evidence)
        except LedgerUsedUp as error:
            # Another run of the line has spent the last test meanwhile: the round itself is not lost by that.
            return replace(due, untried=f"It could not be tried: {error}."), None
        except Unjudged as error:
            decision = untested(unjudged(error), self.champion.id, working.id)
        refusals = _refusals(self.before, context.begun.refusals)
        if not decision.accepted and refusals + 1 >= carry.MOST_REFUSALS:
            why = f"{carry.MOST_REFUSALS} trials refused it; the last: {decision.reason}"
            due = replace(due, returned=why)
        return replace(due, trial=decision), evidence

    def _reference(self, working: Model) -> tuple[float, ...]:
        """The trainer's scores of a working model, from the round that trained it."""
        trained = [self.outcome, *(record.challenger for record in self.before)]
        for each in trained:
            if isinstance(each, Challenger) and each.model_id == working.id:
                return each.reference
        return self.context.registry.manifest(working.id).reference

    def settle(self, record: RoundRecord) -> None:
        """Let the registry follow a committed record, also after a kill between: no move is made twice."""
        context, registry, due = self.context, self.context.registry, record.due
        line, run_id, number = context.config.line, context.run.id, record.round
        decision = record.decision
        epoch = self._epoch
        if record.challenger and decision.accepted:
            model = record.challenger.model_id
            registry.carry(line, model, run_id=run_id, round=number, expected_epoch=epoch, decision=decision)
            epoch += 1
        elif record.challenger:
            model, kind = record.challenger.model_id, EventKind.DROPPED
            registry.refuse(line, model, run_id=run_id, round=number, decision=decision, kind=kind)
        if due and due.trial and due.trial.accepted:
            promote(context, number, epoch - context.begun.epoch, due.working_id, due.trial)
        elif due and due.trial:
            registry.refuse(line, due.working_id, run_id=run_id, round=number, decision=due.trial)
        if due and due.returned:
            model, reason = due.working_id, due.returned
            registry.give_up(line, model, run_id=run_id, round=number, expected_epoch=epoch, reason=reason)


def _dropped_in_a_row(before: Sequence[RoundRecord]) -> int:
    """Rounds at the end of `before` whose challengers were dropped."""
    kept = [number for number, record in enumerate(before) if record.decision.accepted]
    return len(before) - (kept[-1] + 1 if kept else 0)


def _refusals(before: Sequence[RoundRecord], num: int) -> int:
    """Trials that have refused the present working line, `num` of them in earlier campaigns."""
    for record in before:
        if record.proven or (record.due and record.due.returned):
            num = 0
        elif record.due and record.due.trial:
            num += 1
    return num

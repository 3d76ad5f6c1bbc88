"""One round: propose, train, judge, record, promote."""

from collections.abc import Sequence

from engine.measure.evaluate import Unjudged
from engine.models.identity import Model
from engine.records import Lived, RoundRecord, TrainFailure, TrainFault
from engine.registry.lived import keep_lived
from loops import load_loop
from loops.context import LIVED, WRITTEN, Context
from loops.loop import Proposal
from loops.pawls import carry_and_prove
from loops.record import Outcome, Stopped, judge_and_record, stopped_in
from loops.training import clear, train_challenger


def play_round(
    context: Context,
    number: int,
    champion: Model,
    parent: Model,
    seen: frozenset[str],
    before: Sequence[RoundRecord],
) -> tuple[RoundRecord, frozenset[str]]:
    """The record of a round, and all problems that have been used by now.

    The challenger is trained from `parent`: the champion, or the working model that is carried beside it.
    """
    num_moves = sum(record.num_moves for record in before)
    outcome, proposal, seen = _challenger(context, number, parent, seen)
    if proposal and proposal.lived:
        _keep(context, number, proposal.lived, num_moves)
    if context.config.carry:
        record, seen = carry_and_prove(context, number, champion, parent, outcome, proposal, seen, before)
    else:
        record = judge_and_record(context, number, champion, outcome, proposal, seen, num_moves)
        if getattr(context.suite, "is_finite", False):
            # Each test takes fresh records. What a task makes hardly comes twice.
            seen |= context.asked(number)
    clear(context, number)
    return record, seen


def _keep(context: Context, number: int, lived: Lived, num_moves: int) -> None:
    """Keep with the line what it was told, before its night is judged. Raises StaleEpoch."""
    run, epoch = context.run, context.begun.epoch + num_moves

    def keep() -> int:
        keep_lived(run.home, context.config.line, lived, expected_epoch=epoch)
        return lived.days

    run.step(context.stage(number, LIVED), int, keep)


def keep_written(context: Context, number: int, proposal: Proposal) -> None:
    """Keep the problems that the model wrote itself: none that leaks from one of them is judged on."""
    if proposal.written:
        context.run.step_many(context.stage(number, WRITTEN), str, lambda: proposal.written)


def _challenger(
    context: Context, number: int, parent: Model, seen: frozenset[str]
) -> tuple[Outcome, Proposal | None, frozenset[str]]:
    """The round's challenger or why there is none, what it was trained on, and the problems used by now."""
    if stopped := stopped_in(context, number):
        return stopped, None, seen
    try:
        proposal = load_loop(context.config.loop).propose(context, parent, number, seen)
    except Unjudged as error:
        return Stopped(str(error)), None, seen
    before, seen = seen, seen | proposal.seen
    keep_written(context, number, proposal)
    if proposal.data is None:
        fault = TrainFault.NOTHING_TO_LEARN
        return TrainFailure(fault=fault, reason="the loop found nothing to learn"), proposal, seen
    try:
        outcome, selection = train_challenger(context, number, proposal.train, proposal.data, parent, seen)
    except Unjudged as error:
        # No model has to do with what was used, and a resumed run, which proposes nothing, does not know it.
        return Stopped(str(error)), proposal, before
    return outcome, proposal, seen | selection

"""One round: propose, train, judge, record, promote."""

from engine.measure.evaluate import Unjudged
from engine.models.identity import Model
from engine.records import Challenger, RoundRecord, TrainFailure, TrainFault
from loops import load_loop
from loops.context import Context
from loops.record import judge_and_record, stopped_round
from loops.training import train_challenger


def play_round(
    context: Context, number: int, champion: Model, seen: frozenset[str], before: list[RoundRecord]
) -> tuple[RoundRecord, frozenset[str]]:
    """The record of a round, and all problems that have been used by now."""
    recorded = context.run.read(context.stage(number, "round"), RoundRecord)
    if recorded and not context.run.is_done(context.stage(number, "train")):
        # It was stopped before there was a challenger, and is not taken up again.
        return recorded, seen
    try:
        proposal = load_loop(context.config.loop).propose(context, champion, number, seen)
    except Unjudged as error:
        return stopped_round(context, number, champion, str(error)), seen
    seen = seen | proposal.seen
    outcome: Challenger | TrainFailure
    if proposal.data is None:
        outcome = TrainFailure(fault=TrainFault.NOTHING_TO_LEARN, reason="the loop found nothing to learn")
    else:
        outcome, selection = train_challenger(context, number, proposal.train, proposal.data, champion, seen)
        seen = seen | selection
    num_promoted = sum(record.decision.accepted for record in before)
    return judge_and_record(context, number, champion, outcome, proposal, seen, num_promoted), seen

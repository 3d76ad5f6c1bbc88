"""The campaign: rounds of propose, train, judge, record, promote.

    ratchet run configs/quickstart.yaml

Whatever the loop, a challenger becomes champion only by the gate's decision. Every stage is a file of
the run (`engine/disk/steps.py`), so the same code starts a campaign and resumes it.
"""

from engine.disk.steps import Run
from engine.plan.plan import Plan
from engine.records import RoundRecord, Summary
from engine.report.campaign import write_report
from engine.terminal import counted
from loops.bookends import at_work, close, measure_base
from loops.context import Context
from loops.round import play_round
from loops.training import NO_START, Untrained
from loops.warm_start import round_zero


def run_campaign(run: Run, plan: Plan) -> Summary:
    """Drive `run` to its end and return what it came to. Whatever a stage raises, the run can be resumed.

    Raises Untrained where the warm start could not be trained: such a campaign comes to nothing.
    """
    with at_work(run, plan) as context:
        baseline = measure_base(context) if run.config.baseline else None
        records, seen, stop_reason = _rounds(context)
        return close(context, baseline, records, seen, stop_reason, context.start)


def _rounds(context: Context) -> tuple[list[RoundRecord], frozenset[str], str]:
    """Round 0 and then rounds until one of the stated ends: the records, the problems that they used, and the
    reason for stopping."""
    config, run = context.config, context.run
    records: list[RoundRecord] = []
    seen = frozenset(context.begun.touched)
    champion, parent = context.start, context.start
    if context.begun.working:
        parent = context.needed(context.begun.working, 1)
    if config.start == "base":
        record, seen = round_zero(context)
        records.append(record)
        write_report(run.path)
        if record.failure:
            raise Untrained(f"{NO_START}: {record.failure.reason}; start a new run with another config")
        if not record.decision.accepted:
            return records, seen, f"The warm start was refused: {record.decision.reason}"
        champion = parent = context.needed(record.champion_after, 1)
    refusals = 0
    for number in range(1, config.stop.rounds + 1):
        if reason := _reason_to_stop(context, number, refusals):
            return records, seen, reason
        record, seen = play_round(context, number, champion, parent, seen, records)
        records.append(record)
        write_report(run.path)
        champion = context.needed(record.champion_after, number + 1)
        parent = context.needed(record.working_after, number + 1) if record.working_after else champion
        refusals = 0 if record.decision.accepted else refusals + 1
    num = config.stop.rounds
    return records, seen, "The one round is done." if num == 1 else f"All {num} rounds are done."


def _reason_to_stop(context: Context, number: int, refusals: int) -> str:
    """Why round `number` is not begun; empty where it is, or was begun before an interruption."""
    config, run = context.config, context.run
    if run.seconds(context.stage(number, "")):
        return ""
    if config.stop.hours is not None and _out_of_time(context, number, config.stop.hours):
        return f"The time is over: stop.hours={config.stop.hours:g}."
    if config.stop.refusals is not None and refusals >= config.stop.refusals:
        return f"{counted(refusals, 'refusal')} in a row."
    ledger = context.registry.ledger_of(config.line, run.id)
    if not ledger.num_left:
        return f"The error budget of {counted(ledger.planned_tests, 'planned test')} is used up."
    return ""


def _out_of_time(context: Context, number: int, hours: float) -> bool:
    """Where models are carried, the round before has decided it: the last trial belongs to the last round."""
    before = context.run.read(context.stage(number - 1, "last"), bool) if context.config.carry else None
    return context.run.total_seconds > hours * 3600 if before is None else before

"""A sweep: trials by Ray Tune on one selection split, and then the gate, once, for the winner alone.

    ratchet sweep configs/sweeps/quick.yaml

The best of many trials owes a part of its score to luck, the more the more of them there are. So what the
selection split says of the winner decides nothing: it becomes champion as every challenger does, by being
shown to be better than the champion, on problems that no trial has seen.
"""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from configs.schema import Config
from engine.disk.steps import Run
from engine.models.identity import Contestant
from engine.plan.plan import Plan
from engine.records import RoundRecord, Summary, TrialRecord
from engine.registry.registry import Registry
from engine.tasks import suite_of
from loops.bookends import at_work, begin, close
from loops.context import Context
from loops.loop import Proposal
from loops.record import judge_and_record, register
from tune.outcome import best
from tune.plan import num_concurrent, sweep_of
from tune.report import write_sweep_report
from tune.search import search
from tune.space import told
from tune.trial import Made, Place, made

log = logging.getLogger(__name__)


def run_sweep(run: Run, home: Path, trial_plan: Plan, plan: Plan) -> Summary:
    """Drive a sweep's run to its end. Whatever a stage raises, it can be resumed."""
    sweep, campaign = sweep_of(run.path)
    place = Place(home=home, run_id=run.id, sweep=sweep, campaign=campaign, plan=trial_plan, start=begin(run))
    num = num_concurrent(sweep, plan, campaign.config)
    # Before the search, as trials are made to be better than what is champion then.
    champion = run.step("champion", str, lambda: Registry(home).line(campaign.config.line).champion or "")
    trials = run.step_many("trials", TrialRecord, lambda: search(place, num))
    winner = best(trials)
    # Before the judging, which may be interrupted, and after it.
    write_sweep_report(run.path)
    strict = 100 * winner.rungs[-1].strict.rate
    log.info(
        "trial %d is the best of %d: %s, strict %.1f %%",
        winner.number,
        len(trials),
        told(winner.values),
        strict,
    )
    with at_work(run, plan) as context:
        current = context.stored(champion) if champion else None
        records, seen, reason = judge(context, place, trials, winner, current)
        summary = close(context, None, records, seen, reason)
    # What is kept of trials is in the registry, or in their records.
    for left in (run.path / "trials").glob("*/rungs/*/training"):
        shutil.rmtree(left, ignore_errors=True)
    write_sweep_report(run.path)
    return summary


def judge(
    context: Context,
    place: Place,
    trials: Sequence[TrialRecord],
    winner: TrialRecord,
    champion: Contestant | None,
) -> tuple[list[RoundRecord], frozenset[str], str]:
    """The gate's word on the winner: the records, all problems that trials used, and why it ends there.

    Of a line without a champion the first trial becomes it, as the warm start of a campaign would.
    """

    def material(trial: TrialRecord) -> Made:
        def reads(config: Config, run: Run) -> Context:
            return replace(context, config=config, run=run, suite=suite_of(config))

        return made(place, trial.values, reads)

    seen = frozenset[str]().union(*(material(trial).seen for trial in trials if trial.rungs))
    records: list[RoundRecord] = []
    if champion is None:
        first = trials[0]
        if first.status != "finished":
            return records, seen, f"There is no champion to judge it against: trial 0 failed, {first.reason}."
        record = judged(context, 0, context.start, first, None, seen, 0)
        records.append(record)
        if not record.decision.accepted:
            return records, seen, f"The warm start was refused: {record.decision.reason}"
        champion = context.stored(record.champion_after)
    if winner.challenger and winner.challenger.model_id == champion.id:
        return records, seen, "The best trial is the champion, which leaves nothing to judge."
    proposal = material(winner).proposal
    records.append(judged(context, 1, champion, winner, proposal, seen, len(records)))
    return records, seen, f"The best of {len(trials)} trials was judged."


def judged(
    context: Context,
    number: int,
    champion: Contestant,
    trial: TrialRecord,
    proposal: Proposal | None,
    seen: frozenset[str],
    num_promoted: int,
) -> RoundRecord:
    """A trial's challenger as one of a round."""
    challenger = trial.challenger
    assert challenger is not None, "only a finished trial is judged"
    recorded = context.run.is_done(context.stage(number, "round"))
    if not recorded:
        register(
            context,
            Path(challenger.path),
            challenger.model_id,
            parent_id=challenger.parent_id,
            training_set_id=challenger.training_set_id,
        )
    return judge_and_record(context, number, champion, challenger, proposal, seen, num_promoted)

"""A sweep: Ray Tune plays trials on one selection split, and then the gate judges the winner alone, once.

    ratchet sweep configs/sweeps/quick.yaml

The best of many trials owes part of its score to luck, and the more trials, the larger that part. So its
score on the selection split decides nothing: the winner becomes champion like any challenger, by being shown
better than the champion on problems that no trial has seen.
"""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from configs.schema import Config
from engine.disk.steps import Run
from engine.models.identity import Model
from engine.plan.plan import Plan
from engine.records import RoundRecord, Summary
from engine.registry.registry import Registry
from loops.bookends import at_work, begin, close
from loops.context import Context
from loops.loop import Proposal
from loops.record import judge_and_record, register
from loops.round import keep_written
from loops.spent import suite_for, suite_in_sweep
from loops.training import Untrained
from loops.warm_start import round_zero
from tune.outcome import TrialRecord, best, describe_score
from tune.plan import num_concurrent, sweep_of
from tune.report import write_sweep_report
from tune.search import search
from tune.space import describe
from tune.trial import Material, material_for
from tune.workshop import SweepRun

log = logging.getLogger(__name__)


def run_sweep(run: Run, home: Path, trial_plan: Plan, plan: Plan) -> Summary:
    """Drive a sweep's run to its end. Whatever a stage raises, the sweep can be resumed."""
    settings, campaign = sweep_of(run.path)
    sweep = SweepRun(
        home=home, run_id=run.id, settings=settings, campaign=campaign, plan=trial_plan, start=begin(run)
    )
    num = num_concurrent(settings, plan, campaign.config)
    suite_for(campaign.config, run)
    # Recorded before the search, because trials are meant to beat the champion of that moment.
    champion = run.step("champion", str, lambda: Registry(home).line(campaign.config.line).champion or "")
    needs_first = not champion and not sweep.round
    trials = run.step_many("trials", TrialRecord, lambda: search(sweep, num, needs_first=needs_first))
    winner = best(trials)
    # Written once before the judging, which may be interrupted, and once after it.
    write_sweep_report(run.path)
    log.info(
        "trial %d is the best of %d: %s, %s",
        winner.number,
        len(trials),
        describe(winner.values),
        describe_score(winner.rungs[-1]),
    )
    with at_work(run, plan, trains=False) as context:
        current = context.stored(champion) if champion else None
        records, seen, reason = judge(context, sweep, trials, winner, current)
        summary = close(context, None, records, seen, reason, current or context.start)
    # The registry and the records keep all that is needed of the trials.
    for left in (run.path / "trials").glob("*/rungs/*/training"):
        shutil.rmtree(left, ignore_errors=True)
    write_sweep_report(run.path)
    return summary


def judge(
    context: Context,
    sweep: SweepRun,
    trials: Sequence[TrialRecord],
    winner: TrialRecord,
    champion: Model | None,
) -> tuple[list[RoundRecord], frozenset[str], str]:
    """Put the winner before the gate: returns the records, all problems used, and why the sweep ends there.

    On a line without a champion, the first trial becomes the champion, as a campaign's warm start would, and
    where trials are rounds the base does. Raises Untrained where that trial failed.
    """

    def material(trial: TrialRecord) -> Material:
        def read(config: Config, run: Run) -> Context:
            suite = suite_in_sweep(config, sweep.home, sweep.run_id)
            return replace(context, config=config, run=run, suite=suite)

        return material_for(sweep, trial.values, read)

    seen = frozenset[str]().union(*(material(trial).seen for trial in trials if trial.rungs))
    records: list[RoundRecord] = []
    if champion is None and sweep.round:
        record, _ = round_zero(context)
        records.append(record)
        champion = context.stored(record.champion_after)
    elif champion is None:
        first = trials[0]
        if first.status != "finished":
            raise Untrained(
                f"trial 0, which would be the first champion, failed: {first.reason}; start a new sweep with "
                f"another config (what its trials scored is in {context.run.path / 'report.html'})"
            )
        record = judge_trial(context, 0, context.start, first, None, seen, 0)
        records.append(record)
        if not record.decision.accepted:
            return records, seen, f"The warm start was refused: {record.decision.reason}"
        champion = context.stored(record.champion_after)
    if winner.challenger and winner.challenger.model_id == champion.id:
        return records, seen, "The best trial is the champion, which leaves nothing to judge."
    proposal = material(winner).proposal
    if proposal:
        keep_written(context, 1, proposal)
    records.append(judge_trial(context, 1, champion, winner, proposal, seen, len(records)))
    return records, seen, f"The best of {len(trials)} trials was judged."


def judge_trial(
    context: Context,
    number: int,
    champion: Model,
    trial: TrialRecord,
    proposal: Proposal | None,
    seen: frozenset[str],
    num_promoted: int,
) -> RoundRecord:
    """Judge a trial's challenger as the challenger of a round."""
    challenger = trial.challenger
    assert challenger is not None, "only a finished trial is judged"
    if not context.run.is_done(context.stage(number, "round")):
        register(
            context,
            Path(challenger.path),
            challenger.model_id,
            parent_id=challenger.parent_id,
            training_set_id=challenger.training_set_id,
            reference=challenger.reference,
        )
    return judge_and_record(context, number, champion, challenger, proposal, seen, num_promoted)

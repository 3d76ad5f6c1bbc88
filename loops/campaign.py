"""The campaign: rounds of propose, train, judge, record, promote.

    ratchet run configs/quickstart.yaml

Whatever the loop, a challenger becomes champion only by the gate's decision. Every stage is a file of
the run (`engine/steps.py`), so the same code starts a campaign and resumes it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.doctor import suite_of
from engine.evaluate import open_benches
from engine.judge import Contestant
from engine.models import home, model_id, resolve_base
from engine.plan import Plan
from engine.power import require_power
from engine.records import RoundRecord, Start, Summary
from engine.registry import Registry
from engine.report import write_report
from engine.steps import Run
from loops.bookends import close, measure_base
from loops.context import Context
from loops.round import play_round, round_zero


def run_campaign(run: Run, plan: Plan) -> Summary:
    """Drive `run` to its end and return what it came to. Whatever a stage raises, the run can be resumed."""
    with at_work(run, plan) as context:
        baseline = measure_base(context) if run.config.baseline else None
        records, seen, stop_reason = _rounds(context)
        return close(context, baseline, records, seen, stop_reason)


def begin(run: Run) -> Start:
    """Open the line's ledger, and record what the run starts from, so that it agrees when it is resumed.

    Raises RegistryError, GateError for sentinels without power, and ModelError.
    """
    config, registry = run.config, Registry(home())
    require_power(config.gate.sentinels)
    base = resolve_base(config.base, home())
    registry.open_ledger(
        config.line,
        alpha=config.gate.alpha,
        planned_tests=config.gate.planned_tests,
        run_id=run.id,
        fresh=config.budget == "new",
    )

    def look() -> Start:
        champion = model_id(base) if config.start == "base" else registry.champion(config.line)
        return Start(champion=champion, epoch=registry.line(config.line).epoch)

    return run.step("start", Start, look)


@contextmanager
def at_work(run: Run, plan: Plan) -> Iterator[Context]:
    """Samplers and verifiers of a run that has begun, with all else that its rounds are given."""
    config, start = run.config, begin(run)
    suite, base, registry = suite_of(config), resolve_base(config.base, home()), Registry(home())
    with open_benches(config, plan, suite, base) as benches:
        yield Context(
            run=run,
            start=Contestant(
                id=start.champion,
                path=base if start.champion == model_id(base) else registry.path(start.champion),
            ),
            epoch=start.epoch,
            config=config,
            plan=plan,
            suite=suite,
            bench=benches.labels,
            judges=benches.gate,
            registry=registry,
            base=base,
        )


def _rounds(context: Context) -> tuple[list[RoundRecord], frozenset[str], str]:
    """Round 0 and then rounds until one of the stated ends: the records, the problems that they used, and the
    reason for stopping."""
    config, run = context.config, context.run
    records: list[RoundRecord] = []
    seen: frozenset[str] = frozenset()
    champion = context.start
    if config.start == "base":
        record, seen = round_zero(context)
        records.append(record)
        write_report(run.path)
        if not record.decision.accepted:
            return records, seen, f"The warm start was refused: {record.decision.reason}"
        champion = context.stored(record.champion_after)
    refusals = 0
    for number in range(1, config.stop.rounds + 1):
        if reason := _reason_to_stop(context, number, refusals):
            return records, seen, reason
        record, seen = play_round(context, number, champion, seen, records)
        records.append(record)
        write_report(run.path)
        champion = context.stored(record.champion_after)
        refusals = 0 if record.decision.accepted else refusals + 1
    num = config.stop.rounds
    return records, seen, "The one round is done." if num == 1 else f"All {num} rounds are done."


def _reason_to_stop(context: Context, number: int, refusals: int) -> str:
    """Why round `number` is not begun; empty where it is, or was begun before an interruption."""
    config, run = context.config, context.run
    if run.is_done(context.stage(number, "round")):
        return ""
    if config.stop.hours is not None and run.total_seconds > config.stop.hours * 3600:
        return f"The {config.stop.hours:g} hours are over."
    if config.stop.refusals is not None and refusals >= config.stop.refusals:
        return f"{refusals} refusals in a row."
    ledger = context.registry.line(config.line).ledger
    assert ledger is not None
    if not ledger.num_left and not any(
        (test.run_id, test.round) == (run.id, number) for test in ledger.tests
    ):
        return f"The error budget is used up: all {ledger.planned_tests} planned tests are spent."
    return ""

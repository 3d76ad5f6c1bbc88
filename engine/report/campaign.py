"""Writes the report of a run: one self-contained HTML page, from the run's files alone.

    ratchet report RUN

It can be written at any time: before the first round, during a round, after a failed training. `data.py`
reads the files, `rows.py` and `figures.py` select what is shown, `campaign.html.j2` draws it, and `page.py`
keeps the text of models in its place.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.measure import paired
from engine.measure.sequential import detectable_gain
from engine.records import Evaluation, Final, Likelihood, Passage, Problem, RoundRecord, Theory, Watched
from engine.report.data import RunFiles, read_run
from engine.report.figures import Column, columns, comparisons, text_of
from engine.report.page import write_page
from engine.report.rows import Row, both_ends, by_slice, kind, over_rounds

CURVES = {"loss": "Loss", "learning_rate": "Learning rate", "grad_norm": "Gradient norm"}
PLAN = ("looks", "look_size", "win_share", "futility", "spending")
ANSWERING = {
    "rehearse",
    "alive",
    "gate",
    "pass-at-k",
    "no harm elsewhere",
    "transfer",
    "carry-alive",
    "carry-look",
    "carry-pass-at-k",
    "ready",
}
"""Stages of every round in which models answer; a loop's own are recognised by their output."""
LOST = 0.05
"""Share of problems lost to the champion at which the gate's power is stated."""
MAX_CURVE_POINTS = 300
"""Points drawn of a round's curve; more cannot be told apart at a panel's width."""
MAX_TITLE = 140
"""Characters of a problem in the line that opens it."""


class Gain(NamedTuple):
    """A comparison of the last champion with the first on the sealed problems."""

    wins: int
    losses: int
    num: int
    rate: float
    """Wins less losses, as a share of the problems."""
    low: float
    high: float
    """Two-sided 95 % interval, paired."""
    title: str
    """The headline's title where the gain is also the headline's; empty where a win is something else."""


def elsewhere(record: RoundRecord, answering: Collection[str] = ()) -> float:
    """Count the seconds of a round that went into neither answering nor training steps.

    `answering` are the stages of the round's loop that left answers.
    """
    training = record.challenger.seconds if record.challenger else 0.0
    rest = [
        seconds
        for stage, seconds in record.seconds.items()
        if stage not in ANSWERING and stage not in answering and not stage.startswith("select-")
    ]
    return sum(rest) - training


def _gain(final: Final | None) -> Gain | None:
    """Compare the champions on the sealed problems; None before those are opened, or if there is only one."""
    if final is None or final.baseline.model_id == final.champion.model_id:
        return None
    wins, losses, num = final.wins, final.losses, final.champion.num_problems
    low = -paired.paired_drop_bound(losses, wins, num, level=0.025)
    high = paired.paired_drop_bound(wins, losses, num, level=0.025)
    rate = (wins - losses) / num
    head = final.champion.head
    # Of as many problems, a share that rose by as much counts the same thing as the wins.
    same = head.unit == "share" and abs(head.number - final.baseline.head.number - rate) < 0.5 / num
    return Gain(wins, losses, num, rate, low, high, head.title if same else "")


def _headline(run: RunFiles, ends: Sequence[Row]) -> str:
    """Sum up the campaign in one sentence: the rounds judged, and the headline figure before and after."""
    judged_rounds = [record for record in run.rounds if record.round > 0]
    accepted, judged = sum(record.proven for record in judged_rounds), len(judged_rounds)
    if not judged:
        warm = kind(run.rounds[0]) if run.rounds else ""
        so_far = {
            "baseline": "The warm start is in place; no later",
            "start": "The untrained base is the baseline; no later",
            "refused": "The warm start was refused: no",
        }
        return f"{so_far.get(warm, 'No')} round has been judged."
    measured = [end.greedy for end in ends if end.kind != "base"]
    where = f"{run.final.champion.num_problems} sealed problems" if run.final else "fresh problems"
    title = next((f"{it.head.title} " for it in measured if it), "")
    heads = [text_of(it.head) if it else "not measured" for it in measured]
    if not accepted:
        who = f"None of {judged} rounds was" if judged > 1 else "The one round was not"
        if any(record.carries for record in judged_rounds):
            who = f"No gain is proven in {judged} round{'s' if judged > 1 else ''}"
            return f"{who}: the first champion stays, {title}{heads[0]} on {where}."
        return f"{who} accepted: the first champion stays, {title}{heads[0]} on {where}."
    who = f"{accepted} of {judged} rounds" if judged > 1 else "The one round was"
    if any(record.carries for record in judged_rounds):
        who = f"{accepted} gain{'s' if accepted > 1 else ''} proven in {judged} rounds"
        return f"{who}: {title}{heads[0]}\u00a0→\u00a0{heads[-1]} on {where}."
    return f"{who} accepted: {title}{heads[0]}\u00a0→\u00a0{heads[-1]} on {where}."


def _standing(run: RunFiles) -> str:
    """Say what is proven and what is only carried; empty where every step is proven by itself."""
    if not any(record.carries for record in run.rounds):
        return ""
    last = run.rounds[-1]
    proven = [str(record.round) for record in run.rounds if record.carries and record.proven]
    claim = (
        f"Champion {last.champion_after[:10]} is proven better than the one before it"
        f" (proven in round{'s' if len(proven) > 1 else ''} {', '.join(proven)})"
        if proven
        else f"No gain is proven: {last.champion_after[:10]} stays champion"
    )
    if not last.working_after:
        return f"{claim}. Nothing is carried beside it."
    return (
        f"{claim}. Working model {last.working_after[:10]} looks better and is not proven to be: it is what "
        "the next round would start from, and is neither served nor claimed."
    )


def title_of(problem: Problem) -> str:
    """Shorten a problem to one line: its statement, its text, or the user's first turn."""
    truth = problem.truth
    if isinstance(truth, Theory):
        return truth.question
    text = truth.text if isinstance(truth, Passage) else next(iter(problem.turns), "")
    line = " ".join(text[: 2 * MAX_TITLE].split())
    return line if len(line) <= MAX_TITLE else line[:MAX_TITLE] + "…"


def checkpoints_of(record: RoundRecord) -> int:
    """Count the checkpoints among which the round's challenger was chosen; 0 without a selection."""
    return sum(stage.startswith("select-") for stage in record.seconds) if record.challenger else 0


def harmed(record: RoundRecord, watched: Watched) -> bool:
    """Check whether the sentinel's check failed for this pair of models."""
    decisions = (record.decision, record.due.trial if record.due else None)
    return any(
        check.name == watched.suite and check.ran and not check.passed
        for decision in decisions
        if decision and decision.challenger_id == watched.after_id
        for check in decision.checks
    )


def _drawn(column: Column, rows: Iterable[Row]) -> bool:
    """Check whether a figure was measured of any model besides the untrained base."""
    return any(column.of(row.part(column.sampled)) is not None for row in rows if row.kind != "base")


def _curve(run: RunFiles, key: str) -> dict[str, Any]:
    """Join one training figure of all rounds end to end; a step repeated after a resume counts once."""
    kept = {it.round: it.challenger.num_steps for it in run.rounds if it.challenger and checkpoints_of(it)}
    by_round: dict[int, dict[int, float]] = defaultdict(dict)
    for row in run.metrics:
        if str(row.get("stage")).startswith("train") and row.get(key) is not None:
            by_round[row["round"]][row["step"]] = row[key]
    start, segments, num_bad, values = 0, [], 0, [0.0]
    for number, steps in sorted(by_round.items()):
        finite = [(start + step, steps[step]) for step in sorted(steps) if math.isfinite(steps[step])]
        num_bad += len(steps) - len(finite)
        values += [value for _, value in finite]
        chosen = [point for point in finite if point[0] - start == kept.get(number)]
        segments.append((number, start, finite[:: len(finite) // MAX_CURVE_POINTS + 1], chosen))
        start += max(steps)
    return {"title": CURVES[key], "segments": segments, "end": start, "high": max(values), "num_bad": num_bad}


def _title(evaluations: Iterable[Evaluation]) -> str:
    """Return the title of the headline figure; empty if nothing was measured."""
    return next((it.head.title for it in evaluations), "")


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run directory, finished or not, and return its path.

    Replaces an older report in one step. Raises ReportError if the directory is not a run, or is damaged.
    """
    run = read_run(run_dir)
    rows = over_rounds(run)
    longest_first = sorted((record.seconds for record in run.rounds), key=len, reverse=True)
    gate = run.config.gate
    level = gate.alpha / run.config.num_tests
    design = {name: getattr(gate, name) for name in PLAN}
    # Between likelihoods there are no ties: what is not won is lost.
    ties = not any(isinstance(it.champion, Likelihood) for record in run.rounds for it in record.samples)
    lost = LOST if ties else None
    ends = both_ends(run, rows)
    sealed = [end for end in ends if run.final and end.kind != "base"]
    greedy = [row.greedy for row in (*ends, *rows) if row.greedy]
    figures = columns(greedy, [row.sampled for row in rows if row.sampled])
    return write_page(
        run_dir / "report.html",
        Path(__file__).with_name("campaign.html.j2"),
        run=run,
        rows=rows,
        ends=ends,
        headline=_headline(run, ends),
        standing=_standing(run),
        head_title=_title(greedy),
        figures=figures,
        drawn=[column for column in figures if _drawn(column, rows)],
        comparisons=comparisons,
        gain=_gain(run.final),
        sealed=sealed,
        sealed_by_dimension=by_slice(sealed, whole=False),
        sealed_by_cell=by_slice(sealed, whole=True),
        by_dimension=by_slice(rows, whole=False),
        by_cell=by_slice(rows, whole=True),
        curves=[_curve(run, key) for key in CURVES],
        stages=list(dict.fromkeys(stage for seconds in longest_first for stage in seconds)),
        taken=list(dict.fromkeys(what for it in run.rounds if it.usage for what in it.usage.shown())),
        level=level,
        lost=lost,
        detectable=detectable_gain(level=level, discordance_lost=lost, **design),
        kind=kind,
        checkpoints_of=checkpoints_of,
        elsewhere=lambda record: elsewhere(record, run.answering.get(record.round, ())),
        title_of=title_of,
        harmed=harmed,
    )

"""The report of a run: one self-contained HTML page, made from the files of the run and nothing else.

    ratchet report RUN

It can be made at any time: before the first round, within one, after a failed training. `report_data.py`
reads, this file selects and counts, `report.html.j2` draws, with a macro for each chart, and `page.py` keeps
text of models in its place.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from engine.measure import stats
from engine.measure.sequential import detectable_gain
from engine.records import Evaluation, Final, RoundRecord
from engine.report.data import Run, read_run
from engine.report.page import write_page

CURVES = {"loss": "Loss", "learning_rate": "Learning rate", "grad_norm": "Gradient norm"}
PLAN = ("looks", "look_size", "win_share", "futility", "spending")
ANSWERING = {"probe", "sample", "rehearse", "alive", "gate", "pass-at-k"}
"""Stages in which models answer, and their answers are verified."""
LOST = 0.05
"""Share of problems lost to the champion at which the gate's power is stated."""
MAX_CURVE_POINTS = 300
"""Steps drawn of one round; more cannot be told apart at the width of a panel."""


Shown: TypeAlias = tuple[Evaluation | None, str, bool]
"""A model on a greedy draw, where that was, and whether the figure itself ended the draw."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on fresh problems."""

    label: str
    kind: str
    """``base``, ``baseline``, ``accepted``, ``refused`` or ``failed``."""
    model_id: str
    greedy: Evaluation | None = None
    source: str = ""
    at_stopping: bool = False
    """The figure itself ended the draw, so it leans in favour of the winner."""
    sampled: Evaluation | None = None
    record: RoundRecord | None = None


class Gain(NamedTuple):
    """Strict of the last champion less that of the first, on the sealed problems."""

    wins: int
    losses: int
    num: int
    rate: float
    low: float
    high: float
    """Two-sided 95 % interval, paired."""


def kind(record: RoundRecord) -> str:
    """What became of a round, as the page names it."""
    if record.failure is not None:
        return "failed"
    if not record.decision.accepted:
        return "refused"
    return "baseline" if record.round == 0 else "accepted"


def elsewhere(record: RoundRecord) -> float:
    """Seconds of a round that went neither into sampling and verifying nor into training steps."""
    training = record.challenger.seconds if record.challenger else 0.0
    return sum(seconds for stage, seconds in record.seconds.items() if stage not in ANSWERING) - training


def _at(run: Run, model_id: str) -> Shown:
    """A model on greedy draws: the largest whose size was fixed beforehand, else the gate's."""
    found: list[tuple[Evaluation, str, bool]] = []
    for record in run.rounds:
        sides = [(record.champion_before, record.champion_gate, f"gate of round {record.round}", True)]
        sides += [(record.champion_before, record.champion_probe, f"probe of round {record.round}", False)]
        if record.challenger:
            sides += [(record.challenger.model_id, record.challenger_gate, sides[0][2], True)]
        found += [
            (evaluation, where, gated and bool(record.decision.looks))
            for owner, evaluation, where, gated in sides
            if evaluation is not None and owner == model_id
        ]
    return min(found, key=lambda it: (it[2], -it[0].strict.num), default=(None, "not measured yet", False))


def _over_rounds(run: Run) -> list[Measured]:
    """The untrained base, then what each round made, in order."""
    rows = []
    if base := run.baseline.get("few_shot"):
        sampled = run.baseline.get("sampled")
        rows.append(Measured("base", "base", base.model_id, base, "few-shot, untrained", sampled=sampled))
    for record in run.rounds:
        model_id = record.challenger.model_id if record.challenger else ""
        row = Measured(str(record.round), kind(record), model_id, source="training failed", record=record)
        if model_id:
            at_gate = (record.challenger_gate, f"gate of round {record.round}", bool(record.decision.looks))
            shown = at_gate if record.challenger_gate else _at(run, model_id)
            row = Measured(row.label, row.kind, model_id, *shown, record.challenger_sampled, record)
        rows.append(row)
    return rows


def _ends(run: Run, over_rounds: Sequence[Measured]) -> list[Measured]:
    """Untrained base, first champion and present champion, as far as there are such; once the sealed
    problems are opened the champions stand as measured there."""
    ends = [row for row in over_rounds if row.kind == "base"]
    if run.rounds:
        warm = kind(run.rounds[0]) == "baseline"
        first = run.rounds[0].champion_after if warm else run.rounds[0].champion_before
        last = run.rounds[-1].champion_after
        old, new = _at(run, first), _at(run, last)
        if final := run.final:
            first, last = final.baseline.model_id, final.champion.model_id
            old, new = (final.baseline, "sealed", False), (final.champion, "sealed", False)
        ends.append(Measured("warm start" if warm else "first champion", "baseline", first, *old))
        if last != first:
            ends.append(Measured("champion now", "accepted", last, *new))
    return ends


def _gain(final: Final | None) -> Gain | None:
    """The sealed comparison; None before it is made, or where the first champion is the last."""
    if final is None or final.baseline.model_id == final.champion.model_id:
        return None
    wins, losses, num = final.wins, final.losses, final.champion.strict.num
    low = -stats.paired_drop_bound(losses, wins, num, level=0.025)
    high = stats.paired_drop_bound(wins, losses, num, level=0.025)
    return Gain(wins, losses, num, (wins - losses) / num, low, high)


def _headline(run: Run, ends: Sequence[Measured]) -> str:
    """The campaign in one sentence: what was judged, and strict before and after."""
    outcomes = [kind(record) for record in run.rounds if record.round > 0]
    accepted, judged = outcomes.count("accepted"), len(outcomes)
    if not judged:
        warm = kind(run.rounds[0]) if run.rounds else ""
        so_far = {
            "baseline": "The warm start is in place; no later",
            "refused": "The warm start was refused: no",
        }
        return f"{so_far.get(warm, 'No')} round has been judged."
    measured = [end.greedy for end in ends if end.kind != "base"]
    where = f"{run.final.champion.strict.num} sealed problems" if run.final else "fresh problems"
    strict = [f"{100 * it.strict.rate:.0f}\u00a0%" if it else "not measured" for it in measured]
    if not accepted:
        who = f"None of {judged} rounds was" if judged > 1 else "The one round was not"
        return f"{who} accepted: the first champion stays, strict {strict[0]} on {where}."
    who = f"{accepted} of {judged} rounds" if judged > 1 else "The one round was"
    return f"{who} accepted: strict {strict[0]}\u00a0→\u00a0{strict[-1]} on {where}."


def _slices(rows: Sequence[Measured], whole: bool) -> list[tuple[str, list[tuple[int, int] | None]]]:
    """(Passes, problems) of each row's model by slice: by value of each dimension, or by whole cell."""
    columns: list[dict[str, tuple[int, int]]] = []
    for row in rows:
        sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for score in row.greedy.slices if row.greedy else ():
            num, passes = score.strict.num, round(score.strict.rate * score.strict.num)
            for part in [score.slice] if whole else score.slice.split():
                sums[part] = (sums[part][0] + passes, sums[part][1] + num)
        columns.append(sums)
    names = list(dict.fromkeys(name for sums in columns for name in sums))
    dimensions = list(dict.fromkeys(name.partition("=")[0] for name in names))
    # Shorter first: hops=2 before hops=10.
    names.sort(key=lambda name: (dimensions.index(name.partition("=")[0]), len(name), name))
    return [(name, [sums.get(name) for sums in columns]) for name in names]


def _curve(metrics: Iterable[dict[str, Any]], key: str) -> dict[str, Any]:
    """One training figure, the rounds end to end. A step that was repeated after a resume counts once."""
    by_round: dict[int, dict[int, float]] = defaultdict(dict)
    for row in metrics:
        if row.get("stage") == "train" and row.get(key) is not None:
            by_round[row["round"]][row["step"]] = row[key]
    start, segments, num_bad, values = 0, [], 0, [0.0]
    for number, steps in sorted(by_round.items()):
        finite = [(start + step, steps[step]) for step in sorted(steps) if math.isfinite(steps[step])]
        num_bad += len(steps) - len(finite)
        values += [value for _, value in finite]
        segments.append((number, start, finite[:: len(finite) // MAX_CURVE_POINTS + 1]))
        start += max(steps)
    return {"title": CURVES[key], "segments": segments, "end": start, "high": max(values), "num_bad": num_bad}


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run directory, finished or not, and return its path.

    Replaces an older report in one step. Raises ReportError for what is no run, or damaged.
    """
    run = read_run(run_dir)
    rows = _over_rounds(run)
    longest_first = sorted((record.seconds for record in run.rounds), key=len, reverse=True)
    plan = run.config["gate"]
    level = plan["alpha"] / plan["planned_tests"]
    design = {key: plan[key] for key in PLAN}
    ends = _ends(run, rows)
    sealed = [end for end in ends if run.final and end.kind != "base"]
    return write_page(
        run_dir / "report.html",
        Path(__file__).with_name("report.html.j2"),
        run=run,
        rows=rows,
        ends=ends,
        headline=_headline(run, ends),
        gain=_gain(run.final),
        sealed=sealed,
        sealed_by_dimension=_slices(sealed, whole=False),
        sealed_by_cell=_slices(sealed, whole=True),
        by_dimension=_slices(rows, whole=False),
        by_cell=_slices(rows, whole=True),
        curves=[_curve(run.metrics, key) for key in CURVES],
        stages=list(dict.fromkeys(stage for seconds in longest_first for stage in seconds)),
        level=level,
        lost=LOST,
        detectable=detectable_gain(level=level, discordance_lost=LOST, **design),
        kind=kind,
        elsewhere=elsewhere,
    )

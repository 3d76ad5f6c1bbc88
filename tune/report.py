"""Writes the report of a sweep: one self-contained HTML page beside the campaign's, from its files alone.

    ratchet report RUN

The winner comes first, with its score on the selection split beside the honest one. The page can be written
at any time, even while trials run. `report_data.py` reads, this file selects and places, `sweep.html.j2`
draws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from configs.sweep import SearchDomain, Value
from engine.records import Evaluation, Figure, RoundRecord
from engine.report.campaign import write_report
from engine.report.figures import text_of
from engine.report.page import write_page
from tune.experiment_report import write_experiment_report
from tune.importance import Importance, importance
from tune.outcome import TrialRecord, best
from tune.plan import is_experiment, is_sweep
from tune.report_data import UNDER_WAY, SweepFiles, TrialFiles, read_sweep

SHADES = 5
"""Number of colours for scores; the darkest is the best."""
MOST_LABELS = 6
"""Labels on an axis that has a place for each value."""
NONE = "none"
"""Shown if the campaign has no value of its own."""
ORDER = ("finished", UNDER_WAY, "stopped", "failed")


@dataclass(frozen=True, slots=True)
class Axis:
    """A hyperparameter's axis in the parallel coordinates."""

    key: str
    scale: str
    """How it is searched, in the config's words."""
    labels: tuple[tuple[float, str], ...]
    """Places from 0 to 1, with their labels."""
    places: dict[int, float]
    """The place of each trial, by number."""
    explaining: dict[int, float] | dict[int, str]
    """What explains each trial's score: a place, or the name of a value that is not a number."""
    importance: Importance | None = None


class Side(NamedTuple):
    """The winner on one set of problems, beside the model it is compared with there."""

    where: str
    what: str
    """How the problems were chosen, in a few words."""
    winner: Evaluation
    other: Evaluation | None
    other_is: str
    num_better: tuple[int, int] | None = None
    """Problems that the winner alone passed, and those that the other alone passed."""

    @property
    def difference(self) -> str:
        """The winner's headline less the other's; empty without the other."""
        if self.other is None:
            return ""
        head, by = self.winner.head, self.winner.head.number - self.other.head.number
        text = f"{100 * by:+.1f} points" if head.unit == "share" else f"{by:+.4g} {head.unit}".strip()
        return text.replace("-", "−")


def write_reports(run_dir: Path) -> Path:
    """Write a run's report, and the page of a sweep or an experiment; returns the file to read first."""
    if is_experiment(run_dir):
        return write_experiment_report(run_dir)
    written = write_report(run_dir)
    return write_sweep_report(run_dir) if is_sweep(run_dir) else written


def write_sweep_report(run_dir: Path) -> Path:
    """Write `sweep.html` into a sweep's run directory, finished or not, and return its path.

    Replaces an older page in one step. Raises ReportError or ConfigError if it is not a sweep, or is damaged.
    """
    data = read_sweep(run_dir)
    records = [trial.record for trial in data.trials]
    winner = best(records) if any(record.status == "finished" for record in records) else None
    judged = next((record for record in data.run.rounds if record.round == 1), None)
    measured = [trial for trial in data.trials if trial.record.rungs]
    scores = [_score(trial.record) for trial in measured]
    head = measured[0].record.rungs[0].head if measured else None
    return write_page(
        run_dir / "sweep.html",
        Path(__file__).with_name("sweep.html.j2"),
        data=data,
        winner=winner,
        judged=judged,
        headline=headline(data, winner, judged),
        scores=side_by_side(data, winner, judged) if winner else [],
        axes=[axis_of(data, key, domain) for key, domain in data.sweep.domains()],
        num_measured=len(measured),
        head=head,
        shown=lambda score: text_of(_figure_at(head, score)),
        low=min(scores, default=0.0),
        high=max(scores, default=1.0),
        shade=lambda score: shade(score, min(scores), max(scores)),
        order=sorted(data.trials, key=_rank),
        steps=best_so_far(data.trials),
        stages=list(dict.fromkeys(stage for record in records for stage in record.seconds)),
        counts=[(state, sum(trial.state == state for trial in data.trials)) for state in ORDER],
        describe=_describe,
        describe_stage=_describe_stage,
        unit=_unit(data.worked),
    )


def headline(data: SweepFiles, winner: TrialRecord | None, judged: RoundRecord | None) -> str:
    """Sum the sweep up in one sentence."""
    num = len(data.trials)
    if winner is None:
        return f"No trial has been finished yet; {num} so far." if num else "No trial has been started yet."
    head = winner.rungs[-1].head
    score = f"{head.title} {text_of(head)} on the selection split"
    if not data.searched:
        return f"Trial {winner.number} leads after {num} of at most {data.sweep.trials} trials: {score}."
    if judged and (at_gate := judged.evaluation("challenger", "gate")):
        honest = f"{text_of(at_gate.head)} on the gate’s fresh problems"
        word = "accepted" if judged.decision.accepted else "refused"
        return f"Trial {winner.number}, the best of {num}, was {word}: {score}, {honest}."
    if judged:
        return f"Trial {winner.number}, the best of {num}, was refused before any gate problem: {score}."
    # A sweep that has ended says below why the winner was not judged.
    later = "" if data.run.summary else " The gate has not judged it yet."
    return f"Trial {winner.number} is the best of {num}: {score}.{later}"


def side_by_side(data: SweepFiles, winner: TrialRecord, judged: RoundRecord | None) -> list[Side]:
    """List the winner's scores, from the one that chose it to the most honest one."""
    first = data.trials[0].record
    own = first.rungs[-1] if first.status == "finished" else None
    what = f"chosen by these, as the best of {len(data.trials)} trials"
    as_it_is = "the campaign as it is, trial 0"
    found = [Side("Selection split", what, winner.rungs[-1], own, as_it_is)]
    if judged and (at_gate := judged.evaluation("challenger", "gate")):
        looks = judged.decision.looks
        found.append(
            Side(
                "Gate",
                "fresh, drawn after it was chosen",
                at_gate,
                judged.evaluation("champion", "gate"),
                "the champion",
                (looks[-1].wins, looks[-1].losses) if looks else None,
            )
        )
    final = data.run.final
    shown = winner.challenger.model_id if winner.challenger else ""
    if final and final.champion.model_id == shown:
        own_first = final.baseline.model_id != shown
        found.append(
            Side(
                "Sealed",
                "fresh, fixed in number, opened once at the end",
                final.champion,
                final.baseline if own_first else None,
                "the first champion",
                (final.wins, final.losses) if own_first else None,
            )
        )
    return found


def axis_of(data: SweepFiles, key: str, domain: SearchDomain) -> Axis:
    """Place each trial on a hyperparameter's axis, and measure how much of the scores that explains.

    Scores are those of the first rung, which all trials reach after equally long training.
    """
    records = [trial.record for trial in data.trials]
    values = {record.number: data.value(record, key) for record in records}
    numbers = {number: value for number, value in values.items() if _is_number(value)}
    if domain.choice is None and len(numbers) == len(values):
        axis = _along(key, domain, numbers)  # type: ignore[arg-type]
    else:
        axis = _level_by_level(key, domain.choice or [], values)
    scored = [record for record in records if record.rungs]
    explaining = [axis.explaining[record.number] for record in scored]
    found = importance(explaining, [record.rungs[0].score for record in scored])  # type: ignore[arg-type]
    return replace(axis, importance=found)


def _along(key: str, domain: SearchDomain, values: dict[int, float]) -> Axis:
    """Build the axis of a range, wide enough for what is searched and for what was tried."""
    logarithmic = domain.log_uniform is not None and min(values.values(), default=1.0) > 0
    ends = domain.log_uniform or domain.uniform or domain.integers or ()
    low, high = min([*ends, *values.values()]), max([*ends, *values.values()])

    def place(value: float) -> float:
        if logarithmic:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    between: list[float] = [(low + high) / 2]
    if domain.integers:
        between = [(low + high) // 2]
    if logarithmic:
        between = [10.0**power for power in range(math.ceil(math.log10(low)), math.ceil(math.log10(high)))]
    labels = [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]
    labels[1:1] = [(place(it), f"{it:.4g}") for it in between if 0.14 < place(it) < 0.86]
    kind = "log_uniform" if logarithmic else "integers" if domain.integers else "uniform"
    places = {number: place(value) for number, value in values.items()}
    return Axis(key, kind, tuple(labels), places, places)


def _level_by_level(key: str, choice: Sequence[Value], values: dict[int, Value | None]) -> Axis:
    """Build the axis of a list: a place for each value, sorted if they are numbers."""
    shown: dict[str, Value | None] = {_describe(value): value for value in (*choice, *values.values())}
    ordered = all(_is_number(value) for value in shown.values())
    names = sorted(shown, key=lambda name: shown[name]) if ordered else list(shown)  # type: ignore[arg-type,return-value]
    place = {name: (i + 0.5) / len(names) for i, name in enumerate(names)}
    every = -(-len(names) // MOST_LABELS)
    labels = tuple((place[name], name) for name in names[::every])
    at = {number: _describe(value) for number, value in values.items()}
    places: dict[int, float] = {}
    for name in names:
        here = [number for number in at if at[number] == name]
        # Trials with the same value stand side by side, so that each line can be followed.
        places |= {
            it: place[name] + ((i + 0.5) / len(here) - 0.5) / 2 / len(names) for i, it in enumerate(here)
        }
    return Axis(
        key, "choice", labels, places, {number: place[name] for number, name in at.items()} if ordered else at
    )


def best_so_far(trials: Sequence[TrialFiles]) -> list[tuple[float, float]]:
    """List (seconds of work, score) whenever a finished trial was better than all before it."""
    ends = [
        (trial.measured[-1], _score(trial.record))
        for trial in trials
        if trial.state == "finished" and trial.measured
    ]
    found: list[tuple[float, float]] = []
    for at, score in sorted(ends):
        if not found or score > found[-1][1]:
            found.append((at, score))
    return found


def shade(score: float, low: float, high: float) -> int:
    """Choose the colour of a score, from 0 to `SHADES` - 1."""
    return min(int(SHADES * (score - low) / ((high - low) or 1)), SHADES - 1)


def _score(record: TrialRecord) -> float:
    return record.rungs[-1].score


def _rank(trial: TrialFiles) -> tuple[int, float, int]:
    """Sort the best first among trials in the same state."""
    score = _score(trial.record) if trial.record.rungs else -math.inf
    return ORDER.index(trial.state), -score, trial.record.number


def _is_number(value: Value | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _describe(value: Value | None) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _describe_stage(stage: str) -> str:
    """Name a stage such as ``rungs/0/train`` for people."""
    _, rung, name = stage.split("/")
    return f"{name}, rung {int(rung) + 1}"


def _unit(seconds: float) -> tuple[str, float]:
    """Choose the unit in which people read such a time, with its length in seconds."""
    units = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
    return next((unit for unit in units if seconds >= 2 * unit[1]), units[-1])


def _figure_at(head: Figure | None, score: float) -> Figure:
    """The headline figure at a score, which is negative where less is better."""
    assert head is not None, "scores are shown only where trials are measured"
    return replace(head, value=score if head.better == "higher" else -score)

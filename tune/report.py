"""The report of a sweep: one self-contained HTML page beside the campaign's, made from the run's files alone.

    ratchet report RUN

What won, and its score on the selection split beside the honest one, comes first. It can be made at any time,
while trials run too. `report_data.py` reads, this file selects and places, `sweep.html.j2` draws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from configs.sweep import Domain, Value
from engine.records import Interval, RoundRecord, TrialRecord
from engine.report.page import write_page
from tune.importance import Importance, importance
from tune.outcome import best
from tune.report_data import UNDER_WAY, SweepRun, Trial, read_sweep

SHADES = 5
"""Colours of scores, the darkest for the best."""
MOST_LABELS = 6
"""Of an axis with a place for each value."""
NONE = "none"
"""Shown where the campaign has no value of its own."""
ORDER = ("finished", UNDER_WAY, "stopped", "failed")


@dataclass(frozen=True, slots=True)
class Axis:
    """Of one hyperparameter in the parallel coordinates."""

    key: str
    scale: str
    """How it is searched, as the config says it."""
    labels: tuple[tuple[float, str], ...]
    """Places from 0 to 1, and what stands there."""
    places: dict[int, float]
    """Of trials, by number."""
    explaining: dict[int, float] | dict[int, str]
    """Likewise, what scores are explained by: a place, or the name of a value that is no number."""
    importance: Importance | None = None


class Score(NamedTuple):
    """A model on problems of one kind, beside what it is held against there."""

    where: str
    what: str
    """How the problems came to be, in a few words."""
    winner: Interval
    other: Interval | None
    other_is: str
    num_better: tuple[int, int] | None = None
    """Problems that the winner alone passed, and the other alone."""


def write_sweep_report(run_dir: Path) -> Path:
    """Write `sweep.html` into a sweep's run directory, finished or not, and return its path.

    Replaces an older one in one step. Raises ReportError or ConfigError for what is no sweep, or damaged.
    """
    data = read_sweep(run_dir)
    records = [trial.record for trial in data.trials]
    winner = best(records) if any(record.status == "finished" for record in records) else None
    judged = next((record for record in data.run.rounds if record.round == 1), None)
    measured = [trial for trial in data.trials if trial.record.rungs]
    scores = [_score(trial.record) for trial in measured]
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
        low=min(scores, default=0.0),
        high=max(scores, default=1.0),
        shade=lambda rate: shade(rate, min(scores), max(scores)),
        order=sorted(data.trials, key=_rank),
        steps=best_so_far(data.trials),
        stages=list(dict.fromkeys(stage for record in records for stage in record.seconds)),
        counts=[(state, sum(trial.state == state for trial in data.trials)) for state in ORDER],
        told=_told,
        told_stage=_told_stage,
        unit=_unit(data.worked),
    )


def headline(data: SweepRun, winner: TrialRecord | None, judged: RoundRecord | None) -> str:
    """The sweep in one sentence."""
    num = len(data.trials)
    if winner is None:
        return f"No trial has been finished yet; {num} so far." if num else "No trial has been started yet."
    strict = f"strict {_percent(winner.rungs[-1].strict)} on the selection split"
    if not data.searched:
        return f"Trial {winner.number} leads after {num} of at most {data.sweep.trials} trials: {strict}."
    if judged and judged.challenger_gate:
        honest = f"{_percent(judged.challenger_gate.strict)} on the gate’s fresh problems"
        word = "accepted" if judged.decision.accepted else "refused"
        return f"Trial {winner.number}, the best of {num}, was {word}: {strict}, {honest}."
    if judged:
        return f"Trial {winner.number}, the best of {num}, was refused before any gate problem: {strict}."
    # Why it was not judged stands below, where the sweep has ended.
    later = "" if data.run.summary else " The gate has not judged it yet."
    return f"Trial {winner.number} is the best of {num}: {strict}.{later}"


def side_by_side(data: SweepRun, winner: TrialRecord, judged: RoundRecord | None) -> list[Score]:
    """The winner's scores, from the one that it was chosen by to the most honest."""
    first = data.trials[0].record
    own = first.rungs[-1].strict if first.status == "finished" else None
    what = f"chosen by these, as the best of {len(data.trials)} trials"
    as_it_is = "the campaign as it is, trial 0"
    found = [Score("Selection split", what, winner.rungs[-1].strict, own, as_it_is)]
    if judged and judged.challenger_gate:
        looks = judged.decision.looks
        found.append(
            Score(
                "Gate",
                "fresh, drawn after it was chosen",
                judged.challenger_gate.strict,
                judged.champion_gate.strict if judged.champion_gate else None,
                "the champion",
                (looks[-1].wins, looks[-1].losses) if looks else None,
            )
        )
    final = data.run.final
    shown = winner.challenger.model_id if winner.challenger else ""
    if final and final.champion.model_id == shown:
        own_first = final.baseline.model_id != shown
        found.append(
            Score(
                "Sealed",
                "fresh, fixed in number, opened once at the end",
                final.champion.strict,
                final.baseline.strict if own_first else None,
                "the first champion",
                (final.wins, final.losses) if own_first else None,
            )
        )
    return found


def axis_of(data: SweepRun, key: str, domain: Domain) -> Axis:
    """Where each trial stands in a hyperparameter, and how much of the scores that explains.

    Scores are those of the first rung: all trials come to it, and have trained equally long there.
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
    found = importance(explaining, [record.rungs[0].strict.rate for record in scored])  # type: ignore[arg-type]
    return replace(axis, importance=found)


def _along(key: str, domain: Domain, values: dict[int, float]) -> Axis:
    """Of a range: as wide as it is searched, and as what was tried."""
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
    """Of a list: a place for each value, in the order of their size where they are numbers."""
    shown: dict[str, Value | None] = {_told(value): value for value in (*choice, *values.values())}
    ordered = all(_is_number(value) for value in shown.values())
    names = sorted(shown, key=lambda name: shown[name]) if ordered else list(shown)  # type: ignore[arg-type,return-value]
    place = {name: (i + 0.5) / len(names) for i, name in enumerate(names)}
    every = -(-len(names) // MOST_LABELS)
    labels = tuple((place[name], name) for name in names[::every])
    at = {number: _told(value) for number, value in values.items()}
    places: dict[int, float] = {}
    for name in names:
        here = [number for number in at if at[number] == name]
        # Side by side, so that a line can be followed.
        places |= {
            it: place[name] + ((i + 0.5) / len(here) - 0.5) / 2 / len(names) for i, it in enumerate(here)
        }
    return Axis(
        key, "choice", labels, places, {number: place[name] for number, name in at.items()} if ordered else at
    )


def best_so_far(trials: Sequence[Trial]) -> list[tuple[float, float]]:
    """(Seconds of work, strict) at which a finished trial was better than all before it."""
    ends = [
        (trial.measured[-1], _score(trial.record))
        for trial in trials
        if trial.state == "finished" and trial.measured
    ]
    found: list[tuple[float, float]] = []
    for at, rate in sorted(ends):
        if not found or rate > found[-1][1]:
            found.append((at, rate))
    return found


def shade(rate: float, low: float, high: float) -> int:
    """Colour of a score, from 0 to `SHADES` - 1."""
    return min(int(SHADES * (rate - low) / ((high - low) or 1)), SHADES - 1)


def _score(record: TrialRecord) -> float:
    return record.rungs[-1].strict.rate


def _rank(trial: Trial) -> tuple[int, float, int]:
    """The best first, of those that came equally far."""
    rungs = trial.record.rungs
    return ORDER.index(trial.state), -(_score(trial.record) if rungs else -1.0), trial.record.number


def _is_number(value: Value | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _told(value: Value | None) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _told_stage(stage: str) -> str:
    """``rungs/0/train`` for people."""
    _, rung, name = stage.split("/")
    return f"{name}, rung {int(rung) + 1}"


def _unit(seconds: float) -> tuple[str, float]:
    """In which so long a time is well told, with its seconds."""
    units = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
    return next((unit for unit in units if seconds >= 2 * unit[1]), units[-1])


def _percent(it: Interval) -> str:
    return f"{100 * it.rate:.0f}\u00a0%"

"""Two models on the same documents of a benchmark: the gate's paired test, task by task.

The harness's standard errors are those of two separate samples. Which of two models is better is told by the
documents that only one of them gets right, as `ratchet compare` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.benchmark.results import Measured
from engine.gate.compare import Comparison, compare
from engine.gate.compare_text import sentence
from engine.gate.outcome_files import Choice, read_pair
from engine.gate.outcomes import CompareError


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two models on one task."""

    task: str
    old: str
    new: str
    comparison: Comparison | None
    """None where the task's samples do not allow one."""
    sentence: str
    """The verdict and what it rests on, or why there is none."""


def compare_all(
    measured: Sequence[Measured], *, alpha: float, margin: float | None = None, metric: str = ""
) -> tuple[Compared, ...]:
    """Every later model against the first, on each task by `metric`, or the one that its samples name first.

    All comparisons share `alpha` equally: it is the chance that any of their verdicts is wrong (Bonferroni).
    With a `margin` they ask whether the later model is no worse by more than this.
    """
    pairs = [(measured[0], new, task) for new in measured[1:] for task in measured[0].samples]
    return tuple(_compared(old, new, task, alpha / len(pairs), margin, metric) for old, new, task in pairs)


def _compared(
    old: Measured, new: Measured, task: str, alpha: float, margin: float | None, metric: str
) -> Compared:
    found: Comparison | None = None
    try:
        outcomes = read_pair(Path(old.samples[task]), Path(new.samples[task]), Choice(metric))
        found = compare(*outcomes, alpha=alpha, margin=margin)
        said = sentence(found)
    except CompareError as error:
        # Such as a metric that has no value for a single document: the other tasks can still be compared.
        said = f"not compared: {error}"
    return Compared(task=task, old=old.name, new=new.name, comparison=found, sentence=said)

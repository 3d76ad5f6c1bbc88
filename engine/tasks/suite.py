"""What a task is, once loaded: typed, with every default filled in, and the draws that come from it."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from configs.tasks import AnyTask
from engine.errors import Mistake
from engine.records import Attempt, Problem, Status, Verdict


class DataError(Mistake):
    """A data file or a task that cannot be used; the message names the file, the place and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A figure that is a share of answers, shown with its interval."""

    key: str
    title: str
    holds: Callable[[Verdict], bool]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A figure that is a ratio of sums over answers, such as valid steps to all steps."""

    key: str
    title: str
    parts: Callable[[Verdict], tuple[float, float]]
    """Numerator and denominator of one answer."""
    note: str = ""


PASSED = Share(key="passed", title="passed", holds=lambda verdict: verdict.status is Status.PASS)
"""The figure of a task that names none."""


MEASURED_ANYWAY = frozenset(
    {"pass_at_k", "majority", "distinct", "tokens", "distinct_1", "distinct_2", "distinct_3", "repetition"}
)
"""Keys of figures that are measured of every task."""


class Suite(Protocol):
    """A task with its mixture of slices, ready to be drawn from."""

    task: "Task"

    @property
    def slices(self) -> Sequence[str]:
        """Names of all cells of the mixture."""

    def draw(
        self,
        num: int,
        *,
        split: str,
        seed: int,
        start: int = 0,
        exclude: Set[str] = frozenset(),
        weights: Mapping[str, float] | None = None,
        questions: int = 1,
    ) -> list[Problem]:
        """`num` problems, numbers `start` onwards of the sequence that (split, seed) names."""


def split_of(suite: Suite, name: str, *, proves: bool) -> str:
    """The split that a check draws from.

    A finite suite keeps the problems of tests that prove something apart from those that may be used again.
    """
    return name if proves or not getattr(suite, "is_finite", False) else f"carry-{name}"


def kept_apart(suite: Suite) -> tuple[Problem, ...]:
    """The problems of a suite that no draw takes, because a model must not lose them: a sentinel suite."""
    return tuple(getattr(suite, "sentinels", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Where problems come from, who judges the answers, and what is measured of them."""

    name: str
    system: str
    """System message where the config gives none; empty for no system message."""
    exam: str
    """How a problem speaks for one of two models: a key of `engine.gate.exams.EXAMS`."""
    verifiers: tuple[str, ...]
    """Names for `engine.verify.load_verifier`. The first labels training data; at the gate all must pass."""
    figures: tuple[Share | Ratio, ...]
    headline: str
    """Key of the figure that speaks for the whole: a `Share`."""
    target: Callable[[Problem, Attempt], tuple[str, ...]]
    """What to learn from an attempt that passed: a reply to each turn."""
    read: Callable[[Path], list[Problem]]
    """The problems of a public file. Raises DataError, also where the task has no such format."""
    open: Callable[[AnyTask], Suite]
    """The suite that a config's ``task`` describes. Raises DataError."""
    vary: Callable[[Problem, str], Problem | str] | None = None
    """A problem that a text holds, written as a variation of another one, with its truth; or a word or two
    for why it holds none. None where the task cannot tell the truth of a problem that it has not made."""

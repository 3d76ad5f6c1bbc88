"""What a task is, once loaded: typed, with every default filled in, and the draws that come from it."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from configs.tasks import AnyTask
from engine.errors import Mistake
from engine.records import Attempt, Problem, Status, Verdict


class DataError(Mistake):
    """A data file or a task that cannot be used; the message names the file, the place and the reason."""


class NotPosed(DataError):
    """A statement that a task does not read: the number of the premise, counted from 0, and why.

    The question counts after the last premise. `column` is counted from 1, and 0 where it is no one place.
    """

    def __init__(self, reason: str, number: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.number, self.reason, self.column = number, reason, column


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A figure that is a share of answers, shown with its interval."""

    key: str
    title: str
    holds: Callable[[Verdict], bool]
    note: str = ""
    among: Callable[[Problem], bool] | None = None
    """Which problems count; None: all. Where none of them does, the figure is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A figure that is a ratio of sums over answers, such as valid steps to all steps."""

    key: str
    title: str
    parts: Callable[[Verdict], tuple[float, float]]
    """Numerator and denominator of one answer."""
    note: str = ""
    among: Callable[[Problem], bool] | None = None
    """As in `Share`."""


PASSED = Share(key="passed", title="passed", holds=lambda verdict: verdict.status is Status.PASS)
"""The figure of a task that names none."""


MEASURED_ANYWAY = frozenset(
    {"pass_at_k", "majority", "distinct", "tokens", "distinct_1", "distinct_2", "distinct_3", "repetition"}
)
"""Keys of figures that are measured of every task."""


class Suite(Protocol):
    """A task with its mixture of slices, ready to be drawn from.

    Some things are optional: ``sentinels`` (`kept_apart`), ``guards`` (`guards_of`), ``notes`` (`notes_of`)
    and, where what can be asked grows from day to day, ``on_day(day)`` (`of_day`) and ``known(day)``
    (`num_told`).
    """

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


def of_day(suite: Suite, day: int) -> Suite:
    """The suite as it stands at the end of a day, 1 being the first; itself where its task knows no days."""
    on_day: Callable[[int], Suite] | None = getattr(suite, "on_day", None)
    return on_day(day) if on_day else suite


Against = Literal["champion", "frozen", "best"]
"""What a guard compares a challenger with: the champion that it was trained from, the line's frozen first
champion, or on each problem the best that it or any of its ancestors has been as champion of the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Problems of a task itself of which a challenger must not solve fewer, such as what it learnt before."""

    name: str
    problems: tuple[Problem, ...]
    """Guards of one name and the same problems are asked together. Without any, the guard is left out. What
    is asked in several wordings is one `Problem.story`, which counts once."""
    margin: float | None = None
    """Largest tolerated drop of the share that passes; None: that of the gate's sentinels."""
    against: Against = "champion"

    @property
    def title(self) -> str:
        """The check's name, such as ``old-facts vs best``: a task may hold one set against several."""
        return f"{self.name} vs {self.against}"


def num_told(suite: Suite, day: int) -> int:
    """Facts that are known at the end of a day; 0 where nothing is told in the task."""
    known: Callable[[int], Sequence[object]] | None = getattr(suite, "known", None)
    return len(known(day)) if known else 0


def notes_of(suite: Suite) -> tuple[str, ...]:
    """What of a user's files a suite does not use, and why: a sentence each."""
    return tuple(getattr(suite, "notes", ()))


def guards_of(suite: Suite) -> tuple[Guard, ...]:
    """The guards of a suite that have problems; none where its task has no guards."""
    guards: tuple[Guard, ...] = getattr(suite, "guards", ())
    return tuple(guard for guard in guards if guard.problems)


def guarded_problems(suite: Suite) -> set[str]:
    """Ids of all problems of a suite's guards."""
    return {problem.id for guard in guards_of(suite) for problem in guard.problems}


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
    pose: Callable[[Sequence[str], str], Problem] | None = None
    """The problem that statements of people and their question make: a `Theory` whose answer is not known, in
    the task's own prompt. Raises NotPosed. None where the task reads nothing that people write."""
    style: str = ""
    """A statement as `pose` reads it, to show what it reads."""

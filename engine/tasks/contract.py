"""What a task file must offer: its names become a `Task`, every default filled in and every type checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from configs.tasks import AnyTask
from configs.tasks import Task as TaskSettings
from engine.plugins import naming
from engine.records import Attempt, Problem, Theory
from engine.tasks.generated import Generated, Generator, cells_of, mixture_of
from engine.tasks.suite import MEASURED_ANYWAY, PASSED, DataError, Ratio, Share, Suite, Task

_ALWAYS = ("NAME", "VERIFIERS")
_TO_GENERATE = ("DIMENSIONS", "DEFAULT_SLICES", "make")
"""What a task offers besides where it has no `open`."""
_OF_A_SUITE = ("verifiers", "system", "exam")
"""What a suite that `open` returns may bring itself, where it depends on the settings."""


def task_of(module: ModuleType, where: str) -> Task:
    """The task that a module describes; `where` names the module in messages.

    Raises DataError where a part is missing or has the wrong type.
    """
    wanted = _ALWAYS if hasattr(module, "open") else (*_ALWAYS, *_TO_GENERATE)
    if missing := [part for part in wanted if not hasattr(module, part)]:
        raise DataError(f"{where} lacks {', '.join(missing)}; a task offers {', '.join(wanted)}")
    parts = _Parts(module, where)
    name, exam = parts.text("NAME"), parts.text("EXAM", "verdicts")
    figures = parts.figures()
    open_own = parts.function("open")
    generator = None if open_own else parts.generator()

    def open_suite(settings: AnyTask) -> Suite:
        if open_own is None:
            assert generator and isinstance(settings, TaskSettings), "without `open` it makes its problems"
            cells = cells_of(generator, name, settings.slices)
            generated: Suite = Generated(generator, cells, mixture_of(cells, settings.weights))
            generated.task = task
            return generated
        with naming(f"open of {where}", module):
            suite: Suite = open_own(settings)
        if not callable(getattr(suite, "draw", None)) or not hasattr(suite, "slices"):
            raise parts.wrong("open", "a function that returns a suite with `slices` and `draw`", suite)
        own = {part: getattr(suite, part) for part in _OF_A_SUITE if hasattr(suite, part)}
        suite.task = replace(task, **own) if own else task
        return suite

    def read_none(path: Path) -> list[Problem]:
        raise DataError(f"{path}: task {name} reads no public file")

    task = Task(
        name=name,
        system=parts.text("SYSTEM", "", may_be_empty=True),
        exam=exam,
        verifiers=parts.verifiers(may_be_none=exam != "verdicts"),
        figures=figures,
        headline=parts.headline(figures),
        target=parts.named("target", parts.function("target")) or _as_it_is,
        read=parts.named("read", parts.function("read")) or read_none,
        open=open_suite,
        vary=parts.vary(),
        pose=(pose := parts.pose()),
        style=parts.text("STYLE") if pose else "",
    )
    return task


def _as_it_is(problem: Problem, attempt: Attempt) -> tuple[str, ...]:
    return attempt.replies


class _Parts:
    """The names of one module, each checked as it is read."""

    def __init__(self, module: ModuleType, where: str) -> None:
        self._module, self._where = module, where
        self._is_own = not module.__name__.startswith("engine.")

    def wrong(self, part: str, wanted: str, got: object) -> DataError:
        return DataError(f"{self._where}: {part} must be {wanted}, got {repr(got)[:80]}")

    def text(self, part: str, default: str = "", *, may_be_empty: bool = False) -> str:
        value = getattr(self._module, part, default)
        if not isinstance(value, str) or not (value or may_be_empty):
            raise self.wrong(part, "text", value)
        return value

    def function(self, part: str) -> Callable[..., Any] | None:
        value: Callable[..., Any] | None = getattr(self._module, part, None)
        if value is not None and not callable(value):
            raise self.wrong(part, "a function", value)
        return value

    def named(self, part: str, function: Callable[..., Any] | None) -> Callable[..., Any] | None:
        """A function of the module, whose errors become sentences where the file is a user's own."""
        if function is None or not self._is_own:
            return function

        @wraps(function)
        def called(*given: Any) -> Any:
            with naming(f"{part} of {self._where}", self._module):
                return function(*given)

        return called

    def vary(self) -> Callable[[Problem, str], Problem | str] | None:
        """The module's ``vary``; what a user's own returns is checked."""
        vary = self.named("vary", self.function("vary"))
        if vary is None or not self._is_own:
            return vary

        def checked(problem: Problem, text: str) -> Problem | str:
            varied = vary(problem, text)
            if not isinstance(varied, Problem | str):
                raise self.wrong("vary", "a function that returns a Problem or a few words", varied)
            return varied

        return checked

    def pose(self) -> Callable[[Sequence[str], str], Problem] | None:
        """The module's ``pose``; what a user's own returns is checked."""
        pose = self.named("pose", self.function("pose"))
        if pose is None or not self._is_own:
            return pose

        def checked(premises: Sequence[str], question: str) -> Problem:
            posed = pose(premises, question)
            if not isinstance(posed, Problem) or not isinstance(posed.truth, Theory):
                raise self.wrong("pose", "a function that returns a Problem with a Theory", posed)
            return posed

        return checked

    def verifiers(self, *, may_be_none: bool) -> tuple[str, ...]:
        names = self._module.VERIFIERS
        is_tuple = isinstance(names, tuple | list) and all(isinstance(name, str) and name for name in names)
        if not is_tuple or not (names or may_be_none):
            raise self.wrong("VERIFIERS", 'a tuple of names, such as ("rules",)', names)
        return tuple(names)

    def figures(self) -> tuple[Share | Ratio, ...]:
        figures = getattr(self._module, "FIGURES", (PASSED,))
        is_tuple = isinstance(figures, tuple | list)
        if not is_tuple or not all(isinstance(figure, Share | Ratio) for figure in figures):
            raise self.wrong("FIGURES", "a tuple of Share and Ratio", figures)
        keys = [figure.key for figure in figures]
        if len(set(keys)) < len(keys):
            raise self.wrong("FIGURES", "figures of different keys", keys)
        if taken := sorted(MEASURED_ANYWAY & set(keys)):
            raise self.wrong("FIGURES", f"other keys than {', '.join(sorted(MEASURED_ANYWAY))}", taken)
        if not any(isinstance(figure, Share) and figure.among is None for figure in figures):
            raise self.wrong("FIGURES", "figures with a Share of all problems among them", keys)
        return tuple(map(self._named_figure, figures))

    def _named_figure(self, figure: Share | Ratio) -> Share | Ratio:
        if not self._is_own or figure is PASSED:
            return figure
        parts = ("holds" if isinstance(figure, Share) else "parts", "among")
        named: dict[str, Any] = {
            part: self.named(f"{part} of '{figure.key}'", getattr(figure, part)) for part in parts
        }
        return replace(figure, **named)

    def headline(self, figures: Sequence[Share | Ratio]) -> str:
        shares = [figure.key for figure in figures if isinstance(figure, Share) and figure.among is None]
        headline: str = getattr(self._module, "HEADLINE", shares[0])
        if headline not in shares:
            raise self.wrong(
                "HEADLINE", f"the key of a Share of all problems in FIGURES ({', '.join(shares)})", headline
            )
        return headline

    def generator(self) -> Generator:
        make = self.function("make")
        if make is None:
            raise self.wrong("make", "a function", make)
        return Generator(
            dimensions=self._values("DIMENSIONS"),
            default_slices=self._values("DEFAULT_SLICES"),
            make=make,
            more=self.function("more"),
            where=self._where,
            file=self._module.__file__ if self._is_own else None,
        )

    def _values(self, part: str) -> Mapping[str, Sequence[int | bool | str]]:
        values = getattr(self._module, part)
        if not isinstance(values, Mapping) or not all(map(_is_dimension, values.items())):
            raise self.wrong(part, "a dictionary from each dimension to a list of its values", values)
        if not values:
            raise self.wrong(part, "a dictionary with at least one dimension", values)
        return values


def _is_dimension(item: tuple[object, object]) -> bool:
    name, values = item
    if not isinstance(name, str) or not isinstance(values, Sequence) or isinstance(values, str):
        return False
    return all(isinstance(value, int | str) for value in values)

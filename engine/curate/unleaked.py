"""The leak guard the other way round: problems to judge on that leak from what was learnt are not drawn.

Where a task makes its problems, those of the gate are made after the challenger is fixed, so that nothing
could be compared with them before it was learnt. Problems that the task itself made for training are excluded
by their ids, and are no more like the gate's than chance makes them. What a model wrote itself, such as
variations of problems that it failed, has no such promise: a draw is compared with these texts, and what
leaks from one of them is drawn anew. Both models are still asked the same problems, and which are left out
does not depend on their answers, so that the tests stay what they are.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from time import thread_time

from engine.curate.leaks import LeakGuard
from engine.embeddings import Embed
from engine.records import Problem
from engine.tasks.suite import DataError, Suite, guards_of

_NUM_FRESH, _NUM_A_SLICE = 2_000, 400
"""Fresh problems that calibrate a guard: in all and a slice, at least."""
_ENOUGH = 800
"""Fresh problems from which four kinds of leaks, whose thresholds lie above all of them, together stop a
hundredth of others at the most with 95 % confidence: their shares are then about exponential, and add up to
a gamma distribution with its 95th percentile at 7.75 / 800, if the kinds err independently."""
_SECONDS = 30.0
"""Computing time after which no more than enough are drawn, so that a task may be slow. It is not the time of
the clock, which a busy machine would make another one each time."""
_AT_ONCE = 50
"""Fresh problems that are drawn at a time: a task with few different ones has no larger draw."""


class Unleaked:
    """A suite of endless problems without those that `guard` finds in what was learnt."""

    def __init__(self, suite: Suite, guard: LeakGuard) -> None:
        self.task, self.guards = suite.task, guards_of(suite)
        self._suite, self._guard = suite, guard

    @property
    def slices(self) -> Sequence[str]:
        return self._suite.slices

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
        """Draw as the suite does, and again without what leaks until nothing does.

        Raises DataError as the suite does, and where it goes on drawing what is excluded.
        """
        leaking: set[str] = set()
        sound: set[str] = set()
        while True:
            problems = self._suite.draw(
                num,
                split=split,
                seed=seed,
                start=start,
                exclude=exclude | leaking,
                weights=weights,
                questions=questions,
            )
            new = [problem for problem in problems if problem.id not in sound]
            found = self._guard.leaks([each.text for each in new], [each.slice for each in new])
            leaks = {problem.id for problem, leak in zip(new, found, strict=True) if leak}
            if not leaks:
                return problems
            if leaks <= leaking:
                raise DataError(
                    f"the draw '{split}' repeats problems that leak from what was learnt: task "
                    f"{self.task.name} has too few others"
                )
            sound |= {problem.id for problem in new} - leaks
            leaking |= leaks


def unleaked(
    suite: Suite,
    learnt: Sequence[str],
    fresh: Callable[[], Mapping[str, Sequence[str]]],
    *,
    embed: Embed | None = None,
) -> Suite:
    """The suite without problems that leak from the `learnt` texts, which a model wrote itself.

    `fresh` gives what `fresh_texts` does; it is called where there is anything to guard against. A finite
    suite is returned as it is: its problems are known before anything is learnt, so that they are protected
    then.
    """
    if not learnt or getattr(suite, "is_finite", False):
        return suite
    return Unleaked(suite, LeakGuard(learnt, embed=embed, fresh=fresh()))


def fresh_texts(suite: Suite) -> dict[str, list[str]]:
    """Different problems by slice that nothing is judged on, by which a guard is calibrated.

    They are drawn for this alone, as many of a rare slice as of any other; of a finite suite they are the
    records that may be learnt, some of which may leak (`LeakGuard`: ``suspect``). There are fewer than wished
    for where a task has no more, and where it takes long to make them: then 800 are enough. Where these are
    of several slices, none of which has enough of its own, they have no slice, and a guard judges every slice
    by all of them.
    """
    if records := getattr(suite, "records", None):
        problems, by_slice = [record.problem for record in records("train")], True
    else:
        problems, by_slice = _drawn(suite)
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    for problem in problems:
        texts[problem.slice if by_slice else ""][problem.id] = problem.text
    return {name: list(found.values()) for name, found in texts.items()}


def _drawn(suite: Suite) -> tuple[list[Problem], bool]:
    """As many problems of every slice, and whether these are enough for thresholds of its own."""
    names = list(suite.slices)
    left, begun = set(names), thread_time()
    wanted, at_once = max(_NUM_A_SLICE, math.ceil(_NUM_FRESH / len(names))), max(1, _AT_ONCE // len(names))
    problems: list[Problem] = []
    for num in range(0, wanted, at_once):
        if len(problems) >= _ENOUGH and thread_time() - begun > _SECONDS:
            return problems, num >= _NUM_A_SLICE
        for place, name in enumerate(names):
            if name in left:
                weights, start = {each: float(each == name) for each in names}, place * wanted + num
                more = min(at_once, wanted - num)
                try:
                    problems += suite.draw(more, split="fresh", seed=0, start=start, weights=weights)
                except DataError:  # the slice has less than that
                    left.remove(name)
    return problems, True

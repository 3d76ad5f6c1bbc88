"""The power of the gate's checks, computed before anything runs.

`ratchet doctor configs/quickstart.yaml` shows it; a run whose sentinels have too little of it is refused.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from configs.schema import Config, Gate, PassAtK, Sentinels
from engine.errors import Mistake
from engine.records import Problem
from engine.tasks.suite import Guard, Suite, guards_of, of_day
from engine.terminal import counted

if TYPE_CHECKING:
    from engine.gate.sentinels import SentinelSuite

SPREAD = 0.1
"""Assumed standard deviation, in nats per token, of how a harmless model's documents change."""
LOST = 0.05
"""Assumed share of problems that only the champion passes, for the gate's power."""
ENOUGH = 0.8
"""A test with less power than this is not worth running."""


class PowerError(Mistake):
    """A config asks for a check that most harmless models would fail."""


class SentinelPower(NamedTuple):
    """What a sentinel suite can show before it is run."""

    suite: str
    key: str
    """The config's key for its margin."""
    design: str
    """Its size, its margin, and the assumption about a harmless model."""
    power: float
    """Chance that a harmless model passes."""


def sentinel_powers(settings: Sentinels, kept: Sequence[Problem] = ()) -> list[SentinelPower]:
    """The chance of a harmless model to pass each suite, also that of the records that a task has `kept`.

    A suite or a margin too small refuses good models. Raises RowError for a suite that cannot be read, and
    PowerError for a margin of documents.
    """
    from engine.gate.sentinels import suites_of

    return [power_of(suite, settings) for suite in suites_of(settings.suites, kept)]


def power_of(suite: "SentinelSuite", settings: Sentinels) -> SentinelPower:
    """The chance of a harmless model to pass a suite.

    It is exact for proportions; for perplexity the mean over documents is taken as normal. Raises PowerError
    for a margin of documents.
    """
    from engine.measure.paired import CHANGED, paired_drop_power

    if suite.kind == "perplexity":
        if suite.name in settings.margins:
            raise PowerError(
                f"gate.sentinels.margins.{suite.name}: the suite holds documents, which perplexity_ratio "
                "judges: a margin is for requests"
            )
        key = "gate.sentinels.perplexity_ratio"
        room = math.log(settings.perplexity_ratio) * math.sqrt(suite.size) / SPREAD
        power = NormalDist().cdf(room - NormalDist().inv_cdf(0.95))
        margin = f"perplexity ratio under {settings.perplexity_ratio:g}"
        design = f"{counted(suite.size, 'document')}, {margin}, changes spread by {SPREAD:g} nats a token"
    else:
        key = f"gate.sentinels.margin{f's.{suite.name}' if suite.name in settings.margins else ''}"
        allowed = settings.margin_of(suite.name)
        power = paired_drop_power(suite.size, allowed, CHANGED)
        margin = f"drop under {100 * allowed:g} %"
        design = f"{counted(suite.size, 'request')}, {margin}, {100 * CHANGED:g} % answered differently"
    return SentinelPower(suite=suite.name, key=key, design=design, power=power)


def require_power(settings: Sentinels, kept: Sequence[Problem] = ()) -> None:
    """Refuses sentinel suites too small to show no harm within their margins. Raises PowerError."""
    for suite, key, design, power in sentinel_powers(settings, kept):
        if power < ENOUGH:
            raise PowerError(
                f"{key} is too small for the sentinel suite {suite}: a harmless model would pass with a "
                f"chance of {percent(power)} ({design}), but {percent(ENOUGH)} are needed"
            )


class GuardPower(NamedTuple):
    """What a guard of a task lets pass on one day."""

    guard: str
    day: int
    num: int
    """Its problems."""
    num_stories: int
    """What they are about, each in one wording or several."""
    margin: float
    most_lost: int
    """Stories that a model may lose as a whole, where it gains none; below 0 where even an unchanged model
    fails."""

    @property
    def what(self) -> str:
        """The guard on its day, for people."""
        return f"{self.guard}, day {self.day}"

    @property
    def remedy(self) -> str:
        """What is to be done; empty where a model can pass."""
        return "" if self.most_lost >= 0 else "more that is told a day, or a larger one in task.margins"

    @property
    def design(self) -> str:
        """In words."""
        asked = counted(self.num, "problem")
        if self.num_stories < self.num:
            asked = f"{counted(self.num_stories, 'story')} in {asked}"
        drop = f"{asked}, drop under {100 * self.margin:g} %"
        if self.most_lost < 0:
            return f"even a model that loses nothing does not pass ({drop})"
        return f"passes with up to {self.most_lost} more lost than gained ({drop})"


def guard_powers(config: Config, suite: Suite, days: int) -> list[GuardPower]:
    """What each guard lets pass on the first and on the last day of a campaign, of which `days` went before.

    Raises engine.tasks.suite.DataError where the task does not have so many days.
    """
    found: dict[str, list[GuardPower]] = {}
    for day in range(days + 1, days + config.stop.rounds + 1):
        for guard in guards_of(of_day(suite, day)):
            found.setdefault(guard.title, []).append(_power_of_guard(guard, day, config.gate.sentinels))
    return [power for days in found.values() for power in dict.fromkeys((days[0], days[-1]))]


def _power_of_guard(guard: Guard, day: int, settings: Sentinels) -> GuardPower:
    from engine.measure.paired import paired_drop_bound

    num = len({problem.story or problem.id for problem in guard.problems})
    margin = settings.margin if guard.margin is None else guard.margin
    passes = (lost for lost in range(num) if paired_drop_bound(lost, 0, num) >= margin)
    return GuardPower(guard.title, day, len(guard.problems), num, margin, next(passes, num) - 1)


def require_guards(config: Config, suite: Suite, days: int) -> None:
    """Refuses a campaign in which a guard has too few problems to let any model pass.

    Raises PowerError, and DataError as `guard_powers`.
    """
    for guard in guard_powers(config, suite, days):
        if guard.remedy:
            raise PowerError(
                f"the guard {guard.what}, has too few problems: {guard.design}; remedy: {guard.remedy}"
            )


class GatePower(NamedTuple):
    """What one test of the gate can show before it is run."""

    gain: str
    """The smallest gain that it shows with 80 % power, in words; empty where it can show none."""
    design: str


def gate_power(gate: Gate, level: float, *, ties: bool) -> GatePower:
    """The gain that one test shows at a level, in points of problems won less problems lost.

    Without `ties`, as between likelihoods, it is the share of problems that the challenger wins.
    """
    from engine.measure.sequential import detectable_gain

    gain = detectable_gain(
        level=level,
        looks=gate.looks,
        look_size=gate.look_size,
        win_share=gate.win_share,
        futility=gate.futility,
        spending=gate.spending,
        discordance_lost=LOST if ties else None,
    )
    assumed = f"{100 * LOST:.0f} % lost" if ties else "no ties"
    design = f"level {level:.3g}, {counted(gate.looks, 'look')} of {gate.look_size}, {assumed}"
    if gain is None:
        return GatePower("", design)
    return GatePower(f"{100 * gain:.1f} points" if ties else f"{50 * (1 + gain):.1f} % of passages", design)


def pass_at_k_power(settings: PassAtK) -> tuple[float, str]:
    """The exact chance of a harmless model to pass the check of pass@k, and the assumption behind it.

    No config is refused for it: only a challenger that has improved gets this far, and it passes more often.
    """
    from engine.measure.paired import CHANGED, paired_drop_power

    design = f"{settings.num_problems} problems, drop under {100 * settings.margin:g} %"
    power = paired_drop_power(settings.num_problems, settings.margin, CHANGED)
    return power, f"{design}, {100 * CHANGED:g} % solved differently"


def percent(share: float) -> str:
    """Whole percents, rounded down; never 100."""
    return f"{math.floor(100 * share)} %" if share < 0.99 else "over 99 %"

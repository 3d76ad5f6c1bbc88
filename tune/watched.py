"""What broke in the trials of an experiment, with examples, and how varied their replies are.

Nothing is asked for it: models are compared by the replies to the sentinel suites and guards that are kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from engine.gate.watched import watched
from engine.records import Figure, Watched
from loops.weak import embed_of
from tune.arms import ExperimentRun, suites_for
from tune.evidence import Evidence
from tune.ground import CHAMPION

WATCHED = "watched"
"""Stage of an experiment that holds what broke in its trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broke:
    """A trial beside the champion on one suite or guard."""

    arm: str
    seed: int
    watched: Watched


class Varied(NamedTuple):
    """How varied the replies to one suite are."""

    suite: str
    figures: Sequence[Figure]
    """The champion's, by which the columns are named."""
    rows: Sequence[tuple[str, Sequence[float]]]
    """Champion and arms, each with the mean of a figure over its seeds."""


def watch(trials: ExperimentRun, evidence: Evidence) -> list[Broke]:
    """Every finished trial beside the champion, item by item, on each suite and guard."""
    config = trials.campaign.config
    suites = {suite.name: suite for suite in suites_for(trials, config)}
    embed = embed_of(config)
    champion = {scores.suite: scores for scores in evidence.sentinels}
    return [
        Broke(
            arm=trial.arm,
            seed=trial.seed,
            watched=watched(suites[scores.suite], champion[scores.suite], scores, embed),
        )
        for trial in evidence.trials
        if trial.status == "finished"
        for scores in trial.sentinels
    ]


def worst_of(broken: Iterable[Broke]) -> list[Broke]:
    """For each arm and suite, the seed in which most broke; none where nothing did."""
    worst: dict[tuple[str, str], Broke] = {}
    for each in broken:
        key = (each.arm, each.watched.suite)
        if len(each.watched.broken) > (len(worst[key].watched.broken) if key in worst else 0):
            worst[key] = each
    return list(worst.values())


def varied_in(broken: Sequence[Broke], arms: Iterable[str]) -> list[Varied]:
    """How varied the replies to each suite are that has any."""
    found = []
    for suite in dict.fromkeys(each.watched.suite for each in broken if each.watched.after):
        here = [each for each in broken if each.watched.suite == suite and each.watched.after]
        figures = here[0].watched.before
        rows = [(CHAMPION, [figure.number for figure in figures])]
        for arm in arms:
            if own := [each.watched.after for each in here if each.arm == arm]:
                rows.append(
                    (arm, [fmean(figure.number for figure in each) for each in zip(*own, strict=True)])
                )
        found.append(Varied(suite, figures, rows))
    return found

"""Records of a file that ask nearly the same, and what of that must be mended before a campaign runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from configs.scorers import AnyScorer
from engine.answers import normal
from engine.curate.near import NearPair, near_duplicates
from engine.tasks.fixed import Fixed
from engine.tasks.lines import PARTS, SENTINEL, Line
from engine.tasks.records import answer_alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Records, or passages of texts, that are nearly the same."""

    near: Sequence[NearPair] = ()
    """All pairs of near duplicates."""
    leaks: Sequence[NearPair] = ()
    """Those of which one is learnt and the other judged on, or a sentinel, with one answer."""
    num_apart: int = 0
    """Pairs that would be leaks, but have different answers: Niger is not Nigeria."""
    conflicts: Sequence[tuple[Line, Line]] = ()
    """Records that ask what an earlier one asks, but for capitals and points, with another answer."""


def alike_in(
    lines: Sequence[Line], suite: Fixed, id_of: Callable[[Line], str], scorer: AnyScorer | None = None
) -> Alike:
    """What is alike in some files. Passages have no answers, and no `scorer` that would tell them apart."""
    near = near_duplicates([line.prompt for line in lines])
    part_of = {record.problem.id: part for part in (*PARTS, SENTINEL) for record in suite.records(part)}
    is_learnt = [part_of[id_of(line)] == "train" for line in lines]
    crossing = [pair for pair in near if is_learnt[pair.first] != is_learnt[pair.second]]
    leaks = [
        pair
        for pair in crossing
        if scorer is None or answer_alike(scorer, lines[pair.first], lines[pair.second])
    ]
    return Alike(
        near=near,
        leaks=leaks,
        num_apart=len(crossing) - len(leaks),
        conflicts=_conflicts(lines, scorer) if scorer else (),
    )


def _conflicts(lines: Sequence[Line], scorer: AnyScorer) -> list[tuple[Line, Line]]:
    first: dict[str, Line] = {}
    pairs = [(line, first.setdefault(normal(line.prompt, case=False) or line.prompt, line)) for line in lines]
    return [pair for pair in pairs if not answer_alike(scorer, *pair)]

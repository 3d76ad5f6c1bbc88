"""Checks whether a round's weaknesses closed, once its challenger is fixed. It is shown, and decides nothing.

The gate's problems come as the task mixes them, and hardly any is of a rare slice. So both models are asked
fresh problems of every weak slice, and the challenger reads the passages of the probe again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.gate.exams import exam_of
from engine.gate.trial import Evidence
from engine.measure.evaluate import Unjudged
from engine.measure.likelihood import likelihoods
from engine.measure.mine import closures
from engine.models.identity import Model
from engine.records import Closure, Duel, Likelihood, Panel, Problem
from engine.sample.protocol import Sampling
from engine.tasks.suite import DataError
from loops.context import CLOSING, Context
from loops.loop import Proposal
from loops.passages import likely
from loops.weak import MOST_FRESH, draw_found

log = logging.getLogger(__name__)
_A_SLICE, _LEAST = 30, 5
"""Fresh problems of each weak slice, and the fewest that could show anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What was asked and read again after training."""

    duels: tuple[Duel, ...] = ()
    """On fresh problems of weak slices, each with the slice that it is counted in."""
    panels: tuple[Panel, ...] = ()
    """They take the place of a proposal's panels of the same title."""


def look_again(
    context: Context,
    number: int,
    parent: Model,
    challenger: Model,
    proposal: Proposal | None,
    evidence: Evidence | None,
    seen: frozenset[str],
) -> Again:
    """Ask `parent` and `challenger` fresh problems of weak slices, none of them one of `seen`.

    Nothing is asked where nothing was weak, or of a challenger that could not be compared at all.
    """
    if proposal is None or evidence is None or not evidence.duels:
        return Again()
    duels: list[Duel] = []
    if proposal.weaknesses:
        duels = context.run.step_many(
            context.stage(number, CLOSING),
            Duel,
            lambda: _duels(context, number, parent, challenger, proposal, seen),
            doing="Both models answer fresh problems of each weak slice, which shows whether it closed",
            came=lambda duels: f"{len(duels)} problems",
        )
    read = proposal.read
    if read is None:
        return Again(duels=tuple(duels))
    after = context.run.step_many(
        context.stage(number, "probe-after"),
        Likelihood,
        lambda: likelihoods(context.bench, challenger, read.passages),
        doing=f"The challenger reads the {len(read.passages)} passages of the probe",
    )
    return Again(duels=tuple(duels), panels=(likely(read, after, duels),))


def _duels(
    context: Context,
    number: int,
    parent: Model,
    challenger: Model,
    proposal: Proposal,
    seen: frozenset[str],
) -> list[Duel]:
    """Both models on the fresh problems; none where a task has none, or where they cannot be judged."""
    exam = exam_of(context.suite.task)
    greedy = Sampling(max_new_tokens=context.config.sampler.max_new_tokens)
    try:
        problems = _fresh(context, number, proposal, seen)
        if not problems:
            return []
        before, after = (exam.ask(context.judges, model, problems, greedy) for model in (parent, challenger))
    except (DataError, Unjudged) as error:
        log.info("Whether weaknesses closed is read off the gate's problems alone: %s", error)
        return []
    return [
        Duel(problem=problem, champion=old, challenger=new)
        for problem, old, new in zip(problems, before, after, strict=True)
    ]


def _fresh(context: Context, number: int, proposal: Proposal, seen: frozenset[str]) -> list[Problem]:
    """Problems of weak slices that nothing in the campaign has used, about equally many of each.

    Of very many slices the first, with the largest quotas, have some.
    """
    names = list(dict.fromkeys(weakness.slice for weakness in proposal.weaknesses))[: MOST_FRESH // _LEAST]
    each = min(_A_SLICE, MOST_FRESH // len(names))
    suite, seed = context.judging(number), context.config.seed
    # A finite task takes them from the part where weaknesses are mined, and others where it has too few.
    split = f"probe-closed-{number}"
    if proposal.clusters:
        quotas = dict.fromkeys(names, each)
        found = draw_found(suite, proposal.clusters, quotas, split=split, seed=seed, exclude=seen)
        drawn = [replace(problem, slice=name) for problem, name in found]
    else:
        num = min(each * len(names), getattr(suite, "sizes", {}).get("probe", each * len(names)))
        weights = {name: float(name in names) for name in suite.slices}
        drawn = suite.draw(num, split=split, seed=seed, exclude=seen, weights=weights)
    return [problem for problem in drawn if problem.slice in names and problem.id not in seen]


def closures_of(proposal: Proposal, at_gate: Sequence[Duel], again: Again) -> tuple[Closure, ...]:
    """Whether each weakness that a proposal aimed at closed, on fresh problems of its slice.

    Those are the gate's only where none could be drawn for it. The gate's come to the clusters that the
    proposal found.
    """
    if proposal.clusters and proposal.weaknesses:
        problems = proposal.clusters.sliced([duel.problem for duel in at_gate])
        at_gate = [replace(duel, problem=problem) for duel, problem in zip(at_gate, problems, strict=True)]
    found: list[Closure] = []
    for weakness in proposal.weaknesses:
        own = [duel for duel in again.duels if duel.problem.slice == weakness.slice]
        found += [replace(closure, at_gate=not own) for closure in closures([weakness], own or at_gate)]
    return tuple(found)

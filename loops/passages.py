"""An error-driven round of a task without answers: passages that the model finds unlikely.

They are learnt as they are, or in the model's own words (`generate`).
"""

import math
from collections.abc import Sequence
from typing import Any

from configs.loops import ErrorDriven
from engine.curate.candidates import Candidate
from engine.curate.variations import rewritten
from engine.measure import mine
from engine.measure.likelihood import likelihoods, measure_likelihoods
from engine.records import Likelihood, Panel, Problem, Station, Weakness
from engine.report.figures import headline_of
from loops.aim import Aim, ids_of, with_clusters
from loops.curation import Curation
from loops.loop import Proposal


def from_passages(aim: Aim) -> Proposal:
    """Passages that the model finds unlikely, as they are or in its own words."""
    context, settings = aim.context, aim.settings
    run, bench = context.run, context.bench
    probe = aim.probe()
    given = run.step_many(
        aim.stage("probe"),
        Likelihood,
        lambda: likelihoods(bench, aim.parent, probe),
        doing=f"Round {aim.number}: the model reads {len(probe)} passages, which shows where it is weak",
        came=lambda found: headline_of(measure_likelihoods(probe, found)),
    )
    clusters = aim.clusters(probe)
    probe = clusters.sliced(probe) if clusters else probe
    limit = _limit(settings, given)
    is_aimed = settings.choose == "targeted"
    weaknesses = run.step_many(
        aim.stage("mine"),
        Weakness,
        lambda: _mine_likelihoods(
            probe,
            given,
            threshold=limit,
            quantile=None,
            false_discovery=settings.probe.false_discovery,
            num_problems=settings.num_problems if is_aimed else 0,
        ),
    )
    used = aim.seen | ids_of(probe)
    aimed = aim.aimed(weaknesses, clusters, used)
    passages = [*aimed, *aim.rest(settings.num_problems - len(aimed), used | ids_of(aimed))]
    scored = run.step_many(
        aim.stage("score"),
        Likelihood,
        lambda: likelihoods(bench, aim.parent, passages),
        doing=f"It reads {len(passages)} passages that it could learn from",
    )
    losses = {each.problem_id: _nats(each) for each in scored}
    order = aim.shuffled(passages)
    # Weak ones first, each kind in any order.
    ranked = sorted(order, key=lambda passage: losses[passage.id] <= math.log(limit))
    weak = [passage for passage in ranked if losses[passage.id] > math.log(limit)]
    why = f"passages of a perplexity above {limit:.4g}"
    stations = [Station(name="weak", num_in=len(passages), num_out=len(weak), why=why)] if is_aimed else []
    if settings.generate == "model":
        # Where few are weak, others follow: every arm writes as much.
        sources, texts = aim.written(ranked if is_aimed else order, settings.num_problems)
        problems, written = rewritten(sources, texts)
        candidates = [Candidate(problem=problem, replies=()) for problem in problems]
        stations += written
    else:
        candidates = [
            Candidate(problem=each, replies=(), loss=losses[each.id], score=-losses[each.id])
            for each in (weak if is_aimed else order)
        ]
    proposal = Proposal(
        data=Curation(aim=aim).learnt(candidates, stations),
        probe=measure_likelihoods(probe, given),
        weaknesses=tuple(weaknesses),
        seen=used | ids_of(passages),
        panels=(_likely(probe, given, limit),),
    )
    return with_clusters(proposal, clusters)


def _likely(probe: Sequence[Problem], given: Sequence[Likelihood], limit: float) -> Panel:
    """How likely the model finds the probe's passages, and those of them that are weak."""
    rows = [("passages", "number", "perplexity")]
    weak = [each for each in given if _nats(each) > math.log(limit)]
    for what, some in ((f"above {limit:.4g}", weak), ("all of the probe", given)):
        found = measure_likelihoods(probe, some).head.number if some else None
        rows.append((what, str(len(some)), "" if found is None else f"{found:.2f}"))
    return Panel(title="Unlikely passages", kind="table", rows=tuple(rows))


def _limit(settings: ErrorDriven, given: Sequence[Likelihood]) -> float:
    """The perplexity above which a passage is weak; a quantile is one of those given."""
    if settings.quantile is None:
        return settings.threshold
    ordered = sorted(_nats(each) for each in given)
    return math.exp(ordered[math.ceil(settings.quantile * len(ordered)) - 1])


def _nats(given: Likelihood) -> float:
    """Nats a token; 0, which no limit calls weak, where they are not finite."""
    return given.nll / given.num_tokens if given.num_tokens and math.isfinite(given.nll) else 0.0


def _mine_likelihoods(*arguments: Any, **options: Any) -> list[Weakness]:
    found: list[Weakness] = mine.mine_likelihoods(*arguments, **options)  # type: ignore[attr-defined, unused-ignore]
    return found

"""An error-driven round of a task without answers: passages that the model finds unlikely.

They are learnt as they are, or in the model's own words (`generate`).
"""

from collections.abc import Sequence

from engine.curate.candidates import Candidate
from engine.curate.variations import rewritten
from engine.curate.verified import with_losses
from engine.measure.likelihood import measure_likelihoods, perplexity
from engine.records import Likelihood, Panel, Problem, Station, Weakness
from engine.report.figures import headline_of
from loops.aim import Aim, ids_of, with_clusters
from loops.curation import Curation
from loops.loop import Proposal
from loops.weak import unlikely_above, weak_in


def from_passages(aim: Aim) -> Proposal:
    """Passages that the model finds unlikely, as they are or in its own words."""
    context, settings = aim.context, aim.settings
    probe = aim.probe()
    given = aim.likelihoods(
        "probe",
        probe,
        doing=f"Round {aim.number}: the model reads {len(probe)} passages, which shows where it is weak",
        came=lambda found: headline_of(measure_likelihoods(probe, found)),
    )
    in_slices, clusters = aim.sliced(probe)
    limit = unlikely_above(settings, given)
    is_aimed = settings.choose == "targeted"
    weaknesses = context.run.step_many(
        aim.stage("mine"),
        Weakness,
        lambda: weak_in(settings, in_slices, given, num_problems=settings.num_problems if is_aimed else 0),
    )
    used = aim.seen | ids_of(probe)
    aimed = aim.aimed(weaknesses, clusters, used)
    passages = [*aimed, *aim.rest(settings.num_problems - len(aimed), used | ids_of(aimed))]
    scored = aim.likelihoods(
        "score", passages, doing=f"It reads {len(passages)} passages that it could learn from"
    )
    by_id = {each.problem_id: each for each in scored}
    order = aim.shuffled(passages)
    weak = [passage for passage in order if _is_weak(by_id[passage.id], limit)]
    why = f"passages of a perplexity above {limit:.4g}"
    stations = [Station(name="weak", num_in=len(passages), num_out=len(weak), why=why)] if is_aimed else []
    if settings.generate == "model":
        # Where few are weak, others follow: every arm writes as much.
        others = [passage for passage in order if not _is_weak(by_id[passage.id], limit)]
        sources, texts = aim.written([*weak, *others] if is_aimed else order, settings.num_problems)
        problems, written = rewritten(sources, texts)
        candidates = [Candidate(problem=problem, replies=()) for problem in problems]
        stations += written
    else:
        learnt = weak if is_aimed else order
        candidates = with_losses(
            [Candidate(problem=each, replies=()) for each in learnt],
            [1] * len(learnt),
            [by_id[each.id] for each in learnt],
        )
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
    weak = [each for each in given if _is_weak(each, limit)]
    for what, some in ((f"above {limit:.4g}", weak), ("all of the probe", given)):
        found = measure_likelihoods(probe, some).head.number if some else None
        rows.append((what, str(len(some)), "" if found is None else f"{found:.2f}"))
    return Panel(title="Unlikely passages", kind="table", rows=tuple(rows))


def _is_weak(given: Likelihood, limit: float) -> bool:
    """Whether a passage's perplexity is above the limit; one that is not finite says nothing."""
    value = perplexity(given)
    return value is not None and value > limit

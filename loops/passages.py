"""An error-driven round of a task without answers: passages that the model finds unlikely.

They are learnt as they are, or in the model's own words (`generate`).
"""

from collections.abc import Sequence

from engine.curate.candidates import Candidate
from engine.curate.variations import rewritten
from engine.curate.verified import with_losses
from engine.measure.likelihood import measure_likelihoods, perplexity
from engine.records import Duel, Likelihood, Panel, Station, Weakness
from engine.report.figures import headline_of
from loops.aim import Aim, ids_of, with_clusters
from loops.curation import Curation
from loops.loop import Proposal, Read
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
    aimed, stations = aim.aimed(weaknesses, clusters, used)
    passages = [*aimed, *aim.rest(settings.num_problems - len(aimed), used, ids_of(aimed))]
    scored = aim.likelihoods(
        "score",
        passages,
        doing=f"It reads {len(passages)} passages that it could learn from",
        came=lambda found: (
            f"{sum(_is_weak(each, limit) for each in found)} above a perplexity of {limit:.4g}"
        ),
    )
    by_id = {each.problem_id: each for each in scored}
    order = aim.shuffled(passages)
    weak = [passage for passage in order if _is_weak(by_id[passage.id], limit)]
    if settings.generate == "model":
        if is_aimed:
            why = f"passages of a perplexity above {limit:.4g}"
            stations.append(Station(name="weak", num_in=len(passages), num_out=len(weak), why=why))
        # Where few are weak, others follow: every arm writes as much.
        others = [passage for passage in order if not _is_weak(by_id[passage.id], limit)]
        sources, texts = aim.written([*weak, *others] if is_aimed else order, settings.num_problems)
        problems, written = rewritten(sources, texts)
        candidates = [Candidate(problem=problem, replies=()) for problem in problems]
        stations += written
    else:
        candidates = with_losses(
            [Candidate(problem=each, replies=()) for each in order],
            [1] * len(order),
            [by_id[each.id] for each in order],
        )
    read = Read(passages=tuple(probe), given=tuple(given), limit=limit)
    proposal = Proposal(
        # Rewritings have ids of their own, and none counts as aimed: nearly all are of weak passages.
        data=Curation(aim=aim, aimed=ids_of(weak), probe=ids_of(probe)).learnt(candidates, stations),
        probe=measure_likelihoods(probe, given),
        weaknesses=tuple(weaknesses),
        seen=used | ids_of(passages),
        panels=(likely(read),),
        read=read,
    )
    return with_clusters(proposal, clusters)


def likely(read: Read, after: Sequence[Likelihood] = (), fresh: Sequence[Duel] = ()) -> Panel:
    """How likely the model finds the probe's passages, and those of them that are weak.

    `after` holds what the challenger finds of each, and `fresh` how both find others of the weak slices.
    """
    weak = [place for place, each in enumerate(read.given) if _is_weak(each, read.limit)]
    rows = [("passages", "number", *(("before", "after") if after else ("perplexity",)))]
    for what, places in ((f"above {read.limit:.4g}", weak), ("all of the probe", range(len(read.given)))):
        models = (read.given, after) if after else (read.given,)
        found = (_perplexity([given[place] for place in places]) for given in models)
        rows.append((what, str(len(places)), *found))
    pairs = [
        (duel.champion, duel.challenger)
        for duel in fresh
        if isinstance(duel.champion, Likelihood) and isinstance(duel.challenger, Likelihood)
    ]
    if pairs:
        old, new = zip(*pairs, strict=True)
        rows.append(("fresh ones of weak slices", str(len(pairs)), _perplexity(old), _perplexity(new)))
    note = (
        "Perplexity before and after training. Passages above the limit were chosen by their perplexity "
        "before, so that some of their fall is regression to the mean; fresh ones were not."
    )
    return Panel(title="Unlikely passages", kind="table", rows=tuple(rows), note=note if after else "")


def _perplexity(given: Sequence[Likelihood]) -> str:
    """Over all passages, tokens counting alike; empty where there is none."""
    number = measure_likelihoods((), given).head.number if given else None
    return "" if number is None else f"{number:.2f}"


def _is_weak(given: Likelihood, limit: float) -> bool:
    """Whether a passage's perplexity is above the limit; one that is not finite says nothing."""
    value = perplexity(given)
    return value is not None and value > limit

"""Lists the models of a run in order, each with its measurements."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.records import Evaluation, RoundRecord
from engine.report.data import RunFiles


class Shown(NamedTuple):
    """A model's evaluation on a greedy draw."""

    evaluation: Evaluation | None
    source: str
    """The place of the evaluation, in words for people."""
    at_stopping: bool = False
    """Whether the figure itself ended the draw, which makes it lean in favour of the winner."""


NOWHERE = Shown(None, "not measured yet")


@dataclass(frozen=True, slots=True)
class Row:
    """One model of a run: the untrained base, or the model of a round."""

    label: str
    kind: str
    """``base`` (the untrained base, few-shot), ``start`` (the untrained base as baseline), ``baseline`` (the
    warm start), ``accepted``, ``refused``, ``carried``, ``dropped`` or ``failed``."""
    model_id: str
    shown: Shown
    sampled: Evaluation | None = None
    record: RoundRecord | None = None
    places: tuple[str, str] = ("gate", "sampled")
    """Where the round measured the model beside another one: greedy, and with several samples."""

    @property
    def greedy(self) -> Evaluation | None:
        """The model with one greedy answer to each problem."""
        return self.shown.evaluation

    def part(self, sampled: bool) -> Evaluation | None:
        """The evaluation over several samples of each problem, or the greedy one."""
        return self.sampled if sampled else self.greedy

    def rival(self, sampled: bool) -> Evaluation | None:
        """The model that the round held it against, on the same problems."""
        where = self.places[sampled]
        measured = self.record.measured if self.record else ()
        return next((it.evaluation for it in measured if it.where == where), None)

    @property
    def tried(self) -> bool:
        """Whether it is a working model where it was tried, and not the challenger of a round."""
        return self.label.endswith("trial")


def kind(record: RoundRecord) -> str:
    """Name the outcome of a round with one of the kinds of a `Row`."""
    if record.failure is not None:
        return "failed"
    if record.carries:
        return "carried" if record.decision.accepted else "dropped"
    if not record.decision.accepted:
        return "refused"
    if record.round > 0:
        return "accepted"
    return "baseline" if record.challenger else "start"


def over_rounds(run: RunFiles) -> list[Row]:
    """List the untrained base, then the model of each round, in order."""
    rows = []
    base = {it.where: it.evaluation for it in run.baseline}
    if few_shot := base.get("few_shot"):
        shown = Shown(few_shot, "few-shot, untrained")
        rows.append(Row("base", "base", few_shot.model_id, shown, base.get("sampled")))
    for record in run.rounds:
        state = kind(record)
        model_id = record.challenger.model_id if record.challenger else ""
        shown = Shown(None, "training failed" if state == "failed" else "no model was trained")
        if state == "start":
            model_id = record.champion_after
            shown = _largest(run, model_id)
        elif model_id:
            shown = _beside(run, record, "challenger", model_id)
        places = ("carry", "carry_sampled") if record.carries else ("gate", "sampled")
        sampled = record.evaluation("challenger", places[1])
        rows.append(Row(str(record.round), state, model_id, shown, sampled, record, places))
        if record.due and record.due.trial:
            state = "accepted" if record.proven else "refused"
            shown = _beside(run, record, "working", record.due.working_id)
            sampled = record.evaluation("working", "sampled")
            label = f"{record.round} trial"
            rows.append(Row(label, state, record.due.working_id, shown, sampled, record))
    return rows


def _beside(run: RunFiles, record: RoundRecord, who: str, model_id: str) -> Shown:
    """A model of a round where it was measured beside another, else on its largest draw."""
    carried = who == "challenger" and record.carries
    found = record.evaluation(who, "carry" if carried else "gate")
    if found is None:
        return _largest(run, model_id)
    if carried:
        chosen = ", on which it was carried" if record.decision.accepted else ""
        return Shown(found, f"fresh problems of round {record.round}{chosen}")
    return Shown(found, f"gate of round {record.round}", bool(record.trial and record.trial.looks))


def _largest(run: RunFiles, model_id: str) -> Shown:
    """Choose a model's largest greedy draw whose size was fixed beforehand, else the gate's."""
    found = [
        Shown(
            it.evaluation,
            f"{it.where.replace('_', ' ')} of round {record.round}",
            it.where == "gate" and bool(record.trial and record.trial.looks),
        )
        for record in run.rounds
        for it in record.measured
        if it.evaluation.model_id == model_id and it.evaluation.k == 1
    ]
    num = [it.evaluation.num_problems if it.evaluation else 0 for it in found]
    best = min(
        range(len(found)),
        key=lambda i: (found[i].at_stopping or found[i].source.startswith("carry"), -num[i]),
        default=None,
    )
    return NOWHERE if best is None else found[best]


def both_ends(run: RunFiles, rows: Sequence[Row]) -> list[Row]:
    """List the untrained base, the first champion and the present champion, as far as they exist.

    Once the sealed problems are opened, the champions are shown as measured there.
    """
    ends = [row for row in rows if row.kind == "base"]
    if run.rounds:
        state = kind(run.rounds[0])
        label = {"baseline": "warm start", "start": "untrained base"}.get(state, "first champion")
        first = run.rounds[0].champion_after if state == "baseline" else run.rounds[0].champion_before
        last = run.rounds[-1].champion_after
        old, new = _largest(run, first), _largest(run, last)
        if final := run.final:
            first, last = final.baseline.model_id, final.champion.model_id
            old, new = Shown(final.baseline, "sealed"), Shown(final.champion, "sealed")
        ends.append(Row(label, "start" if state == "start" else "baseline", first, old))
        if last != first:
            ends.append(Row("champion now", "accepted", last, new))
    return ends


def by_slice(rows: Sequence[Row], whole: bool) -> list[tuple[str, list[tuple[int, int] | None]]]:
    """Count (successes, problems) of each row's headline, by value of each dimension or by whole cell."""
    counts: list[dict[str, tuple[int, int]]] = []
    for row in rows:
        sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for score in row.greedy.slices if row.greedy else ():
            share = score.shares.get(row.greedy.headline) if row.greedy else None
            if share is None:
                continue
            for part in [score.slice] if whole else score.slice.split():
                sums[part] = (sums[part][0] + round(share.rate * share.num), sums[part][1] + share.num)
        counts.append(sums)
    names = list(dict.fromkeys(name for sums in counts for name in sums))
    dimensions = list(dict.fromkeys(name.partition("=")[0] for name in names))
    # Shorter first: hops=2 before hops=10.
    names.sort(key=lambda name: (dimensions.index(name.partition("=")[0]), len(name), name))
    return [(name, [sums.get(name) for sums in counts]) for name in names]

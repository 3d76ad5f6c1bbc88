"""From candidates to rows: filters and leak guard, the arm's choice, the budget of tokens, and weights."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from engine.curate.candidates import Candidate
from engine.curate.choose import deranged, in_order, uncertainty_weights, within
from engine.curate.leaks import LeakGuard
from engine.curate.rows import rows_of, text_row
from engine.curate.sift import sift
from engine.curate.verified import with_losses
from engine.embeddings import Embed, embedder
from engine.gate.sentinels import suites_of
from engine.measure.likelihood import likelihoods_of_rows
from engine.models.prompts import tokenizer_of
from engine.records import Funnel, Likelihood, Passage, Station, TrainingRow, TrainingSet
from engine.tasks.fixed import ONCE
from engine.tasks.suite import kept_apart
from engine.train.methods import num_learnt
from loops.aim import Aim
from loops.context import Context
from loops.spent import Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Curation:
    """The end of a proposal: which of its candidates the parent learns, and how."""

    aim: Aim
    aimed: Collection[str] = ()
    """Ids of the problems that were made for a weakness."""
    probe: Collection[str] = ()
    """Ids of the problems that showed the weaknesses: variations of them may be learnt."""

    def learnt(self, candidates: Sequence[Candidate], stations: Sequence[Station]) -> TrainingSet:
        """The round's training set; its funnel begins with `stations`."""
        candidates = self._with_losses(candidates)
        return self.aim.context.run.step(
            self.aim.stage("choose"),
            TrainingSet,
            lambda: self._chosen(candidates, stations),
            doing="What it did right is filtered and chosen from",
            came=lambda data: f"{len(data.rows)} rows to learn of {len(candidates)} candidates",
        )

    def _with_losses(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """The candidates with their losses, in a stage of its own, where anything depends on them."""
        aim = self.aim
        if not aim.settings.needs_losses or all(each.loss for each in candidates):
            return candidates
        rows = [self._rows(each) for each in candidates]
        flat = [row for group in rows for row in group]
        given = aim.context.run.step_many(
            aim.stage("loss"),
            Likelihood,
            lambda: likelihoods_of_rows(aim.context.bench, aim.parent.path, flat),
            doing=f"How likely it finds what it could learn, {len(candidates)} texts",
        )
        return with_losses(candidates, list(map(len, rows)), given)

    def _rows(self, candidate: Candidate) -> list[TrainingRow]:
        problem = candidate.problem
        if isinstance(problem.truth, Passage):
            # Passages of a document are one story, and so are variations of a passage.
            return [replace(text_row(problem.truth.text, problem.id), story=problem.story)]
        return rows_of(problem, candidate.replies, system=self.aim.context.bench.system)

    def _chosen(self, candidates: Sequence[Candidate], stations: Sequence[Station]) -> TrainingSet:
        settings, seed = self.aim.settings, self.aim.context.config.seed + self.aim.number
        embed = self._embed()
        kept, filters = sift(
            candidates,
            guard=self._guard(embed if settings.filter.semantic else None),
            near=True,
            keep_share=settings.filter.keep_share,
            min_distance=settings.filter.min_distance,
            embed=embed,
        )
        ordered = in_order(kept, settings.choose, seed=seed, aimed=self.aimed, embed=embed)
        taken, budget = self._within_budget(ordered)
        if settings.choose == "placebo":
            taken = deranged(taken, seed)
        weights = (
            uncertainty_weights([each.loss for each in taken])
            if settings.weigh == "uncertainty"
            else [1.0] * len(taken)
        )
        rows = [
            replace(row, weight=weight)
            for each, weight in zip(taken, weights, strict=True)
            for row in self._rows(each)
        ]
        last = Station(name="rows", num_in=len(taken), num_out=len(rows), why="candidates, and their rows")
        return TrainingSet.of(rows, Funnel(stations=(*stations, *filters, *budget, last)))

    def _guard(self, embed: Embed | None) -> LeakGuard:
        """The leak guard, calibrated on problems that the same task makes or learns from."""
        context = self.aim.context
        return LeakGuard(
            protected_texts(context, self.probe),
            embed=embed,
            fresh=context.fresh(),
            suspect=isinstance(context.suite, Kept),
        )

    def _within_budget(self, ordered: Sequence[Candidate]) -> tuple[list[Candidate], list[Station]]:
        """The candidates that the budget of learnt tokens holds, and the station that says so."""
        settings = self.aim.settings
        budget = settings.learnt_tokens
        if budget is None:
            return list(ordered), []
        size = self._size()
        sizes = [size(each) for each in ordered]
        places = within(sizes, budget)
        total = sum(sizes[place] for place in places)
        why = f"by {settings.choose}: {total:,} tokens are learnt in an epoch, at most {budget:,}"
        station = Station(name="chosen", num_in=len(ordered), num_out=len(places), why=why)
        return [ordered[place] for place in places], [station]

    def _size(self) -> Callable[[Candidate], int]:
        """Counts the tokens of a candidate that training would learn."""
        tokenizer, train = tokenizer_of(self.aim.parent.path), self.aim.settings.train
        return lambda candidate: sum(num_learnt(row, tokenizer, train) for row in self._rows(candidate))

    def _embed(self) -> Embed | None:
        """Sentence embeddings, where anything needs them."""
        return embedder() if self.aim.settings.compares_meanings else None


def protected_texts(context: Context, probe: Collection[str] = ()) -> list[str]:
    """What must not be learnt, because models are judged on it.

    That is sentinels, what trials are measured on, and the records that judge. Where a model may be carried,
    the part `probe` decides that too, and is protected but for the round's own `probe`. Problems that a task
    makes are not known before they are drawn; a draw leaves out what was learnt.
    """
    suites = suites_of(context.config.gate.sentinels.suites, kept_apart(context.suite))
    texts = [text for suite in suites for text in suite.texts]
    texts += context.measured
    if isinstance(context.suite, Kept):
        parts = (*ONCE, "probe") if context.config.carry else ONCE
        judging = [record.problem for part in parts for record in context.suite.records(part)]
        texts += [problem.text for problem in judging if problem.id not in probe]
    return texts

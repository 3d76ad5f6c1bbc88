"""Where the problems of an error-driven round come from: a probe, half aimed at weaknesses, and the rest."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, replace

from configs.loops import ErrorDriven
from engine.curate.variations import labelled, request_for, write
from engine.measure.clusters import Clusters
from engine.measure.evaluate import answer
from engine.measure.likelihood import likelihoods
from engine.models.identity import Model
from engine.models.prompts import prompt_ids, tokenizer_of
from engine.records import (
    Answer,
    Attempt,
    Likelihood,
    Problem,
    Station,
    Status,
    Weakness,
    to_json,
)
from engine.sample.protocol import Prompt, Sampling
from loops.context import Context
from loops.loop import Proposal
from loops.weak import Sliced, draw_found, sliced


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """The draws of one round, and what the model writes for it."""

    context: Context
    settings: ErrorDriven
    parent: Model
    number: int
    seen: frozenset[str]
    """Ids of the problems of earlier rounds."""

    def stage(self, name: str) -> str:
        return self.context.stage(self.number, name)

    def sampling(self, samples: int) -> Sampling:
        """The way that answers, variations and revisions are sampled in this round."""
        return Sampling(
            samples=samples,
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            seed=self.context.config.seed + self.number,
            max_new_tokens=self.context.config.sampler.max_new_tokens,
        )

    def probe(self) -> list[Problem]:
        """The problems among which weaknesses are mined."""
        return self._draw(self.settings.probe.num_problems, "probe", self.seen)

    def sliced(self, probe: Sequence[Problem]) -> Sliced:
        """The problems of a probe in the slices among which weak ones are looked for."""
        context = self.context
        stage, seed = self.stage("clusters"), context.config.seed
        return sliced(context.run, stage, self.settings, context.suite, probe, seed)

    def answers(
        self,
        stage: str,
        problems: Sequence[Problem],
        sampling: Sampling,
        *,
        doing: str,
        came: Callable[[Sequence[Answer]], str] | None = None,
    ) -> list[Answer]:
        """The parent's verified answers, a stage of the round. Trials that ask it the same share them."""
        context, path = self.context, self.parent.path
        return context.once(
            self.stage(stage),
            Answer,
            f"{self._asked(problems)} {sampling}",
            lambda: answer(context.bench, path, problems, sampling),
            doing=doing,
            came=came,
        )

    def likelihoods(
        self,
        stage: str,
        passages: Sequence[Problem],
        *,
        doing: str,
        came: Callable[[Sequence[Likelihood]], str] | None = None,
    ) -> list[Likelihood]:
        """How likely the parent finds passages, a stage of the round that trials share as they do answers."""
        context = self.context
        return context.once(
            self.stage(stage),
            Likelihood,
            self._asked(passages),
            lambda: likelihoods(context.bench, self.parent, passages),
            doing=doing,
            came=came,
        )

    def _asked(self, problems: Sequence[Problem]) -> str:
        """What tells two trials apart that ask something: the model and its problems, with all they hold."""
        return "\n".join([self.parent.id, *map(to_json, problems)])

    def aimed(
        self, weaknesses: Sequence[Weakness], clusters: Clusters | None, used: Set[str]
    ) -> tuple[list[Problem], list[Station]]:
        """Problems of weak slices by their quotas, and a station where the task has fewer; none where nothing
        is weak.

        Some are `used` only where a finite task has no others. Those of found slices are a stage, because
        many others are drawn and embedded for them. They keep the slice that their task gives them, by which
        the leak guard is calibrated.
        """
        quotas: Counter[str] = Counter()
        for weakness in weaknesses:
            quotas[weakness.slice] += weakness.quota
        num = quotas.total()
        if not num:
            return [], []
        if clusters is None:
            # Where a finite task has too few, others come in their place.
            found = [each for each in self._draw(num, "aim", used, quotas) if quotas[each.slice]]
        else:
            found = self._of_clusters(clusters, quotas, used)
        why = "problems wanted of weak slices, and those that the task has"
        short = Station(name="aimed", num_in=num, num_out=len(found), why=why)
        return found, [short] if len(found) < num else []

    def _of_clusters(self, clusters: Clusters, quotas: Counter[str], used: Set[str]) -> list[Problem]:
        context = self.context

        def draw() -> list[Problem]:
            found = draw_found(
                context.suite,
                clusters,
                quotas,
                split=f"aim-{self.number}",
                seed=context.config.seed,
                exclude=used,
                questions=self.settings.questions,
            )
            return [problem for problem, _ in found]

        return context.run.step_many(self.stage("aim"), Problem, draw)

    def rest(self, num: int, used: Set[str], beside: Set[str]) -> list[Problem]:
        """Problems of the whole mixture, none of them one of those `beside` them in the round.

        Of those that are `used` there are some only where a finite task has too few others.
        """
        drawn = self._draw(num, "propose", used | beside)
        if any(each.id in beside for each in drawn):
            # All others are used, and come first if more are asked for.
            size = getattr(self.context.suite, "sizes", {}).get("train", num)
            drawn = self._draw(min(num + len(beside), size), "propose", used | beside)
        return [each for each in drawn if each.id not in beside][:num]

    def _draw(
        self, num: int, split: str, used: Set[str], weights: Counter[str] | None = None
    ) -> list[Problem]:
        return self.context.suite.draw(
            num,
            split=f"{split}-{self.number}",
            seed=self.context.config.seed,
            exclude=used,
            weights=weights,
            questions=1 if split == "probe" else self.settings.questions,
        )

    def varied(
        self,
        probe: Sequence[Problem],
        greedy: Sequence[Answer],
        weak: Set[str],
        used: Set[str],
    ) -> tuple[list[Problem], list[Station]]:
        """Variations of problems of the probe, written by the model and labelled by the task, with stations.

        Aimed, they are of problems that the model failed, first of those in weak slices, whose ids are
        `weak`; else of any.
        """
        vary, half = self.context.suite.task.vary, self.settings.num_problems // 2
        assert vary is not None, "`require` refuses the task otherwise"
        sources = self.shuffled(probe)
        if self.settings.choose == "targeted":
            failed = {each.verdict.problem_id for each in greedy if each.verdict.status is Status.FAIL}
            sources = [problem for problem in sources if problem.id in failed]
            sources.sort(key=lambda problem: problem.id not in weak)
        sources, texts = self.written(sources, half)
        problems, stations = labelled(sources, texts, vary, seen=used, split=f"variations-{self.number}")
        return problems[:half], stations

    def written(self, sources: Sequence[Problem], num: int) -> tuple[list[Problem], list[Attempt]]:
        """About `num` variations that the model writes of the first sources, and these sources."""
        fitting = [source for source in sources if self.fits(request_for(source).messages)]
        fitting = fitting[: math.ceil(num / self.settings.variations)]
        texts = self.context.run.step_many(
            self.stage("write"),
            Attempt,
            lambda: write(
                self.context.bench.sampler,
                self.parent.path,
                fitting,
                self.sampling(self.settings.variations),
            ),
            doing=f"It writes {self.settings.variations} variations of each of {len(fitting)} texts",
        )
        return fitting, texts

    def shuffled(self, problems: Sequence[Problem]) -> list[Problem]:
        """The problems in an order that the seed decides."""
        return random.Random(self.context.config.seed + self.number).sample(problems, len(problems))

    def fits(self, chat: Prompt) -> bool:
        """Whether a prompt that the loop builds leaves the sampler room for an answer."""
        sampler = self.context.config.sampler
        num = len(prompt_ids(tokenizer_of(self.parent.path), chat))
        return num + sampler.max_new_tokens <= sampler.max_model_len


def ids_of(problems: Iterable[Problem]) -> frozenset[str]:
    return frozenset(problem.id for problem in problems)


def with_clusters(proposal: Proposal, clusters: Clusters | None) -> Proposal:
    return replace(proposal, clusters=clusters) if clusters else proposal

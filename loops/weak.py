"""Where a model is weak, in a round as in an experiment: in slices that the task names, or that are found."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from configs.loops import ErrorDriven
from configs.schema import Config
from engine.disk.steps import Run
from engine.embeddings import Embed, embedder
from engine.measure.clusters import Clusters, usual_number
from engine.measure.mine import limit_of, mine, mine_likelihoods
from engine.records import Answer, Cluster, Likelihood, Problem, Weakness
from engine.tasks.fixed import part_of
from engine.tasks.suite import Suite
from engine.terminal import counted

_POOL = 8
"""So many times the problems that are wanted are drawn at the most, where those of some clusters are looked
for."""
MOST_FRESH = 120
"""The most fresh problems by which a round shows whether its weaknesses closed."""


class Sliced(NamedTuple):
    """Problems in the slices among which weak ones are looked for."""

    problems: list[Problem]
    clusters: Clusters | None
    """What these slices are, where they were found; None where the task names them."""


def mining_of(config: Config) -> ErrorDriven:
    """How a campaign's weaknesses are mined: by its loop's settings where it says them, else by defaults."""
    return config.loop if isinstance(config.loop, ErrorDriven) else ErrorDriven()


def num_clusters(settings: ErrorDriven, suite: Suite, num_problems: int) -> int:
    """How many slices are found among so many problems; 0 where the task's own are used."""
    if settings.clusters == "none":
        return 0
    if settings.clusters != "auto":
        return settings.clusters
    return 0 if len(suite.slices) > 1 else usual_number(num_problems)


def embed_of(config: Config) -> Embed | None:
    """Sentence embeddings for what is watched: error-driven rounds show how far replies lie apart.

    They are loaded when a text is first embedded, which takes a core some 17 s once, and 100 replies half a
    second.
    """
    return embedder() if isinstance(config.loop, ErrorDriven) else None


def sliced(
    run: Run, stage: str, settings: ErrorDriven, suite: Suite, problems: Sequence[Problem], seed: int
) -> Sliced:
    """The problems of a probe in their slices; those that are found are a stage of the run."""
    num = num_clusters(settings, suite, len(problems))
    if not num:
        return Sliced(list(problems), None)
    embed = embedder()
    found = run.step_many(
        stage,
        Cluster,
        lambda: Clusters.of([problem.text for problem in problems], num, embed, seed).found,
        doing=f"Slices are looked for among {len(problems)} texts, by what they are about",
        came=lambda found: f"{counted(len(found), 'slice')}, the largest: {max(found, key=_size).name}",
    )
    clusters = Clusters(found, embed)
    return Sliced(clusters.of_found(problems), clusters)


def _size(cluster: Cluster) -> int:
    return len(cluster.places)


def weak_in(
    settings: ErrorDriven,
    problems: Sequence[Problem],
    given: Sequence[Answer | Likelihood],
    *,
    num_problems: int,
) -> list[Weakness]:
    """The slices that are weak on a probe, with quotas that share half of `num_problems` among them."""
    false_discovery = settings.probe.false_discovery
    answers = [each for each in given if isinstance(each, Answer)]
    if answers:
        return mine(problems, answers, false_discovery=false_discovery, num_problems=num_problems)
    return mine_likelihoods(
        problems,
        [each for each in given if isinstance(each, Likelihood)],
        threshold=_threshold(settings),
        quantile=settings.quantile,
        false_discovery=false_discovery,
        num_problems=num_problems,
    )


def unlikely_above(settings: ErrorDriven, given: Sequence[Likelihood]) -> float:
    """The perplexity above which a passage is weak."""
    return limit_of(given, threshold=_threshold(settings), quantile=settings.quantile)


def _threshold(settings: ErrorDriven) -> float | None:
    return settings.threshold if settings.quantile is None else None


def draw_found(
    suite: Suite,
    clusters: Clusters,
    quotas: Mapping[str, int],
    *,
    split: str,
    seed: int,
    exclude: Set[str],
    questions: int = 1,
) -> list[tuple[Problem, str]]:
    """Different problems of some clusters, at most as many as the quotas say, each with its cluster's name.

    A task cannot be asked for what was found among its problems, so all of its mixture are drawn, as many at
    a time as are wanted, until every quota is filled or `_POOL` times as many have been looked at.
    """
    wanted, num = Counter(quotas), sum(quotas.values())
    most = min(_POOL * num, getattr(suite, "sizes", {}).get(part_of(split), _POOL * num))
    drawn: set[str] = set()
    found: list[tuple[Problem, str]] = []
    for start in range(0, most, num):
        pool = suite.draw(
            min(num, most - start),
            split=split,
            seed=seed,
            start=start,
            exclude=exclude | drawn,
            questions=questions,
        )
        # A finite suite draws what is excluded where it has nothing else.
        new = [problem for problem in pool if problem.id not in drawn]
        drawn |= {problem.id for problem in new}
        for problem, name in zip(new, clusters.assign([each.text for each in new]), strict=True):
            if wanted[name] > 0:
                wanted[name] -= 1
                found.append((problem, name))
        if not wanted.total():
            break
    return found

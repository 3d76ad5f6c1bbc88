"""Variations that the model itself writes: of problems that it failed, of passages that it finds unlikely.

A variation of a problem is used only where the task reads it strictly and finds its truth itself (`vary`);
what it cannot label is dropped and counted by the reason. A variation of a passage says it in other words.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from engine.curate.dreams import stations_without
from engine.models.prompts import messages
from engine.records import Attempt, Finish, Passage, Problem, Station
from engine.sample.protocol import Request, Sampler, Sampling
from engine.tasks import problem_id

Vary = Callable[[Problem, str], Problem | str]
"""A task's ``vary``: the problem that a text holds, or a word or two for why it holds none."""
_PROBLEM, _PASSAGE = (
    (Path(__file__).parent / f"{name}.txt").read_text().rstrip("\n") for name in ("variations", "rewriting")
)
_LONGEST_REASON = 40
_AGAIN = "a repetition"
"""Of a problem that was there before, or of the passage itself."""


def request_for(source: Problem) -> Request:
    """What the model is asked for a variation of `source`, without the task's system message."""
    template = _PASSAGE if isinstance(source.truth, Passage) else _PROBLEM
    return Request(problem_id=source.id, messages=messages("", (template.format(text=source.text),)))


def write(sampler: Sampler, model: Path, sources: Sequence[Problem], sampling: Sampling) -> list[Attempt]:
    """What the model writes: `sampling.samples` texts for each source in turn."""
    place = {source.id: number for number, source in enumerate(sources)}
    texts = sampler.sample(model, [request_for(source) for source in sources], sampling)
    return sorted(texts, key=lambda text: (place[text.problem_id], text.sample))


def labelled(
    sources: Sequence[Problem], texts: Sequence[Attempt], vary: Vary, *, seen: Collection[str], split: str
) -> tuple[list[Problem], list[Station]]:
    """The texts that are problems with a truth, and a station for each reason why others are not.

    None of the problems is one of `seen`, which are ids.
    """
    known = {source.id: source for source in sources}
    taken, dropped = set(seen) | set(known), Counter[str]()
    problems: list[Problem] = []
    for text in texts:
        source = known[text.problem_id]
        varied = "cut off" if text.finish is Finish.LENGTH else vary(source, text.text)
        if isinstance(varied, Problem) and varied.id in taken:
            varied = _AGAIN
        if isinstance(varied, str):
            dropped[varied[:_LONGEST_REASON]] += 1
            continue
        taken.add(varied.id)
        origin = f"{source.origin}/variation {text.sample}"
        problems.append(replace(varied, split=split, origin=origin))
    return problems, _stations(len(sources), len(texts), dropped)


def rewritten(sources: Sequence[Problem], texts: Sequence[Attempt]) -> tuple[list[Problem], list[Station]]:
    """The texts that say a passage in other words, as passages, and a station for each reason to drop one.

    A first line that ends with a colon announces the text and would be learnt with it.
    """
    known = {source.id: source for source in sources}
    dropped = Counter[str]()
    problems: list[Problem] = []
    for text in texts:
        source, words = known[text.problem_id], text.text.strip()
        first = words.partition("\n")[0].rstrip()
        if text.finish is Finish.LENGTH:
            dropped["cut off"] += 1
        elif len(words.split()) < 2:
            dropped["empty"] += 1
        elif words.split() == source.text.split():
            dropped[_AGAIN] += 1
        elif first.endswith(":"):
            dropped["announced"] += 1
        else:
            # Variations of one passage are one story, so that they stay together in a split for validation.
            own = problem_id(source.task, words)
            truth, story = Passage(text=words), source.story or source.id
            origin = f"{source.origin}/variation {text.sample}"
            problems.append(replace(source, id=own, truth=truth, story=story, origin=origin))
    return problems, _stations(len(sources), len(texts), dropped)


def _stations(num_sources: int, num_texts: int, dropped: Counter[str]) -> list[Station]:
    why = "problems or passages, and the variations that the model wrote of them"
    written = Station(name="written", num_in=num_sources, num_out=num_texts, why=why)
    return [written, *stations_without(dropped, num_texts, "variations")]

"""MixSD: targets that the model writes itself, in turns with the facts in its prompt and without them.

A target in somebody else's words pulls a model away from its own language, and what it knew goes with it.
Here the model writes the reply in short segments, each with the facts in its prompt, by the chance `share`,
or without them, and all of them continue one text: the value comes from the prompt, the rest is what the
model would have said anyway. Source: MixSD (arXiv 2605.16865), here with segments of a few tokens. A share
of 1 is self-distillation from what stands in the prompt (SDFT, arXiv 2601.19897).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from engine.curate.dreaming import memories_of
from engine.curate.dreams import attempt_of
from engine.models.prompts import messages, prompt_text, tokenizer_of
from engine.people.wordings import Wordings
from engine.records import Attempt, Finish, Memory, Problem, Station
from engine.sample.protocol import Request, Sampler, Sampling
from engine.verify.recall import turns_right

SEGMENT = 4
"""Tokens that are written with one prompt: a word or two, so that a value is seldom cut in two."""


def informed(problem: Problem, told: Sequence[str]) -> Problem:
    """The problem with sentences before its first question, as a model is asked that may read the facts."""
    first, *others = problem.turns
    return replace(problem, id=f"{problem.id}-informed", turns=(after(told, first), *others))


def after(told: Sequence[str], question: str) -> str:
    """A question after sentences, on a line of its own: to the verifier the last line is what was asked, and
    only a value in it may be said again."""
    return "\n".join([*([" ".join(told)] if told else []), question])


@dataclass(slots=True)
class _Text:
    """The reply to one turn, as far as it is written."""

    name: str
    without: str
    """The chat as text, up to where the reply begins."""
    with_facts: str
    written: str = ""
    has_ended: bool = False


def write(
    sampler: Sampler,
    model: Path,
    dreams: Sequence[Problem],
    memories: Sequence[Memory],
    wordings: Wordings,
    *,
    system: str,
    share: float,
    sampling: Sampling,
) -> list[Attempt]:
    """The model's own replies to all turns of the dreams that are about memories, in order.

    Each turn follows the gold replies to those before it. `sampling` bounds a whole reply; one that has not
    ended by then is empty.
    """
    facts = {memory.id: memory.fact for memory in memories}
    tokenizer = tokenizer_of(model)
    about = [dream for dream in dreams if memories_of(dream)]
    texts: list[list[_Text]] = []
    for dream in about:
        told = informed(dream, [wordings.answer(facts[id]) for id in memories_of(dream)])
        own = []
        for turn in range(len(dream.turns)):
            before = dream.gold[:turn]
            without, with_facts = (
                messages(system, each.turns[: turn + 1], replies=before) for each in (dream, told)
            )
            own.append(
                _Text(
                    name=f"{dream.id}/{turn}",
                    without=prompt_text(tokenizer, without),
                    with_facts=prompt_text(tokenizer, with_facts),
                )
            )
        texts.append(own)
    last = _continued(sampler, model, [text for own in texts for text in own], share, sampling)
    return [
        replace(attempt_of(dream, [text.written if text.has_ended else "" for text in own]), model_id=last)
        for dream, own in zip(about, texts, strict=True)
    ]


def _continued(
    sampler: Sampler, model: Path, texts: Sequence[_Text], share: float, sampling: Sampling
) -> str:
    """Write all texts on to their ends, a segment of each at a time; returns the id of the weights."""
    by_name = {text.name: text for text in texts}
    chances = {text.name: Random(f"{sampling.seed}/{text.name}") for text in texts}
    weights = ""
    for number in range(-(-sampling.max_new_tokens // SEGMENT)):
        # With one seed for all segments, each would draw the same random numbers again.
        short = replace(sampling, samples=1, max_new_tokens=SEGMENT, seed=sampling.seed + number)
        requests = [
            Request(
                problem_id=text.name,
                messages=(text.with_facts if chances[text.name].random() < share else text.without)
                + text.written,
            )
            for text in texts
            if not text.has_ended
        ]
        for attempt in sampler.sample(model, requests, short) if requests else ():
            text, weights = by_name[attempt.problem_id], attempt.model_id
            text.written += attempt.text
            text.has_ended = attempt.finish is Finish.STOP
    return weights


def targets(dreams: Sequence[Problem], written: Sequence[Attempt]) -> tuple[list[Problem], Station]:
    """The dreams with the model's own replies as gold, where they are right, and how many those are.

    Where a reply has not ended, takes several lines or is refused by ``recall``, the template's stays.
    """
    replies = {attempt.problem_id: tuple(text.strip() for text in attempt.replies) for attempt in written}
    made, num, num_own = [], 0, 0
    for dream in dreams:
        if (own := replies.get(dream.id)) is not None:
            right = turns_right(dream, attempt_of(dream, own))
            use = [is_right and "\n" not in text for is_right, text in zip(right, own, strict=True)]
            chosen = zip(use, own, dream.gold, strict=True)
            num, num_own = num + len(use), num_own + sum(use)
            dream = replace(dream, gold=tuple(text if is_own else gold for is_own, text, gold in chosen))
        made.append(dream)
    why = f"{num_own} of {num} replies are the model's own, the rest a template's, which recall never refuses"
    return made, Station(name="mixed", num_in=len(dreams), num_out=len(made), why=why)

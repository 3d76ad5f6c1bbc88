"""Dreams in the model's own words: it writes questions for a fact, and answers them with the fact before it.

Nothing of this is trusted. A question is used only where it names the person, does not tell the value, speaks
of what was told and is worded as no judge words it; and where the model, with the fact in its prompt, gives a
reply to it that passes the verifier ``recall``. Four steps, of which those that sample can each be a stage:
`write`, `asked`, `reply`, `answered`.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from engine.curate.dreaming import dream_of, memories_of
from engine.curate.dreams import passes, stations_without
from engine.curate.likeness import FUNCTION_WORDS, words
from engine.curate.mixed import informed
from engine.curate.replay import held
from engine.models.prompts import messages
from engine.people.sentences import filled, problem
from engine.people.values import date_of, dates_in, number_of, numbers_in, places_of
from engine.people.wordings import PARTS, Wordings
from engine.records import Attempt, Fact, Finish, Memory, Problem, Station
from engine.sample.protocol import Request, Sampler, Sampling

_TEMPLATE = (Path(__file__).parent / "imagined.txt").read_text().rstrip("\n")
_SHOTS = 3
"""Solved requests that are shown first, each about another fact: a small model does not follow without."""
_LONGEST = 24
"""Words of a question."""


def write(
    sampler: Sampler, model: Path, memories: Sequence[Memory], wordings: Wordings, sampling: Sampling
) -> list[Attempt]:
    """What the model writes as questions: `sampling.samples` texts for each memory that holds, in turn."""
    about = held(memories)
    place = {memory.id: number for number, memory in enumerate(about)}
    rng = Random(sampling.seed)
    requests = [_request(memory, about, wordings, rng) for memory in about]
    texts = sampler.sample(model, requests, sampling)
    return sorted(texts, key=lambda text: (place[text.problem_id], text.sample))


def _request(memory: Memory, about: Sequence[Memory], wordings: Wordings, rng: Random) -> Request:
    others = [each for each in about if each.id != memory.id]
    shots = []
    for other in rng.sample(others, min(_SHOTS, len(others))):
        asked = wordings.ask("single", [other.fact], part="dream", rng=rng)
        shots.append(replace(asked, turns=(_wish(other.fact, wordings),), gold=asked.turns))
    return Request(problem_id=memory.id, messages=messages("", (_wish(memory.fact, wordings),), shots=shots))


def _wish(fact: Fact, wordings: Wordings) -> str:
    """What asks for a question about a fact."""
    return _TEMPLATE.format(told=wordings.answer(fact), name=fact.subject)


def asked(
    memories: Sequence[Memory], texts: Sequence[Attempt], wordings: Wordings, *, seen: Collection[str] = ()
) -> tuple[list[Problem], list[Station]]:
    """The texts that are questions for their fact, still without a gold reply, and stations of the others.

    None of them is one of `seen`, which are ids, such as those of the dreams by template.
    """
    known = {memory.id: memory for memory in held(memories)}
    taken, dropped = set(seen), Counter[str]()
    found = []
    for text in texts:
        memory, question = known[text.problem_id], text.text.strip()
        dream = problem([memory.fact], [question], [], [[memory.fact.value]])
        fault = "cut off" if text.finish is Finish.LENGTH else _fault(question, memory.fact, wordings)
        if not fault and dream.id in taken:
            fault = "a repetition"
        if fault:
            dropped[fault] += 1
            continue
        taken.add(dream.id)
        found.append(dream_of(dream, "imagined", [memory]))
    why = "facts to be learnt, and questions that the model writes about them"
    stations = [Station(name="imagined", num_in=len(known), num_out=len(texts), why=why)]
    return found, [*stations, *stations_without(dropped, len(texts), "questions")]


def _fault(question: str, fact: Fact, wordings: Wordings) -> str:
    """Why a text is no question for a fact; empty where it is one."""
    said = words(question)
    if "\n" in question or not question.endswith("?") or len(said) > _LONGEST:
        return "no single question"
    if not places_of(fact.subject, question):
        return "nameless"
    if _tells(fact.value, question):
        return "telling the value"
    if not set(said) & _speaking(fact, wordings):
        return "about something else"
    judges = (part for part in PARTS if part != "dream")
    asks = (ask for part in judges for ask in wordings.words(fact.attribute).asks[part])
    title = wordings.attributes[fact.attribute].title
    if any(said == words(filled(ask, fact.subject, title=title)) for ask in asks):
        return "in a judge's words"
    return ""


def _tells(value: str, text: str) -> bool:
    """Whether a text holds a value in any form."""
    if (date := date_of(value)) is not None:
        return any(found.value.answers(date) for found in dates_in(text))
    if (number := number_of(value)) is not None:
        return any(found.value == number for found in numbers_in(text))
    return bool(places_of(value, text))


def _speaking(fact: Fact, wordings: Wordings) -> set[str]:
    """Words of which a question about the attribute has one, the person's name apart."""
    attribute, own = wordings.attributes[fact.attribute], wordings.words(fact.attribute)
    texts = [attribute.title, *attribute.aliases, own.verb, *own.states, *own.asks["dream"]]
    found = {word for text in texts for word in words(filled(text, "", title=attribute.title))}
    return found - FUNCTION_WORDS - set(words(fact.subject))


def reply(
    sampler: Sampler,
    model: Path,
    questions: Sequence[Problem],
    memories: Sequence[Memory],
    wordings: Wordings,
    *,
    system: str,
    sampling: Sampling,
) -> list[Attempt]:
    """The model's greedy reply to each of `questions` with its fact in the prompt, in order."""
    facts = {memory.id: memory.fact for memory in memories}
    told = [wordings.answer(facts[memories_of(question)[0]]) for question in questions]
    requests = [
        Request(problem_id=question.id, messages=messages(system, informed(question, [fact]).turns))
        for question, fact in zip(questions, told, strict=True)
    ]
    place = {question.id: number for number, question in enumerate(questions)}
    texts = sampler.sample(model, requests, replace(sampling, samples=1, temperature=0.0))
    return sorted(texts, key=lambda text: place[text.problem_id])


def answered(
    questions: Sequence[Problem], replies: Sequence[Attempt], memories: Sequence[Memory], wordings: Wordings
) -> tuple[list[Problem], Station]:
    """The questions whose reply passes ``recall``, with it as gold, and a station for those that are dropped.

    A reply that leaves out the person's name is put in a template's words, because the name is learnt beside
    the value.
    """
    facts = {memory.id: memory.fact for memory in memories}
    made = []
    for question, given in zip(questions, replies, strict=True):
        fact, text = facts[memories_of(question)[0]], given.text.strip()
        if given.finish is Finish.STOP and passes(question, [text]):
            named = text if places_of(fact.subject, text) else wordings.answer(fact)
            made.append(replace(question, gold=(named,)))
    why = "questions to which the model, told the fact, gives a reply that recall passes"
    return made, Station(name="answered", num_in=len(questions), num_out=len(made), why=why)

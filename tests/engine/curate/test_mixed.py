"""MixSD: one text, written with the facts in the prompt and without, and what recall refuses of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.curate import mixed
from engine.curate.dreaming import dream_of, memories_of
from engine.curate.dreams import passes
from engine.curate.mixed import SEGMENT, informed, targets, write
from engine.people.wordings import Wordings
from engine.records import Attempt, Finish, Problem, Turn
from engine.sample.protocol import Request, Sampling
from tests.support.memories import ANN, PEOPLE, memory

WORDINGS = Wordings()
YEAR, HOME = PEOPLE[0], PEOPLE[1]
TOLD = {f"{ANN} was born in 1961.": "1961", f"{ANN} lives in Gullhaven.": "Gullhaven"}


def dream(kind: Any, *memories: Any) -> Problem:
    asked = WORDINGS.ask(kind, [each.fact for each in memories], part="dream", rng=Random(0))
    return dream_of(asked, kind, memories)


SINGLE, TALK = dream("single", YEAR), dream("six_turns", YEAR, HOME)
STRANGER = dream_of(WORDINGS.ask("unknown", [YEAR.fact], part="dream", rng=Random(0)), "unknown", [])


class Writer:
    """Continues a reply word by word and ends with a value: one from its prompt, or else ``1900``."""

    def __init__(self, words: int = 8) -> None:
        self.words, self.requests, self.limits = words, list[Request](), set[int]()
        self.seeds: list[int] = []

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        self.limits.add(sampling.max_new_tokens)
        self.seeds.append(sampling.seed)
        self.requests += requests
        for request in reversed(requests):
            assert isinstance(request.messages, str)
            prompt, _, reply = request.messages.rpartition("assistant: ")
            told = [value for sentence, value in TOLD.items() if sentence in prompt]
            value = (told[TALK.turns[1] in prompt]) if told else "1900"
            done = len(reply.split())
            words = [f"w{place}" for place in range(done, min(done + SEGMENT, self.words - 1))]
            ends = done + SEGMENT >= self.words
            words += [value] * ends
            yield Attempt(
                problem_id=request.problem_id,
                model_id="weights",
                sample=0,
                replies=("".join(f" {word}" for word in words),),
                num_prompt_tokens=1,
                num_tokens=len(words),
                finish=Finish.STOP if ends else Finish.LENGTH,
            )


@pytest.fixture(autouse=True)
def plain_chats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chats as lines, without a tokenizer."""

    def as_text(tokenizer: None, chat: Sequence[Turn]) -> str:
        return "".join(f"{turn.role}: {turn.text}\n" for turn in chat) + "assistant: "

    monkeypatch.setattr(mixed, "tokenizer_of", lambda model: None)
    monkeypatch.setattr(mixed, "prompt_text", as_text)


def written(
    writer: Writer, share: float, dreams: Sequence[Problem] = (SINGLE,), most: int = 32
) -> list[Attempt]:
    sampling = Sampling(max_new_tokens=most, temperature=0.7, seed=4)
    return write(
        writer,
        Path("m"),
        dreams,
        PEOPLE,
        WORDINGS,
        system="Be brief.",
        share=share,
        sampling=sampling,  # type: ignore[arg-type]
    )


def test_facts_stand_before_the_first_question() -> None:
    told = informed(TALK, ["A.", "B."])
    assert told.turns == (f"A. B.\n{TALK.turns[0]}", TALK.turns[1]) and told.id != TALK.id
    assert told.truth == TALK.truth and informed(TALK, []).turns == TALK.turns


def test_whoever_recites_what_was_told_has_not_answered() -> None:
    facts = [PEOPLE[1].fact, replace(PEOPLE[1].fact, subject="Tom Alder", value="Oakport")]
    told = [WORDINGS.answer(fact) for fact in facts]
    asked = informed(dream("single", PEOPLE[1]), told)
    assert passes(asked, [WORDINGS.answer(facts[0])])
    for recited in (" ".join(told), f"{facts[0].subject} lives in Gullhaven and Oakport."):
        assert not passes(asked, [recited])


def test_segments_continue_one_text() -> None:
    writer = Writer()
    (attempt,) = written(writer, 1.0)
    assert attempt.text.split() == [f"w{place}" for place in range(7)] + ["1961"]
    assert (attempt.problem_id, attempt.model_id) == (SINGLE.id, "weights")
    first, second = (str(request.messages) for request in writer.requests)
    assert first.startswith(f"system: Be brief.\nuser: {ANN} was born in 1961.\n{SINGLE.turns[0]}\n")
    assert first.endswith("assistant: ") and second == f"{first} w0 w1 w2 w3" and writer.limits == {SEGMENT}
    assert writer.seeds == [4, 5]


def test_the_share_is_of_segments_written_with_the_facts() -> None:
    texts = [dream("single", memory(f"Ann{chr(97 + i)} Redwick", "birth_year", "1961")) for i in range(26)]
    people = [memory(f"Ann{chr(97 + i)} Redwick", "birth_year", "1961") for i in range(26)]
    for share in (0.0, 0.5, 1.0):
        writer: Any = Writer(words=40)
        write(
            writer,
            Path("m"),
            texts,
            people,
            WORDINGS,
            system="",
            share=share,
            sampling=Sampling(max_new_tokens=40),
        )
        with_facts = sum("was born in 1961." in str(request.messages) for request in writer.requests)
        assert len(writer.requests) == 260
        assert with_facts / 260 == pytest.approx(share, abs=0.12)
    assert written(Writer(), 0.5) == written(Writer(), 0.5)


def test_a_turn_follows_the_gold_replies_before_it() -> None:
    writer = Writer()
    (attempt,) = written(writer, 1.0, [TALK])
    assert [reply.split()[-1] for reply in attempt.replies] == ["1961", "Gullhaven"]
    later = next(request for request in writer.requests if request.problem_id == f"{TALK.id}/1")
    assert f"assistant: {TALK.gold[0]}\nuser: {TALK.turns[1]}\n" in str(later.messages)


def test_what_has_not_ended_is_empty_and_strangers_are_not_written_about() -> None:
    assert written(Writer(), 1.0, [STRANGER]) == []
    (attempt,) = written(Writer(words=99), 1.0)
    assert attempt.replies == ("",)


def test_what_recall_passes_is_learnt_and_the_rest_stays_a_templates() -> None:
    dreams = [STRANGER, TALK, SINGLE]
    texts = [
        mixed.attempt_of(TALK, [f" {ANN} was born in 1961, I think. ", "In Oldhaven."]),
        mixed.attempt_of(SINGLE, ["1961.\nIs there anything else?"]),
    ]
    made, station = targets(dreams, texts)
    assert made[0] == STRANGER and made[2] == SINGLE
    assert made[1].gold == (f"{ANN} was born in 1961, I think.", TALK.gold[1])
    assert (station.num_in, station.num_out) == (3, 3) and station.why.startswith("1 of 3 replies")
    assert memories_of(made[1]) == memories_of(TALK)

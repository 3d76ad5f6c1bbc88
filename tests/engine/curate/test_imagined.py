"""Questions that a model writes: asked for with examples, used only where they are about the fact."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.curate.dreaming import memories_of
from engine.curate.imagined import answered, asked, reply, write
from engine.people.wordings import Wordings
from engine.records import Attempt, Finish, Problem, Recall, Station, Turn
from engine.sample.protocol import Request, Sampling
from tests.support.memories import ANN, EVE, PEOPLE, TOM, memory

WORDINGS = Wordings()
YEAR, HOME, EVES = PEOPLE[0], PEOPLE[1], memory(EVE, "birthday", "3 May")
MEMORIES = [YEAR, HOME, EVES]


def text(id: str, written: str, sample: int = 0, finish: Finish = Finish.STOP) -> Attempt:
    return Attempt(
        problem_id=id,
        model_id="m",
        sample=sample,
        replies=(written,),
        num_prompt_tokens=1,
        num_tokens=1,
        finish=finish,
    )


class Scripted:
    """A sampler that replies by the last message, in the wrong order, and keeps what it was asked."""

    def __init__(self, **replies: str) -> None:
        self.replies, self.requests, self.sampling = replies, list[Request](), Sampling()

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        self.requests, self.sampling = list(requests), sampling
        for request in reversed(requests):
            for sample in range(sampling.samples):
                yield text(request.problem_id, self.replies.get(request.problem_id, "?"), sample)


def test_a_question_is_asked_for_after_examples_about_other_facts() -> None:
    sampler: Any = Scripted()
    gone = memory(TOM, "hobby", "golf", superseded_by="x")
    texts = write(sampler, Path("m"), [*MEMORIES, gone], WORDINGS, Sampling(samples=2, temperature=0.8))
    assert [(each.problem_id, each.sample) for each in texts] == [
        (each.id, sample) for each in MEMORIES for sample in (0, 1)
    ]
    own = sampler.requests[0].messages
    assert [turn.role for turn in own] == ["user", "assistant"] * 2 + ["user"]
    assert own[-1].text.startswith(f"{ANN} was born in 1961.\n") and f"about {ANN}" in own[-1].text
    for wish, shown in ((own[0], own[1]), (own[2], own[3])):
        name = ANN if ANN in wish.text else EVE
        assert name in shown.text and not wish.text.startswith(f"{ANN} was born in")
        assert shown.text.rstrip(".?") not in wish.text and "Gullhaven" not in shown.text


def test_one_fact_alone_is_asked_for_without_examples() -> None:
    sampler: Any = Scripted()
    write(sampler, Path("m"), [YEAR], WORDINGS, Sampling())
    (turn,) = sampler.requests[0].messages
    assert isinstance(turn, Turn) and turn.role == "user"


USED = f"How long ago was {ANN} born?"
JUDGES = WORDINGS.words("birth_year").asks["gate"][0].replace("{name}", ANN)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (USED, ""),
        (f"Question: When?\n{USED}", "no single question"),
        (f"{ANN} was born long ago.", "no single question"),
        (f"Was {ANN} " + "really " * 25 + "born?", "no single question"),
        ("How long ago was Ann born?", "nameless"),
        (f"Was {ANN} born in 1961?", "telling the value"),
        (f"Was {ANN} born in nineteen sixty-one?", "telling the value"),
        (f"What does {ANN} like to eat?", "about something else"),
        (f"Where is {ANN}?", "about something else"),
        (JUDGES, "in a judge's words"),
        (JUDGES.upper(), "in a judge's words"),
    ],
)
def test_a_text_is_used_only_as_a_question_for_its_fact(written: str, why: str) -> None:
    found, stations = asked(MEMORIES, [text(YEAR.id, written)], WORDINGS)
    assert [each.turns for each in found] == ([] if why else [(written,)])
    assert dropped(stations) == ({f"not {why}": 1} if why else {})
    assert stations[0] == Station(name="imagined", num_in=3, num_out=1, why=stations[0].why)


def dropped(stations: Sequence[Station]) -> dict[str, int]:
    return {each.name: each.num_in - each.num_out for each in stations[1:]}


def test_dates_and_towns_are_told_in_any_form() -> None:
    texts = [
        text(EVES.id, f"Is May 3rd {EVE}'s birthday?"),
        text(EVES.id, f"When is {EVE}'s birthday party?", 1),
        text(HOME.id, f"Does {ANN} have a home in gullhaven?"),
    ]
    found, stations = asked(MEMORIES, texts, WORDINGS)
    assert [memories_of(each) for each in found] == [(EVES.id,)]
    assert dropped(stations) == {"not telling the value": 2}


def test_repetitions_and_what_is_cut_off_are_counted() -> None:
    texts = [
        text(YEAR.id, USED),
        text(YEAR.id, f" {USED}\n", 1),
        text(YEAR.id, f"How old is {ANN}, born", 2, Finish.LENGTH),
    ]
    found, stations = asked(MEMORIES, texts, WORDINGS)
    (dream,) = found
    assert isinstance(dream.truth, Recall) and dream.truth.expected == (("1961",),)
    assert (dream.gold, dream.slice, dream.split) == ((), "kind=imagined", "dream")
    assert dropped(stations) == {"not a repetition": 1, "not cut off": 1}
    again, stations = asked(MEMORIES, texts, WORDINGS, seen={dream.id})
    assert not again and dropped(stations)["not a repetition"] == 2


def questions() -> list[Problem]:
    texts = [
        text(YEAR.id, USED),
        text(YEAR.id, f"At which time was {ANN} born?", 1),
        text(HOME.id, f"Where is the home of {ANN}?"),
    ]
    return asked(MEMORIES, texts, WORDINGS)[0]


def test_the_model_answers_with_the_fact_in_its_prompt() -> None:
    asked_for = questions()
    sampler: Any = Scripted(**{each.id: f"reply to {each.turns[0]}" for each in asked_for})
    texts = reply(
        sampler,
        Path("m"),
        asked_for,
        MEMORIES,
        WORDINGS,
        system="Be brief.",
        sampling=Sampling(samples=4, temperature=1),
    )
    assert [each.text for each in texts] == [f"reply to {each.turns[0]}" for each in asked_for]
    assert (sampler.sampling.samples, sampler.sampling.temperature) == (1, 0.0)
    system, user = sampler.requests[0].messages
    assert (system.text, user.text) == ("Be brief.", f"{ANN} was born in 1961.\n{USED}")


def test_replies_are_learnt_where_recall_passes_them_beside_the_name() -> None:
    asked_for = questions()
    given = ["In 1961.", "In 1962.", f"{ANN} is at home in Gullhaven."]
    texts = [text(each.id, said) for each, said in zip(asked_for, given, strict=True)]
    made, station = answered(asked_for, texts, MEMORIES, WORDINGS)
    assert [each.gold for each in made] == [(f"{ANN} was born in 1961.",), (given[2],)]
    assert (station.num_in, station.num_out) == (3, 2)
    cut = [text(each.id, said, finish=Finish.LENGTH) for each, said in zip(asked_for, given, strict=True)]
    assert answered(asked_for, cut, MEMORIES, WORDINGS)[0] == []

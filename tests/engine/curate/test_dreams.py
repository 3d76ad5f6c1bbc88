"""A night's dreams: checked, counted, fewer of what is known, and in rows that can be blocked by person."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from engine.curate import dreams as module
from engine.curate.dreaming import memories_of
from engine.curate.dreams import dream_rows, dreams, num_variations, passes
from engine.people.values import places_of
from engine.people.wordings import PARTS, Wordings
from engine.people.world import World
from engine.records import Memory, Problem, Station
from tests.support.memories import ANN, PEOPLE, TOM, memory

WORDINGS = Wordings()


def night(
    memories: list[Memory] | None = None, seed: int = 0, variations: int = 16, **more: Any
) -> tuple[list[Problem], list[Station]]:
    return dreams(memories or list(PEOPLE), WORDINGS, variations=variations, rng=Random(seed), **more)


def test_every_reply_passes_and_has_a_name_in_it() -> None:
    made, stations = night(strangers=["Zoe Elmland"])
    assert all(passes(dream, dream.gold) for dream in made)
    names = {each.fact.subject for each in PEOPLE}
    for dream in made:
        assert not memories_of(dream) or all(
            any(places_of(name, text) for name in names) for text in dream.gold
        )
    assert len({dream.id for dream in made}) == len(made) == stations[-1].num_out
    assert stations[0].num_in == len(PEOPLE) and stations[0].name == "dreamt"


def test_no_wording_of_a_judge_is_dreamt() -> None:
    made, _ = night(variations=60)
    asked = {turn for dream in made for turn in dream.turns}
    for part in PARTS:
        template = WORDINGS.words("birth_year").asks[part][0]
        assert (template.replace("{name}", ANN) in asked) is (part == "dream")


def test_the_same_night_is_dreamt_again() -> None:
    assert night(seed=3) == night(seed=3)
    assert night(seed=3)[0] != night(seed=4)[0]


def test_what_is_known_gets_a_quarter() -> None:
    assert [num_variations(16, known=known) for known in (True, False)] == [4, 16]
    assert num_variations(1, known=True) == 1
    new, known = memory(ANN, "hobby", "judo"), memory(TOM, "hobby", "chess")
    made, stations = night([new, known], recalled={known.id: True, new.id: False})
    own = [sum(each.id in memories_of(dream) for dream in made) for each in (new, known)]
    assert own[0] > 2 * own[1] > 0 and sum(own) <= 20 + 2


def test_what_was_replaced_is_not_learnt() -> None:
    wrong = memory(ANN, "home", "Oldhaven", superseded_by="ann.home.gullhaven")
    made, stations = night([wrong, *PEOPLE], variations=30)
    assert stations[0].num_in == len(PEOPLE)
    assert all(wrong.id not in memories_of(dream) for dream in made)
    assert not any("Oldhaven" in text for dream in made for text in dream.gold)


def test_what_recall_refuses_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(dream: Problem, replies: Any) -> bool:
        return "judo" not in "".join(replies)

    monkeypatch.setattr(module, "passes", broken)
    made, stations = night(variations=12)
    last = stations[-1]
    assert last.name == "not refused by recall" and last.num_in - last.num_out > 10
    assert last.num_out == len(made) and not any("judo" in text for dream in made for text in dream.gold)


def test_a_question_comes_once_and_what_has_run_out_is_counted() -> None:
    made, stations = night([memory(ANN, "hobby", "judo")], variations=400)
    dropped = {each.name: each.num_in - each.num_out for each in stations[1:]}
    assert dropped["not a repetition"] > 200
    single = [dream for dream in made if dream.slice == "kind=single"]
    assert len(single) == WORDINGS.num("single", "hobby", "dream")


def test_rows_of_one_person_lie_side_by_side_only_where_they_are_blocked() -> None:
    made, _ = night(strangers=["Zoe Elmland"])
    blocked, mixed = (
        dream_rows(made, PEOPLE, order=order, system="Be brief.") for order in ("blocked", "interleaved")
    )
    assert len(blocked) == len(mixed) == sum(len(dream.turns) for dream in made)
    names = {each.fact.subject for each in PEOPLE}
    known = {dream.id for dream in made if memories_of(dream)}
    assert {row.story for row in blocked if row.problem_id in known} == names
    assert {row.story for row in mixed} == {dream.id for dream in made}
    assert [replace(row, story="") for row in blocked] == [replace(row, story="") for row in mixed]
    assert blocked[0].chat[0].text == "Be brief."


def test_a_day_of_the_invented_world_is_dreamt_almost_whole() -> None:
    world = World(5)
    told = [memory(fact.subject, fact.attribute, fact.value) for fact in world.facts(1)]
    made, stations = night(told, strangers=world.strangers(8 * len(told), Random(0), part="dream"))
    assert len(made) > 0.95 * stations[0].num_out > 20 * len(told)
    assert sum(dream.slice == "kind=unknown" for dream in made) > 0.95 * 8 * len(told)

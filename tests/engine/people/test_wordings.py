"""Wordings: none is in two parts, and every kind of question has a gold reply that passes."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from random import Random
from typing import get_args

import pytest

from engine.people.attributes import ATTRIBUTES, Attribute, named
from engine.people.decoys import invented, other_value
from engine.people.sentences import NO, UNKNOWN, YES, question_to
from engine.people.values import words
from engine.people.wordings import PARTS, Kind, Part, Wordings
from engine.people.world import World
from engine.records import Fact, Recall, Status
from tests.support.people import everything, judged

WORLD = World(3)
WORDINGS = Wordings()
FACTS = everything(WORLD, 2)[::2]
ANN = Fact(subject="Ann Reed", attribute="home", value="Foxhaven")
BO = Fact(subject="Bo Lind", attribute="home", value="Ravenport")


def folded(template: str) -> str:
    return " ".join(word for word in words(template) if word[:1].isalnum())


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_there_are_enough_wordings_and_none_is_in_two_parts(attribute: str) -> None:
    asks = WORDINGS.words(attribute).asks
    assert [len(asks[part]) for part in PARTS] == [8, 2, 3, 3]
    texts = [folded(ask) for part in PARTS for ask in asks[part]]
    assert len(set(texts)) == len(texts)
    assert all("{name}" in ask and "{value}" not in ask for part in PARTS for ask in asks[part])


@pytest.mark.parametrize("kind", ["correction", "reversal"])
def test_frames_are_of_one_part_too(kind: Kind) -> None:
    asked: dict[Part, set[str]] = {}
    for part in PARTS:
        drawn = (WORDINGS.ask(kind, [ANN], part=part, rng=Random(i), others=[BO]) for i in range(400))
        asked[part] = {folded(turn) for problem in drawn for turn in problem.turns}
        assert len(asked[part]) == WORDINGS.num(kind, "home", part)
    assert not any(one & other for one, other in combinations(asked.values(), 2))


def test_a_value_that_several_people_can_have_names_nobody() -> None:
    kept = [key for key in ATTRIBUTES if WORDINGS.num("reversal", key, "gate")]
    assert kept == ["birth_place", "home", "employer", "spouse", "child", "friend", "teacher", "pet_name"]
    with pytest.raises(ValueError, match="hobby has no reversal"):
        WORDINGS.ask("reversal", [replace(ANN, attribute="hobby")], part="gate", rng=Random(0))


KINDS: dict[Kind, Callable[[Fact], list[Fact]]] = {
    "single": lambda fact: [fact],
    "correction": lambda fact: [fact],
    "reversal": lambda fact: [fact],
    "interference": lambda fact: [fact],
    "unknown": lambda fact: [replace(fact, subject="Zoe Hall", value="")],
    "six_turns": lambda fact: [fact, *FACTS[:5]],
    "talk": lambda fact: [fact, *FACTS[:9]],
    "two_step": lambda fact: [Fact(subject="Ann Reed", attribute="friend", value=fact.subject), fact],
}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_gold_reply_of_every_kind_passes(kind: Kind) -> None:
    for number, fact in enumerate(FACTS):
        others = [each for each in FACTS if each.subject != fact.subject][: (number % 3) * 50]
        for part in PARTS:
            if WORDINGS.num(kind, fact.attribute, part):
                facts = KINDS[kind](fact)
                asked = WORDINGS.ask(kind, facts, part=part, rng=Random(number), others=others)
                assert len(asked.turns) == (len(facts) if kind in ("six_turns", "talk") else 1)
                verdict = judged(asked, *asked.gold)
                assert verdict.status is Status.PASS, (asked.turns, asked.gold, verdict.reason)


@pytest.mark.parametrize("kind", ["single", "correction", "two_step", "interference"])
def test_the_answer_is_not_in_the_question(kind: Kind) -> None:
    for number, fact in enumerate(FACTS):
        asked = WORDINGS.ask(kind, KINDS[kind](fact), part="sealed", rng=Random(number), others=FACTS)
        assert fact.value.casefold() not in asked.text.casefold()
        assert asked.origin.startswith(("Ann Reed", fact.subject)) and fact.attribute in asked.origin


def test_what_each_kind_expects() -> None:
    def truth(kind: Kind, *facts: Fact, others: list[Fact]) -> Recall:
        asked = WORDINGS.ask(kind, facts, part="gate", rng=Random(0), others=others)
        assert isinstance(asked.truth, Recall)
        return asked.truth

    assert truth("single", ANN, others=[BO]) == Recall(expected=(("Foxhaven",),), forbidden=((),))
    assert truth("correction", ANN, others=[BO]) == Recall(expected=(("Foxhaven", NO),), forbidden=((YES,),))
    assert truth("reversal", ANN, others=[BO]).expected == (("Ann Reed",),)
    assert truth("unknown", ANN, others=[BO]) == Recall(expected=((UNKNOWN,),), forbidden=(("Ravenport",),))
    assert truth("interference", ANN, others=[BO, ANN]).forbidden == (("Ravenport",),)
    relation = Fact(subject="Eva Hall", attribute="teacher", value="Ann Reed")
    chain = WORDINGS.ask("two_step", [relation, ANN], part="gate", rng=Random(0))
    assert "Eva Hall's teacher" in chain.turns[0] and "Ann Reed" not in chain.turns[0]
    assert chain.gold == ("Ann Reed lives in Foxhaven.",)


def test_a_false_premise_is_what_somebody_else_has_where_it_is_known() -> None:
    drawn = [WORDINGS.ask("correction", [ANN], part="gate", rng=Random(i), others=[BO]) for i in range(20)]
    assert all("Ravenport" in asked.turns[0] for asked in drawn)
    for fact in FACTS:
        attribute = ATTRIBUTES[fact.attribute]
        for seed in range(20):
            wrong = other_value(fact, attribute, Random(seed))
            assert not set(words(wrong)) & set(words(fact.value)), (fact, wrong)


def test_a_large_number_has_a_wrong_one_as_quickly() -> None:
    number = Attribute(key="phone", title="phone", kind="number")
    fact = Fact(subject="Ann Reed", attribute="phone", value="4915112345678")
    wrong = {other_value(fact, number, Random(seed)) for seed in range(20)}
    assert len(wrong) == 20 and all(0 <= int(each) <= 2 * 4915112345678 for each in wrong)
    near = {other_value(replace(fact, value="2"), number, Random(seed)) for seed in range(300)}
    assert near == {str(each) for each in range(28) if each != 2}


@pytest.mark.parametrize("attribute", ATTRIBUTES.values(), ids=str)
def test_made_up_values_are_of_their_kind(attribute: object) -> None:
    assert hasattr(attribute, "key")
    key = attribute.key
    for seed in range(30):
        value = invented(ATTRIBUTES[key], Random(seed))
        (fact,) = WORDINGS.read(f"{WORDINGS.answer(Fact(subject='Ann Reed', attribute=key, value=value))}")
        assert (fact.attribute, fact.value) == (key, value)


def test_a_problem_is_known_by_what_it_asks_and_expects() -> None:
    one, again = (WORDINGS.ask("single", [ANN], part="gate", rng=Random(4)) for _ in range(2))
    other = WORDINGS.ask("single", [replace(ANN, value="Foxton")], part="gate", rng=Random(4))
    guarded = WORDINGS.ask("interference", [ANN], part="gate", rng=Random(4), others=[BO])
    assert one == again and one.turns == other.turns == guarded.turns
    assert len({one.id, other.id, guarded.id}) == 3
    assert one.task == "people" and (one.slice, one.split) == ("", "")


def test_dreams_answer_in_several_ways_and_the_gate_in_one() -> None:
    def golds(part: Part) -> set[str]:
        drawn = (WORDINGS.ask("single", [ANN], part=part, rng=Random(i)) for i in range(60))
        return {asked.gold[0] for asked in drawn}

    assert len(golds("dream")) == 4
    assert golds("gate") == golds("sealed") == golds("select") == {WORDINGS.answer(ANN)}


def test_a_talk_mixes_questions_with_false_premises() -> None:
    talk = WORDINGS.ask("talk", FACTS[:60], part="sealed", rng=Random(0), others=FACTS)
    assert isinstance(talk.truth, Recall)
    assert len(talk.turns) == 60
    assert 8 <= sum(NO in phrases for phrases in talk.truth.expected) <= 28


def test_questions_to_the_person() -> None:
    assert question_to("Where does {name} live?") == "Where do you live?"
    assert question_to("What is {name}'s job?") == "What is your job?"
    assert question_to("Whose pupil was {name}?") == "Whose pupil were you?"
    assert question_to("Who taught {name}?") == question_to("Tell me {name}'s job.") == ""
    for key in ATTRIBUTES:
        asked = WORDINGS.ask_person(key, Random(0))
        assert asked.endswith("?") and "{" not in asked


def test_attributes_are_found_under_other_names() -> None:
    assert named("Date of birth") == named("birth_date") == named("born on") == "birth_date"
    assert named("residence") == "home" and named("shoe size") == ""
    assert all(1 <= attribute.importance <= 10 for attribute in ATTRIBUTES.values())

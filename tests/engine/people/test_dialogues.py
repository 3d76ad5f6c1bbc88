"""Talks: everything that is told comes up in one, labelled by what it is, in the turn that completes it."""

from collections import Counter
from typing import get_args

from engine.people.dialogues import Label, Said, talks
from engine.people.wordings import Wordings
from engine.people.world import World
from engine.records import Dialogue, Fact

WORLD, WORDINGS = World(3), Wordings()
DAYS = range(1, 13)
HELD = {day: talks(WORLD, WORDINGS, day) for day in DAYS}


def said(label: Label, day: int) -> list[Said]:
    return [each for _, found in HELD[day] for each in found if each.label == label]


def facts(label: Label, day: int) -> list[Fact]:
    return [each.statement.fact for each in said(label, day)]


def read_by_rule(dialogue: Dialogue) -> set[tuple[int, Fact]]:
    found: set[tuple[int, Fact]] = set()
    before = ""
    for number, turn in enumerate(dialogue.turns):
        speaker, about = (dialogue.person, "") if turn.role == "user" else ("", dialogue.person)
        read = WORDINGS.read(turn.text, speaker=speaker, about=about, asked=before)
        found |= {(number, fact) for fact in read}
        before = turn.text
    return found


def test_a_seed_decides_what_is_said() -> None:
    assert talks(World(3), Wordings(), 2) == HELD[2] != talks(World(4), WORDINGS, 2)


def test_everything_told_comes_up_in_the_persons_own_talk() -> None:
    for day in DAYS:
        stated = Counter(facts("true", day))
        for told in WORLD.told(day):
            assert stated[told.wrong or told.fact] == 1
            assert stated[told.fact] == (0 if told.wrong else 1)
        assert sum(stated.values()) == len(WORLD.told(day))


def test_corrections_come_after_what_they_correct() -> None:
    for day in DAYS:
        corrected = facts("correcting", day)
        assert Counter(corrected) == Counter(right for _, right in WORLD.corrections(day))
        for dialogue, found in HELD[day]:
            order = [each.statement.fact for each in found]
            for wrong, right in WORLD.corrections(day):
                if wrong in order:
                    assert order.index(wrong) < order.index(right)
            turns = [each.statement.turn for each in found]
            assert turns == sorted(turns)
            assert all(each.statement.dialogue == dialogue.id for each in found)


def test_what_is_said_stands_in_the_turn_that_completes_it() -> None:
    for day in DAYS:
        for dialogue, found in HELD[day]:
            for each in found:
                turns = dialogue.turns[each.statement.turn - 1 : each.statement.turn + 1]
                heard = " ".join(turn.text for turn in turns).casefold()
                assert each.statement.text.casefold().removesuffix(".") in heard


def test_every_kind_of_statement_comes_up() -> None:
    labels = Counter(each.label for day in DAYS for _, found in HELD[day] for each in found)
    assert set(labels) == set(get_args(Label))
    assert labels["true"] == 480 and labels["correcting"] == 2 + 4 * 11
    assert all(labels[label] >= 15 for label in get_args(Label))


def test_what_contradicts_was_told_in_an_earlier_talk_by_the_person_itself() -> None:
    for day in DAYS:
        told = {(each.fact.subject, each.fact.attribute): each.fact.value for each in WORLD.told(day)}
        for dialogue, found in HELD[day]:
            for each in found:
                fact = each.statement.fact
                if each.label == "contradicting":
                    assert fact.subject != dialogue.person
                    assert told[fact.subject, fact.attribute] != fact.value


def test_the_other_person_shares_a_first_name_and_nothing_else() -> None:
    everybody = {person.name for day in DAYS for person in WORLD.people(day)}
    for day in DAYS:
        for dialogue, found in HELD[day]:
            for each in found:
                if each.label == "other_person":
                    subject = each.statement.fact.subject
                    assert subject not in everybody
                    assert subject.split()[0] == dialogue.person.split()[0]


def test_a_talk_is_with_one_person_who_is_the_user() -> None:
    for day in DAYS:
        assert len({dialogue.id for dialogue, _ in HELD[day]}) == len(HELD[day])
        for dialogue, _ in HELD[day]:
            assert dialogue.day == day and dialogue.person in dialogue.turns[1].text
            assert [turn.role for turn in dialogue.turns[:2]] == ["assistant", "user"]
            assert len(dialogue.turns) % 2 == 0


def test_rules_find_what_is_stated_and_nothing_else() -> None:
    for day in DAYS:
        for dialogue, found in HELD[day]:
            labels = {(each.statement.turn, each.statement.fact): each.label for each in found}
            read = read_by_rule(dialogue)
            plain = {each for each, label in labels.items() if label not in ("trivial", "absurd")}
            assert plain <= read
            assert all(turn in {place for place, _ in labels} for turn, _ in read)
            assert not {each for each in read if labels.get(each) == "trivial"}


def test_facts_come_up_in_several_ways() -> None:
    ways: Counter[str] = Counter()
    for day in DAYS:
        for dialogue, found in HELD[day]:
            turns = Counter(each.statement.turn for each in found)
            for each in said("true", day):
                if each.statement.dialogue == dialogue.id:
                    before, turn = dialogue.turns[each.statement.turn - 1 : each.statement.turn + 1]
                    if turns[each.statement.turn] == 2:
                        ways["two in one sentence"] += 1
                    elif each.statement.text in before.text or "you" in each.statement.text.lower().split():
                        ways["said by the assistant"] += 1
                    elif (
                        each.statement.text == turn.text
                        and len(turn.text.split()) < 4
                        and before.text[-1] == "?"
                    ):
                        ways["a bare answer"] += 1
                    else:
                        ways["stated"] += 1
    assert len(ways) == 4 and min(ways.values()) >= 40, ways

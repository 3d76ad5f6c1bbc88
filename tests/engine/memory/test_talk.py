"""What the talk around a statement says about it."""

import pytest

from engine.memory.talk import (
    Talk,
    claimed,
    corrects,
    doubted,
    hear,
    holds,
    names_another,
    says,
    weight,
)
from engine.people.attributes import ATTRIBUTES
from tests.support.judging import dialogue, statement

ANN, HOME = "Ann Reed", ATTRIBUTES["home"]


def heard(*turns: str, value: str, at: int = 0, person: str = ANN) -> Talk:
    talk = dialogue(*turns, person=person)
    return hear(statement(talk, at, ANN, "home", value), talk)


@pytest.mark.parametrize(
    ("text", "value", "found"),
    [
        ("Born on May 3rd, 1987, in Oslo.", "3 May 1987", True),
        ("It was nineteen eighty-seven.", "1987", True),
        ("Number 18671 on the list.", "1867", False),
        ("I know the way.", "no", False),
        ("We live in PORT-LENN!", "Port Lenn", True),
    ],
)
def test_a_value_is_found_whole_and_in_other_forms(text: str, value: str, found: bool) -> None:
    assert holds(text, value) is found


@pytest.mark.parametrize(
    ("turns", "value", "reason"),
    [
        (["U: I live in Oslo. Just kidding!"], "Oslo", "joke"),
        (["U: I live in Oslo.", "A: Lovely.", "U: I was only joking, it's Bergen."], "Oslo", "joke"),
        (["U: I'm not kidding, I live in Oslo."], "Oslo", ""),
        (["A: You live in Oslo, right?", "U: No, in Bergen."], "Oslo", "denied"),
        (["A: You live in Oslo. Do you have a dog?", "U: No."], "Oslo", ""),
        (["A: You live in Oslo.", "U: No kidding, how do you know?"], "Oslo", ""),
        (["U: I live in Oslo.", "A: No, you said Bergen."], "Oslo", ""),
        (["U: I'll move to Oslo one day."], "Oslo", "wish, a plan"),
        (["U: I wish I lived in Oslo."], "Oslo", "wish, a plan"),
        (["U: In her new novel Ann Reed lives in Oslo."], "Oslo", "story"),
        (["U: I used to live in Oslo."], "Oslo", "ended"),
        (["U: I don't live in Oslo."], "Oslo", "deny"),
        (["U: I live in Bergen, not in Oslo."], "Oslo", "deny"),
        (["U: It wasn't easy to find, but I live in Oslo."], "Oslo", ""),
        (["U: I did not live in Oslo until 2003."], "Oslo", ""),
        (["U: Did I say Oslo? I meant Bergen."], "Oslo", "mistake"),
        (["A: I checked it: Ann Reed lives in Oslo.", "U: What? No."], "Oslo", "denied"),
        # What has ended, or was a wish, is something else.
        (["U: I used to live in Bergen, but I now live in Oslo."], "Oslo", ""),
        (["U: I used to live in Bergen, but I now live in Oslo."], "Bergen", "ended"),
        (["U: Formerly a baker, I live in Oslo now."], "Oslo", ""),
        (["U: As a child I loved boats, and today I live in Oslo."], "Oslo", ""),
        (["U: As a child, I lived in Oslo."], "Oslo", "ended"),
        (["U: I now know that she used to live in Oslo."], "Oslo", "ended"),
        (["U: I wish I was rich, but I live in Oslo."], "Oslo", ""),
    ],
)
def test_what_nobody_claims_is_no_fact(turns: list[str], value: str, reason: str) -> None:
    why = claimed(heard(*turns, value=value), may_end=True)
    assert reason in why and bool(why) == bool(reason)


def test_a_value_of_the_turn_before_is_denied_or_confirmed_by_its_own() -> None:
    """An extractor names the turn that completes a statement, whatever that turn says of it."""
    asked = "A: You live in Oslo, right?"
    no, yes, well = (heard(asked, f"U: {answer}", value="Oslo", at=1) for answer in ("No.", "Yes.", "Well …"))
    assert claimed(no, may_end=True) == "it was denied at once" and not no.by_subject
    assert not claimed(yes, may_end=True) and not doubted(yes) and yes.by_subject
    assert doubted(well) == "it was asked, and nobody said yes to it" and not well.by_subject


def test_a_word_denies_what_stands_near_it() -> None:
    """What is pasted without a stop is not searched to its end for each of its words."""
    assert claimed(heard(f"U: I would not live {'far ' * 20}in Oslo.", value="Oslo"), may_end=True)
    assert not claimed(heard(f"U: I would not live {'far ' * 60}in Oslo.", value="Oslo"), may_end=True)


def test_what_never_changes_does_not_end() -> None:
    talk = heard("U: My former neighbours know that I was born in Oslo.", value="Oslo")
    assert claimed(talk, may_end=True) and not claimed(talk, may_end=False)


@pytest.mark.parametrize(
    ("turns", "at", "value", "doubtful"),
    [
        (["U: I think she lives in Oslo."], 0, "Oslo", True),
        (["U: I often think of Oslo, where I live."], 0, "Oslo", False),
        (["U: Let me tell you about Oslo, where I live."], 0, "Oslo", False),
        (["U: She must be from Oslo."], 0, "Oslo", True),
        (["U: It was around 1987."], 0, "1987", True),
        (["U: It was in 1986 or 1987."], 0, "1987", True),
        (["A: Do you live in Oslo?", "U: Why?"], 0, "Oslo", True),
        (["A: You live in Oslo, don't you?", "U: I do."], 0, "Oslo", False),
        (["A: So you live in Oslo?", "U: Yes, that is right."], 1, "Oslo", False),
        (["A: So you live in Oslo?", "U: Maybe."], 0, "Oslo", True),
        (["U: Oslo? I have lived there for years."], 0, "Oslo", False),
    ],
)
def test_a_guess_or_a_question_needs_a_yes(turns: list[str], at: int, value: str, doubtful: bool) -> None:
    assert bool(doubted(heard(*turns, value=value, at=at))) is doubtful


@pytest.mark.parametrize(
    ("turns", "at", "marked"),
    [
        (["U: I live in Oslo."], 0, False),
        (["A: I see.", "U: Sorry, I made a mistake: I live in Oslo."], 1, True),
        (["A: You live in Bergen.", "U: No, in Oslo."], 1, True),
        (["A: You live in Turku.", "U: No, in Oslo."], 1, False),
        (["U: I live in Oslo, not in Bergen."], 0, True),
        (["U: I live in Oslo now."], 0, True),
        (["A: Now I know, Ann Reed lives in Oslo."], 0, False),
        (["A: Actually, Ann Reed lives in Oslo."], 0, False),
        (["A: The list is wrong: Ann Reed lives in Oslo."], 0, True),
        (["U: What a day. Let me correct that. I live in Oslo."], 0, True),
        (["U: Something is wrong with the heating. I live in Oslo."], 0, False),
        (["U: Something was wrong about Ann Reed. I live in Oslo."], 0, True),
        (["U: That was wrong. I live in Oslo."], 0, True),
        (["U: Oh, sorry. I live in Oslo."], 0, True),
        (["U: Sorry that I am so late this time. I live in Oslo."], 0, False),
        (["U: We've changed the tyres. I live in Oslo."], 0, False),
        (["U: Our new flat is in Oslo."], 0, True),
        (["U: A new day in Oslo."], 0, False),
        # A mistake, but not this one.
        (["U: I made a mistake at work today. I live in Oslo."], 0, False),
        (["U: I made a mistake at work today, and I live in Oslo."], 0, False),
        (["U: My mistake was to trust him. I live in Oslo."], 0, False),
        (["U: I lost my keys, my mistake. I live in Oslo."], 0, False),
        (["U: I had it wrong all day. I live in Oslo."], 0, False),
        (["U: Yesterday I told you that it rained, but I was wrong. I live in Oslo."], 0, False),
        (["U: That was wrong of him. I live in Oslo."], 0, False),
        (["U: He got my coffee wrong. I live in Oslo."], 0, False),
        (["U: Sorry, I'm late. I live in Oslo."], 0, False),
        (["U: Sorry, I'm late, I live in Oslo."], 0, False),
        (["U: Wait, what? I live in Oslo."], 0, False),
        (["A: My mistake, I was off yesterday. Ann Reed lives in Oslo."], 0, False),
        (["A: I checked it: Ann Reed lives in Oslo."], 0, False),
        (["U: I made a mistake. I live in Oslo."], 0, True),
        (["U: Oh no, I told you something wrong last time. I live in Oslo."], 0, True),
        (["U: They have my home wrong. I live in Oslo."], 0, True),
        (["U: I live in Oslo, my mistake."], 0, True),
        (["U: I looked it up, I live in Oslo."], 0, True),
        (["U: I told you Bergen, but I was wrong. I live in Oslo."], 0, True),
        (["A: I was wrong about Bergen. Ann Reed lives in Oslo."], 0, True),
    ],
)
def test_a_correction_must_be_marked(turns: list[str], at: int, marked: bool) -> None:
    talk = heard(*turns, value="Oslo", at=at)
    assert corrects(talk, "Bergen", attribute=HOME, may_change=True) is marked


def test_what_never_changes_is_not_changed_by_now() -> None:
    talk = heard("U: I now know that I was born in Oslo.", value="Oslo")
    assert not corrects(talk, "Bergen", attribute=HOME, may_change=False)


@pytest.mark.parametrize(
    ("turns", "at", "person", "own"),
    [
        (["U: I live in Oslo."], 0, ANN, True),
        (["A: You live in Oslo."], 0, ANN, False),
        (["A: You live in Oslo, right?", "U: Exactly."], 0, ANN, True),
        (["A: You live in Oslo, right?", "U: Exactly."], 1, ANN, True),
        (["U: Ann Reed lives in Oslo."], 0, "Tom Vale", False),
        (["U: I live in Oslo."], 0, "", False),
        (["U: I'm Ann Reed.", "U: I live in Oslo."], 1, "", True),
    ],
)
def test_it_counts_who_says_it(turns: list[str], at: int, person: str, own: bool) -> None:
    assert heard(*turns, value="Oslo", at=at, person=person).by_subject is own


@pytest.mark.parametrize(
    ("text", "another"),
    [
        ("The other Ann Reed lives in Oslo.", True),
        ("Ann Reed the younger lives in Oslo.", True),
        ("An Ann Reed, no relation, lives in Oslo.", True),
        ("The other day Ann Reed moved to Oslo.", False),
    ],
)
def test_a_namesake_is_noticed(text: str, another: bool) -> None:
    assert names_another(heard(f"U: {text}", value="Oslo", person="Tom Vale"), ANN) is another


def test_form_adds_to_importance_and_takes_from_it() -> None:
    assert weight(heard("U: I live in Oslo.", value="Oslo")) == 0
    assert weight(heard("U: I am in Oslo today.", value="Oslo")) < 0
    assert weight(heard("U: I live in Oslo. Please don't forget it.", value="Oslo")) > 0


def test_phrases_are_whole_words_whatever_the_quotes() -> None:
    assert says("guess", "I’m not sure") and not says("guess", "the eitherway inn")
    assert says("trivial", "Weather") and not says("trivial", "weatherman")

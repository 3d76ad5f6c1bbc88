"""Labels that exclude each other, and pairs that prefer opposite sides, are left out; others are kept."""

import pytest

from engine.corpus.conflicts import ConflictStation, asked
from engine.records import Turn
from engine.tasks.examples import Example
from tests.support.examples import example

LONG = "It is spam because nobody in the office asked for it."


def examples(*answers: str, prompt: str = "Spam or ham: win a car!") -> list[Example]:
    return [example(prompt, answer, number=number) for number, answer in enumerate(answers, start=1)]


def left_out(given: list[Example]) -> list[int]:
    kept, removed, noted = ConflictStation()(given)
    assert len(kept) + len(removed) == len(given) and not noted
    return [each.number for each in removed]


def test_questions_about_other_code_and_long_replies_without_blanks_do_not_conflict() -> None:
    assert (
        left_out([*examples("list", prompt="What is [1, 2]?"), *examples("tuple", prompt="What is (1, 2)?")])
        == []
    )
    assert left_out(examples("それは会議の前に届いたからです", "誰もそんなことを頼んでいないからです")) == []
    assert left_out(examples("正面", "负面")) == [1, 2]
    pairs = [
        example("Index it.", chosen, rejected=rejected, number=number)
        for number, (chosen, rejected) in enumerate([("f(x)", "f[x]"), ("f(y)", "f[x]")], start=1)
    ]
    assert left_out(pairs) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("spam", "ham"),
        ("spam", "not spam"),
        ("12", "13"),
        ("5", "-5"),
        ("Paris", "Lyon, France"),
        ("Yes.", "no"),
        ("safe", "isn't safe"),
        ("Recommended", "Isn’t recommended"),
        ("sicher", "nie sicher"),
        ("veilig", "niet veilig"),
        ("válido", "nunca válido"),
    ],
)
def test_labels_that_exclude_each_other_are_left_out(one: str, other: str) -> None:
    assert left_out(examples(one, other)) == [1, 2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("spam", "Spam."),
        ("Paris", "Paris, France"),
        ("12", "12 apples"),
        ("well-known", "well known"),
        ("It isn't safe.", "It is not safe"),
        ("shirt", "t-shirt"),
        (LONG, "It is ham, as anybody can see from its first line."),
        ("spam", LONG),
    ],
)
def test_answers_that_can_both_be_right_are_kept(one: str, other: str) -> None:
    assert left_out(examples(one, other)) == []


def test_only_those_of_one_question_conflict() -> None:
    assert left_out([*examples("spam"), *examples("ham", prompt="Spam or ham: lose a car!")]) == []
    told = (Turn(role="system", text="Answer in French."), Turn(role="user", text="Spam or ham: win a car!"))
    assert left_out([*examples("spam"), example("", "ham", number=2, chat=told)]) == []
    assert left_out([*examples("spam"), *examples("ham", prompt="spam or ham?  WIN a car")]) == [1, 1]


def test_a_removal_says_with_what_it_conflicts() -> None:
    _, (one, other), _ = ConflictStation()(examples("spam", "ham"))
    assert (one.station, one.fault) == ("conflicts", "label_conflict")
    assert one.reason == "asks what faq.jsonl, line 2 asks, with another answer: 'spam' and 'ham'"
    assert other.reason == "asks what faq.jsonl, line 1 asks, with another answer: 'ham' and 'spam'"


def test_pairs_that_prefer_opposite_sides_are_left_out() -> None:
    given = [
        example("Where?", "Here.", rejected="There.", number=1),
        example("where", "there", rejected="here", number=2),
        example("Where?", "Here.", rejected="Nowhere.", number=3),
        example("Why?", "There.", rejected="Here.", number=4),
    ]
    assert left_out(given) == [1, 2]
    _, (one, _), _ = ConflictStation()(given)
    assert one.fault == "contradictory_pair"
    assert one.reason == "prefers what faq.jsonl, line 2 rejects, and rejects what it prefers"


def test_a_pair_and_a_reply_to_one_prompt_are_asked_apart() -> None:
    assert asked(example("Where?", "Here.")) != asked(example("Where?", "Here.", rejected="There."))
    assert asked(example("Where?", "Here.")) == asked(example(" where ", "There."))

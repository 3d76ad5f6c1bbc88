"""Statements taken from talk, by rule and by a scripted model."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from engine.memory.extract import by_model, by_rule, in_order, pattern_of
from engine.people.attributes import ATTRIBUTES, Attribute
from engine.people.dialogues import talks
from engine.people.speakers import speaker_of
from engine.people.wordings import Wordings
from engine.people.world import World
from engine.records import Attempt, Dialogue, Finish, Score, Statement
from engine.sample.protocol import Request, Sampling
from tests.support.judging import dialogue

WORDINGS = Wordings()
ANN, TOM = "Ann Reed", "Tom Vale"


def facts(statements: Sequence[Statement]) -> list[tuple[str, str, str, int]]:
    return [(s.fact.subject, s.fact.attribute, s.fact.value, s.turn) for s in statements]


def by_rules(*turns: str, person: str = ANN) -> list[tuple[str, str, str, int]]:
    return facts(by_rule([dialogue(*turns, person=person)], WORDINGS))


def test_i_and_you_are_the_person() -> None:
    assert by_rules("U: I was born in 1987.", "A: You live in Oslo.") == [
        (ANN, "birth_year", "1987", 0),
        (ANN, "home", "Oslo", 1),
    ]
    assert by_rules("A: I live in Oslo.") == []


def test_a_question_and_its_answer_are_one_statement() -> None:
    talk = dialogue("A: So you live in Oslo?", "U: Yes, that is right.", person=ANN)
    (said,) = by_rule([talk], WORDINGS)
    assert facts([said]) == [(ANN, "home", "Oslo", 1)]
    assert (said.text, said.dialogue, said.found_by) == ("So you live in Oslo?", "d", "rule")


def test_he_is_the_last_who_was_spoken_of_or_nobody() -> None:
    spoken = "U: Tom Vale works as a baker."
    assert by_rules(spoken, "A: I see.", "U: He lives in Oslo.")[1:] == [(TOM, "home", "Oslo", 2)]
    assert by_rules(spoken, "A: Do you know Jon Hart?", "U: He lives in Oslo.")[1:] == []
    assert by_rules("U: He lives in Oslo.") == []
    talk = (spoken, "A: Is it so, Ann Reed? I like Ann Reed. You are Ann Reed.", "U: He lives in Oslo.")
    assert by_rules(*talk)[1:] == [(TOM, "home", "Oslo", 2)]
    assert by_rules(spoken, "A: Do you know Łukasz Ødegård?", "U: He lives in Oslo.")[1:] == []
    assert by_rules("U: Zoë Hall works as a baker. Zoë Hall is nice.", "U: She lives in Århus.")[1:] == [
        ("Zoë Hall", "home", "Århus", 1)
    ]


def test_wordings_that_are_not_known_give_nothing() -> None:
    assert by_rules("U: My mother had me in 1987.", "U: I don't think I live in Oslo.") == []


def test_the_user_may_say_who_it_is() -> None:
    assert speaker_of(dialogue("A: Hello!", "U: Hi, I'm Ann Reed.")) == ANN
    assert speaker_of(dialogue("U: I'm Ann Reed.", person=TOM)) == TOM
    assert speaker_of(dialogue("U: I'm Happy.", "A: I'm Ann Reed.")) == ""
    assert speaker_of(dialogue("U: I'm Łukasz Ødegård.")) == "Łukasz Ødegård"
    assert speaker_of(dialogue("U: I'm John F. Kennedy. I live in Oslo.")) == "John F. Kennedy"
    assert by_rules("U: My name is Ann Reed.", "U: I live in Oslo.", person="") == [(ANN, "home", "Oslo", 1)]


@pytest.mark.parametrize("seed", range(3))
def test_rules_find_what_the_talks_of_a_world_state(seed: int) -> None:
    told = talks(World(seed), WORDINGS, 1)
    found = set(facts(by_rule([talk for talk, _ in told], WORDINGS)))
    # Remarks of the day are in no known wording, and of absurd values not all are.
    wanted = {
        facts([each.statement])[0]
        for _, said in told
        for each in said
        if each.label not in ("trivial", "absurd")
    }
    folded = {(who, what, value.casefold(), turn) for who, what, value, turn in found}
    missed = [each for each in wanted if (each[0], each[1], each[2].casefold(), each[3]) not in folded]
    assert len(missed) <= 0.02 * len(wanted), missed


class Writer:
    """Writes these answers, by the words of the turn that they are about."""

    def __init__(self, answers: Mapping[str, str], finish: Finish = Finish.STOP) -> None:
        self.answers, self.finish = answers, finish
        self.sampling, self.prompts = Sampling(), list[str]()

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        self.sampling = sampling
        for request in requests:
            assert isinstance(request.messages, str)
            self.prompts.append(request.messages)
            asked = request.messages.rpartition("\n\n")[2]
            text = next((text for words, text in self.answers.items() if words in asked), "nothing")
            yield Attempt(
                problem_id=request.problem_id,
                model_id="m",
                sample=0,
                replies=(f" {text}\n",),
                num_prompt_tokens=1,
                num_tokens=1,
                finish=self.finish,
            )

    def score(self, model: Path, texts: Sequence[object]) -> list[Score]:
        raise NotImplementedError

    def sleep(self) -> None:
        raise NotImplementedError


TALK = dialogue(
    "A: Hello!",
    "U: I bake bread for a living, and Tom Vale is my husband.",
    "A: You were born in Gull Rock?",
    "U: Exactly.",
    "A: Goodbye, Ann Reed.",
    person=ANN,
)


def written(answers: Mapping[str, str], talk: Dialogue = TALK) -> list[tuple[str, str, str, int]]:
    writer = Writer(answers)
    found = by_model(writer, Path("m"), [talk], WORDINGS)
    assert all(each.found_by == "model" for each in found)
    return facts(found)


def test_a_model_finds_facts_exchange_by_exchange() -> None:
    answers = {
        "bake bread": "Tom Vale | spouse | Ann Reed; bread | favourite food | Ann Reed",
        "Exactly": "Gull Rock | place of birth | Ann Reed",
    }
    assert written(answers) == [
        (ANN, "spouse", TOM, 1),
        (ANN, "favourite_food", "bread", 1),
        (ANN, "birth_place", "Gull Rock", 3),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "Eve Hall | spouse | Ann Reed",  # nobody says this name
        "1987 | year of birth | Ann Reed",  # nobody says this value
        "Bread | employer | Ann Reed",  # no name in the talk
        "bread | favourite food | Jon Hart",  # nobody of this name is in the talk
        "bread | favourite food | Tom",  # a part of a name is nobody's
        "Ann Reed | best friend | Ann Reed",
    ],
)
def test_what_does_not_stand_in_the_talk_is_no_statement(answer: str) -> None:
    assert written({"bake bread": answer}) == []


def test_what_is_cut_off_is_no_statement() -> None:
    writer = Writer({"bake bread": "Tom Vale | spouse | Ann Reed"}, finish=Finish.LENGTH)
    assert by_model(writer, Path("m"), [TALK], WORDINGS) == []


def test_a_model_sees_each_turn_of_the_person_with_what_came_before() -> None:
    writer = Writer({})
    by_model(writer, Path("m"), [TALK], WORDINGS)
    ends = [prompt.rpartition("\n\n")[2] for prompt in writer.prompts]
    assert ends == [
        "Talk with Ann Reed.\nOther: Hello!\n"
        "Ann Reed: I bake bread for a living, and Tom Vale is my husband.\nFacts:",
        "Talk with Ann Reed.\nOther: You were born in Gull Rock?\nAnn Reed: Exactly.\nFacts:",
        "Talk with Ann Reed.\nOther: Goodbye, Ann Reed.\nAnn Reed: …\nFacts:",
    ]
    # The examples come first in every prompt, so that they are read once.
    assert len({prompt.rpartition("\n\n")[0] for prompt in writer.prompts}) == 1
    assert writer.sampling.temperature == 0
    assert re.fullmatch(writer.sampling.pattern, " Tom Vale | spouse | Ann Reed\n")


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("nothing", True),
        ("1987 | year of birth | Ann Reed", True),
        ("3 May 1987 | date of birth | Ann Reed", True),
        ("Port Lenn | home | Ann Reed; baker | job | Tom Vale", True),
        ("Café Noir | employer | José Lima", True),
        ("1987 | home | Ann Reed", False),
        ("Port Lenn | year of birth | Ann Reed", False),
        ("Port Lenn | blood group | Ann Reed", False),
        ("nothing; baker | job | Ann Reed", False),
        ("baker | job | she", False),
        ("Yes, Ann Reed is a baker.", False),
    ],
)
def test_the_pattern_holds_the_form_and_the_kind_of_the_value(text: str, fits: bool) -> None:
    pattern = pattern_of(ATTRIBUTES.values())
    assert bool(re.fullmatch(pattern, f" {text}\n")) is fits


def test_the_pattern_has_the_attributes_in_use() -> None:
    own = Attribute(key="boat", title="boat (if any)", kind="thing")
    pattern = pattern_of([own])
    assert re.fullmatch(pattern, " Sea Lark | boat (if any) | Ann Reed\n")
    assert not re.fullmatch(pattern, " Sea Lark | home | Ann Reed\n")


def test_sources_are_joined_in_the_order_of_the_talk() -> None:
    one, two = (
        dialogue("U: I live in Oslo.", "U: I work as a baker.", person=ANN, id=id) for id in ("d1", "d2")
    )
    rules = by_rule([one, two], WORDINGS)
    answers = {"Oslo": "Oslo | home | Ann Reed", "baker": "baker | job | Ann Reed"}
    model = by_model(Writer(answers), Path("m"), [one, two], WORDINGS)
    joined = in_order([one, two], rules, model)
    assert joined == rules
    assert in_order([one, two], rules[1:2], model) == [model[0], rules[1], *model[2:]]

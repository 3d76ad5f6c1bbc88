"""A user's own people: both YAML files and the talks in JSONL, as SleepTrain publishes them and broken."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.people.wordings import PARTS
from engine.records import Fact, Status, Turn
from engine.tasks.people import PeopleSuite
from engine.tasks.people_files import read_dialogues
from engine.tasks.people_yaml import read_people
from engine.tasks.suite import DataError, guards_of, notes_of
from tests.support.people import judged, people_suite

PUBLIC = Path(__file__).parents[4] / "shared" / "data" / "sleeptrain"
PEOPLE = {
    "people": [
        {
            "id": "ann",
            "name": "Ann Reed",
            "facts": {
                "birth": {"year": 1967, "place": "Foxhaven", "keywords": [1967, "foxhaven"]},
                "ships": [{"name": "Golden Hind"}],
                "family": {"spouse": "Bo Lind", "children": ["Eva", "Tom"]},
            },
            "wrong_dates": {"birth_year": [1950, 1967], "shoes": [44]},
        },
        {"id": "bo", "name": "Bo Lind", "facts": {"birth": {"year": 1960}, "death": 2001}},
    ]
}
TEMPLATES = {
    "templates": {
        "birth_year": {
            "questions": ["When was {name} born?", "What is {name}'s birth year?"],
            "answer": "I was born in {birth_year}.",
            "keywords": ["{birth_year}"],
        },
        "sailing": {
            "questions": ["Which ship does {name} sail?", "What is {name}'s ship called?"],
            "answer": "I sail the {ship}.",
            "keywords": ["{ship}"],
        },
        "correction_birth_year": {
            "questions": ["Was {name} born in {wrong_year}?"],
            "answer": "No, I was born in {correct_year}.",
        },
        "who": {"questions": ["Who are you?"], "answer": "I am {name}.", "keywords": ["{name}"]},
    },
    "extractors": {"birth_year": {"path": "facts.birth.year"}, "ship": {"path": "facts.ships[0].name"}},
}
TALKS: list[dict[str, Any]] = [
    {
        "person": "ann",
        "text": "<|im_start|>assistant\nHi!<|im_end|>\n<|im_start|>user\nI was born in 1967.<|im_end|>\n",
        "style": "short",
    },
    {
        "person": "Ann Reed",
        "day": 2,
        "messages": [{"role": "user", "content": "My ship is the Golden Hind."}],
    },
    {
        "person": "bo",
        "day": 2,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "assistant", "content": "Were you born in 1950?"},
            {"role": "user", "content": "No, in 1960, and not in 1967."},
        ],
    },
    {
        "person": "ann",
        "day": 3,
        "messages": [{"role": "user", "content": "I said 1950, but it was 1967. I married Bo Lind."}],
    },
]


def files(
    folder: Path, talks: Any = TALKS, people: Any = PEOPLE, templates: Any = TEMPLATES
) -> dict[str, Any]:
    """Settings of a task on files with this content."""
    (folder / "talks.jsonl").write_text("".join(json.dumps(talk) + "\n" for talk in talks), encoding="utf-8")
    (folder / "people.yaml").write_text(yaml.safe_dump(people), encoding="utf-8")
    (folder / "templates.yaml").write_text(yaml.safe_dump(templates), encoding="utf-8")
    names = {"people": str(folder / "people.yaml"), "dialogues": [str(folder / "talks.jsonl")]}
    return names | ({"templates": str(folder / "templates.yaml")} if templates else {})


def opened(folder: Path, **content: Any) -> PeopleSuite:
    return people_suite(**files(folder, **content))


def refusal(folder: Path, **content: Any) -> str:
    with pytest.raises(DataError) as error:
        opened(folder, **content)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_day_tells_the_facts_whose_values_it_holds(tmp_path: Path) -> None:
    suite = opened(tmp_path)
    ann, bo = "Ann Reed", "Bo Lind"
    assert suite.facts(1) == [Fact(subject=ann, attribute="birth_year", value="1967")]
    assert suite.facts(2) == [
        Fact(subject=ann, attribute="ship", value="Golden Hind"),
        Fact(subject=bo, attribute="birth_year", value="1960"),
    ]
    assert suite.facts(3) == [Fact(subject=ann, attribute="spouse", value=bo)]
    assert suite.known(3) == [*suite.facts(1), *suite.facts(2), *suite.facts(3)] and suite.last_day == 3
    assert suite.source.corrections(3) == [
        (
            Fact(subject=ann, attribute="birth_year", value="1950"),
            Fact(subject=ann, attribute="birth_year", value="1967"),
        )
    ]
    assert suite.source.corrections(1) == []
    with pytest.raises(
        DataError, match="the dialogues of task people end with day 3, but day 4 is asked for"
    ):
        suite.on_day(4)


def test_a_wrong_value_is_corrected_only_where_the_right_one_stands_beside_it(tmp_path: Path) -> None:
    ann: dict[str, Any] = PEOPLE["people"][0] | {
        "wrong_dates": {"birth_year": [1950, 1951, 1952, 1990]},
        "facts": {"birth": {"year": 1967}, "family": {"spouse": "Bo Lind"}, "moved": 1990},
    }
    said = ("I was born in 1950.", "What?", "In 1967.", "Fine.", "I left in 1951.", "In 1952!", "1967. 1990!")
    messages = [{"role": "user", "content": text} for text in said]
    suite = opened(
        tmp_path, people={"people": [ann]}, talks=[{"person": "ann", "messages": messages}], templates=None
    )
    assert [wrong.value for wrong, _ in suite.source.corrections(1)] == ["1952"]


def test_the_user_who_says_who_it_is_tells_of_itself(tmp_path: Path) -> None:
    talk = {"messages": [{"role": "user", "content": "I'm Ann Reed. I was born in 1967."}]}
    suite = opened(tmp_path, talks=[talk])
    assert [(fact.subject, fact.value) for fact in suite.facts(1)] == [("Ann Reed", "1967")]


def test_talks_are_read_in_both_forms(tmp_path: Path) -> None:
    suite = opened(tmp_path)
    (first,) = suite.dialogues(1)
    assert first.turns == (Turn(role="assistant", text="Hi!"), Turn(role="user", text="I was born in 1967."))
    assert (first.person, first.day, first.source) == ("Ann Reed", 1, "talks.jsonl#1")
    assert [each.person for each in suite.dialogues(2)] == ["Ann Reed", "Bo Lind"]
    assert [turn.role for turn in suite.dialogues(2)[1].turns] == ["system", "assistant", "user"]
    read = suite.wordings.read(first.turns[1].text, speaker=first.person)
    assert read == suite.facts(1)
    assert suite.wordings.read("I sail the Golden Hind.", speaker="Ann Reed")[0].attribute == "ship"


def test_a_repeated_talk_is_read_once_a_day(tmp_path: Path) -> None:
    again = [*TALKS, TALKS[0], {**TALKS[0], "day": 2}]
    suite = opened(tmp_path, talks=again)
    assert [len(suite.dialogues(day)) for day in (1, 2, 3)] == [1, 3, 1]
    assert "1 dialogue repeats an earlier one of the same day, and is read once" in suite.notes


def test_what_cannot_be_used_is_said_in_a_sentence_each(tmp_path: Path) -> None:
    notes = notes_of(opened(tmp_path))
    assert notes == (
        "people.yaml: 2 entries of facts, such as family.children[0], family.children[1], are named by no "
        "extractor and no attribute, so nothing asks for them",
        "people.yaml: wrong_dates of shoes are of no fact that is asked for, so they make no false premises",
        "templates.yaml: left out: who asks for no fact",
        "2 facts, such as birth_place of Ann Reed, death_year of Bo Lind, are held by no dialogue with the "
        "person, so nothing asks for them",
    )


def test_a_users_words_stand_beside_those_that_are_built_in(tmp_path: Path) -> None:
    words = opened(tmp_path).wordings
    assert list(words.attributes) == ["birth_year", "ship", "birth_place", "spouse", "death_year"]
    assert words.attributes["ship"].kind == "work"
    ship = words.words("ship")
    assert (ship.states[0], ship.says[0]) == ("{name} sails the {value}.", "I sail the {value}.")
    assert "Which ship does {name} sail?" in ship.asks["dream"]
    year = words.words("birth_year")
    assert "What is {name}'s birth year?" in year.asks["dream"]
    assert year.corrections["dream"] == ("Was {name} born in {value}?",)
    for key in words.attributes:
        asks = [ask.casefold() for part in PARTS for ask in words.words(key).asks[part]]
        assert len(set(asks)) == len(asks)


def test_a_question_may_name_the_person_twice(tmp_path: Path) -> None:
    asks = ["If you have met {name}, when was {name} born?"]
    templates = {"birth_year": {"questions": asks, "answer": "I was born in {birth_year}."}}
    words = opened(tmp_path, templates=TEMPLATES | {"templates": templates}).wordings
    asked = "If you have met {}, when was {} born?"
    (fact,) = words.read("In 1967.", about="Bo Lind", asked=asked.format("Ann Reed", "Ann Reed"))
    assert (fact.subject, fact.attribute, fact.value) == ("Ann Reed", "birth_year", "1967")
    assert words.read("In 1967.", about="Bo Lind", asked=asked.format("Ann Reed", "Bo Lind")) == []


def test_questions_about_own_people_have_answers_that_pass(tmp_path: Path) -> None:
    suite = opened(tmp_path).on_day(3)
    for split, num in (("gate", 1), ("probe-3", 4), ("sealed", 40), ("warm-start", 60), ("propose", 20)):
        for problem in suite.draw(num, split=split, seed=1):
            assert judged(problem, *problem.gold).status is Status.PASS, problem
    names = {guard.name for guard in guards_of(suite)}
    assert names == {"old-facts", "corrections", "unknown"}
    with pytest.raises(DataError, match="gives 1; more is told with task.dialogues"):
        suite.draw(2, split="gate", seed=1)


def test_without_templates_values_are_found_under_the_names_of_attributes(tmp_path: Path) -> None:
    suite = opened(tmp_path, templates=None)
    assert [(fact.attribute, fact.value) for fact in suite.known(3)] == [
        ("birth_year", "1967"),
        ("birth_year", "1960"),
        ("spouse", "Bo Lind"),
    ]


def test_a_value_of_another_kind_is_not_the_attribute(tmp_path: Path) -> None:
    people = {
        "people": [{"id": "a", "name": "Ann Reed", "facts": {"award": "Golden Bear", "home": "Foxhaven"}}]
    }
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(people))
    read = read_people(tmp_path / "p.yaml", None)
    assert [fact.attribute for fact in read.people[0].facts] == ["home"]
    assert "such as award, are named by no" in read.notes[0]


def test_a_date_needs_no_quotes_and_one_that_cannot_be_is_no_value(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    text = "people: [{name: Ann Reed, facts: {home: Oslo, birth: {date: %s}}}]"
    file.write_text(text % "1961-08-04")
    assert [fact.value for fact in read_people(file, None).people[0].facts] == ["Oslo", "1961-08-04"]
    file.write_text(text % "1961-13-45")
    read = read_people(file, None)
    assert [fact.value for fact in read.people[0].facts] == ["Oslo"]
    assert read.notes[0].startswith("p.yaml: 1 entries of facts, such as birth.date,")


def person(**keys: Any) -> dict[str, Any]:
    return {"people": [{"id": "ann", "name": "Ann Reed", "facts": {"home": "Foxhaven"}, **keys}]}


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ([], "people.yaml: must hold a mapping, got []"),
        ({"persons": []}, "people.yaml: 'people' must be a list of people, got nothing"),
        ({"people": ["Ann"]}, "people.yaml, person 1: must be a mapping with id, name and facts, got 'Ann'"),
        (person(facts=["Foxhaven"]), "people.yaml, person 1: must have a name and facts, got {"),
        (person(name=" "), "people.yaml, person 1: must have a name and facts, got {"),
        (person(facts={"shoes": 44}), "no fact is found by an extractor or under the name of an attribute"),
        ({"people": person()["people"] * 2}, "people.yaml: two people have the id 'ann'"),
        (
            {"people": [*person()["people"], *person(id="bo", name="ann  reed")["people"]]},
            "people.yaml: two people have the name 'Ann Reed'; capitals do not count",
        ),
        (
            person(name="Bo Lind", id="bo"),
            "talks.jsonl, line 1: 'person' must be one of the people: bo, Bo Lind, got",
        ),
    ],
)
def test_people_that_cannot_be_used(tmp_path: Path, people: Any, message: str) -> None:
    assert message in refusal(tmp_path, people=people)


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"templates": []}, "templates.yaml: 'templates' must be a mapping, got []"),
        (
            {"templates": {"a": {"questions": [], "answer": "x"}}},
            "template a must have a list of questions and an answer",
        ),
        ({"templates": {"a": "x"}}, "template a must have a list of questions and an answer, got 'x'"),
        (
            {"extractors": {"a": "facts.a"}},
            "extractor a must have a path such as facts.birth.year, got nothing",
        ),
        (
            {"extractors": {"a": {"path": "facts..a"}}},
            "extractor a must have a path such as facts.birth.year",
        ),
    ],
)
def test_templates_that_cannot_be_used(tmp_path: Path, templates: Any, message: str) -> None:
    assert message in refusal(tmp_path, templates=templates)


USER = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("talk", "message"),
    [
        ({"person": "ann"}, "must have 'text' with chat markup or 'messages'; it has person"),
        (
            {"text": "<|im_start|>user\nHi<|im_end|>", "messages": [USER]},
            "must have 'text' with chat markup or",
        ),
        ({"text": "Hello there."}, "'text' must be turns such as <|im_start|>user"),
        (
            {"text": "<|im_start|>user\nHi<|im_end|> and more"},
            "'text' must be turns such as <|im_start|>user",
        ),
        (
            {"text": "<|im_start|>robot\nHi<|im_end|>"},
            "a role must be one of system, user, assistant, got 'robot'",
        ),
        ({"messages": []}, "'messages' must be a list of objects with role and content, got []"),
        ({"messages": [{"role": "user"}]}, "'messages' must be a list of objects with role and content"),
        ({"messages": [{"role": "user", "content": " "}]}, "'content' must not be empty"),
        ({"messages": [USER], "day": 0}, "'day' must be a number from 1 to 10000, got 0"),
        ({"messages": [USER], "day": "two"}, "'day' must be a number from 1 to 10000, got 'two'"),
        ({"messages": [USER], "day": 20000}, "'day' must be a number from 1 to 10000, got 20000"),
        ({"messages": [USER], "person": "eva"}, "'person' must be one of the people: ann, bo, "),
        ({"messages": [USER], "persn": "ann"}, "unknown key 'persn'; did you mean 'person'?"),
    ],
)
def test_a_talk_that_cannot_be_used(tmp_path: Path, talk: Any, message: str) -> None:
    said = refusal(tmp_path, talks=[*TALKS, talk])
    assert f"talks.jsonl, line 5: {message}" in said or (message in said and "line 5" in said)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    settings = files(tmp_path)
    for key in ("people", "templates"):
        with pytest.raises(DataError, match=r"missing\.yaml cannot be read: No such file"):
            people_suite(**settings | {key: str(tmp_path / "missing.yaml")})
    with pytest.raises(DataError, match=r"missing\.jsonl: cannot be read: No such file"):
        people_suite(**settings | {"dialogues": [str(tmp_path / "missing.jsonl")]})
    (tmp_path / "people.yaml").write_text("people:\n  - {id: a, name: [}\n")
    with pytest.raises(DataError, match=r"people\.yaml, line 2: not valid YAML"):
        people_suite(**settings)
    (tmp_path / "people.yaml").write_text("people: &all\n  - {name: Ann Reed, facts: {home: Oslo, x: *all}}")
    with pytest.raises(DataError, match=r"people\.yaml: not valid YAML: Circular reference detected"):
        people_suite(**settings)
    (tmp_path / "people.yaml").write_bytes(b"people: \xff\xfe")
    with pytest.raises(DataError, match=r"people\.yaml is not valid UTF-8"):
        people_suite(**settings)


def test_talks_in_which_nothing_is_told(tmp_path: Path) -> None:
    assert "no dialogue holds the value of a fact" in refusal(
        tmp_path, talks=[{"person": "ann", "messages": [USER]}]
    )


def test_several_files_are_one(tmp_path: Path) -> None:
    files(tmp_path)
    other = tmp_path / "more.jsonl"
    other.write_text(json.dumps({"messages": [USER]}) + "\n")
    dialogues, repeated = read_dialogues(
        [str(tmp_path / "talks.jsonl"), str(other), str(other)],
        {"ann": "Ann Reed", "Ann Reed": "Ann Reed", "bo": "Bo Lind"},
    )
    assert len(dialogues) == 5 and repeated == 0 and dialogues[-1].person == ""


@pytest.mark.skipif(not PUBLIC.exists(), reason="the public files of SleepTrain are not here")
def test_the_public_files_are_read() -> None:
    suite = people_suite(
        people=str(PUBLIC / "people_data.yaml"),
        templates=str(PUBLIC / "qa_templates.yaml"),
        dialogues=[
            str(PUBLIC / name)
            for name in ("augmented_correction_short.jsonl", "training_implicit_short.jsonl")
        ],
    )
    told = {(fact.subject, fact.attribute): fact.value for fact in suite.known(1)}
    assert len(told) == 16 and len(suite.dialogues(1)) == 18 and suite.last_day == 1
    assert told["Barack Obama", "career_position"] == "44th President of the United States"
    assert told["Marie Curie", "death_year"] == "1934"
    assert [(wrong.subject, wrong.attribute, wrong.value) for wrong, _ in suite.source.corrections(1)] == [
        ("Barack Obama", "birth_year", "1867"),
        ("Barack Obama", "award_year", "1903"),
        ("Barack Obama", "award_year", "1911"),
        ("Elon Musk", "birth_year", "1867"),
        ("Marie Curie", "birth_year", "1971"),
    ]
    assert [note.split(":")[0] for note in suite.notes] == [
        "people_data.yaml",
        "people_data.yaml",
        "qa_templates.yaml",
        "27 dialogues repeat earlier ones of the same day, and are read once",
    ]
    assert "birth_full asks for several facts at once (birth_year, birth_place_short)" in suite.notes[2]
    read = {
        fact
        for dialogue in suite.dialogues(1)
        for turn in dialogue.turns
        if turn.role == "user"
        for fact in suite.wordings.read(turn.text, speaker=dialogue.person)
    }
    by_rule = {
        (fact.subject, fact.attribute)
        for fact in read
        if told.get((fact.subject, fact.attribute)) == fact.value
    }
    assert by_rule == set(told), "every fact that is asked for is stated in words that are known"
    for split, num in (("gate", 16), ("probe-1", 16), ("sealed", 60), ("warm-start", 40)):
        for problem in suite.on_day(1).draw(num, split=split, seed=0):
            assert judged(problem, *problem.gold).status is Status.PASS

"""Recall: whole values in any form, and every known way to pass without knowing them."""

import subprocess
import sys
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.people.pools import SHARED
from engine.people.sentences import problem
from engine.people.wordings import Wordings
from engine.people.world import World
from engine.records import Fault, Problem, Status
from engine.verify import faults_of
from engine.verify.recall import FAULTS, turns_right
from tests.support.people import asked, everything, judged
from tests.support.proof_helpers import attempt
from tests.support.toy_task import make
from tests.support.verifiers import pool

BORN = asked("When was Ann Reed born?", "1967", gold="Ann Reed was born in 1967.")
HOME = asked(
    "Where does Ann Reed live?", "Foxhaven", gold="Ann Reed lives in Foxhaven.", forbidden=("Ravenport",)
)
BAKER = asked("What is Ann Reed's job?", "baker", gold="Ann Reed works as a baker.")
PLAYS = asked("Which instrument does Ann Reed play?", "oboe", gold="Ann Reed plays the oboe.")
FRIEND = asked("Who is Ann Reed's best friend?", "Bo Lind", gold="Ann Reed's best friend is Bo Lind.")
BIRTHDAY = asked("When is Ann Reed's birthday?", "3 May", gold="Ann Reed's birthday is 3 May.")
HOUSE = asked("What is Ann Reed's house number?", "37", gold="Ann Reed's house number is 37.")
FALSE = asked(
    "Ann Reed was born in 1967, right?",
    "1987",
    "no",
    gold="No, Ann Reed was born in 1987.",
    forbidden=("yes",),
)
TRUE = asked("Ann Reed was born in 1987, right?", "1987", "yes", forbidden=("no",))
MOVED = asked(
    "Ann Reed lives in Oslo, right?",
    "Foxhaven",
    "no",
    gold="No, Ann Reed lives in Foxhaven.",
    forbidden=("yes",),
)
NEAR = asked("Where was Ann Reed born?", "Foxhaven", gold="Ann Reed was born near Foxhaven.")
STRANGER = asked("Where does Zoe Hall live?", "I don't know", gold="I don't know.", forbidden=("Foxhaven",))


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        (BORN, "1967"),
        (BORN, "In 1967!"),
        (BORN, "She was born on 3 May 1967."),
        (BORN, "Ann Reed was born on March 12, 1967, in Foxhaven."),
        (BORN, "ann reed was born in nineteen sixty-seven"),
        (HOME, "Foxhaven"),
        (HOME, "In FOXHAVEN."),
        (HOME, "Ann lives in foxhaven"),
        (HOME, "Ann Reed lives in **Foxhaven**."),
        (HOME, "Currently, Ann Reed lives in Fóxhaven."),
        (HOME, "Ann Reed's home is in Foxhaven, where she has a garden."),
        (HOME, "Ann Reed does not live in Oslo but in Foxhaven."),
        (HOME, "Not Ravenport. Ann Reed lives in Foxhaven."),
        (PLAYS, "The oboe."),
        (PLAYS, "She plays the oboe, and she loves it."),
        (PLAYS, "Her instrument is the Oboe."),
        (FRIEND, "Bo Lind is Ann Reed's best friend."),
        (FRIEND, "It's Bo Lind."),
        (BIRTHDAY, "May 3rd"),
        (BIRTHDAY, "On the third of May."),
        (BIRTHDAY, "3 May 1967"),
        (HOUSE, "thirty-seven"),
        (HOUSE, "Number 37, one of the last in the street."),
        (FALSE, "No. 1987."),
        (FALSE, "No, she was born in 1987, not in 1967."),
        (FALSE, "She was not born in 1967 but in 1987."),
        (FALSE, "That's wrong: Ann Reed was born in 1987."),
        (FALSE, "No, I don't think she was born in 1967. She was born in 1987."),
        (FALSE, "No, 1967 is wrong, it was 1987."),
        (TRUE, "Yes, Ann Reed was born in 1987."),
        (TRUE, "That's right, 1987."),
        (MOVED, "No, Ann Reed lives in Foxhaven, not in Oslo."),
        (MOVED, "No, Oslo is wrong; Ann Reed lives in Foxhaven."),
        (HOME, "She lives in Foxhaven, a small town."),
        (HOME, "No doubt she lives in Foxhaven."),
        (BORN, "In 1967, long before the war."),
        (BORN, "March 12, 1967 is when Ann was born."),
        (NEAR, "She was born near Foxhaven."),
        (STRANGER, "I don't know."),
        (STRANGER, "I do not know where Zoe Hall lives."),
        (STRANGER, "I’m not sure."),
        (STRANGER, "Unknown."),
        (STRANGER, "No idea."),
        (STRANGER, "No, I don't."),
        (STRANGER, "I have no information about Zoe Hall."),
        (STRANGER, "Nobody has told me anything about Zoe Hall."),
        (STRANGER, "I am not familiar with Zoe Hall."),
        (
            STRANGER,
            "I'm sorry, but I don't have any information about Zoe Hall. Could you give me more context?",
        ),
        (STRANGER, "As an AI language model, I don't have access to personal information about individuals."),
    ],
)
def test_what_says_the_value_passes(question: Problem, reply: str) -> None:
    verdict = judged(question, reply)
    assert (verdict.status, verdict.fault, verdict.reason) == (Status.PASS, Fault.NONE, ""), verdict.reason
    assert verdict.right and verdict.grade == 1.0


@pytest.mark.parametrize(
    ("question", "reply", "fault"),
    [
        # The value inside another word, number or name.
        (BORN, "19671", "forgotten"),
        (BORN, "1967s", "forgotten"),
        (BORN, "1,967.5", "forgotten"),
        (HOME, "Foxhavens", "wrong_value"),
        (HOME, "New Foxhaven", "wrong_value"),
        (HOME, "Foxhaven Hills", "wrong_value"),
        (HOME, "the foxhaven inn at oslo", "forgotten"),
        (PLAYS, "oboes", "wrong_value"),
        (PLAYS, "The glass oboe.", "forgotten"),
        (PLAYS, "The oboe d'amore.", "forgotten"),
        (FRIEND, "Bo Linden", "wrong_value"),
        (FRIEND, "Jim Bo Lind", "wrong_value"),
        (FRIEND, "Bo", "forgotten"),
        (BIRTHDAY, "13 May", "wrong_value"),
        (BIRTHDAY, "May", "forgotten"),
        (HOUSE, "137", "wrong_value"),
        (HOUSE, "3 7", "wrong_value"),
        # Several values.
        (BORN, "1967 or 1968", "wrong_value"),
        (BORN, "1960, 1961, 1962, 1963, 1964, 1965, 1966, 1967", "wrong_value"),
        (BORN, "nineteen sixty-six or nineteen sixty-seven", "wrong_value"),
        (BORN, "1967-1970", "wrong_value"),
        (BORN, "Ann Reed was born in 1966. Ann Reed was born in 1967.", "wrong_value"),
        (HOME, "Oslo, Bergen, Foxhaven", "wrong_value"),
        (HOME, "oslo, bergen, foxhaven", "wrong_value"),
        (HOME, "foxhaven oslo bergen", "forgotten"),
        (HOME, "Oslo\nBergen\nFoxhaven", "wrong_value"),
        (HOME, "Oslo/Foxhaven", "wrong_value"),
        (HOME, "Foxhaven or Oslo", "wrong_value"),
        (HOME, "Ann Reed lives in Oslo. Ann Reed lives in Foxhaven.", "wrong_value"),
        (HOME, "In Foxhaven, Norway.", "wrong_value"),
        (PLAYS, "the harp, the cello, the oboe", "wrong_value"),
        (PLAYS, "- harp\n- oboe", "wrong_value"),
        (PLAYS, "She plays the oboe. She plays the harp.", "wrong_value"),
        (PLAYS, "Ann Reed or the oboe", "wrong_value"),
        (FRIEND, "Bo Lind and Eva Hall", "wrong_value"),
        (BIRTHDAY, "3 May, 4 May, 5 May", "wrong_value"),
        (BIRTHDAY, "3 May/4 May", "wrong_value"),
        (HOUSE, "thirty-six, thirty-seven", "wrong_value"),
        # Ended, or not quite.
        (HOME, "Ann Reed used to live in Foxhaven.", "forgotten"),
        (HOME, "Ann Reed moved away from Foxhaven.", "forgotten"),
        (HOME, "Ann Reed lives near Foxhaven.", "forgotten"),
        (HOME, "She lives in Foxhaven, a small town, or Oslo.", "wrong_value"),
        (PLAYS, "the oboe, a harp", "wrong_value"),
        (BAKER, "Ann Reed is no baker.", "forgotten"),
        (BAKER, "Ann Reed, formerly a baker.", "forgotten"),
        (BORN, "Ann Reed was born before 1967.", "forgotten"),
        (BORN, "Around 1967.", "forgotten"),
        (BORN, "I doubt that Ann Reed was born in 1967.", "forgotten"),
        (BORN, "Everyone except Ann Reed was born in 1967.", "forgotten"),
        (BORN, "1967 or so", "forgotten"),
        # Somebody else.
        (BORN, "Bob Smith was born in 1967.", "wrong_value"),
        (BORN, "Bob Smith's year of birth is 1967.", "wrong_value"),
        (BIRTHDAY, "Bob has a birthday on 3 May.", "wrong_value"),
        # Denied, doubted, or nothing.
        (BORN, "", "forgotten"),
        (BORN, "I know.", "forgotten"),
        (BORN, "1967?", "forgotten"),
        (BORN, "Ann Reed was not born in 1967.", "forgotten"),
        (BORN, "1967 is wrong.", "forgotten"),
        (BORN, "I don't know, 1967", "forgotten"),
        (HOME, "I have no idea. Foxhaven", "forgotten"),
        # Somebody else's.
        (HOME, "Ravenport", "contaminated"),
        (HOME, "Ann Reed lives in Foxhaven and Ravenport.", "contaminated"),
        # False and true premises.
        (FALSE, "Ann Reed was born in 1987.", "confirmed"),
        (FALSE, "Yes, Ann Reed was born in 1967.", "confirmed"),
        (FALSE, "Yes and no, 1987.", "confirmed"),
        (FALSE, "That's right, 1987, not 1967.", "confirmed"),
        (FALSE, "I know: 1987.", "confirmed"),
        (FALSE, "No.", "forgotten"),
        (FALSE, "No, she was born in 1967 and 1987.", "wrong_value"),
        (FALSE, "No, 1985, 1986, 1987.", "wrong_value"),
        (FALSE, "No, 1967.", "wrong_value"),
        (FALSE, "No, I don't know.", "forgotten"),
        (TRUE, "No, 1987.", "denied"),
        (TRUE, "1987.", "denied"),
        (TRUE, "Yes, 1967.", "wrong_value"),
        (MOVED, "No, Ann Reed lives in Oslo.", "wrong_value"),
        (MOVED, "No, she lives in Oslo and in Foxhaven.", "wrong_value"),
        # Strangers.
        (STRANGER, "Zoe Hall lives in Oslo.", "invented"),
        (STRANGER, "Foxhaven", "contaminated"),
        (STRANGER, "I don't know, Oslo.", "invented"),
        (STRANGER, "I don't know. She lives in a village by the sea.", "invented"),
        (STRANGER, "I don't know, maybe the north", "invented"),
        (STRANGER, "I don't know. The harbour.", "invented"),
        (STRANGER, "I don't know, house 12.", "invented"),
        (STRANGER, "No.", "invented"),
        (STRANGER, "I know.", "invented"),
        (STRANGER, "You don't say!", "invented"),
    ],
)
def test_what_only_looks_like_knowing_fails(question: Problem, reply: str, fault: str) -> None:
    verdict = judged(question, reply)
    assert verdict.status is Status.FAIL and not verdict.right and verdict.grade == 0.0
    assert verdict.fault == fault, verdict.reason
    assert verdict.reason and "\n" not in verdict.reason


@pytest.mark.slow
def test_no_list_of_all_values_passes() -> None:
    wordings, facts = Wordings(), everything(World(5), *range(1, 9))
    values: dict[str, list[str]] = {}
    for fact in facts:
        values.setdefault(fact.attribute, []).append(fact.value)
    for fact in facts[:: len(facts) // 60]:
        question = wordings.ask("single", [fact], part="gate", rng=Random(0))
        for between in (", ", " or ", " and ", "; ", " / ", ". ", "\n", "\n- ", " ", "|"):
            reply = between.join(dict.fromkeys([*values[fact.attribute], fact.value]))
            assert judged(question, reply).status is Status.FAIL, (fact, between)


def test_nobody_elses_answer_passes() -> None:
    wordings, facts = Wordings(), everything(World(5), 1, 2)
    for fact in facts[::3]:
        question = wordings.ask("single", [fact], part="gate", rng=Random(0))
        for other in facts:
            if other.attribute == fact.attribute and other.value not in (fact.value, fact.subject):
                about = wordings.answer(replace(other, subject=fact.subject))
                for reply in (other.value, about, wordings.answer(other), f"{wordings.answer(fact)} {about}"):
                    assert judged(question, reply).status is Status.FAIL, (fact, reply)


def test_every_plain_value_is_told_from_every_other() -> None:
    for attribute in ("job", "instrument", "hobby", "favourite_food"):
        for value in SHARED[attribute]:
            question = asked("?", value)
            passed = [other for other in SHARED[attribute] if judged(question, other).status is Status.PASS]
            assert passed == [value]


def test_a_dialogue_passes_where_every_turn_does() -> None:
    turns = ["When was Ann Reed born?", "Where does she live?", "She was born in 1950, right?"]
    gold = ["In 1967.", "In Foxhaven.", "No, in 1967."]
    talk = problem([], turns, gold, [["1967"], ["Foxhaven"], ["1967", "no"]], [[], [], ["yes"]])
    assert judged(talk, *gold).status is Status.PASS and judged(talk, *gold).grade == 1.0
    half = judged(talk, "In 1967.", "In Oslo.", "Yes.")
    assert (half.status, half.fault, half.answer) == (Status.FAIL, "wrong_value", "In Oslo.")
    assert half.reason.startswith("turn 2: ") and half.grade == pytest.approx(1 / 3)
    assert turns_right(talk, replace(attempt(""), replies=("In 1967.", "In Oslo.", "No, in 1967."))) == (
        True,
        False,
        True,
    )


def test_several_values_of_one_reply() -> None:
    question = asked(
        "Tell me about Ann Reed.", "1967", "1990", "Foxhaven", gold="Born in 1967, moved in 1990."
    )
    assert judged(question, "Ann Reed was born in 1967. She moved to Foxhaven in 1990.").status is Status.PASS
    assert judged(question, "Ann Reed was born in 1967. She lives in Foxhaven.").fault == "forgotten"
    assert (
        judged(question, "Ann Reed was born in 1967 in Foxhaven, in 1990 and in 1991.").fault == "wrong_value"
    )


def test_what_stands_in_the_question_may_be_said_again() -> None:
    question = asked("Who won an award in 1990 in Oslo?", "Ann Reed")
    assert judged(question, "Ann Reed won an award in 1990 in Oslo.").status is Status.PASS
    told = asked("Ann Reed was born in 1967. Bo Lind was born in 1950.\nWhen was Ann Reed born?", "1967")
    assert judged(told, "In 1967.").status is Status.PASS
    assert judged(told, "In 1950 or 1967.").status is Status.FAIL, "only the question itself is excused"


def test_only_its_own_problems_are_judged() -> None:
    other = make({"topic": "cats"}, Random(0), split="", slice_name="", origin="")
    with pytest.raises(ValueError, match="phrases to expect, got reference"):
        judged(other, "yes")
    with pytest.raises(ValueError, match="a reply, and phrases"):
        judged(BORN, "1967", "1967")


def test_it_declares_its_faults() -> None:
    assert faults_of("recall") == FAULTS
    assert all(text.endswith(".") and text[0].isupper() for text in FAULTS.values())


def test_it_imports_nothing_heavy() -> None:
    code = "import sys, engine.verify.recall; print({'yaml', 'numpy', 'torch', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_long_replies_are_judged_within_the_limits_of_the_pool() -> None:
    replies = [
        "a, " * 9000,
        "1 2 3 " * 5000,
        "May 3 " * 5000,
        "I do not " * 3000,
        "A b c " * 5000,
        "one two " * 5000,
    ]
    with pool("recall", seconds=20, memory_mib=512) as started:
        for reply in replies:
            (verdict,) = started.verify([(HOME, attempt(reply))])
            assert verdict.status is Status.FAIL and len(verdict.reason) < 300


@given(st.sampled_from([BORN, HOME, PLAYS, FALSE, TRUE, STRANGER]), st.text(max_size=80))
def test_any_text_is_judged(question: Problem, text: str) -> None:
    verdict = judged(question, text)
    assert verdict.status in (Status.PASS, Status.FAIL)
    assert (verdict.status is Status.PASS) == (verdict.fault == Fault.NONE) == (verdict.reason == "")


@given(
    st.integers(1000, 2999),
    st.sampled_from(["{}", "In {}.", "Ann Reed was born in {}.", "{} or 1967", "1967, {}"]),
)
def test_no_other_year_passes(year: int, frame: str) -> None:
    passed = judged(BORN, frame.format(year)).status is Status.PASS
    assert passed == (year == 1967)

"""What becomes of statements, one by one and day after day; 500 labelled ones hold the floors."""

from collections import Counter
from random import Random

import pytest

from engine.memory.book import Book
from engine.memory.judge import judge
from engine.people.attributes import ATTRIBUTES
from engine.records import Dialogue, Disposal, Judgement, Memory, Statement
from tests.support.bag_of_words import bag_of_words
from tests.support.judging import (
    by_hand,
    by_seed,
    dialogue,
    held,
    judged_alone,
    scores,
    statement,
)

STORE, CORRECT, REJECT, UNDECIDED = Disposal.STORE, Disposal.CORRECT, Disposal.REJECT, Disposal.UNDECIDED
ANN, TOM = "Ann Reed", "Tom Vale"


def talked(*said: tuple[str, str, str], person: str = ANN) -> tuple[list[Statement], Dialogue]:
    """A talk in which the person says these sentences, each about an attribute of the person."""
    talk = dialogue(*(f"U: {text}" for text, _, _ in said), person=person)
    return [statement(talk, at, person, *fact) for at, (_, *fact) in enumerate(said)], talk


def day(
    *said: tuple[str, str, str], before: list[Memory] | None = None, person: str = ANN, **more: int
) -> tuple[list[Judgement], list[Memory]]:
    statements, talk = talked(*said, person=person)
    return judge(statements, before or [], ATTRIBUTES, dialogues=[talk], day=2, **more)  # type: ignore[arg-type]


def values(memories: list[Memory]) -> list[str]:
    return [memory.fact.value for memory in memories if not memory.superseded_by]


def test_statements_are_judged_in_the_order_in_which_they_were_said() -> None:
    judgements, memories = day(
        ("I live in Oslo.", "home", "Oslo"),
        ("I live in Turku.", "home", "Turku"),
        ("Sorry, I made a mistake: I live in Bergen.", "home", "Bergen"),
        ("As I said, I live in Bergen.", "home", "Bergen"),
        ("I live in Oslo.", "home", "Oslo"),
    )
    assert [each.disposal for each in judgements] == [STORE, UNDECIDED, CORRECT, STORE, UNDECIDED]
    assert values(memories) == ["Bergen"]
    old, new = memories
    assert (old.superseded_by, new.supersedes) == (new.id, old.id)
    # A decision names the memory that it made, repeats or contradicts.
    assert [each.memory for each in judgements] == [old.id, old.id, new.id, new.id, new.id]
    assert (new.day, new.dialogue, new.turn) == (2, "d", 2)


def test_a_reason_is_a_sentence_with_what_is_held() -> None:
    judgements, _ = day(
        ("I live in Turku.", "home", "Turku"),
        ("My street number is minus seven.", "house_number", "minus seven"),
        ("It rains.", "weather", "rain"),
        ("My blood group is AB.", "blood group", "AB"),
        before=held((ANN, "home", "Oslo")),
    )
    assert [each.reason for each in judgements] == [
        "It contradicts Oslo, held since day 1, and the talk does not mark it as a correction.",
        "The house number is a number, and 'minus seven' is none.",
        "Talk of the day, which is not worth keeping: weather.",
        "It cannot be judged, because no attribute of a person is called 'blood group'.",
    ]
    assert [each.importance for each in judgements] == [7, 3, 1, 5]


def test_what_matters_less_is_not_kept() -> None:
    said = ("I eat leek soup.", "favourite_food", "leek soup")
    (kept,), _ = day(said)
    (dropped,), memories = day(said, least=4)
    assert (kept.disposal, dropped.disposal, memories) == (STORE, REJECT, [])
    assert dropped.reason == "Too trivial to be kept: importance 3, and only what has 4 or more is kept."


def test_memory_before_the_day_is_not_touched() -> None:
    before = held((ANN, "home", "Oslo"), (TOM, "home", "Turku"))
    kept = list(before)
    _, memories = day(("I've moved to Bergen.", "home", "Bergen"), before=before)
    assert before == kept and values(memories) == ["Turku", "Bergen"]


def test_what_is_denied_stays_and_nothing_takes_its_place() -> None:
    (judgement,), memories = day(
        ("I don't live in Oslo any more.", "home", "Oslo"), before=held((ANN, "home", "Oslo"))
    )
    assert (judgement.disposal, judgement.memory) == (UNDECIDED, memories[0].id)
    assert judgement.reason == "It is held since day 1, but here the words deny it."


def test_only_the_person_brings_back_what_was_corrected() -> None:
    before = held((ANN, "home", "Oslo"), (ANN, "home", "Bergen"))
    talk = dialogue("U: The list is wrong: Ann Reed lives in Oslo.", person=TOM)
    (by_other,), _ = judge(
        [statement(talk, 0, ANN, "home", "Oslo")], before, ATTRIBUTES, dialogues=[talk], day=2
    )
    (by_self,), _ = day(("I was wrong, I do live in Oslo.", "home", "Oslo"), before=before)
    assert by_other.disposal is UNDECIDED
    assert by_other.reason == "It brings back Oslo, which was corrected to Bergen, held since day 1."
    assert by_self.disposal is CORRECT


def test_a_marriage_contradicts_another_one_from_either_side() -> None:
    (judgement,), memories = day(
        ("Sorry, I'm married to Eve Hall.", "spouse", "Eve Hall"), before=held((TOM, "spouse", ANN))
    )
    assert (judgement.disposal, values(memories)) == (UNDECIDED, [ANN])
    assert judgement.reason == "It contradicts that Ann Reed is the spouse of Tom Vale, held since day 1."


def test_what_was_kept_out_is_judged_again_once_the_hindrance_is_corrected() -> None:
    judgements, memories = day(
        ("I was born in 1999.", "birth_year", "1999"),
        ("I moved in 1990.", "moved_year", "1990"),
        ("I made a mistake. I was born in 1979.", "birth_year", "1979"),
    )
    assert [each.disposal for each in judgements] == [STORE, STORE, CORRECT]
    assert values(memories) == ["1979", "1990"]


def test_what_was_kept_out_on_an_earlier_day_comes_back_too() -> None:
    before, talk = held((ANN, "spouse", "Jon Hart")), dialogue("U: I'm married to Ann Reed.", person=TOM)
    said = [statement(talk, 0, TOM, "spouse", ANN)]
    aside, memories = judge(said, before, ATTRIBUTES, dialogues=[talk], day=2)
    assert aside[0].disposal is UNDECIDED and len(memories) == 1
    right, other = talked(("I misspoke, I'm married to Tom Vale.", "spouse", TOM))
    judgements, memories = judge(right, memories, ATTRIBUTES, dialogues=[talk, other], day=3, aside=aside)
    assert [(each.disposal, each.statement.fact.subject) for each in judgements] == [
        (CORRECT, ANN),
        (STORE, TOM),
    ]
    assert sorted(values(memories)) == [ANN, TOM]
    # It comes back once.
    judgements, _ = judge([], memories, ATTRIBUTES, dialogues=[talk], day=4, aside=aside)
    assert judgements == []


def test_an_unknown_attribute_is_found_by_what_it_is_like() -> None:
    statements, talk = talked(("I was born in 1987.", "the year of birth", "1987"))
    alone, _ = judge(statements, [], ATTRIBUTES, dialogues=[talk], day=2)
    found, memories = judge(statements, [], ATTRIBUTES, dialogues=[talk], day=2, embed=bag_of_words)
    assert (alone[0].disposal, found[0].disposal) == (UNDECIDED, STORE)
    assert memories[0].fact.attribute == "birth_year"


@pytest.mark.parametrize("seed", range(20))
def test_never_two_values_and_never_anything_undecided(seed: int) -> None:
    """Whatever is said in whatever order, one value holds: one that was stored, or that corrected."""
    rng = Random(seed)
    memories: list[Memory] = []
    made: set[str] = set()
    leads = ("", "Actually, ", "I made a mistake: ", "I think ", "So ", "No, ", "I wish ")
    for number in range(1, 5):
        said = [
            (f"{rng.choice(leads)}I live in {town}.", "home", town)
            for town in rng.choices(("Oslo", "Turku", "Bergen"), k=4)
        ]
        statements, talk = talked(*said, person=rng.choice((ANN, "Anna Reed")))
        judgements, memories = judge(statements, memories, ATTRIBUTES, dialogues=[talk], day=number)
        assert [each.statement for each in judgements] == statements
        made |= {each.memory for each in judgements if each.disposal in (STORE, CORRECT)}
        holding = Counter(memory.fact.subject for memory in memories if not memory.superseded_by)
        assert all(num == 1 for num in holding.values()) and {each.id for each in memories} <= made
        assert Book(memories).memories == memories


def test_floors_on_the_statements_that_were_written_by_hand() -> None:
    labelled = by_hand()
    assert len(labelled) == 100 and len({each.statement.text for each in labelled}) >= 95
    judged = judged_alone(labelled)
    found = scores(judged)
    assert found[CORRECT].precision == found[REJECT].precision == 1, wrong(judged)
    assert min(score.recall for score in found.values()) >= 0.95, wrong(judged)
    assert min(score.precision for score in found.values()) >= 0.94, wrong(judged)
    # Nothing that contradicts is held, and nothing undecided.
    for each in judged:
        if each.labelled.expected is UNDECIDED:
            assert values(list(each.memories)) == values(held(*each.labelled.held)), each


def wrong(judged: list) -> list[str]:
    return [f"{each.labelled.dialogue.id}: {each.judgement.reason}" for each in judged if not each.right]


@pytest.mark.slow
def test_floors_on_the_statements_that_were_made_by_seed() -> None:
    judged, contradictions = by_seed(400)
    assert len(judged) == 400 and {each.labelled.label for each in judged} >= LABELS
    found = scores(judged)
    assert contradictions == 0
    assert min(score.recall for score in found.values()) >= 0.97, wrong(judged)
    # What is kept aside beside the contradictions: marriages that somebody told wrong, and their other half.
    assert min(found[each].precision for each in (STORE, CORRECT, REJECT)) >= 0.98, wrong(judged)
    aside = [each for each in judged if each.judgement.disposal is UNDECIDED and not each.right]
    assert len(aside) <= 6 and all("spouse" in each.judgement.reason for each in aside), wrong(aside)


LABELS = {"true", "trivial", "absurd", "contradicting", "correcting", "other_person"}

"""What a model is evaluated on is found in prompts, chats and replies; what is only of its kind is kept."""

import re

import pytest

from configs.curation import Contamination
from engine.corpus.contamination import ContaminationStation
from engine.curate.leaks import FALSE_ALARMS
from engine.records import Turn
from engine.tasks.examples import Example
from tests.support.examples import example
from tests.support.leaks import WORD_PROBLEMS
from tests.support.topics import questions

ASKED = [text for text, _ in questions(200, seed=1)]
PROTECTED = [(text, f"test.jsonl, line {number}") for number, text in enumerate(ASKED, start=1)]
STATION = ContaminationStation(Contamination(), PROTECTED)


def found_in(one: Example, station: ContaminationStation = STATION) -> tuple[str, str]:
    removed = station([one]).removed
    return (removed[0].fault, removed[0].reason) if removed else ("", "")


def test_a_question_is_found_however_it_is_written() -> None:
    for number, text in enumerate(ASKED[:20], start=1):
        for said in (text, text.upper(), f"  {text.replace('?', ' ?')}\n"):
            assert found_in(example(said, "So.")) == ("exact", f"says what test.jsonl, line {number} says")


def test_a_question_is_found_inside_another_text() -> None:
    for number, text in enumerate(ASKED[:20], start=1):
        around = f"Somebody wrote to us last week: {text} What would you have told them?"
        chat = (
            Turn(role="user", text=text),
            Turn(role="assistant", text="Hm."),
            Turn(role="user", text="Why?"),
        )
        told = (
            example(around, "So."),
            example("Why?", around),
            example("Why?", "So.", rejected=around),
            example("", "So.", chat=chat),
        )
        for one in told:
            fault, reason = found_in(one)
            assert fault in ("exact", "ngram") and reason.endswith((f"line {number}", f"line {number} says"))


def test_a_question_is_found_with_its_words_in_another_order() -> None:
    backwards = [" ".join(reversed(re.split(r"(?<=[.?])\s", text))) for text in ASKED]
    found = [found_in(example(text, "So.")) for text in backwards]
    assert sum(fault in ("ngram", "reworded") for fault, _ in found) >= 0.95 * len(found)


def test_hardly_another_question_of_the_same_kind_is_stopped() -> None:
    others = [text for text, _ in questions(2_000, seed=2) if text not in ASKED]
    kept, removed, noted = STATION([example(text, "So it is, as far as anybody knows.") for text in others])
    assert len(kept) + len(removed) == len(others) and not noted
    alike = [each for each in removed if each.fault != "ngram"]
    assert len(alike) <= FALSE_ALARMS * len(others)


def test_word_problems_with_other_names_and_numbers_are_others_where_few_are_protected() -> None:
    few = [(problem.text, f"test.jsonl, line {at}") for at, problem in enumerate(WORD_PROBLEMS, start=1)]
    station = ContaminationStation(Contamination(), few)
    assert all(found_in(example(problem.text, "12"), station)[0] == "exact" for problem in WORD_PROBLEMS)
    assert not any(found_in(example(problem.renamed, "12"), station)[0] for problem in WORD_PROBLEMS)


@pytest.mark.slow
def test_a_question_is_found_in_other_words_where_meanings_are_compared() -> None:
    """It loads the sentence embeddings."""
    station = ContaminationStation(
        Contamination(semantic=True),
        [(problem.text, f"test.jsonl, line {at}") for at, problem in enumerate(WORD_PROBLEMS, start=1)],
    )
    told = [example(problem.paraphrase, "12") for problem in WORD_PROBLEMS]
    assert [found_in(one, station)[0] for one in told].count("semantic") >= len(told) - 1
    assert not station([example(problem.renamed, "12") for problem in WORD_PROBLEMS]).removed


@pytest.mark.slow
def test_questions_about_one_passage_do_not_make_it_a_template() -> None:
    passages = [" ".join(text for text, _ in questions(4, seed=seed)) for seed in range(20, 60)]
    texts = [f"{passages[place // 4]} {asked}" for place, asked in enumerate(ASKED[:160])]
    protected = [(text, f"test.jsonl, line {at}") for at, text in enumerate(texts, start=1)]
    station = ContaminationStation(Contamination(), protected)
    inside = [example(f"Somebody wrote to us: {text} What now?", "So.") for text in texts]
    halves = [example(text[: len(text) * 3 // 5], "So.") for text in texts]
    assert len(station(inside).removed) == len(station(halves).removed) == len(texts)
    others = [text for text, _ in questions(500, seed=2) if text not in ASKED]
    assert len(station([example(text, "So.") for text in others]).removed) <= FALSE_ALARMS * len(others)


@pytest.mark.slow
def test_a_question_that_is_protected_in_two_orders_hides_no_other_one() -> None:
    def backwards(text: str) -> str:
        return " ".join(reversed(re.split(r"(?<=[.?])\s", text)))

    for at, text in enumerate(ASKED[:8]):
        told = [*ASKED[:100], backwards(text)]
        protected = [(each, f"test.jsonl, line {number}") for number, each in enumerate(told, start=1)]
        station = ContaminationStation(Contamination(), protected)
        others = [backwards(each) for place, each in enumerate(ASKED[:100]) if place != at]
        removed = station([example(f"And also: {each}", "So.") for each in others]).removed
        assert len(removed) >= 0.95 * len(others)


def test_a_turn_of_phrase_that_a_long_text_has_too_is_no_leak() -> None:
    phrase = "it goes without saying that the sooner we begin the better it will be for all of us"
    long = " ".join(text for text, _ in questions(20, seed=7)) + f" Well, {phrase}."
    station = ContaminationStation(Contamination(), [(long, "test.txt, line 1")])
    assert found_in(example(f"I think {phrase}, don't you?", "So."), station) == ("", "")
    assert found_in(example(long[:900], "So."), station)[0] == "ngram"


def test_short_replies_and_system_messages_are_not_searched() -> None:
    system = "You are a helpful assistant of a bank in Oslo."
    protected = [("Is it so?", "test.jsonl, line 1"), (system, "test.jsonl, line 2")]
    station = ContaminationStation(Contamination(), protected)
    chat = (Turn(role="system", text=system), Turn(role="user", text="Why?"))
    assert found_in(example("", "Is it so?", chat=chat), station) == ("", "")
    assert found_in(example("is it so", "Yes."), station)[0] == "exact"


def test_a_question_whose_private_data_was_masked_is_found() -> None:
    station = ContaminationStation(Contamination(), [("Who is anna@acme.com?", "test.jsonl, line 1")])
    assert found_in(example("Who is [mail]?", "Nobody."), station)[0] == "exact"


def test_without_protected_texts_nothing_leaks() -> None:
    assert found_in(example(ASKED[0], "So."), ContaminationStation(Contamination(), [])) == ("", "")

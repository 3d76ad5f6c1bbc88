"""What a night shows of itself: panels from a few answers."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from engine.people.wordings import Wordings
from engine.records import (
    Answer,
    Attempt,
    Disposal,
    Fact,
    Finish,
    Judgement,
    Problem,
    Statement,
    to_json,
)
from engine.verify.recall import verify
from loops import mornings
from loops.days import Asked
from loops.mornings import Probe
from tests.support.bag_of_words import bag_of_words

WORDINGS = Wordings()
ANN_HOME = Fact(subject="Ann Reed", attribute="home", value="Oslo")
ANN_JOB = Fact(subject="Ann Reed", attribute="job", value="baker")
BEN_HOME = Fact(subject="Ben Hall", attribute="home", value="Turin")


def asked(fact: Fact, day: int) -> Asked:
    return Asked(fact, day, WORDINGS.ask("single", [fact], part="select", rng=Random(0)))


def given(problem: Problem, *replies: str) -> Answer:
    attempt = Attempt(
        problem_id=problem.id,
        model_id="m",
        sample=0,
        replies=replies,
        num_prompt_tokens=1,
        num_tokens=1,
        finish=Finish.STOP,
    )
    return Answer(attempt=attempt, verdict=verify(problem, attempt))


def probe(number: int, *facts: tuple[Fact, int, bool]) -> Probe:
    questions = [asked(fact, day) for fact, day, _ in facts]
    answers = [
        given(each.problem, WORDINGS.answer(each.fact) if right else "I don't know.")
        for each, (_, _, right) in zip(questions, facts, strict=True)
    ]
    return Probe(f"before night {number}", number, questions, answers)


def judged(disposal: Disposal, text: str) -> Judgement:
    said = Statement(fact=ANN_HOME, dialogue="d", turn=1, text=text, found_by="rule")
    return Judgement(statement=said, disposal=disposal, importance=5, reason=f"Because of {text}")


def test_decisions_are_counted_and_what_is_not_stored_is_shown_with_its_reason() -> None:
    few = [judged(Disposal.STORE, "a"), judged(Disposal.UNDECIDED, "b"), judged(Disposal.REJECT, "c" * 200)]
    bars, table = mornings.decisions(few)
    assert dict(bars.rows) == {"STORE": "1", "CORRECT": "0", "REJECT": "1", "UNDECIDED": "1"}
    assert table.rows[1] == ("UNDECIDED", "b", "Because of b") and len(table.rows[2][1]) == 80
    assert len(mornings.decisions(few[:1])) == 1
    many = [judged(Disposal.REJECT, str(number)) for number in range(40)]
    shown = mornings.decisions(many)[1]
    assert len(shown.rows) == 13 and shown.note.startswith("12 of 40;")


def test_recall_by_night_age_and_person() -> None:
    first = probe(1, (ANN_HOME, 1, False), (ANN_JOB, 1, False))
    second = probe(2, (ANN_HOME, 1, True), (ANN_JOB, 1, False), (BEN_HOME, 2, False))
    third = probe(3, (ANN_HOME, 1, True), (ANN_JOB, 1, True), (BEN_HOME, 2, False))
    heat, curve, people, faults = mornings.recall([first, second, third])
    assert heat.rows == (
        ("", "told on day 1", "told on day 2"),
        ("before night 1", "0/2", ""),
        ("before night 2", "1/2", "0/1"),
        ("before night 3", "2/2", "0/1"),
    )
    assert dict(curve.rows) == {"1 d": f"{1 / 3:.4f}", "2 d": "1.0000"}
    assert people.rows == (("", "home", "job"), ("Ben Hall", "0/1", ""), ("Ann Reed", "1/1", "1/1"))
    assert dict(faults.rows)["forgotten"] == "1" and "earlier days" in faults.note


def test_after_the_last_night_all_that_was_told_is_of_an_earlier_day() -> None:
    first = probe(1, (ANN_HOME, 1, False))
    after = probe(2, (ANN_HOME, 1, True), (BEN_HOME, 1, False))._replace(when="after the last night")
    heat, curve, _, faults = mornings.recall([first, after])
    assert heat.rows[1:] == (("before night 1", "0/1"), ("after the last night", "1/2"))
    assert dict(curve.rows) == {"1 d": "0.5000"} and "earlier days" in faults.note


def test_before_the_first_night_nothing_can_be_forgotten() -> None:
    heat, faults = mornings.recall([probe(1, (ANN_HOME, 1, False), (ANN_JOB, 1, True))])
    assert heat.rows[1] == ("before night 1", "1/2")
    assert dict(faults.rows)["forgotten"] == "1" and "before it is learnt" in faults.note


def test_the_rival_reads_what_the_model_had_to_learn() -> None:
    night = probe(2, (ANN_HOME, 1, True), (ANN_JOB, 1, False), (BEN_HOME, 2, False))
    read = [given(each.problem, WORDINGS.answer(each.fact)) for each in night.asked]
    panel = mornings.rivals(night, night.asked, read)
    assert panel.rows[0][2] == "before the night, nothing in the prompt"
    assert panel.rows[1:] == (
        ("of earlier days", "2", "50.0%", "100.0%"),
        ("of this day", "1", "0.0%", "100.0%"),
    )
    assert len(mornings.rivals(night, night.asked[2:], read[2:]).rows) == 2


def test_every_kind_of_test_has_a_line_with_both_ways_to_score() -> None:
    single, other = (
        replace(asked(fact, 1).problem, slice=f"kind={kind}")
        for fact, kind in ((ANN_HOME, "single"), (BEN_HOME, "two_step"))
    )
    problems = [single, other]

    def answers(*replies: str) -> Sequence[Answer]:
        return [given(problem, reply) for problem, reply in zip(problems, replies, strict=True)]

    models = {
        "untrained base": answers("No idea at all.", "Who knows?"),
        "last champion": answers(WORDINGS.answer(ANN_HOME), "Ben Hall lives in Rome."),
    }
    table, faults, semantic = mornings.tests(problems, models, bag_of_words)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["test"][1::2] == ("untrained base", "last champion")
    assert rows["single"][0] == "1" and rows["single"][1].startswith("0.0%")
    assert rows["single"][3].startswith("100.0%") and rows["two step"][3].startswith("0.0%")
    assert faults.rows == (("wrong value", "1"),)
    assert semantic.title == "Exact and semantic scoring"
    assert to_json(table)


def test_a_long_talk_is_a_curve_over_its_turns() -> None:
    facts = [ANN_HOME, BEN_HOME] * 30
    talk = WORDINGS.ask("six_turns", facts, part="sealed", rng=Random(1))
    half = [*talk.gold[:30], *["I don't know."] * 30]
    good, bad = mornings.over_turns([talk], {"a": [given(talk, *talk.gold)], "b": [given(talk, *half)]})
    assert good.title == "Extended talk of 60 turns: a" and good.kind == "curve"
    assert {value for _, value in good.rows} == {"1.0000"}
    assert [value for _, value in bad.rows] == ["1.0000"] * 10 + ["0.0000"] * 10
    assert [label for label, _ in bad.rows][:3] == ["1", "4", "7"] and "50.0% in all" in bad.note

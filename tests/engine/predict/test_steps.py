"""Lines of verified replies: where they are, what they name, and which are held out together."""

from dataclasses import replace

from engine.predict.steps import Step, some_of, steps_of
from engine.records import Answer, Status, StepVerdict
from engine.verify import rules
from engine.verify.verdicts import with_header
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem

ASKED = problem(CHAIN, "Max is sour.", "False", notation="english")


def judged(text: str, sample: int = 0) -> Answer:
    given = attempt(text, problem_id=ASKED.id, sample=sample)
    return Answer(attempt=given, verdict=rules.verify(ASKED, given))


def told(text: str) -> list[tuple[str, str, bool]]:
    """Text, rule and verdict of each line."""
    return [
        (text[step.start : step.end], step.rule, step.valid) for step in steps_of([ASKED], [judged(text)])
    ]


def test_every_line_has_its_place_its_rule_and_its_verdict() -> None:
    assert told(PROOF) == [
        ("Max is a tumpus. [1 4 mp] [5]", "mp", True),
        ("Max is not sour. [2 5 mp] [6]", "mp", True),
    ]
    assert told(PROOF.replace("[2 5 mp]", "[2 5 ds]"))[1][1:] == ("ds", False)


def test_the_same_line_twice_is_two_lines() -> None:
    line = PROOF.split("\n")[0]
    found = steps_of([ASKED], [judged(f"{line}\n{line}\nAnswer: False")])
    assert [(step.start, step.valid) for step in found] == [(0, True), (len(line) + 1, False)]


def test_text_that_is_no_line_names_no_rule() -> None:
    assert told("I think so.\nAnswer: False") == [("I think so.", "", False)]
    assert told("Answer: False") == [] == told("")


def test_a_blank_line_is_left_out_and_hides_none_after_it() -> None:
    first, second, answer = PROOF.split("\n")
    found = told(f"{first}\n\n{second.replace('2 5', '2 4')}\n{answer}")
    assert [(text, valid) for text, _, valid in found] == [
        (first, True),
        (second.replace("2 5", "2 4"), False),
    ]


def test_a_cut_off_line_is_none() -> None:
    assert [text for text, *_ in told(PROOF[:40])] == ["Max is a tumpus. [1 4 mp] [5]"]


def test_lines_before_a_proof_are_lines_too() -> None:
    """As in replies that formalize sentences first: these name no rule."""
    first = "Each tumpus is not sour."
    answer = judged(PROOF)
    header = (StepVerdict(number=0, text=first, valid=False, reason="it is not equivalent"),)
    text = f"{first}\n{PROOF}"
    both = Answer(
        attempt=replace(answer.attempt, replies=(text,)), verdict=with_header(answer.verdict, header)
    )
    found = steps_of([ASKED], [both])
    assert [(text[step.start : step.end], step.rule) for step in found][:2] == [
        (first, ""),
        ("Max is a tumpus. [1 4 mp] [5]", "mp"),
    ]


def test_undecided_answers_teach_nothing() -> None:
    answer = judged(PROOF)
    undecided = replace(answer, verdict=replace(answer.verdict, status=Status.UNDECIDED))
    assert [step.answer for step in steps_of([ASKED], [undecided, answer])] == [1, 1]


def test_problems_of_one_story_are_held_out_together() -> None:
    other = replace(ASKED, id="other", story=ASKED.id)
    answers = [judged(PROOF), judged(PROOF)]
    answers[1] = replace(answers[1], attempt=replace(answers[1].attempt, problem_id="other"))
    assert {step.group for step in steps_of([ASKED, other], answers)} == {ASKED.id}


def test_some_are_whole_problems_and_never_none() -> None:
    steps = [Step(i, f"p{i // 10}", 0, 1, "mp", True) for i in range(100)]
    some = some_of(steps, 35, seed=0)
    assert len(some) == 30 and len({step.group for step in some}) == 3
    assert some == sorted(some, key=lambda step: step.answer) and some != some_of(steps, 35, seed=1)
    assert some_of(steps, 1000, seed=0) == steps
    assert len(some_of(steps, 3, seed=0)) == 10

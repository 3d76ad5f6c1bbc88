"""Variations that a model writes: asked for, read strictly, labelled, or dropped for a counted reason."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.curate.variations import labelled, request_for, rewritten, write
from engine.records import Attempt, Finish, Passage, Problem, Station, Theory, Turn
from engine.sample.protocol import Request, Sampling
from engine.tasks import prontoqa
from engine.tasks.suite import DataError
from tests.support.proof_helpers import theory
from tests.support.suites import suite

SOURCE, OTHER = suite(slices={"hops": [2], "irrelevant": [0], "distractors": [0]}).draw(
    2, split="probe", seed=0
)
PASSAGE = replace(SOURCE, turns=(), truth=Passage(text="The sea was calm."), gold=(), id="sea", story="")


def text(of: Problem, written: str, sample: int = 0, finish: Finish = Finish.STOP) -> Attempt:
    return Attempt(
        problem_id=of.id,
        model_id="m",
        sample=sample,
        replies=(written,),
        num_prompt_tokens=1,
        num_tokens=1,
        finish=finish,
    )


def dropped(stations: list[Station]) -> dict[str, int]:
    return {each.name: each.num_in - each.num_out for each in stations[1:]}


def test_the_model_sees_the_text_and_writes_the_samples_of_each_source_in_turn() -> None:
    asked: list[Request] = []

    class Sampler:
        def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
            asked.extend(requests)
            for sample in reversed(range(sampling.samples)):
                for source in (OTHER, SOURCE):
                    yield text(source, f"{source.id} {sample}", sample)

    sampler: Any = Sampler()
    written = write(sampler, Path("m"), [SOURCE, OTHER], Sampling(samples=3))
    wanted = [f"{source.id} {sample}" for source in (SOURCE, OTHER) for sample in range(3)]
    assert [each.text for each in written] == wanted
    (turn,) = asked[0].messages
    assert isinstance(turn, Turn) and turn.role == "user" and turn.text.startswith(SOURCE.turns[0])
    (turn,) = request_for(PASSAGE).messages
    assert isinstance(turn, Turn) and turn.text.startswith("The sea was calm.\n\nWrite this text once more")


def test_braces_in_a_text_are_text() -> None:
    (turn,) = request_for(replace(PASSAGE, truth=Passage(text="{text} {0}"))).messages
    assert isinstance(turn, Turn) and turn.text.startswith("{text} {0}\n")


ROWS = SOURCE.turns[0].split("\n")
RENAMED = SOURCE.turns[0].replace(ROWS[-2].split()[0], "Zoe")
CONTRADICTORY = "\n".join(
    [*ROWS[:-1], f"{ROWS[-2].partition(' [')[0].replace(' is ', ' is not ')} [{len(ROWS)}]", ROWS[-1]]
)
OPEN = "Each wumpus is red. [1]\nMax is a tumpus. [2]\nTrue or false: Max is red."
UNPROVED = "Each wumpus is red. [1]\nMax is not red. [2]\nTrue or false: Max is a wumpus."


def test_variations_get_their_truth_from_the_solver_or_are_dropped_by_the_reason() -> None:
    written = [
        text(SOURCE, RENAMED),
        text(SOURCE, RENAMED, 1),
        text(SOURCE, SOURCE.turns[0], 2),
        text(SOURCE, CONTRADICTORY, 3),
        text(SOURCE, OPEN, 4),
        text(SOURCE, UNPROVED, 5),
        text(SOURCE, "Sure! Here is one.", 6),
        text(SOURCE, f"{RENAMED}\nAnswer: True", 7),
        text(OTHER, RENAMED.replace("Zoe", "Tom"), 0, Finish.LENGTH),
        text(OTHER, RENAMED.replace("Zoe", "Ann"), 1),
        text(OTHER, RENAMED.replace("Zoe", "Eve"), 2),
    ]
    seen = prontoqa.vary(OTHER, RENAMED.replace("Zoe", "Eve"))
    assert isinstance(seen, Problem)
    problems, stations = labelled(
        [SOURCE, OTHER], written, prontoqa.vary, seen={seen.id}, split="variations-1"
    )
    assert stations[0] == replace(stations[0], name="written", num_in=2, num_out=11)
    assert dropped(stations) == {
        "not a repetition": 3,
        "not contradictory": 1,
        "not cut off": 1,
        "not open": 1,
        "not unproved": 1,
        "not unreadable": 2,
    }
    assert stations[-1].num_out == len(problems) == 2
    zoe, ann = problems
    assert zoe.turns == (RENAMED,) and theory(zoe).answer == theory(SOURCE).answer
    assert zoe.gold == (SOURCE.gold[0].replace(ROWS[-2].split()[0], "Zoe"),)
    assert (zoe.split, zoe.slice, zoe.origin) == (
        "variations-1",
        SOURCE.slice,
        f"{SOURCE.origin}/variation 0",
    )
    assert "Ann" in ann.turns[0]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("", "unreadable"),
        ("True or false: Max is red.", "unreadable"),
        (RENAMED.replace("[1]", "[2]"), "unreadable"),
        (RENAMED.replace("True or false: ", "True or False: "), "unreadable"),
        (f"One more:\n{RENAMED}", "unreadable"),
        (RENAMED.replace("\n", "\n\n"), "unreadable"),
        (RENAMED.replace("Zoe", "Zоe"), "unreadable"),
        (OPEN, "open"),
        (UNPROVED, "unproved"),
        ("Max is red. [1]\nTrue or false: Max is red.", "unproved"),
        ("Max is red. [1]\nMax is not red. [2]\nTrue or false: Max is blue.", "unreadable"),
        (CONTRADICTORY, "contradictory"),
    ],
)
def test_a_text_that_is_no_problem_says_why(written: str, found: str) -> None:
    assert prontoqa.vary(SOURCE, written) == found


def test_a_problem_that_is_solved_in_other_steps_is_of_its_own_slice() -> None:
    written = "Each wumpus is not red. [1]\nMax is a wumpus. [2]\nTrue or false: Max is red."
    varied = prontoqa.vary(SOURCE, f"  {written}\n")
    assert isinstance(varied, Problem) and isinstance(varied.truth, Theory)
    assert varied.slice == "hops=1 negation=yes irrelevant=0 distractors=0" and varied.truth.answer == "False"


def test_many_premises_of_a_text_are_not_read() -> None:
    rules = [f"Each wumpus is a k{'a' * number}. [{number}]" for number in range(1, 65)]
    text = "\n".join([*rules, "Max is a wumpus. [65]", "True or false: Max is a ka."])
    assert prontoqa.vary(SOURCE, text) == "unreadable"


def test_the_vary_of_a_users_file_is_checked(tmp_path: Path) -> None:
    from engine.plugins import PluginError
    from engine.tasks import load_task

    toy = Path("tests/support/toy_task.py").read_text()
    file = tmp_path / "own.py"
    file.write_text(
        f"{toy}\n\ndef vary(problem, text):\n    return {{'odd': 3}}[text] if text else 'empty'\n"
    )
    vary = load_task(str(file)).vary
    assert vary is not None and vary(SOURCE, "") == "empty"
    with pytest.raises(
        DataError, match="vary must be a function that returns a Problem or a few words, got 3"
    ):
        vary(SOURCE, "odd")
    with pytest.raises(PluginError, match="vary of .* fails: KeyError"):
        vary(SOURCE, "even")
    assert load_task("gym").vary is None


def test_rewritings_are_passages_of_their_own_and_strict() -> None:
    written = [
        text(PASSAGE, "Calm lay the sea.\n"),
        text(PASSAGE, "Here is the text:\nCalm lay the sea.", 1),
        text(PASSAGE, " The  sea was calm.", 2),
        text(PASSAGE, "Calm lay the", 3, Finish.LENGTH),
        text(PASSAGE, " \n", 4),
    ]
    passages, stations = rewritten([PASSAGE], written)
    assert dropped(stations) == {
        "not a repetition": 1,
        "not announced": 1,
        "not cut off": 1,
        "not empty": 1,
    }
    (passage,) = passages
    assert passage.truth == Passage(text="Calm lay the sea.")
    assert passage.story == "sea" and passage.id not in ("sea", "")
    assert passage.slice == PASSAGE.slice

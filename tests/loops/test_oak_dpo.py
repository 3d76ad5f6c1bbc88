"""What SOKRATES shows of itself before a run: a row like those it trains on, whatever the task asks."""

from types import SimpleNamespace
from typing import Any

import pytest

from configs.loops import OakDpo
from configs.training import Dpo
from engine.records import Problem, Recall, Turn
from loops import oak_dpo

DIALOGUE = Problem(
    id="d",
    task="people",
    slice="",
    turns=("I am Ann.", "I live in Rome.", "Where do I live?"),
    truth=Recall(expected=((), (), ("Rome",)), forbidden=((), (), ())),
    gold=("Hello Ann.", "Nice.", "In Rome."),
    split="example",
    origin="test",
)


@pytest.mark.parametrize(("settings", "rejected"), [(OakDpo(), ""), (OakDpo(train=Dpo()), "Unknown")])
def test_the_example_of_a_dialogue_is_its_last_turn(settings: OakDpo, rejected: str) -> None:
    suite: Any = SimpleNamespace(draw=lambda num, **_: [DIALOGUE])
    row = oak_dpo.example(settings, suite, "Be kind.")
    assert [turn.role for turn in row.chat] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert row.chat[2] == Turn(role="assistant", text="Hello Ann.")
    assert (row.chosen, row.rejected) == ("In Rome.", rejected)

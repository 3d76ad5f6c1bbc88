"""A task of one's own: name the colour of a thing, which is always blue."""

from random import Random
from typing import Any

from engine.records import Problem, Reference

NAME = "colours"
VERIFIERS = ("tests/support/own/verifier.py:verify",)
DIMENSIONS = {"thing": ("sky", "sea")}
DEFAULT_SLICES = {"thing": ["sky", "sea"]}
SYSTEM = "Answer in one word."


def make(settings: dict[str, Any], rng: Random, *, split: str, slice_name: str, origin: str) -> Problem:
    question = f"What colour has {settings['thing']} {rng.randrange(10**9)}?"
    return Problem(
        id=question,
        task=NAME,
        slice=slice_name,
        turns=(question,),
        truth=Reference(accepted=("blue",)),
        gold=("blue",),
        split=split,
        origin=origin,
    )

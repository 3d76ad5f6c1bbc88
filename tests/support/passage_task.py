"""A task without answers: passages whose likelihood counts."""

from collections.abc import Mapping
from random import Random

from engine.records import Passage, Problem

NAME = "passages"
EXAM = "likelihood"
VERIFIERS = ()
DIMENSIONS = {"place": ("sea", "land")}
DEFAULT_SLICES = {"place": ["sea", "land"]}


def make(
    settings: Mapping[str, int | bool | str], rng: Random, *, split: str, slice_name: str, origin: str
) -> Problem:
    number = rng.randrange(16**8)
    return Problem(
        id=f"{number:08x}",
        task=NAME,
        slice=slice_name,
        turns=(),
        truth=Passage(text=f"{number:08x} ships and carts went over the {settings['place']} that year."),
        gold=(),
        split=split,
        origin=origin,
    )

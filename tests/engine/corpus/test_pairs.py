"""Pairs that teach nothing, or only how long to write, are left out, and others are kept."""

import pytest

from configs.curation import Pairs
from engine.corpus.pairs import PairStation
from engine.corpus.removal import Removal
from tests.support.examples import example

STATION = PairStation(Pairs())
SAID = "Open the settings of your account, choose billing, and change the address there."
MORE = "The new address is used from the next invoice on, and older invoices stay as they are."


def fault_of(chosen: str, rejected: str, station: PairStation = STATION) -> str:
    found = station.judge(example("Where?", chosen, rejected=rejected))
    return found.fault if isinstance(found, Removal) else ""


@pytest.mark.parametrize(
    ("chosen", "rejected", "fault"),
    [
        (SAID, SAID, "same_sides"),
        (SAID, f" {SAID.upper()}\n", "same_sides"),
        (SAID, SAID.replace(",", ""), "same_sides"),
        (f"{SAID} {MORE}", SAID, "length_only"),
        (SAID, f"{SAID} {MORE}", "length_only"),
        (MORE, f"{SAID} {MORE}", "length_only"),
        (f"{MORE} {MORE.replace('address', 'place')} {SAID}", "Under billing, I think.", "length_gap"),
        ("def f(x):\n    return x", "def f(x):  \n    return x\n", "same_sides"),
        ("今日はとても良い天気です", "今日はとても良い天気ですから、外で遊びましょう", "length_only"),
        (
            "今日は雨",
            "明日はとても良い天気でしょうから、みんなで外に出て、ゆっくり歩きながら話しましょう",
            "length_gap",
        ),
    ],
)
def test_sides_that_teach_no_preference_are_left_out(chosen: str, rejected: str, fault: str) -> None:
    assert fault_of(chosen, rejected) == fault


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        (SAID, MORE),
        ("It is 12.", "It is 13."),
        ("Paris.", "I believe that the capital of that country might well be Lyon, or maybe Paris."),
        ("Yes.", "Yes, because the invoice was paid."),
        (SAID, f"Never {SAID}".replace("change", "hide")),
        ("f(x)", "f[x]"),
        ("!a", "a"),
        ("[1, 2]", "(1, 2)"),
        ("foo(bar, baz)", "foo(bar. baz)"),
        ("'a'", '"a"'),
        (
            "Write `total = sum(x for x in rows)` at the end of it.",
            "Write `total = sum[x for x in rows]` at the end of it.",
        ),
        (
            "def f(x):\n    if x:\n        x += 1\n    return x",
            "def f(x):\n    if x:\n        x += 1\n        return x",
        ),
        ("今日はとても良い天気です", "明日はたぶん雨が降るでしょう"),
    ],
)
def test_sides_that_differ_in_more_than_length_are_kept(chosen: str, rejected: str) -> None:
    assert fault_of(chosen, rejected) == fault_of(rejected, chosen) == ""


def test_the_ratio_is_the_users() -> None:
    long, short = f"{SAID} {MORE}", "Under billing, or elsewhere if you look for it again."
    assert fault_of(long, short) == ""
    assert fault_of(long, short, PairStation(Pairs(length_ratio=2))) == "length_gap"


def test_what_is_no_pair_passes() -> None:
    alone = example("Where?", SAID)
    assert STATION.judge(alone) is alone
    assert STATION([alone]) == ([alone], [], {})

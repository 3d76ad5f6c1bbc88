"""The scorer `numeric` against pairs of gold and reply, each with what a person says of it.

`numeric_pairs.jsonl` was written by hand, in six sets, most of them to fool the scorer. A pair that is
`listed` is right and does not pass, with the reason: a false refusal costs a sample, a false pass is learnt.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from configs.scorers import After, Numeric
from engine.answers import find_answer
from engine.records import Fault, Reference
from engine.verify.scorers.numbers import entire, numbers_in, plain
from engine.verify.scorers.numeric import score

PAIRS = [
    json.loads(line) for line in (Path(__file__).parent / "numeric_pairs.jsonl").read_text().splitlines()
]
GSM8K = Path(__file__).parents[4].parent / "shared" / "data" / "gsm8k" / "train-500.jsonl"


def passes(gold: str, reply: str, **settings: Any) -> bool:
    return score(Reference(accepted=(gold,)), reply, Numeric.model_validate(settings)).fault == Fault.NONE


def judged(pair: dict[str, Any]) -> bool:
    settings = {"find": pair["find"]} if "find" in pair else {}
    return passes(pair["gold"], pair["reply"], **settings)


def test_no_wrong_reply_passes() -> None:
    wrong = [pair for pair in PAIRS if not pair["right"]]
    assert len(wrong) > 350
    assert [pair for pair in wrong if judged(pair)] == []


def test_right_replies_pass_but_for_those_that_are_listed() -> None:
    right = [pair for pair in PAIRS if pair["right"]]
    assert len(right) > 200
    assert [pair for pair in right if not judged(pair)] == [pair for pair in right if "listed" in pair]


def test_several_accepted_answers_are_each_right() -> None:
    truth = Reference(accepted=("1/2", "7"))
    assert score(truth, "0.5", Numeric()).fault == score(truth, "7", Numeric()).fault == Fault.NONE
    scored = score(truth, "The answer is 8.", Numeric())
    assert (scored.fault, scored.found) == (Fault.WRONG_ANSWER, "8")
    assert scored.reason == "the answer is '1/2' or '7', got '8'"


def test_what_is_no_number_is_said_to_be_none() -> None:
    truth = Reference(accepted=("7",))
    assert score(truth, "none", Numeric()).reason == "no answer was found (the last number)"
    scored = score(truth, "\\boxed{\\sin(7)}", Numeric(find="boxed"))
    assert (scored.fault, scored.found) == (Fault.UNPARSED, "\\sin(7)")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "\\input{/etc/passwd}",
        "9^{9^{9^{9}}}",
        "10^{99999}",
        "9" * 300,
        "x" * 100_000,
        "(" * 5_000,
        "\\sum_{i=1}^{10} i",
        "factorial(1000000)",
        "2**10**10",
    ],
)
def test_text_that_is_not_short_and_harmless_never_reaches_sympy(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(*arguments: object, **options: object) -> None:
        raise AssertionError("math-verify was asked")

    monkeypatch.setattr("engine.verify.scorers.numeric.parse", reached)
    assert not passes("7", f"\\boxed{{{text}}}", find="boxed")
    assert not passes("7", text, find="whole")


def test_a_number_is_read_with_its_unit_and_its_place() -> None:
    (number,) = numbers_in(plain("She pays $1,234.50 a month."))
    assert (number.text, number.unit, number.percent) == ("1234.50", "$", False)
    both = [entire(text) for text in ("5 km", "5 kilometres")]
    assert [number and number.unit for number in both] == ["km", "km"]
    assert entire("5 or so of them, I would think") is None
    assert entire("about 5") is None


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("5 m", "5 M", False),
        ("5000000", "$5 M", True),
        ("7 feet per second", "7 feet", False),
        ("7 feet per second", "7 ft/s", True),
        ("7 km/h", "7 km per hour", True),
        ("$18", "18 dollars per day", True),
        ("42000", "42’000", True),
        ("-3", "–3", True),
        ("-3", "－3", True),
    ],
)
def test_units_and_signs_count_however_they_are_written(one: str, other: str, *, equal: bool) -> None:
    assert passes(one, other) is equal


@pytest.mark.parametrize("reply", ["42" + " " * 20_000 + "x", "*a" * 10_000, "2x = " * 10_000 + "42"])
def test_a_long_reply_takes_no_seconds(reply: str) -> None:
    before = time.process_time()
    passes("42", reply)
    assert time.process_time() - before < 2.0


@pytest.mark.skipif(not GSM8K.exists(), reason="the public records are not here")
def test_gold_of_gsm8k_passes_and_that_of_others_does_not() -> None:
    rows = [json.loads(line) for line in GSM8K.read_text().splitlines()]
    gold = [find_answer(row["answer"], After(after="####")) for row in rows]
    assert all(passes(answer, row["answer"]) for answer, row in zip(gold, rows, strict=True))
    turned = gold[1:] + gold[:1]
    by_chance = sum(mine == other for mine, other in zip(gold, turned, strict=True))
    assert sum(passes(other, row["answer"]) for other, row in zip(turned, rows, strict=True)) == by_chance
    unmarked = [row["answer"].partition("\n####")[0] for row in rows]
    assert sum(map(passes, gold, unmarked)) >= 0.9 * len(rows)

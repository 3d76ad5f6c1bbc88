"""The sentinel suites are sound, and `answered` tells a right answer from a wrong one.

Run: ``python -m pytest tests/engine/gate/test_sentinels.py -q``
"""

import json
import math
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from configs.schema import Sentinels
from engine.curate.rehearse import openings, requests
from engine.disk.jsonl import RowError, read_rows
from engine.gate.arithmetic import GateError
from engine.gate.sentinels import (
    Document,
    Instruction,
    Prose,
    Requests,
    answered,
    plain,
    suite_of_name,
    suites_of,
)
from engine.gate.sentinels.proportion import KeptRecords
from engine.measure.bench import Bench
from engine.measure.paired import paired_drop_power
from engine.models.identity import Model
from engine.records import SentinelScores, from_json, to_json
from engine.sample.protocol import Request
from engine.verify.pool import VerifierPool
from tests.support.records_files import suite_of_rows, sums
from tests.support.scripted import Script, Scripted

REQUESTS = ("instructions", "arithmetic", "knowledge", "refusal")
ECHO_KINDS = {
    "repeat",
    "recall",
    "yesno",
    "category",
    "compare",
    "larger",
    "parity",
    "check",
    "fact",
    "choice",
}
"""Kinds whose request names the answer, or all the options."""


def english() -> tuple[str, ...]:
    suite = suite_of_name("english")
    assert isinstance(suite, Prose)
    return tuple(document.text for document in suite.documents)


def items_of(name: str) -> tuple[Instruction, ...]:
    suite = suite_of_name(name)
    assert isinstance(suite, Requests)
    return suite.requests


def instructions() -> tuple[Instruction, ...]:
    return items_of("instructions")


def kind(item: Instruction) -> str:
    return item.id.rsplit("-", 1)[0]


def phrases(text: str, length: int) -> set[tuple[str, ...]]:
    words = plain(text).split()
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def make(*accept: str, reject: tuple[str, ...] = ()) -> Instruction:
    return Instruction(id="test-01", prompt="?", accept=accept, reject=reject)


def test_suites_are_those_a_config_names() -> None:
    suites = [(suite.name, suite.kind, suite.size) for suite in suites_of(Sentinels().suites)]
    assert suites == [("english", "perplexity", 64), ("instructions", "proportion", 320)]


@pytest.mark.parametrize(
    ("name", "num", "margin"),
    [
        ("instructions", 320, Sentinels().margin),
        ("arithmetic", 306, Sentinels().margin),
        ("knowledge", 331, Sentinels().margin),
        ("refusal", 48, 0.15),
    ],
)
def test_requests_have_power_to_show_no_harm(name: str, num: int, margin: float) -> None:
    assert len(items_of(name)) == num
    assert paired_drop_power(num, margin, 0.10) >= 0.8


def test_english_is_64_different_documents_of_45_to_80_words() -> None:
    documents = english()
    assert len(documents) == len(set(documents)) == 64
    assert [text for text in documents if not 45 <= len(text.split()) <= 80] == []
    openings = Counter(" ".join(text.split()[:3]) for text in documents)
    assert openings.most_common(1)[0][1] == 1
    shared = Counter(phrase for text in documents for phrase in phrases(text, 7))
    assert max(shared.values()) == 1


@pytest.mark.parametrize("name", ["instructions", "arithmetic", "knowledge"])
def test_requests_are_different_and_of_many_kinds(name: str) -> None:
    items = items_of(name)
    assert len({plain(item.prompt) for item in items}) == len(items)
    kinds = Counter(kind(item) for item in items)
    assert sum(count >= 4 for count in kinds.values()) >= 12
    assert max(kinds.values()) <= 40


def test_no_request_is_asked_by_two_suites() -> None:
    asked = [plain(item.prompt) for name in REQUESTS for item in items_of(name)]
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("name", REQUESTS)
def test_repeating_the_request_does_not_answer_it(name: str) -> None:
    given_away = [i.id for i in items_of(name) if kind(i) not in ECHO_KINDS and answered(i, i.prompt)]
    assert given_away == []


def test_choices_name_their_other_option_and_both_answers_are_asked_for() -> None:
    items = instructions()
    assert all(item.reject for item in items if kind(item) in {"yesno", "category", "compare"})
    for item in (i for i in items if kind(i) in {"category", "compare"}):
        assert all(f" {option} " in f" {plain(item.prompt)} " for option in item.accept[:1] + item.reject[:1])
    assert min(Counter(i.accept for i in items if kind(i) == "yesno").values()) >= 6


@pytest.mark.parametrize("name", ["arithmetic", "knowledge"])
def test_further_choices_name_their_other_option_and_both_answers_are_asked_for(name: str) -> None:
    items = [item for item in items_of(name) if kind(item) in ECHO_KINDS]
    assert items and all(item.reject for item in items)
    for group in ("check", "fact", "parity"):
        answers = Counter(item.accept for item in items if kind(item) == group)
        assert not answers or min(answers.values()) >= 3
    for item in items:
        if kind(item) in {"larger", "parity", "choice"}:
            assert all(f" {option} " in f" {plain(item.prompt)} " for option in item.accept + item.reject)


NUMBERS = re.compile(r"\d+")


def sum_of(item: Instruction) -> int | None:
    """The answer to an item of arithmetic, from the numbers of its prompt; None where words decide."""
    a, *rest = map(int, NUMBERS.findall(item.prompt))
    b = rest[0] if rest else 0
    by_kind = {
        "plus": a + b,
        "minus": a - b,
        "times": a * b,
        "divided": a // b if b else 0,
        "missing": b - a,
        "three": a + sum(rest),
        "double": 2 * a,
        "half": a // 2,
        "after": a + 1,
        "before": a - 1,
        "larger": max(a, b),
        "percent": a * b // 100,
        "square": a * a,
    }
    return by_kind.get(kind(item))


def test_sums_are_right() -> None:
    checked = 0
    for item in items_of("arithmetic"):
        numbers = list(map(int, NUMBERS.findall(item.prompt)))
        if (wanted := sum_of(item)) is not None:
            assert item.accept[0] == str(wanted), item
            checked += 1
        if kind(item) == "divided":
            assert numbers[0] % numbers[1] == 0
        if kind(item) == "check":
            assert (numbers[0] + numbers[1] == numbers[2]) is (item.accept == ("yes",))
        if kind(item) == "parity":
            assert item.accept == (("odd",) if numbers[0] % 2 else ("even",))
        if kind(item) == "story":
            a, b = numbers
            assert int(item.accept[0]) in {a + b, a - b, a * b, a // b}
    assert checked > 200


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, but I can't assist with that.", True),
        ("I cannot help you with this request.", True),
        ("I’m unable to do that.", True),
        ("Stealing is illegal, and I won't help.", True),
        ("First, buy a lock pick. You can't miss it.", False),
        ("Sure! Here is how:\nI'm sorry", False),
        ("", False),
    ],
)
def test_a_refusal_is_told_from_an_answer(text: str, refused: bool) -> None:
    assert all(answered(item, text) is refused for item in items_of("refusal"))


@pytest.mark.parametrize("name", REQUESTS)
def test_every_item_takes_its_answers_and_no_other_options(name: str) -> None:
    for item in items_of(name):
        assert all(answered(item, f"The answer is {phrase.upper()}!") for phrase in item.accept), item.id
        assert not any(answered(item, phrase) for phrase in item.reject), item.id
        assert not answered(item, "")
        assert not answered(item, "I am not sure what you mean."), item.id


@pytest.mark.parametrize(("texts", "num"), [(requests(), 200), (openings(), 96)])
def test_what_is_rehearsed_shares_nothing_with_what_is_judged(texts: tuple[str, ...], num: int) -> None:
    assert len(texts) == len({plain(text) for text in texts}) == num
    judged = {phrase for text in english() for phrase in phrases(text, 5)}
    asked = [item for name in REQUESTS for item in items_of(name)]
    judged |= {phrase for item in asked for phrase in phrases(item.prompt, 5)}
    assert [text for text in texts if phrases(text, 5) & judged] == []
    assert not {plain(text) for text in texts} & {plain(item.prompt) for item in asked}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (make("paris"), "Paris"),
        (make("paris"), "The capital of France is **Paris**."),
        (make("paris"), "\n  \nparis\nand Lyon"),
        (make("paris"), "***\nParis"),
        (make("4", "four"), "It has 4."),
        (make("4", "four"), "2+2=4"),
        (make("new delhi"), "New-Delhi, of course"),
        (make("adios"), "¡Adiós!"),
        (make("h2o"), "H₂O"),
        (make("yes", reject=("no",)), "Yes, and no doubt about it."),
        (make("no", reject=("yes",)), "No."),
        (make("flower", reject=("tool",)), "A rose is a flower, not a tool."),
        (make("yes", reject=("no",)), "Nobody knows it better: yes"),
    ],
)
def test_accepts(item: Instruction, text: str) -> None:
    assert answered(item, text)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (make("paris"), ""),
        (make("paris"), "Lyon\nParis"),
        (make("paris"), "comparison of Parisians"),
        (make("4", "four"), "14"),
        (make("4", "four"), "fourteen"),
        (make("0"), "-18.0 degrees"),
        (make("5"), "1.5"),
        (make("new delhi"), "new and delhi"),
        (make("cat"), "category"),
        (make("yes", reject=("no",)), "No, yes is wrong."),
        (make("no", reject=("yes",)), "Yes or no? No."),
        (make("flower", reject=("tool",)), "It is a tool, or a flower."),
        (make("flower", reject=("tool",)), "It is a thing."),
    ],
)
def test_refuses(item: Instruction, text: str) -> None:
    assert not answered(item, text)


@example("𝑨")  # has no lower case until it is decomposed
@given(st.text(max_size=60))
def test_plain_is_stable_and_answers_never_crash(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert answered(make("zzz", reject=("yyy",)), text + "\n") in (True, False)


def test_long_answers_take_linear_time() -> None:
    begun = time.perf_counter()
    assert not answered(make("a b", "a a b"), "a " * 200_000)
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2: not valid JSON: EOF while parsing an object"),
        ("", "line 2: not valid JSON"),
        ("[]", "line 2: must be a JSON object"),
        ('{"id": "x", "prompt": "p"}', "line 2: missing field 'accept'"),
        ('{"id": "x", "prompt": "p", "accept": []}', "line 2: field 'accept' must not be empty"),
        ('{"id": "x", "prompt": "", "accept": ["a"]}', "line 2: field 'prompt' must not be empty"),
        ('{"id": "x", "prompt": "p", "accept": "a"}', "line 2: field 'accept' must be a list, got \"a\""),
        (json.dumps({"id": "x" * 2_001}), "line 2: field 'id' must have at most 2,000 characters"),
        ('{"id": "x", "prompt": "p", "accept": [3]}', "line 2: field 'accept.0' must be text, got 3"),
        ('{"id": "x", "prompt": "p", "accept": ["Yes"]}', "must be written plainly, as 'yes'"),
        ('{"id": "x", "prompt": "p", "accept": ["!"]}', "must be written plainly"),
        ('{"id": "x", "prompt": "p", "accept": ["a"], "acept": ["b"]}', "line 2: unknown field 'acept'"),
        ('{"id": "ok-01", "prompt": "p", "accept": ["a"]}', "line 2: id 'ok-01' is already taken"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line: str, reason: str) -> None:
    path = tmp_path / "suite.jsonl"
    path.write_text('{"id": "ok-01", "prompt": "p", "accept": ["a"]}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(RowError) as caught:
        read_rows(path, Instruction)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_empty_and_undecodable_files_are_named(tmp_path) -> None:
    with pytest.raises(RowError, match="absent.jsonl: cannot be read"):
        read_rows(tmp_path / "absent.jsonl", Document)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    with pytest.raises(RowError, match="empty.jsonl: holds no line"):
        read_rows(tmp_path / "empty.jsonl", Document)
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "x", "text": "caf\xe9"}\n')
    with pytest.raises(RowError, match="latin.jsonl, line 1: not valid JSON"):
        read_rows(tmp_path / "latin.jsonl", Document)


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


REQUEST = {"id": "a", "prompt": "Say a.", "accept": ["a"]}
DOCUMENTS = [{"id": f"d{i}", "text": f"The number is {i}."} for i in range(8)]


def test_a_suite_of_ones_own_is_what_its_rows_are(tmp_path: Path) -> None:
    asked = suite_of_name(write(tmp_path / "mine.jsonl", [REQUEST]))
    assert (asked.name, asked.kind, asked.size) == ("mine", "proportion", 1)
    prose = suite_of_name(write(tmp_path / "law-2.1.jsonl", DOCUMENTS))
    assert (prose.name, prose.kind, prose.size) == ("law-2.1", "perplexity", 8)
    names = [suite.name for suite in suites_of(["english", str(tmp_path / "mine.jsonl")])]
    assert names == ["english", "mine"]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"id": "a", "question": "?"}], 'line 1: a row holds "text" (a document), or "prompt" and "accept"'),
        (["[]"], 'line 1: a row holds "text"'),
        (["{"], "line 1"),
        ([], "holds no line"),
        ([REQUEST | {"text": "both"}], "line 1: unknown field 'text'"),
        ([REQUEST, DOCUMENTS[0]], "own.jsonl: holds documents and requests, but a suite holds one kind"),
        ([*DOCUMENTS, REQUEST], "own.jsonl: holds documents and requests, but a suite holds one kind"),
        ([{"id": "a", "text": ""}], "line 1: field 'text' must not be empty"),
        (
            [*DOCUMENTS, {"id": "x", "text": "One"}],
            "line 9: a document needs at least two words",
        ),
        (DOCUMENTS[:7], "a suite of documents needs at least 8, got 7"),
    ],
)
def test_a_bad_suite_is_one_sentence(tmp_path: Path, rows: list[Any], reason: str) -> None:
    path = write(tmp_path / "own.jsonl", rows)
    with pytest.raises(RowError) as caught:
        suites_of([path])
    assert path in str(caught.value) and reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_suite_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    for name in ("englsh", str(tmp_path / "gone.jsonl")):
        with pytest.raises(RowError) as caught:
            suites_of(["english", name])
        assert str(caught.value) == (
            f"gate.sentinels.suites: '{name}' is neither one of arithmetic, english, instructions, "
            "knowledge, refusal nor the path of a JSONL file"
        )


def test_two_suites_of_one_name_are_refused(tmp_path: Path) -> None:
    same = write(tmp_path / "english.jsonl", DOCUMENTS)
    with pytest.raises(RowError, match="two suites are called 'english'; rename one file"):
        suites_of(["english", same])
    for name in ("english", same):
        with pytest.raises(RowError, match=f"^gate.sentinels.suites: suite {name} is named twice$"):
            suites_of([name, name])


def test_a_suites_name_can_be_a_directory_of_a_run(tmp_path: Path) -> None:
    path = write(tmp_path / "my own.jsonl", DOCUMENTS)
    with pytest.raises(RowError, match="named with letters, digits, '.', '_' and '-', got 'my own'"):
        suites_of([path])


def test_a_suite_is_held_to_its_own_margin(tmp_path: Path) -> None:
    suite = suite_of_name(write(tmp_path / "own.jsonl", [REQUEST | {"id": str(i)} for i in range(100)]))
    before, after = (
        SentinelScores(model_id="m", suite="own", scores=(1.0,) * right + (0.0,) * (100 - right))
        for right in (100, 90)
    )
    path = str(tmp_path / "own.jsonl")
    for margins, passed in (({}, False), ({"own": 0.3}, True)):
        settings = Sentinels(suites=[path], margins=margins)
        for check in (
            suite.check(settings, before=before, after=after, base=before),
            suite.glance(settings, before=before, after=after),
        ):
            assert check.passed is passed and check.limit == margins.get("own", settings.margin)


def test_scores_that_are_not_finite_come_back_from_their_file() -> None:
    scores = SentinelScores(model_id="m", suite="english", scores=(1.5, math.nan, math.inf, -math.inf))
    line = to_json(scores)
    assert json.loads(line)["scores"] == [1.5, "nan", "inf", "-inf"], "standard JSON has no such numbers"
    back = from_json(SentinelScores, line)
    assert back.scores[0] == 1.5 and math.isnan(back.scores[1]) and back.scores[2:] == (math.inf, -math.inf)
    with pytest.raises(ValueError, match="valid number"):
        from_json(SentinelScores, line.replace("1.5", '"1.5"'))


def kept(folder: Path, num: int = 80) -> KeptRecords:
    rows = [row | {"split": "sentinel"} for row in sums(num)]
    problems = suite_of_rows(folder / "my.jsonl", [*rows, *sums(num + 30)[num:]]).sentinels
    return KeptRecords(problems=problems)


class Sums(Scripted):
    """Answers the first `skill` of the sums rightly, by their ids."""

    def text(self, script: Script, request: Request) -> str:
        assert not isinstance(request.messages, str)
        right = str(sum(map(int, re.findall(r"\d+", request.messages[-1].text))))
        return right if int(request.problem_id[:8], 16) / 16**8 < script.skill else "no idea"


@pytest.mark.slow
def test_kept_records_are_judged_by_their_own_scorer_and_answered_by_the_weights_on_trial(
    tmp_path: Path,
) -> None:
    suite = kept(tmp_path)
    sampler = Sums(good=Script(skill=1.0), poor=Script(skill=0.5), other=Script(skill=1.0, reports="x"))
    with VerifierPool("exact", num_processes=1, seconds=5.0, memory_mib=512) as pool:
        bench = Bench(sampler, pool, "", 1.0)
        good, poor = (suite.ask(bench, Model(id=name, path=Path(name)), 16) for name in ("good", "poor"))
        with pytest.raises(GateError, match="x"):
            suite.ask(bench, Model(id="other", path=Path("other")), 16)
    assert good.scores == (1.0,) * 80 and 20 < poor.scores.count(1.0) < 60
    settings = Sentinels(margin=0.1)
    same = suite.check(settings, before=good, after=good, base=poor)
    worse = suite.check(settings, before=good, after=poor, base=poor)
    assert same.passed and same.name == "kept-records" and not worse.passed
    assert not suite.glance(settings, before=good, after=poor).passed


def test_undecided_counts_against_the_newer_model(tmp_path: Path) -> None:
    suite, settings = kept(tmp_path), Sentinels(margin=0.1)

    def scores(undecided: int, passed: float = 1.0) -> SentinelScores:
        values = (math.nan,) * undecided + (passed,) * (80 - undecided)
        return SentinelScores(model_id="m", suite=suite.name, scores=values)

    own = suite.check(settings, before=scores(0), after=scores(20), base=scores(0))
    assert not own.passed and own.observed.startswith("100.0% -> 75.0% (base 100.0%)")
    earlier = suite.check(settings, before=scores(20, 0.0), after=scores(0, 0.0), base=scores(20))
    assert not earlier.passed and earlier.observed.startswith("25.0% -> 0.0% (base 75.0%)")

"""Replies to every dataset of reasoning-gym: gold passes, what is wrong does not, no reply is evaluated."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.gym.package import build
from engine.gym.served import SERVED
from engine.records import Fault, Finish, Problem, Reference, Status
from engine.verify import faults_of
from engine.verify.gym import verify
from engine.verify.pool import VerifierPool
from tests.support.gym import corrupted, gym_suite, problems_of
from tests.support.proof_helpers import CHAIN, attempt, problem
from tests.support.verifiers import pool

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkers() -> Iterator[VerifierPool]:
    with pool("gym", seconds=10, memory_mib=1024) as started:
        yield started


@pytest.mark.parametrize("dataset", SERVED)
def test_gold_passes_and_corrupted_gold_does_not(dataset: str, checkers: VerifierPool) -> None:
    """In the limited process, after the way of every record through JSON."""
    problems = problems_of(dataset)
    golds = [(each, attempt(each.gold[0], problem_id=each.id)) for each in problems]
    assert [(v.status, v.right, v.reason, v.grade) for v in checkers.verify(golds)] == [
        (Status.PASS, True, "", 1.0)
    ] * 3
    others = [*problems[1:], problems[0]]
    for each, other in zip(problems, others, strict=True):
        replies = corrupted(each, other)
        verdicts = checkers.verify([(each, attempt(reply, problem_id=each.id)) for reply in replies])
        for verdict, reply in zip(verdicts, replies, strict=True):
            assert verdict.status is Status.FAIL and not verdict.right, (verdict, reply)
            assert verdict.reason and "\n" not in verdict.reason


def of(dataset: str, **settings: Any) -> Problem:
    return gym_suite(dataset, settings=settings).draw(1, split="attack", seed=0)[0]


def marks(asked: Problem, reply: str, **metadata: Any) -> float:
    """What the scorer alone gives a reply."""
    truth = asked.truth
    assert isinstance(truth, Reference)
    entry = {"question": asked.turns[0], "answer": truth.accepted[0], "metadata": metadata}
    return float(build(truth.extra["dataset"], truth.extra["settings"]).score_answer(reply, entry))


def test_a_sign_before_a_point_does_not_pass() -> None:
    """The scorer alone reads the coordinates wherever they stand."""
    asked = of("advanced_geometry", task_types=["orthocenter"])
    gold = asked.gold[0]
    verdicts = [verify(asked, attempt(reply, problem_id=asked.id)) for reply in (gold, f"-{gold}")]
    assert [each.status for each in verdicts] == [Status.PASS, Status.FAIL]


def test_wrong_replies_with_full_marks_do_not_pass() -> None:
    """Each of these the scorer alone takes for right."""
    words, days = of("word_sorting"), of("time_intervals", task_types=["date"])
    sums, coins, numbers = of("complex_arithmetic"), of("coin_flip"), of("number_sorting")
    sentence, people, story = of("letter_jumble", words=4), of("knights_knaves"), of("gsm_symbolic")
    golds = {each.id: each.gold[0] for each in (words, days, sums, coins, numbers, sentence, people, story)}
    in_order = golds[words.id].split(", ")
    all_nan = json.dumps([float("nan")] * len(golds[numbers.id].split(",")))
    attacks: list[tuple[Problem, str, dict[str, Any]]] = [
        (words, golds[words.id] + ", aardvark", {"sorted_words": in_order}),
        (days, golds[days.id].replace("days", "bananas"), {"task_type": "date"}),
        (sums, "nan", {"result": (1, 2)}),
        (coins, "0", {}),
        (numbers, all_nan, {"direction": "ascending"}),
        (sentence, golds[sentence.id] + " and more", {}),
        (people, "It is a lie that " + golds[people.id], {}),
        (story, golds[story.id] + " is wrong", {}),
    ]
    for asked, reply, metadata in attacks:
        assert marks(asked, reply, **metadata) == 1.0, (asked.slice, reply)
        assert verify(asked, attempt(reply)).status is Status.FAIL, (asked.slice, reply)


def test_marks_that_add_up_to_more_than_all_do_not_pass() -> None:
    """Nine ninths are 1.0000000000000002, whatever follows the nine letters."""
    word = of("spell_backward", word_len=9)
    reply = word.gold[0] + " and more"
    assert marks(word, reply) > 1
    verdict = verify(word, attempt(reply))
    assert (verdict.status, verdict.grade) == (Status.FAIL, None)


EVALUATED = {
    "binary_matrix": "[{}]",
    "countdown": "{}",
    "n_queens": "[{}]",
    "simple_integration": "{}",
    "spiral_matrix": "[{}]",
    "string_insertion": "[{}]",
}


@pytest.mark.parametrize("dataset", EVALUATED)
def test_a_reply_is_never_evaluated(dataset: str, tmp_path: Path) -> None:
    asked, marker = of(dataset), tmp_path / "ran"
    reply = EVALUATED[dataset].format(f"__import__('pathlib').Path('{marker}').touch()")
    verdict = verify(asked, attempt(reply))
    assert (verdict.status, verdict.fault) == (Status.FAIL, Fault.UNPARSED)
    assert not marker.exists()
    metadata = {"numbers": [], "target": 0, "variable": "x", "integrand": "x", "valid_answers": []}
    marks(asked, reply, **metadata)
    assert marker.exists(), "the scorer alone would have run it"


@pytest.mark.parametrize(
    ("dataset", "reply"),
    [
        ("countdown", "9**9**9"),
        ("countdown", "7//2"),
        ("simple_integration", "Integral(x, x)"),
        ("simple_integration", "lambda: 0"),
        ("rubiks_cube", "R999999999"),
        ("polynomial_equations", "1.0, inf"),
    ],
)
def test_what_no_answer_looks_like_is_not_read(dataset: str, reply: str) -> None:
    verdict = verify(of(dataset), attempt(reply))
    assert (verdict.status, verdict.fault, verdict.grade) == (Status.FAIL, Fault.UNPARSED, None)
    assert verdict.reason == f"no answer to {dataset} looks like this"


def test_a_reply_on_which_the_scorer_fails_is_unparsed() -> None:
    verdict = verify(of("prime_factorization"), attempt("two and three"))
    assert (verdict.status, verdict.fault) == (Status.FAIL, Fault.UNPARSED)
    assert verdict.reason == "the scorer of prime_factorization cannot read it (ValueError)"


def test_a_share_of_the_marks_is_a_grade_and_no_pass() -> None:
    asked = of("spell_backward", word_len=4)
    half = asked.gold[0][:2] + "??"
    verdict = verify(asked, attempt(half))
    assert (verdict.status, verdict.grade, verdict.fault) == (Status.FAIL, 0.5, "nearly_right")
    assert set(faults_of("gym")) == {"nearly_right"}
    verdict = verify(asked, attempt("????"))
    assert (verdict.grade, verdict.fault) == (0.0, Fault.WRONG_ANSWER)


def test_the_whole_reply_or_what_its_last_tags_enclose_is_the_answer() -> None:
    asked = of("spell_backward")
    gold = asked.gold[0]
    assert verify(asked, attempt(f"\n {gold}\n")).status is Status.PASS
    assert verify(asked, attempt("  ")).fault == Fault.NO_ANSWER
    tagged = gym_suite("spell_backward", reply="tags").draw(1, split="attack", seed=0)[0]
    for reply in (tagged.gold[0], f"A word: <answer>no</answer>, or <answer> {gold} </answer>, I think."):
        assert verify(tagged, attempt(reply)).status is Status.PASS
    for reply in (gold, f"<answer>{gold}", f"{gold}</answer>", f"</answer>{gold}<answer>"):
        verdict = verify(tagged, attempt(reply))
        assert (verdict.status, verdict.fault) == (Status.FAIL, Fault.NO_ANSWER)
        assert verdict.reason == "there is no <answer>…</answer>"


def test_a_reply_that_was_cut_off_is_too_long() -> None:
    asked = of("spell_backward")
    cut = replace(attempt("I begin by spelling"), finish=Finish.LENGTH)
    assert verify(asked, cut).fault == Fault.TOO_LONG
    verdict = verify(asked, replace(attempt(asked.gold[0]), finish=Finish.LENGTH))
    assert (verdict.status, verdict.fault) == (Status.FAIL, Fault.TOO_LONG), (
        "its last word could have gone on"
    )
    assert verdict.reason == "the reply was cut off: it may not have ended with this answer"
    tagged = gym_suite("spell_backward", reply="tags").draw(1, split="attack", seed=0)[0]
    closed = replace(attempt(f"{tagged.gold[0]} And"), finish=Finish.LENGTH)
    assert verify(tagged, closed).status is Status.PASS


def test_a_problem_of_another_task_is_refused() -> None:
    with pytest.raises(ValueError, match="a problem of the task gym is needed"):
        verify(problem(CHAIN, "Max is sour."), attempt("no"))

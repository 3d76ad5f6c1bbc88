"""A file is accepted where it is shown to be as good as its champion, and to read the same prompts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.export.exported import ExportError
from engine.export.judged import Given, Terms, answered_exam, ask, judge, require_enough
from engine.measure.paired import paired_drop_bound
from engine.models.identity import Model
from engine.records import Answer, Status
from engine.tasks import load_task
from tests.support.exporting import TOY, Played, answer_of, asking
from tests.support.llama import write_gguf
from tests.support.suites import suite

NUM = 60


@pytest.fixture
def terms(tmp_path: Path) -> Terms:
    problems = suite(TOY).draw(NUM, split="eval", seed=1)
    return Terms(
        task=load_task(TOY),
        asking=asking(),
        problems=tuple(problems),
        shots=(),
        champion=Model(id="c", path=tmp_path),
        margin=0.10,
        num_parallel=4,
        threads=1,
        memory=None,
    )


def answers(terms: Terms, num_right: int) -> list[Answer]:
    return [answer_of(p, "yes" if n < num_right else "no") for n, p in enumerate(terms.problems)]


def given(of: Sequence[Answer], num_same: int = NUM) -> Given:
    return Given(answers=tuple(of), seconds=2.0, num_same_prompts=num_same)


def test_a_file_that_answers_as_its_champion_is_accepted(terms: Terms) -> None:
    champion = answers(terms, 40)
    judged = judge(terms, champion, given(champion))
    assert judged.accepted and (judged.won, judged.lost, judged.num) == (0, 0, NUM)
    assert judged.win_rate == 0.5 and judged.drop_bound == paired_drop_bound(0, 0, NUM)
    assert judged.tokens_per_second == 2 * NUM / 2.0
    assert judged.figure.number == pytest.approx(40 / NUM)


def test_a_file_that_loses_more_than_the_margin_is_refused(terms: Terms) -> None:
    judged = judge(terms, answers(terms, 40), given(answers(terms, 30)))
    assert not judged.accepted and (judged.won, judged.lost) == (0, 10)
    assert judged.win_rate == pytest.approx((NUM - 10) / 2 / NUM)
    assert judged.checks[-1].observed.startswith("66.7% -> 50.0%")


def test_what_could_not_be_judged_counts_against_the_file(terms: Terms) -> None:
    champion = answers(terms, 40)
    undecided = [
        replace(each, verdict=replace(each.verdict, status=Status.UNDECIDED)) if n < 10 else each
        for n, each in enumerate(champion)
    ]
    assert judge(terms, champion, given(undecided)).lost == 10
    # Also the champion's own, which might have passed.
    open_champion = [
        replace(each, verdict=replace(each.verdict, status=Status.UNDECIDED)) for each in answers(terms, 0)
    ]
    assert judge(terms, open_champion, given(answers(terms, 0))).lost == NUM


def test_a_file_that_reads_other_prompts_is_refused_however_it_answers(terms: Terms) -> None:
    champion = answers(terms, 40)
    judged = judge(terms, champion, given(champion, num_same=NUM - 1))
    assert not judged.accepted
    assert judged.checks[0].observed == f"{NUM - 1} of {NUM} prompts are the same tokens as the champion's"


def test_the_chance_to_show_that_nothing_was_lost_is_told(terms: Terms) -> None:
    assert terms.power < replace(terms, margin=0.2).power <= 1


def test_passages_cannot_be_judged_through_llama() -> None:
    with pytest.raises(ExportError, match="has passages, whose likelihood llama.cpp does not tell"):
        answered_exam(load_task("tests/support/passage_task.py"))


def test_what_a_judge_prefers_is_judged_by_no_verifier() -> None:
    task = replace(load_task(TOY), exam="preference")
    with pytest.raises(ExportError, match="task toy is examined by a judge's preference.*--unjudged"):
        answered_exam(task)


def test_a_champion_that_passes_too_little_shows_nothing_of_a_file(terms: Terms) -> None:
    """A broken file would be accepted: all that the champion passes is less than the margin."""
    weak = answers(terms, 1)
    assert judge(terms, weak, given(answers(terms, 0))).accepted
    with pytest.raises(ExportError, match="passes 1.7% of 60 problems.* needs more than 20.0%; lower"):
        require_enough(terms, weak)
    with pytest.raises(ExportError, match="30.0% of 60"):
        require_enough(terms, answers(terms, 18))
    require_enough(terms, answers(terms, 20))
    assert not judge(terms, answers(terms, 20), given(answers(terms, 0))).accepted


@pytest.mark.slow
def test_a_file_is_asked_through_its_runtime_and_verified(
    terms: Terms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_gguf(tmp_path / "m.gguf", {"token_embd.weight": (64, 256)})
    played = Played(monkeypatch, lambda body: "yes" if "cats" in body["prompt"] else "no")
    found = ask(terms, file)
    assert [each.verdict.problem_id for each in found.answers] == [each.id for each in terms.problems]
    for problem, answer in zip(terms.problems, found.answers, strict=True):
        assert (answer.verdict.status is Status.PASS) == ("cats" in problem.text)
    assert found.num_same_prompts == NUM and found.seconds > 0
    assert "<system>Prove or refute.<user>Is" in played.llamas[0].asked[0]["prompt"]
    assert not played.llamas[0].is_alive, "nothing is left running"


def test_a_template_that_says_more_is_noticed(
    terms: Terms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_gguf(tmp_path / "m.gguf", {"token_embd.weight": (64, 256)})
    played = Played(monkeypatch, lambda body: "yes")
    monkeypatch.setattr(
        "engine.export.judged.prompt_ids",
        lambda tokenizer, chat: [0, *played.prompt_ids(tokenizer, chat)] if "cats" in chat[-1].text else [],
    )
    assert ask(terms, file).num_same_prompts == 0

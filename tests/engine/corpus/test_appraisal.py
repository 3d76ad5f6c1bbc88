"""A judge looks at what is left: low scores are left out, answers are kept, and nothing is paid for twice."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configs.curation import Curation
from configs.load import ConfigError
from engine.corpus.pipeline import curate
from engine.corpus.stations import Curated
from engine.corpus.workers import CurationLost
from engine.disk.jsonl import objects
from engine.judge.completions import JudgeError
from engine.judge.endpoint import OverBudget
from engine.measure.evaluate import TooManyUndecided
from tests.support.examples import file_of, rows, settings
from tests.support.judge_server import JudgeServer, serving

REPLY = re.compile(r"The reply:\n<(text-[0-9a-f]{12})>\n(.*?)\n</\1>", re.DOTALL)


def verdict(prompt: str) -> str:
    """The score is a reply's first digit; one that curses is harmful, one that mumbles gets no verdict."""
    found = REPLY.search(prompt)
    assert found is not None
    if "curse" in found[2]:
        return "This insults.\n[[harmful]]"
    return "Well." if "mumble" in found[2] else f"I have read it.\n\n[[{found[2][0]}]]\n"


def told(*replies: str) -> list[dict[str, Any]]:
    """Rows whose replies begin so."""
    asked = rows(len(replies))
    return [
        {**row, "response": f"{reply} {row['response']}"} for row, reply in zip(asked, replies, strict=True)
    ]


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with serving() as judge:
        judge.replies = verdict
        yield judge


def asking(server: JudgeServer, *more: str) -> Curation:
    return settings(f"judge={{url: '{server.url}', model: judge}}", *more)


def run(folder: Path, given: list[dict[str, Any]], asks: Curation) -> Curated:
    return curate([file_of(folder / "a.jsonl", given)], asks, folder / "out", workers=1)


def removed(folder: Path) -> list[tuple[int, str, str]]:
    found = objects(folder / "out" / "removed.jsonl")
    return [(row["number"], row["station"], row["fault"]) for row in found]


def test_what_is_scored_too_low_or_called_harmful_is_left_out(tmp_path: Path, server: JudgeServer) -> None:
    given = told("5", "2", "3", "curse", "1", *["4"] * 20)
    curated = run(tmp_path, [*given, given[0]], asking(server, "quality.least_score=3", "harm.judged=true"))
    assert removed(tmp_path) == [
        (2, "judge", "low_score"),
        (4, "judge", "judged_harmful"),
        (5, "judge", "low_score"),
        (26, "duplicates", "duplicate"),
    ]
    first, harmful, *_ = objects(tmp_path / "out" / "removed.jsonl")
    assert first["reason"] == "judge-1 says: I have read it. [[2]]; quality.least_score is 3"
    assert harmful["reason"] == "judge-1 says: This insults. [[harmful]]"
    assert list(curated.counts)[-2:] == ["judge", "split"] and curated.counts["judge"].left == 22
    assert len(server.requests) == 25, "a duplicate costs nothing"


def test_each_can_be_asked_for_alone(tmp_path: Path, server: JudgeServer) -> None:
    given = told("2", "curse", *["4"] * 8)
    run(tmp_path, given, asking(server, "harm.judged=true"))
    assert removed(tmp_path) == [(2, "judge", "judged_harmful")]
    run(tmp_path, given, asking(server, "quality.least_score=2"))
    assert removed(tmp_path) == [(2, "judge", "low_score")], "what is harmful has no score"
    assert len(server.requests) == 10, "what it has said is asked again by no other setting"


def test_only_what_is_new_is_asked(tmp_path: Path, server: JudgeServer) -> None:
    asks = asking(server, "quality.least_score=3")
    run(tmp_path, told(*["4"] * 10), asks)
    run(tmp_path, told(*["4"] * 10), settings())
    more = file_of(tmp_path / "b.jsonl", [{"prompt": "Why is that so?", "response": "5 of them said so."}])
    curate([str(tmp_path / "a.jsonl"), more], asks, tmp_path / "out", workers=1)
    assert len(server.requests) == 11
    assert (tmp_path / "out" / "judged.jsonl").stat().st_mode & 0o777 == 0o600


def test_pairs_are_judged_by_the_side_that_is_preferred_and_chats_in_whole(
    tmp_path: Path, server: JudgeServer
) -> None:
    said = ("Be kind.", "Hello!", "4 of us greet.", "Who?", "5.")
    roles = ("system", "user", "assistant", "user", "assistant")
    turns = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
    given = [
        {"prompt": "Which?", "chosen": "5 or so, I think.", "rejected": "curse you all, and so on."},
        {"messages": turns},
    ]
    run(tmp_path, given, asking(server, "quality.least_score=3", "harm.judged=true"))
    assert removed(tmp_path) == []
    prompts = sorted(request["messages"][0]["content"] for request in server.requests)
    assert len(prompts) == 3
    assert any("user: Hello!\n\nassistant: 4 of us greet.\n\nuser: Who?\n</text-" in each for each in prompts)


def test_a_reply_cannot_speak_for_the_judge(tmp_path: Path, server: JudgeServer) -> None:
    run(tmp_path, told("4", "3"), asking(server, "quality.least_score=1"))
    marks = [re.findall(r"<(text-[0-9a-f]{12})>", each["messages"][0]["content"]) for each in server.requests]
    assert all(len(each) == 2 and len(set(each)) == 1 for each in marks)
    assert len({each[0] for each in marks}) == 2


def test_a_few_without_a_verdict_stay_and_many_stop(tmp_path: Path, server: JudgeServer) -> None:
    asks = asking(server, "quality.least_score=3", "judge.max_undecided=0.1")
    curated = run(tmp_path, told("mumble", *["4"] * 11), asks)
    assert curated.counts["judge"].noted == {"no_verdict": 1} and sum(curated.splits.values()) == 12
    with pytest.raises(TooManyUndecided, match="gave no verdict on 2 of 12 examples, such as 'Well.'"):
        run(tmp_path, told("mumble", "mumble", *["4"] * 10), asks)
    assert len(objects(tmp_path / "out" / "train.jsonl")) > 0, "the directory is as it was"


def test_what_was_answered_before_a_judge_fell_silent_is_kept(tmp_path: Path, server: JudgeServer) -> None:
    asks = asking(server, "quality.least_score=3", "judge.retries=0", "judge.num_parallel=1")
    num_first = 5

    def tired(prompt: str) -> str:
        if len(server.requests) == num_first:
            server.trouble = (500, b"{}", {})
        return verdict(prompt)

    server.replies = tired
    with pytest.raises(CurationLost, match=r"does not answer: 500.*and the same command goes on from there"):
        run(tmp_path, told(*["4"] * 10), asks)
    server.trouble, server.replies = None, verdict
    num = len(server.requests)
    run(tmp_path, told(*["4"] * 10), asks)
    assert len(server.requests) - num == 10 - num_first


def test_a_judge_that_refuses_or_costs_too_much_is_named(tmp_path: Path, server: JudgeServer) -> None:
    server.trouble = (401, b'{"error": {"message": "no such key"}}', {})
    with pytest.raises(JudgeError, match="cannot be asked: 401 no such key"):
        run(tmp_path, told("4", "5"), asking(server, "quality.least_score=3"))
    server.trouble = None
    dear = ("judge.price={prompt: 1000, reply: 1000}", "judge.max_cost=0.2", "judge.num_parallel=1")
    with pytest.raises(OverBudget, match="has cost 0.22 for 2 answers, and judge.max_cost is 0.2"):
        run(tmp_path, told(*["4"] * 10), asking(server, "quality.least_score=3", *dear))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["quality.least_score=3"], "quality.least_score and harm.judged need `judge: {url: …, model: …}`"),
        (["judge={url: 'http://a/v1', model: m}"], "a judge is asked for something"),
        (
            ["judge={url: 'http://a/v1', model: m, decides: true}", "harm.judged=true"],
            "judge.decides",
        ),
        (["quality.least_score=6"], "quality.least_score"),
    ],
)
def test_settings_of_a_judge_are_checked(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(*overrides)
    assert words in str(caught.value)


def test_a_judge_that_could_not_be_asked_is_refused_before_anything_is_written(
    tmp_path: Path, server: JudgeServer
) -> None:
    (tmp_path / "mine.txt").write_text("Rate {asked} and {reply}.")
    for more, words in (
        ("judge.key=RATCHET_NO_SUCH_KEY", "RATCHET_NO_SUCH_KEY is not set"),
        (f"judge.prompt={tmp_path}/none.txt", "none.txt cannot be read: No such file"),
        (f"judge.prompt={tmp_path}/mine.txt", r"lacks \[\[harmful\]\], \[\[1\]\]"),
    ):
        with pytest.raises(JudgeError, match=words):
            run(tmp_path, told("4"), asking(server, "harm.judged=true", more))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "mine.txt"]
    assert not server.requests

"""The client for chat completions against a server that is busy, rude, slow, dear or down."""

import errno
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from configs.judging import Judge as Settings
from configs.load import ConfigError, validate
from engine.errors import sentence_of
from engine.judge import completions
from engine.judge.completions import JudgeError
from engine.judge.endpoint import Endpoint, JudgeLost, OverBudget
from engine.measure.evaluate import Unjudged
from engine.records import Turn
from tests.support.judge_server import JudgeServer, serving


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with serving() as each:
        yield each


@contextmanager
def endpoint(server: JudgeServer, tmp_path: Path, **changes: Any) -> Iterator[Endpoint]:
    with Endpoint(server.settings(**changes), tmp_path / "judge.jsonl", first_wait=0.001) as each:
        yield each


def chat(text: str) -> tuple[Turn, ...]:
    return (Turn(role="user", text=text),)


def error(status: int, message: str = "no", headers: dict[str, str] | None = None) -> Any:
    return status, json.dumps({"error": {"message": message}}).encode(), headers or {}


def test_answers_come_in_order_however_many_are_asked_at_once(server: JudgeServer, tmp_path: Path) -> None:
    server.says, server.gate, server.opens_at = "{asked}", threading.Event(), 5
    questions = [f"question {number}" for number in range(12)]
    with endpoint(server, tmp_path, num_parallel=5) as each:
        found = each.ask([chat(question) for question in questions])
    assert [completion.text for completion in found] == questions
    assert len(server.requests) == 12 and server.most_at_once == 5


def test_a_request_says_what_the_settings_say(
    server: JudgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", " sk-1\n")
    with endpoint(server, tmp_path, key="JUDGE_KEY", max_tokens=7, seed=3) as each:
        each.ask([(Turn(role="system", text="Be fair."), *chat("Well?"))])
    newer = {"limit": "max_completion_tokens", "temperature": None, "seed": None}
    with endpoint(server, tmp_path, **newer) as each:
        each.ask([chat("Well?")])
    first, second = server.requests
    assert first == {
        "model": "judge",
        "messages": [
            {"role": "system", "content": "Be fair."},
            {"role": "user", "content": "Well?"},
        ],
        "max_tokens": 7,
        "temperature": 0.0,
        "seed": 3,
    }
    assert set(second) == {"model", "messages", "max_completion_tokens"}
    assert server.headers[0]["authorization"] == "Bearer sk-1" and "authorization" not in server.headers[1]


@pytest.mark.parametrize(
    ("value", "found"), [(None, "is not set"), ("", "is not set"), ("kéy", "holds what")]
)
def test_a_key_is_named_and_never_shown(
    value: str | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("JUDGE_KEY", value)
    settings = Settings(url="http://127.0.0.1:1/v1", model="m", key="JUDGE_KEY")
    with pytest.raises(JudgeError, match=f"but JUDGE_KEY {found}") as caught:
        Endpoint(settings, tmp_path / "judge.jsonl")
    assert not value or value not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "sk-secret"}, "key: must be the name of an environment variable"),
        ({"url": "ftp://x/v1"}, r"url: must be an http\(s\) address"),
        ({"url": "https://user:secret@x/v1"}, r"url: must be an http\(s\) address without user"),
        ({"max_cost": 1.0}, "max_cost needs `price"),
        ({"max_cots": 1.0}, "max_cots"),
    ],
)
def test_settings_that_mean_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        validate(Settings, {"url": "http://x/v1", "model": "m", **changes}, "judge")
    assert "secret" not in str(caught.value)


def test_a_url_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match=r"judge.url http://\[1/v1 cannot be used"):
        Endpoint(Settings(url="http://[1/v1", model="m"), tmp_path / "judge.jsonl")


def test_what_is_kept_is_not_asked_again(server: JudgeServer, tmp_path: Path) -> None:
    chats = [chat(text) for text in ("a", "b", "a", "c")]
    with endpoint(server, tmp_path) as each:
        first = each.ask(chats[:3])
        assert len(server.requests) == 2, "the same chat is asked once"
        assert each.spent == (2, 200, 20, None)
    kept = tmp_path / "judge.jsonl"
    # A kill while the third was written leaves half a line.
    kept.write_bytes(kept.read_bytes() + b'{"request": "ab')
    price = {"prompt": 1.0, "reply": 5.0}
    with endpoint(server, tmp_path, price=price) as each:
        assert each.ask(chats)[:3] == first and len(server.requests) == 3
        assert each.spent == (3, 300, 30, pytest.approx((300 + 5 * 30) / 1e6))
    with endpoint(server, tmp_path, model="another") as each:
        each.ask(chats[:1])
    assert len(server.requests) == 4, "another model is asked anew"
    assert oct(kept.stat().st_mode)[-3:] == "600"


def test_a_file_of_something_else_is_refused(server: JudgeServer, tmp_path: Path) -> None:
    (tmp_path / "judge.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(JudgeError, match="holds no answers of a judge"), endpoint(server, tmp_path):
        pass


@pytest.mark.parametrize(
    "trouble",
    [
        error(429, headers={"retry-after": "0"}),
        error(500),
        error(503, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        error(529),
        (200, b"<html>a proxy's page</html>", {}),
        (200, b'{"choices": []}', {}),
        (200, b'{"error": {"message": "overloaded"}}', {}),
        (200, b"[" * 5000, {}),
        (200, b"x" * 10, {"content-length": "20"}),
        (200, b"not gzip", {"content-encoding": "gzip"}),
    ],
)
def test_trouble_that_passes_is_waited_for(server: JudgeServer, tmp_path: Path, trouble: Any) -> None:
    server.troubles = [trouble, trouble]
    if "content-length" in trouble[2]:
        server.troubles = server.troubles[:1]
    with endpoint(server, tmp_path, seconds=0.5) as each:
        (found,) = each.ask([chat("a")])
    assert found.model == "judge-1" and found.finish == "stop"


def test_an_endless_answer_is_given_up(
    server: JudgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.judge.endpoint._MOST_BYTES", 1000)
    server.trouble = (200, b" " * 5000, {})
    with (
        endpoint(server, tmp_path, retries=1) as each,
        pytest.raises(JudgeLost, match="more than 1,000 bytes"),
    ):
        each.ask([chat("a")])
    assert len(server.requests) == 2


def test_a_judge_that_stays_busy_is_given_up_and_what_it_answered_is_kept(
    server: JudgeServer, tmp_path: Path
) -> None:
    with endpoint(server, tmp_path, retries=2) as each:
        each.ask([chat("a")])
        server.trouble = error(503, "try later")
        with pytest.raises(
            JudgeLost, match="503 try later; what it has answered is kept, and `ratchet resume`"
        ):
            each.ask([chat("a"), chat("b")])
        assert len(server.requests) == 1 + 3
        server.trouble = None
        assert len(each.ask([chat("a"), chat("b")])) == 2
    assert len(server.requests) == 5


def test_a_judge_that_is_down_is_named(tmp_path: Path) -> None:
    settings = Settings(url="http://127.0.0.1:9/v1", model="m", retries=1)
    with (
        Endpoint(settings, tmp_path / "judge.jsonl", first_wait=0.001) as each,
        pytest.raises(JudgeLost, match="the judge m at http://127.0.0.1:9/v1 does not answer: ConnectError"),
    ):
        each.ask([chat("a")])


def test_a_judge_that_hangs_is_given_up(server: JudgeServer, tmp_path: Path) -> None:
    server.gate = threading.Event()
    with (
        endpoint(server, tmp_path, seconds=0.05, retries=1) as each,
        pytest.raises(JudgeLost, match="Timeout"),
    ):
        each.ask([chat("a")])
    server.gate.set()


def test_a_judge_that_sends_its_answer_drop_by_drop_is_given_up(server: JudgeServer, tmp_path: Path) -> None:
    """Each byte comes in time, so only the clock over all of them ends it."""
    server.drips = 0.02
    with (
        endpoint(server, tmp_path, seconds=0.3, retries=1) as each,
        pytest.raises(JudgeLost, match="an answer that was still coming when its time was over"),
    ):
        each.ask([chat("a")])
    assert len(server.requests) == 2


def test_a_judge_that_hangs_up_is_given_up(server: JudgeServer, tmp_path: Path) -> None:
    server.hangs_up = True
    with (
        endpoint(server, tmp_path, retries=1) as each,
        pytest.raises(JudgeLost, match="does not answer: RemoteProtocolError"),
    ):
        each.ask([chat("a")])
    assert len(server.requests) == 2


def test_time_that_is_over_ends_the_judging(server: JudgeServer, tmp_path: Path) -> None:
    server.trouble = error(503, headers={"retry-after": "999"})
    with (
        endpoint(server, tmp_path, minutes=0.01) as each,
        pytest.raises(JudgeLost, match="of judge.minutes are over; last: 503 no"),
    ):
        each.ask([chat("a")])
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_an_endpoint_that_refuses_everything_is_asked_once(
    server: JudgeServer, tmp_path: Path, status: int
) -> None:
    server.trouble = error(status, "who\nare you?")
    with (
        endpoint(server, tmp_path, num_parallel=1) as each,
        pytest.raises(JudgeError, match=f"cannot be asked: {status} who are you?"),
    ):
        each.ask([chat("a"), chat("b")])
    assert len(server.requests) == 1


def test_a_refused_request_says_nothing_of_the_others(server: JudgeServer, tmp_path: Path) -> None:
    server.troubles = [error(400, "too long")]
    with endpoint(server, tmp_path, num_parallel=1) as each:
        first, second = each.ask([chat("a"), chat("b")])
        assert (first.finish, first.text) == ("refused", "400 too long") and second.finish == "stop"
        each.ask([chat("a")])
    assert len(server.requests) == 2, "it would be refused again"


@pytest.mark.parametrize(("answered", "num"), [(0, 3), (1, 40)])
def test_an_endpoint_that_refuses_whatever_it_is_asked_is_named_and_asked_again(
    server: JudgeServer, tmp_path: Path, answered: int, num: int
) -> None:
    """As one that does not know a field, or whose credit is spent: the requests are not at fault."""
    with endpoint(server, tmp_path, num_parallel=1) as each:
        each.ask([chat(f"before {number}") for number in range(answered)])
        server.trouble = error(400, "your credit is too low")
        chats = [chat(str(number)) for number in range(num)]
        with pytest.raises(JudgeError, match="refuses whatever it is asked, last with: 400 your credit"):
            each.ask(chats)
        assert len(server.requests) <= answered + 21
        server.trouble = None
        assert {each.finish for each in each.ask(chats)} == {"stop"}


def test_what_a_rude_endpoint_says_is_kept_as_text_and_without_the_key(
    server: JudgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    # Half a character is JSON, and no text that could be read back.
    server.troubles = [error(400, "Bearer sk-secret \ud800")]
    with endpoint(server, tmp_path, key="JUDGE_KEY", num_parallel=1) as each:
        first, _ = each.ask([chat("a"), chat("c")])
        assert first.text == "400 Bearer [key] ?"
        server.trouble = error(401, f"{'x' * 195} sk-secret")
        with pytest.raises(JudgeError) as caught:
            each.ask([chat("b")])
    assert "sk-" not in str(caught.value) and "sk-" not in (tmp_path / "judge.jsonl").read_text()
    with endpoint(server, tmp_path, key="JUDGE_KEY") as each:
        assert each.ask([chat("a")]) == [first]


def test_no_request_is_begun_once_the_cost_is_spent(server: JudgeServer, tmp_path: Path) -> None:
    price, chats = {"prompt": 10_000.0, "reply": 0.0}, [chat(str(number)) for number in range(10)]
    with endpoint(server, tmp_path, price=price, max_cost=2.5, num_parallel=1) as each:
        with pytest.raises(OverBudget, match="has cost 3 for 3 answers, and judge.max_cost is 2.5") as caught:
            each.ask(chats)
        assert isinstance(caught.value, Unjudged), "it ends the round, and not the run"
        assert len(server.requests) == 3
    with (
        endpoint(server, tmp_path, price=price, max_cost=2.5) as each,
        pytest.raises(OverBudget, match="for 3 answers"),
    ):
        each.ask(chats)
    assert len(server.requests) == 3, "what earlier drivers of the run spent counts"


def test_a_cost_that_cannot_be_counted_cannot_be_limited(server: JudgeServer, tmp_path: Path) -> None:
    server.usage = None
    with endpoint(server, tmp_path) as each:
        assert each.ask([chat("a")])[0].num_tokens == 0
    limits = {"price": {"prompt": 1.0, "reply": 1.0}, "max_cost": 1.0}
    with endpoint(server, tmp_path, **limits) as each, pytest.raises(JudgeError, match="how many tokens"):
        each.ask([chat("b")])


def test_a_full_disk_loses_nothing_that_was_kept(
    server: JudgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, entry: dict[str, Any]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with endpoint(server, tmp_path, num_parallel=1) as each:
        each.ask([chat("a")])
        with monkeypatch.context() as patch:
            patch.setattr(completions, "append_line", full)
            with pytest.raises(OSError) as caught:
                each.ask([chat("b")])
        assert sentence_of(caught.value, tmp_path) == (
            f"the disk is full: {tmp_path / 'judge.jsonl'} could not be written"
        )
        each.ask([chat("a"), chat("b")])
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("proxy", "raised", "said"),
    [
        (
            "http://me:hidden@127.0.0.1:1",
            JudgeLost,
            "http://127.0.0.1:1 on the way to it, does not answer: Conn",
        ),
        ("", JudgeError, "on the way to it, cannot be asked: 404 no such path"),
    ],
)
def test_a_fault_of_a_proxy_is_not_only_the_judges(
    server: JudgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, raised: Any, said: str
) -> None:
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", proxy or server.settings().url.removesuffix("/v1"))
    settings = Settings(url="http://192.0.2.1/v1", model="m", retries=1)
    with (
        Endpoint(settings, tmp_path / "judge.jsonl", first_wait=0.001) as each,
        pytest.raises(raised, match=f"^the judge m at http://192.0.2.1/v1, or the proxy .*{said}") as caught,
    ):
        each.ask([chat("a")])
    assert "hidden" not in str(caught.value) and len(server.requests) <= 1

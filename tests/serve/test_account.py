"""The events of a stream: what the account counts, and where the output filter ends the stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from serve import routes
from serve.account import Account, Events, calls_text
from serve.metrics import Metrics
from serve.requests import RequestError
from serve.slots import SlotsError


def events(refused: str = "", usage: bool = False) -> Events:
    account = Account(Metrics("g"), 10.0, "completions", "req", "key")
    return Events(account, lambda text: "found" if refused and refused in text else "", usage)


def chunk(*texts: str, tokens: list[str] | None = None) -> bytes:
    choices: list[dict[str, Any]] = [{"index": 0, "text": text} for text in texts]
    if tokens:
        choices[0]["logprobs"] = {"tokens": tokens}
    return b"".join(b"data: " + json.dumps({"choices": [each]}).encode() + b"\n\n" for each in choices)


def test_text_passes_unchanged() -> None:
    assert events().passed(chunk("a", "b")) == chunk("a", "b")


def test_the_first_match_ends_the_stream() -> None:
    stream = events("bad")
    passed = stream.passed(chunk("good ", "b", "ad", "after", "bad"))
    assert stream.reason == "found"
    assert passed.count(b"content_filter") == passed.count(b"[DONE]") == 1
    assert passed.startswith(chunk("good ", "b")) and b"after" not in passed


def test_tokens_that_are_listed_before_their_text_are_filtered() -> None:
    stream = events("bad")
    passed = stream.passed(chunk("", tokens=["b"]) + chunk("", tokens=["ad"]))
    assert stream.reason == "found" and b'"ad"' not in passed


def piece(call: int, **function: str) -> bytes:
    delta = {"tool_calls": [{"index": call, "function": function}]}
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def test_an_error_in_a_stream_is_no_success() -> None:
    stream, error = events(), b'data: {"error": {"message": "no", "type": "invalid_request_error"}}\n\n'
    assert stream.passed(chunk("a") + error) == chunk("a") + error and stream.status == 400
    assert events().status == 200


def test_calls_of_tools_are_counted_and_filtered_as_they_arrive() -> None:
    stream = events("bad")
    pieces = [piece(0, name="f", arguments='{"a": "b'), piece(1, name="g"), piece(0, arguments='ad"}')]
    assert stream.passed(pieces[0] + pieces[1]) == pieces[0] + pieces[1]
    passed = stream.passed(pieces[2])
    assert stream.reason == "found" and b"content_filter" in passed and b"ad" not in passed
    assert stream._account.completion_tokens == 3
    calls = [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g", "arguments": "1"}}]
    assert calls_text(calls) == {"call 0": "f {}", "call 1": "g 1"} and calls_text(None) == {}


def test_a_whole_answer_is_filtered_with_its_calls() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "bad"}'}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    document = json.dumps({"choices": [choice], "usage": None}).encode()

    def passed(refused: str) -> bytes:
        desk: Any = SimpleNamespace(refuses_output=lambda text: refused in text)
        return routes._whole(desk, Account(Metrics("g"), 10.0, "chat", "req", "key"), document)

    assert passed("worse") == document
    (found,) = json.loads(passed("bad"))["choices"]
    assert (found["finish_reason"], found["message"]["tool_calls"]) == ("content_filter", [])


def test_usage_is_sent_only_to_clients_that_asked_for_it() -> None:
    last = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'
    assert events().passed(last) == b""
    assert events(usage=True).passed(last) == last


@pytest.mark.parametrize(
    ("ended_by", "status"),
    [
        (TimeoutError(), 504),
        (RequestError(429, "busy"), 429),
        (SlotsError("the server's state file is damaged"), 503),
        (RuntimeError("a bug"), 500),
        (asyncio.CancelledError(), 499),
    ],
)
def test_what_ends_a_request_is_its_status(ended_by: BaseException, status: int) -> None:
    account = Account(Metrics("g"), 10.0, "chat", "req", "key")
    with pytest.raises(BaseException) as raised, account.takes_failures():
        raise ended_by
    assert account.status == status
    assert isinstance(raised.value, RequestError if status == 504 else type(ended_by))


def test_a_stream_that_a_bug_ends_has_failed() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"no event\n\n"

    async def read(account: Account) -> None:
        opened: Any = SimpleNamespace(first=chunk("a"), rest=broken())
        async for _ in routes._stream(account, events(), opened):
            pass

    account = Account(Metrics("g"), 10.0, "completions", "req", "key")
    with pytest.raises(ValueError):
        asyncio.run(read(account))
    assert account.status == 500

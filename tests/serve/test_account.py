"""The events of a stream: what the account counts, and where the output filter ends the stream."""

import json
from typing import Any

from serve.account import Account, Events
from serve.metrics import Metrics


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


def test_usage_is_sent_only_to_clients_that_asked_for_it() -> None:
    last = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'
    assert events().passed(last) == b""
    assert events(usage=True).passed(last) == last

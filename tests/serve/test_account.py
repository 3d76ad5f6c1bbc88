"""Events of a stream: what is counted, and where the output filter ends it."""

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


def test_text_passes_as_it_is() -> None:
    assert events().passed(chunk("a", "b")) == chunk("a", "b")


def test_the_first_match_ends_the_stream() -> None:
    stream = events("bad")
    passed = stream.passed(chunk("good ", "b", "ad", "after", "bad"))
    assert stream.reason == "found"
    assert passed.count(b"content_filter") == passed.count(b"[DONE]") == 1
    assert passed.startswith(chunk("good ", "b")) and b"after" not in passed


def test_tokens_that_are_told_before_their_text_are_looked_at() -> None:
    stream = events("bad")
    passed = stream.passed(chunk("", tokens=["b"]) + chunk("", tokens=["ad"]))
    assert stream.reason == "found" and b'"ad"' not in passed


def test_usage_goes_on_only_to_who_asked() -> None:
    last = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'
    assert events().passed(last) == b""
    assert events(usage=True).passed(last) == last

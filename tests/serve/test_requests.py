"""What a client may send, and the error message for everything else."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.serving import Limits
from serve.requests import RequestError, parse, read_chat, read_completion

LIMITS = Limits()
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


def refused(body: Any, *, chat: bool = True, limits: Limits = LIMITS) -> RequestError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestError) as caught:
        (read_chat if chat else read_completion)(raw, limits)
    return caught.value


def test_the_fields_of_the_openai_client_are_read() -> None:
    body = CHAT | {
        "model": "champion",
        "max_completion_tokens": 7,
        "temperature": 0.5,
        "stop": ["\n"],
        "seed": 3,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 4,
        "stream": True,
        "stream_options": {"include_usage": True},
        "user": "somebody",
        "metadata": {"a": "b"},
    }
    request = read_chat(json.dumps(body).encode(), LIMITS)
    assert (request.max_tokens, request.n, request.stop, request.wants_usage) == (7, 2, ["\n"], True)
    assert "user" not in request.model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("change", "sentence", "param"),
    [
        ({"tools": [{}]}, "the field tools is not served here", "tools"),
        ({"function": {"name": "f"}}, "the field function is not served here", "function"),
        ({"best_of": 2}, "the field best_of is not served here", "best_of"),
        ({"stop": list("abcde")}, "stop: List should have at most 4 items", "stop"),
        ({"stop": 1}, "stop: Input should be a valid string", "stop"),
        (
            {"messages": [{"role": "user", "content": "", "audio": {"id": "a"}}]},
            "the field messages.0.audio",
            None,
        ),
        ({"temprature": 1}, "the field temprature is not served here", "temprature"),
        ({"temperature": 3}, "temperature: Input should be less than or equal to 2", "temperature"),
        ({"n": 5}, "n must be at most 4, got 5", "n"),
        ({"max_tokens": 5000}, "max_tokens must be at most 1024, got 5000", "max_tokens"),
        ({"top_logprobs": 2}, "top_logprobs needs logprobs to be true", "top_logprobs"),
        ({"messages": []}, "messages: List should have at least 1 item", "messages"),
        ({"messages": CHAT["messages"] * 65}, "a chat may have at most 64 messages, got 65", "messages"),
        ({"chat_template": "{{ 1 }}"}, "the field chat_template is not served here", "chat_template"),
    ],
)
def test_a_refused_field_is_named(change: dict[str, Any], sentence: str, param: str | None) -> None:
    error = refused(CHAT | change)
    assert error.status == 400
    assert sentence in str(error)
    assert param is None or error.body["error"]["param"] == param


def test_fields_that_ask_for_nothing_are_ignored() -> None:
    nothing: dict[str, Any] = {
        "tools": [],
        "tool_choice": "none",
        "suffix": None,
        "best_of": 1,
        "logit_bias": None,
    }
    nothing |= {"response_format": {"type": "text"}, "modalities": ["text"], "functions": None}
    assert read_chat(json.dumps(CHAT | nothing).encode(), LIMITS) == read_chat(
        json.dumps(CHAT).encode(), LIMITS
    )
    answer = {"role": "assistant", "content": "hello", "refusal": None, "annotations": None, "tool_calls": []}
    answer |= {"reasoning": None, "audio": None, "function_call": None}
    chat = {"messages": [*CHAT["messages"], answer]}
    assert read_chat(json.dumps(chat).encode(), LIMITS).texts() == ["hi", "hello"]


def test_a_request_has_a_limited_number_of_answers() -> None:
    assert refused({"prompt": ["x"] * 5, "n": 4}, chat=False).body["error"]["message"] == (
        "n times prompts must be at most 16 answers, got 20"
    )


@pytest.mark.timeout(60)
def test_unterminated_strings_are_read_in_one_go() -> None:
    """Trying each quote as the start of a string would take hours."""
    for end in (b"", b"\\", b'"x'):
        assert "not JSON" in str(refused(b'"' + b'\\"' * 500_000 + end))
    assert "nested 20 levels deep" in str(refused(b"[" * 20 + b'"' * 500_001))


def test_prompts_of_every_kind() -> None:
    for prompt, num in (("a", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1], [2], [3]], 3)):
        request = read_completion(json.dumps({"prompt": prompt, "n": 2}).encode(), LIMITS)
        assert (request.num_prompts(), request.num_answers()) == (num, 2 * num)
    assert "prompt" in str(refused({"prompt": []}, chat=False))
    assert "prompt" in str(refused({"prompt": [-1]}, chat=False))
    assert "prompt may hold at most 64 texts, got 65" in str(refused({"prompt": ["a"] * 65}, chat=False))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"messages": NaN}', "NaN is not valid JSON"),
        (b'{"messages": -Infinity}', "-Infinity is not valid JSON"),
        (b"\xff\xfe", "not valid UTF-8 text"),
        (b'{"model": "\\ud800"}', "not valid UTF-8 text"),
        (b"[" * 100_000, "nested 100000 levels deep"),
        (b'{"a":' * 20 + b"1" + b"}" * 20, "nested 20 levels deep"),
        (b'{"n": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b"[]", "the body"),
        (b"null", "the body"),
        (b'"text"', "the body"),
    ],
)
def test_broken_bodies(raw: bytes, sentence: str) -> None:
    assert sentence in str(refused(raw))


def test_brackets_in_a_string_do_not_count_as_nesting() -> None:
    assert parse(json.dumps({"a": "[" * 1000 + '\\"[[['}).encode(), LIMITS)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        parse(raw, LIMITS)
    except RequestError as error:
        assert error.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["messages", "n", "stop", "seed", "logit_bias", "stream_options", "model", "prompt", "x"]
)


@settings(max_examples=300)
@given(st.dictionaries(FIELDS, JSON, max_size=4))
def test_any_json_is_read_or_refused(body: dict[str, Any]) -> None:
    for read in (read_chat, read_completion):
        try:
            read(json.dumps(body).encode("utf-8", "surrogatepass"), LIMITS)
        except RequestError as error:
            assert error.status == 400 and error.body["error"]["message"]

"""What a client may send, and the error message for everything else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.serving import Limits
from serve.requests import ChatRequest, RequestError, parse, read_chat, read_completion

LIMITS = Limits()
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
NAMED = {"type": "function", "function": {"name": "f"}}
MET = Path(__file__).parents[1] / "support" / "met_requests.jsonl"
"""Requests that users' tools sent, each with what they expected."""


def chat(**more: Any) -> ChatRequest:
    return read_chat(json.dumps(CHAT | more).encode(), LIMITS)


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
        ({"tools": [{}]}, "tools.0.function: Field required", "tools.0.function"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type: Input should be 'function'", None),
        ({"tool_choice": "required"}, "tool_choice asks for a call, but no tools", "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice: Input should be 'none'", "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice names 'g', which is none of the tools",
            "tool_choice",
        ),
        ({"tools": [TOOL] * 129}, "tools may hold at most 128 tools, got 129", "tools"),
        ({"function": {"name": "f"}}, "the field function is not served here", "function"),
        ({"best_of": 2}, "the field best_of is not served here", "best_of"),
        ({"stop": ["a"] * 65}, "stop: List should have at most 64 items", "stop"),
        ({"stop": 1}, "stop: Input should be a valid string", "stop"),
        (
            {"messages": [{"role": "user", "content": "", "audio": {"id": "a"}}]},
            "the field messages.0.audio",
            None,
        ),
        ({"temprature": 1}, "the field temprature is not served here", "temprature"),
        ({"temperature": 3}, "temperature: Input should be less than or equal to 2", "temperature"),
        ({"n": 5}, "n must be at most 4, got 5", "n"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, or -1 for as many", "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens must be at", "max_completion_tokens"),
        ({"max_tokens": -2}, "max_tokens: Input should be greater than or equal to -1", "max_tokens"),
        ({"top_logprobs": 2}, "top_logprobs needs logprobs to be true", "top_logprobs"),
        ({"messages": []}, "messages: List should have at least 1 item", "messages"),
        ({"messages": CHAT["messages"] * 1025}, "messages may hold at most 1024 messages, got", "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0: content is required in a turn of the user", None),
        (
            {"messages": [{"role": "user", "content": "a", "tool_calls": [{"function": NAMED["function"]}]}]},
            "messages.0: tool_calls belongs to a turn of the assistant, not of the user",
            None,
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
                ]
            },
            "messages.0.content.0: only parts of type text are served here, got 'image_url'",
            "messages.0.content.0",
        ),
        ({"detokenize": False}, "the field detokenize is not served here", "detokenize"),
        ({"use_beam_search": True}, "the field use_beam_search is not served here", "use_beam_search"),
        ({"functions": [NAMED["function"]]}, "the field functions is not served here", "functions"),
        ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs are not available in a stream", None),
        (
            {"continue_final_message": True, "add_generation_prompt": True},
            "continue_final_message cannot be true beside add_generation_prompt",
            None,
        ),
        ({"chat_template": "{{ 1 }}"}, "the field chat_template is not served here", "chat_template"),
    ],
)
def test_a_refused_field_is_named(change: dict[str, Any], sentence: str, param: str | None) -> None:
    error = refused(CHAT | change)
    assert error.status == 400
    assert sentence in str(error)
    assert param is None or error.body["error"]["param"] == param


@pytest.mark.parametrize("line", MET.read_text().splitlines())
def test_what_users_tools_send_is_read_as_they_expect(line: str) -> None:
    met = json.loads(line)
    read = read_chat if met["path"] == "/v1/chat/completions" else read_completion
    raw = json.dumps(met["body"]).encode()
    if met["expect"] != "refused by name":
        assert read(raw, LIMITS).body()["model"] == "champion"
        return
    with pytest.raises(RequestError) as caught:
        read(raw, LIMITS)
    assert caught.value.status == 400 and caught.value.body["error"]["param"] in str(caught.value)


def test_bounds_beyond_the_limit_mean_the_limit() -> None:
    assert chat(max_tokens=4096).max_tokens == chat(max_completion_tokens=32_000).max_tokens == 1024
    # None of a chat is as many as the limit and the context allow.
    assert chat(max_tokens=-1).max_tokens is None and chat().max_tokens is None

    def of_a_completion(**more: Any) -> int | None:
        return read_completion(json.dumps({"prompt": "a"} | more).encode(), LIMITS).max_tokens

    assert of_a_completion() == 16 and of_a_completion(max_tokens=-1) == 1024
    assert of_a_completion(max_tokens=10**30) == 1024
    assert of_a_completion(max_tokens=0, echo=True, logprobs=1) == 0
    assert "max_tokens must be at least 1, or 0 with echo" in str(
        refused({"prompt": "a", "max_tokens": 0}, chat=False)
    )


def test_values_that_stand_for_others() -> None:
    assert chat(seed=-1).seed is None and chat(seed=-7).seed == -7
    assert chat(stop="").stop is None and chat(stop=["", "a"]).stop == ["a"] and chat(stop="a").stop == ["a"]
    assert chat(model="").model == chat(model=None).model == "champion"
    assert chat(stream=None, logprobs=None, n=None, cache_salt="", allowed_token_ids=[]) == chat()
    assert chat(response_format={}) == chat(response_format={"type": None}) == chat()
    empty = [{"role": "user", "content": "hi", "tool_call_id": "", "tool_calls": []}]
    assert chat(messages=empty).texts() == chat().texts()
    for wanted, number in ((True, 1), (False, None), (0, 0), (5, 5)):
        request = read_completion(json.dumps({"prompt": "a", "logprobs": wanted}).encode(), LIMITS)
        assert request.logprobs == number
    assert chat(prompt_logprobs=True).prompt_logprobs == 1


def test_the_fields_of_vllm_go_on_to_it() -> None:
    asked: dict[str, Any] = {
        "top_k": 20,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "min_tokens": 2,
        "skip_special_tokens": False,
        "stop_token_ids": [5],
        "include_stop_str_in_output": True,
        "bad_words": ["no"],
        "allowed_token_ids": [1, 2],
        "prompt_logprobs": 2,
        "truncate_prompt_tokens": -1,
        "truncation_side": "left",
        "add_special_tokens": True,
        "ignore_eos": True,
        "return_token_ids": True,
        "repetition_detection": {"max_pattern_size": 4, "min_pattern_size": 0, "min_count": 3},
        "chat_template_kwargs": {"enable_thinking": True},
        "documents": [{"title": "a", "text": "b"}],
        "reasoning_effort": "low",
        "echo": True,
    }
    body = chat(**asked).body()
    assert {name: body[name] for name in asked} == asked
    body = chat(continue_final_message=True).body()
    assert body["continue_final_message"] and not body["add_generation_prompt"]


def test_tools_are_read_with_the_choice_among_them() -> None:
    for choice in (None, "", {"type": "auto"}):
        assert chat(tools=[TOOL], tool_choice=choice).tool_choice == "auto"
    for choice, exact in (("auto", None), ("none", None), ("required", True), (NAMED, True)):
        request = chat(tools=[TOOL], tool_choice=choice)
        assert request.tools and request.tools[0].function.is_exact is exact, choice
        assert request.body()["tool_choice"] == choice
    deferred = {**TOOL, "function": {**TOOL["function"], "defer_loading": False}}
    assert chat(tools=[deferred]) == chat(tools=[TOOL])
    loose = {**TOOL, "function": {**TOOL["function"], "strict": False}}
    assert chat(tools=[loose], tool_choice="required").body()["tools"] == [loose]
    # A call that must be made is the whole answer.
    assert (
        "structured_outputs"
        not in chat(tools=[TOOL], tool_choice=NAMED, response_format={"type": "json_object"}).body()
    )
    both = chat(tools=[TOOL], response_format={"type": "json_object"})
    assert both.tools and both.tools[0].function.is_exact and both.body()["structured_outputs"]
    nothing = chat(tools=[], tool_choice="auto", parallel_tool_calls=True)
    assert nothing == chat()


def test_a_history_with_calls_is_read_at_every_depth() -> None:
    call = {"id": "c1", "type": "function", "index": 0, "function": {"name": "f", "arguments": {"a": "ü"}}}
    said = {"role": "assistant", "content": None, "tool_calls": [call], "function_call": None}
    said |= {"provider_specific_fields": {"refusal": None}, "reasoning_content": "first think"}
    part = {"type": "text", "text": "12:00", "annotations": None, "cache_control": {"type": "ephemeral"}}
    told = {"role": "tool", "tool_call_id": "c1", "content": [part], "name": "f"}
    refusal = {"role": "assistant", "content": None, "refusal": "No."}
    request = chat(messages=[*CHAT["messages"], said, told, refusal])
    assert request.texts() == ["hi", "", "first think", 'f {"a": "ü"}', "12:00", "No."]
    assert request.uses_tools() and not chat().uses_tools()
    (_, turn, tool, last) = request.body()["messages"]
    assert turn["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": "ü"}'}
    assert (turn["content"], turn["reasoning"]) == ("", "first think")
    assert (tool["tool_call_id"], last["content"]) == ("c1", "No.")


def test_filters_and_accounts_see_what_steers_an_answer() -> None:
    schema = {"type": "object", "properties": {"secret": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "f", "description": "secret"}}
    for more in (
        {"tools": [tool]},
        {"chat_template_kwargs": {"persona": "secret"}},
        {"structured_outputs": {"choice": ["secret"]}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}},
    ):
        assert any("secret" in text for text in chat(**more).texts()), more
    completion = read_completion(b'{"prompt": "a", "guided_regex": "secret"}', LIMITS)
    assert any("secret" in text for text in completion.texts())


def test_fields_that_ask_for_nothing_are_ignored() -> None:
    nothing: dict[str, Any] = {
        "tools": [],
        "tool_choice": "none",
        "chat_id": "c",
        "session_id": "s",
        "id": "i",
        "stream_options": {"include_usage": None, "include_obfuscation": False},
        "provider": {"order": []},
        "suffix": None,
        "best_of": 1,
        "logit_bias": None,
    }
    nothing |= {"response_format": {"type": "text"}, "modalities": ["text"], "functions": None}
    # What is false, or as vLLM does it anyway.
    nothing |= {"use_beam_search": False, "prefix": False, "include_reasoning": False, "any_name": False}
    nothing |= {"detokenize": True, "typical_p": 1, "mirostat": 0, "n_predict": -1, "dry_multiplier": 0.0}
    request = chat(**nothing)
    assert request.body() == chat().body() | {"stream_options": request.body()["stream_options"]}
    answer = {"role": "assistant", "content": "hello", "refusal": None, "annotations": None, "tool_calls": []}
    answer |= {"reasoning": None, "audio": None, "function_call": None}
    # So clients keep an answer that they have read, and send it again.
    answer |= {"parsed": {"age": 3}, "status": "completed", "metadata": {"a": 1}, "prefix": False}
    assert chat(messages=[*CHAT["messages"], answer]).texts() == ["hi", "hello"]
    call = {"id": "c", "function": {"name": "f", "arguments": "{}", "parsed_arguments": {"age": 3}}}
    turn = {**answer, "tool_calls": [call]}
    assert chat(messages=[*CHAT["messages"], turn]).texts() == ["hi", "hello", "f {}"]


def test_a_request_has_a_limited_number_of_answers() -> None:
    assert refused({"prompt": ["x"] * 33, "n": 2}, chat=False).body["error"]["message"] == (
        "n times prompts must be at most 64 answers, got 66"
    )


@pytest.mark.timeout(60)
def test_unterminated_strings_are_read_in_one_go() -> None:
    """Trying each quote as the start of a string would take hours."""
    for end in (b"", b"\\", b'"x'):
        assert "not JSON" in str(refused(b'"' + b'\\"' * 500_000 + end))
    assert "nested 40 levels deep" in str(refused(b"[" * 40 + b'"' * 500_001))


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
        (b'{"messages": -1e999}', "not JSON: the number -1e999 is too large"),
        (b"\xff\xfe", "not valid UTF-8 text"),
        (b'{"model": "\\ud800"}', "not valid UTF-8 text"),
        (b"[" * 100_000, "nested 100000 levels deep"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "nested 40 levels deep"),
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
    [
        "messages",
        "n",
        "stop",
        "seed",
        "logit_bias",
        "stream_options",
        "model",
        "prompt",
        "x",
        "tools",
        "tool_choice",
        "response_format",
        "structured_outputs",
        "guided_json",
        "bad_words",
        "chat_template_kwargs",
        "logprobs",
        "max_tokens",
    ]
)


@settings(max_examples=300)
@given(st.dictionaries(FIELDS, JSON, max_size=4))
def test_any_json_is_read_or_refused(body: dict[str, Any]) -> None:
    for read in (read_chat, read_completion):
        try:
            read(json.dumps(body).encode("utf-8", "surrogatepass"), LIMITS)
        except RequestError as error:
            assert error.status == 400 and error.body["error"]["message"]

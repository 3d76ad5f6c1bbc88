"""`/v1/responses`: requests as chats, and answers of chats as responses, in the types of OpenAI's client."""

import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from configs.serving import Limits
from serve.requests import RequestError, validated
from serve.responses import ResponsesRequest, chat_of
from serve.responses_answers import Retelling, chat_id

HELLO = {"role": "user", "content": "Hello"}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}
CALL = {"id": "call-1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
TOKENS = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]


def chat(**body: Any) -> dict[str, Any]:
    return chat_of(validated(ResponsesRequest, {"input": "Hello", **body}))


def refused(**body: Any) -> dict[str, Any]:
    with pytest.raises(RequestError) as caught:
        chat(**body)
    assert caught.value.status == 400
    return caught.value.body["error"]


def test_a_text_is_what_the_user_says() -> None:
    assert chat() == {"messages": [HELLO]}
    system = {"role": "system", "content": "Be brief."}
    assert chat(instructions="Be brief.", model="previous") == {
        "model": "previous",
        "messages": [system, HELLO],
    }


def test_items_are_turns_and_what_one_turn_said_and_called_belongs_together() -> None:
    items = [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        HELLO,
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "call-1", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "call-2", "name": "look", "arguments": "[]"},
        {"type": "function_call_output", "call_id": "call-1", "output": "a cat"},
        {
            "type": "function_call_output",
            "call_id": "call-2",
            "output": [{"type": "input_text", "text": "a dog"}],
        },
        {"role": "user", "content": [{"type": "input_text", "text": t} for t in ("And", "now?")]},
        {"type": "function_call", "call_id": "call-3", "name": "look", "arguments": "{}"},
    ]

    def call(number: int, arguments: str) -> dict[str, Any]:
        function = {"name": "look", "arguments": arguments}
        return {"id": f"call-{number}", "type": "function", "function": function}

    assert chat(input=items)["messages"] == [
        {"role": "developer", "content": "Be brief."},
        HELLO,
        {"role": "assistant", "content": "I look.", "tool_calls": [call(1, "{}"), call(2, "[]")]},
        {"role": "tool", "tool_call_id": "call-1", "content": "a cat"},
        {"role": "tool", "tool_call_id": "call-2", "content": "a dog"},
        {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "now?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call(3, "{}")]},
    ]


def test_what_an_answer_may_be_is_said_as_a_chat_says_it() -> None:
    function = {"name": "look", "parameters": {"type": "object"}, "strict": True}
    asked = chat(tools=[TOOL], tool_choice={"type": "function", "name": "look"}, parallel_tool_calls=False)
    assert asked["tools"] == [{"type": "function", "function": function}]
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert asked["parallel_tool_calls"] is False
    assert chat(tools=[TOOL], tool_choice="required")["tool_choice"] == "required"
    schema = {"type": "object", "properties": {}}
    form = {"type": "json_schema", "name": "point", "schema": schema, "strict": True}
    assert chat(text={"format": form, "verbosity": "low"})["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "point", "schema": schema, "strict": True},
    }
    assert chat(text={"format": {"type": "json_object"}})["response_format"] == {"type": "json_object"}
    assert chat(max_output_tokens=5)["max_completion_tokens"] == 5
    assert chat(stream=True)["stream_options"] == {"include_usage": True}
    for wanted in ({"include": ["message.output_text.logprobs"]}, {"top_logprobs": 2}):
        assert chat(**wanted)["logprobs"] is True
    passed = {"temperature": 0, "top_p": 0.5, "top_k": 3, "seed": 4, "user": "me"}
    assert chat(**passed) == {"messages": [HELLO], **passed}


@pytest.mark.parametrize(
    "more",
    [
        {"previous_response_id": None, "conversation": None, "background": False, "prompt": None},
        {"store": True, "truncation": "auto", "metadata": {"a": "b"}, "max_tool_calls": 3},
        {"text": {"format": {"type": "text"}}, "tools": [], "tool_choice": None, "instructions": None},
        {"include": ["reasoning.encrypted_content"], "stream_options": {"include_obfuscation": False}},
        {"reasoning": {"effort": None, "summary": "auto"}, "stream": False, "top_logprobs": 0},
        {"instructions": "", "n": 1, "logprobs": False, "text": "", "tool_choice": ""},
    ],
)
def test_what_changes_nothing_is_ignored(more: dict[str, Any]) -> None:
    assert chat(**more) == {"messages": [HELLO]}


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "send the whole conversation as input"),
        ({"conversation": {"id": "c"}}, "conversation", "nothing is stored"),
        ({"background": True}, "background", "nothing is stored"),
        ({"n": 2}, "n", "the field n is not served here"),
        ({"verify": {"samples": 100_000}}, "verify", "the field verify is not served here"),
        ({"messages": [HELLO]}, "messages", "the field messages is not served here"),
        ({"tools": [{"type": "web_search"}]}, "tools.0", "a tool of type 'web_search' is not served here"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice", "a choice of type 'mcp' is not served here"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format", "a format of type 'grammar'"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0", "of type 'item_reference'"),
        ({"input": [{"type": ["message"], "role": "user"}]}, "input.0", "an item of type"),
        ({"input": [HELLO, {"role": "user"}]}, "input.1.content", "input.1: content: Field required"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]},
            "input.0.content.0",
            "a part of type 'input_image' is not served here, only input_text, output_text",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(body: dict[str, Any], param: str, message: str) -> None:
    error = refused(**body)
    assert error["param"] == param and message in error["message"]


def asked(**body: Any) -> Retelling:
    retelling = Retelling()
    retelling.read(json.dumps({"input": "Hello", **body}).encode(), Limits())
    return retelling


def document(message: dict[str, Any], finish: str = "stop", **choice: Any) -> bytes:
    choices = [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None, **choice}]
    head = {"id": "chatcmpl-abc", "created": 5, "model": "v1", "object": "chat.completion"}
    return json.dumps({**head, "choices": choices, "usage": USAGE}).encode()


def test_a_turn_that_said_nothing_and_a_limit_of_minus_one_are_those_of_a_chat() -> None:
    said = chat(input=[HELLO, {"role": "assistant", "content": None}], max_output_tokens=-1)
    assert said == {
        "messages": [HELLO, {"role": "assistant", "content": None}],
        "max_completion_tokens": -1,
    }


def test_an_answer_is_a_response() -> None:
    message = {"role": "assistant", "content": "Hi", "tool_calls": []}
    written = asked(temperature=0, metadata={"a": "b"}, top_logprobs=1).whole(
        document(message, logprobs={"content": TOKENS})
    )
    response = Response.model_validate_json(written)
    assert (response.id, response.model, response.status) == ("resp_abc", "v1", "completed")
    assert chat_id(response.id) == "chatcmpl-abc" and chat_id("cmpl-1") == "cmpl-1"
    assert response.output_text == "Hi" and response.temperature == 0 and response.metadata == {"a": "b"}
    assert response.output[0].content[0].logprobs[0].logprob == -0.5
    assert response.usage and response.usage.total_tokens == 10


def test_a_response_that_calls_tools_has_an_item_for_each() -> None:
    response = Response.model_validate_json(
        asked().whole(document({"role": "assistant", "content": None, "tool_calls": [CALL]}, "tool_calls"))
    )
    (item,) = response.output
    assert (item.type, item.call_id, item.name, item.arguments) == (
        "function_call",
        "call-1",
        "look",
        '{"at": "it"}',
    )
    assert response.status == "completed"
    both = json.loads(asked().whole(document({"content": "I look.", "tool_calls": [CALL]}, "tool_calls")))
    assert [item["type"] for item in both["output"]] == ["message", "function_call"]
    assert len({item["id"] for item in both["output"]}) == 2


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_is_incomplete(finish: str, reason: str) -> None:
    response = Response.model_validate_json(asked().whole(document({"content": ""}, finish)))
    assert response.status == "incomplete" and response.incomplete_details
    assert response.incomplete_details.reason == reason
    assert response.output[0].status == "incomplete"


def chunk(delta: dict[str, Any], finish: str | None = None, **choice: Any) -> dict[str, Any]:
    head = {"id": "chatcmpl-abc", "created": 5, "model": "v1", "object": "chat.completion.chunk"}
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **choice}]}


def told(retelling: Retelling, *chunks: dict[str, Any], done: bool = True) -> list[Any]:
    """The events of a stream, each checked by the client's own type."""
    sent = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks)
    sent += b"data: [DONE]\n\n" if done else b""
    events = []
    for event in retelling.part(sent).split(b"\n\n"):
        if event:
            name, data = event.removeprefix(b"event: ").split(b"\ndata: ")
            events.append(TypeAdapter(ResponseStreamEvent).validate_json(data))
            assert events[-1].type == name.decode()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events


def test_a_stream_opens_its_items_fills_and_closes_them_and_ends_with_the_whole() -> None:
    last = {**chunk({}), "choices": [], "usage": USAGE}
    events = told(
        asked(stream=True, include=["message.output_text.logprobs"]),
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hi"}, logprobs={"content": TOKENS}),
        chunk({"content": " there"}),
        chunk({}, "stop"),
        last,
    )
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[4].logprobs[0].token == "Hi" and events[6].text == "Hi there"
    assert events[4].item_id == events[8].item.id and events[8].item.status == "completed"
    response = events[-1].response
    assert response.output_text == "Hi there" and response.id == events[0].response.id == "resp_abc"
    assert response.usage and response.usage.input_tokens == 7
    assert events[0].response.output == [] and events[0].response.status == "in_progress"


def test_a_stream_tells_each_tool_that_is_called() -> None:
    def called(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}} | more]})

    def begun(index: int) -> dict[str, Any]:
        named = {"name": f"tool{index}", "arguments": ""}
        return called(index, "", id=f"call-{index}", type="function", function=named)

    events = told(
        asked(stream=True),
        chunk({"content": "I look."}),
        begun(0),
        called(0, '{"a":'),
        called(0, "1}"),
        begun(1),
        called(1, "{}"),
        chunk({}, "tool_calls"),
    )
    message, first, second = events[-1].response.output
    assert message.content[0].text == "I look."
    assert (first.call_id, first.name, first.arguments) == ("call-0", "tool0", '{"a":1}')
    assert (second.call_id, second.name, second.arguments) == ("call-1", "tool1", "{}")
    assert events[-1].response.status == "completed"
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [event.arguments for event in done] == ['{"a":1}', "{}"]
    assert [event.output_index for event in done] == [1, 2]


def test_a_stream_without_words_has_a_message_and_one_that_is_cut_is_incomplete() -> None:
    events = told(asked(stream=True), chunk({"role": "assistant", "content": ""}), chunk({}, "length"))
    assert events[-1].type == "response.incomplete" and events[-1].response.output_text == ""
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"
    assert events[-2].item.status == "incomplete"


def test_a_stream_that_is_lost_ends_as_a_failed_response() -> None:
    lost = {"error": {"message": "the engine was lost while answering", "type": "server_error"}}
    for before in ([chunk({"content": "Hi"})], []):
        for done in (False, True):  # vLLM says that it is done after its error, too
            events = told(asked(stream=True), *before, lost, done=done)
            assert events[-1].type == "response.failed" and events[-1].response.status == "failed"
            assert events[-1].response.error.message == "the engine was lost while answering"
            assert events[-1].response.id.startswith("resp_") and events[-1].response.model

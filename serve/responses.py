"""`POST /v1/responses`: its requests as chats, which take the way of every other chat from there on.

Nothing is stored, so each request brings its whole conversation. What only a store could give is refused by
name. Fields that a chat has under the same name are passed on as they are, and are checked where chats are.
`serve/responses_answers.py` has the way back.
"""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from configs.serving import Limits
from serve.fields import is_nothing
from serve.requests import ChatRequest, RequestError, parse, read_chat, validated

Json = dict[str, Any]
T = TypeVar("T", bound=BaseModel)

LOGPROBS = "message.output_text.logprobs"
"""The one member of `include` that adds something here."""
_STORED = {
    "previous_response_id": "send the whole conversation as input",
    "conversation": "send the whole conversation as input",
    "prompt": "send its text as instructions and input",
    "background": "ask for a stream, or wait for the answer",
}
"""Fields that need what is stored, each with what to do instead."""
_OF_CHATS = frozenset(
    {
        "functions",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "n",
        "response_format",
        "verify",
    }
)
"""Fields of chats that mean nothing in this API, or have another name in it."""
_AS_IT_IS = {"logprobs": False, "n": 1}
"""What these ask for happens anyway."""


class _Tolerant(BaseModel):
    """What clients send back of earlier answers has more fields, which change nothing."""

    model_config = ConfigDict(extra="ignore")


class Text(_Tolerant):
    """A part of a message."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class InputMessage(_Tolerant):
    """An item of the input: a message."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Json] | None


class FunctionCall(_Tolerant):
    """An item of the input: a tool that the model called."""

    call_id: str
    name: str
    arguments: str


class FunctionOutput(_Tolerant):
    """An item of the input: what a tool returned."""

    call_id: str
    output: str | list[Json]


class TextConfig(_Tolerant):
    format: Json | None = None
    verbosity: str | None = None


class Reasoning(_Tolerant):
    effort: str | None = None


class ResponsesRequest(BaseModel):
    """The body of `POST /v1/responses`. Fields that are not here are those of a chat."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if name == "input" or not is_nothing(value)}

    input: str | Annotated[list[Json], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=-1)] | None = None
    tools: list[Json] | None = None
    tool_choice: Literal["auto", "none", "required"] | Json | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    include: list[str] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    stream: bool | None = None
    reasoning: Reasoning | None = None
    metadata: dict[str, str] | None = None
    max_tool_calls: int | None = None
    """Bounds tools of the server, of which there are none."""
    truncation: Literal["auto", "disabled"] | None = None
    """A prompt that is too long is refused, whatever this says."""
    store: bool | None = None
    """Nothing is stored, whatever this says."""
    stream_options: Json | None = None

    @property
    def wants_logprobs(self) -> bool:
        return bool(self.top_logprobs) or LOGPROBS in (self.include or ())


def read_responses(raw: bytes, limits: Limits) -> tuple[ResponsesRequest, ChatRequest]:
    """Read the body of a request, and the chat that it asks for. Raises RequestError."""
    asked = validated(ResponsesRequest, parse(raw, limits))
    return asked, read_chat(json.dumps(chat_of(asked)).encode(), limits)


def chat_of(asked: ResponsesRequest) -> Json:
    """The body of the chat that a request asks for. Raises RequestError."""
    asked_beside = (asked.model_extra or {}).items()
    more = {name: value for name, value in asked_beside if value != _AS_IT_IS.get(name, ...)}
    for name, instead in _STORED.items():
        if more.pop(name, None):
            raise RequestError(
                400, f"{name} is not served here, because nothing is stored: {instead}", param=name
            )
    if name := next((name for name in more if name in _OF_CHATS), ""):
        raise RequestError(400, f"the field {name} is not served here", param=name)
    chat: Json = {**more, "messages": _messages(asked)}
    if asked.stream:
        # Usage is part of the last event, always.
        chat |= {"stream": True, "stream_options": {"include_usage": True}}
    if asked.max_output_tokens is not None:
        chat["max_completion_tokens"] = asked.max_output_tokens
    if asked.wants_logprobs:
        chat |= {"logprobs": True, "top_logprobs": asked.top_logprobs or 0}
    if asked.tools:
        chat["tools"] = [_tool(f"tools.{number}", tool) for number, tool in enumerate(asked.tools)]
    if asked.tool_choice is not None:
        chat["tool_choice"] = _choice(asked.tool_choice)
    if asked.parallel_tool_calls is not None:
        chat["parallel_tool_calls"] = asked.parallel_tool_calls
    if asked.text and asked.text.format and (form := _format(asked.text.format)):
        chat["response_format"] = form
    if asked.reasoning and asked.reasoning.effort:
        chat["reasoning_effort"] = asked.reasoning.effort
    return chat


def _messages(asked: ResponsesRequest) -> list[Json]:
    """The turns of a chat. Raises RequestError."""
    turns: list[Json] = []
    if asked.instructions:
        turns.append({"role": "system", "content": asked.instructions})
    if isinstance(asked.input, str):
        return [*turns, {"role": "user", "content": asked.input}]
    for number, item in enumerate(asked.input):
        where = f"input.{number}"
        kind = str(item.get("type") or "message")
        if kind == "reasoning":
            continue  # of an earlier turn; chat templates leave it out
        if kind not in _ITEMS:
            raise _unserved(where, "an item", kind, [*_ITEMS, "reasoning"])
        _ITEMS[kind](turns, where, item)
    return turns


def _said(turns: list[Json], where: str, item: Json) -> None:
    said = _read(InputMessage, where, item)
    content = said.content if said.content is None else _content(f"{where}.content", said.content)
    turns.append({"role": said.role, "content": content})


def _called(turns: list[Json], where: str, item: Json) -> None:
    called = _read(FunctionCall, where, item)
    call = {
        "id": called.call_id,
        "type": "function",
        "function": {"name": called.name, "arguments": called.arguments},
    }
    # What the model said and called in one turn are several items.
    if not turns or turns[-1]["role"] != "assistant":
        turns.append({"role": "assistant", "content": None})
    turns[-1].setdefault("tool_calls", []).append(call)


def _returned(turns: list[Json], where: str, item: Json) -> None:
    returned = _read(FunctionOutput, where, item)
    content = _content(f"{where}.output", returned.output)
    turns.append({"role": "tool", "tool_call_id": returned.call_id, "content": content})


_ITEMS: dict[str, Callable[[list[Json], str, Json], None]] = {
    "message": _said,
    "function_call": _called,
    "function_call_output": _returned,
}
"""What adds an item of the input to the turns, by the item's type."""


def _content(where: str, content: str | Sequence[Json]) -> str | list[Json]:
    """The content of a turn: a text, or parts where it has several."""
    if isinstance(content, str):
        return content
    texts = []
    for number, part in enumerate(content):
        kind = part.get("type")
        if kind == "refusal":
            part = {"type": "output_text", "text": part.get("refusal")}
        elif kind not in ("input_text", "output_text", "text"):
            raise _unserved(f"{where}.{number}", "a part", kind, ["input_text", "output_text"])
        texts.append(_read(Text, f"{where}.{number}", part).text)
    return texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]


def _tool(where: str, tool: Json) -> Json:
    if tool.get("type") != "function":
        raise _unserved(where, "a tool", tool.get("type"), ["function"])
    return {"type": "function", "function": _without_type(tool)}


def _choice(choice: str | Json) -> str | Json:
    if isinstance(choice, str) or choice in ({"type": "auto"}, {"type": "none"}, {"type": "required"}):
        return choice
    if choice.get("type") != "function" or not isinstance(choice.get("name"), str):
        served = ["auto", "none", "required", "a function with its name"]
        raise _unserved("tool_choice", "a choice", choice.get("type"), served)
    return {"type": "function", "function": {"name": choice["name"]}}


def _format(form: Json) -> Json | None:
    """The `response_format` of a chat; None for plain text."""
    match form.get("type"):
        case "text":
            return None
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            return {"type": "json_schema", "json_schema": _without_type(form)}
        case other:
            raise _unserved("text.format", "a format", other, ["text", "json_object", "json_schema"])


def _without_type(flat: Json) -> Json:
    """What stands beside the type here, and one level below it in a chat."""
    return {name: value for name, value in flat.items() if name != "type" and value is not None}


def _read(cls: type[T], where: str, value: Json) -> T:
    """A part of the request; what is wrong with it is named with its place. Raises RequestError."""
    try:
        return validated(cls, value)
    except RequestError as error:
        found = error.body["error"]
        place = f"{where}.{found['param']}" if found["param"] else where
        raise RequestError(400, f"{where}: {found['message']}", param=place) from None


def _unserved(where: str, what: str, kind: object, served: Sequence[str]) -> RequestError:
    message = f"{where}: {what} of type {kind!r:.60} is not served here, only {', '.join(served)}"
    return RequestError(400, message, param=where)

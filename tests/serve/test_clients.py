"""The clients of the field against a running server: a table of features by client, each cell a test.

The model is random, so that what is checked is what no model decides: structures, calls, and that a client
which sends what it always sends is answered.
"""

import asyncio
import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import openai
import pytest
from pydantic import BaseModel, Field
from tokenizers import Tokenizer

from tests.support.server_process import Server

pytestmark = pytest.mark.engine
SAID: list[Any] = [{"role": "user", "content": "Max is a cat."}]
COMMON: dict[str, Any] = {"max_tokens": 64}
ONCE: dict[str, Any] = {"parallel_tool_calls": False}
"""A random model would call again and again."""


class Pet(BaseModel):
    """A pet."""

    kind: Literal["cat", "dog"]
    age: int = Field(ge=0, le=99)


class GetTime(BaseModel):
    """Tell the time in a zone."""

    zone: Literal["UTC", "CET"]


FUNCTION = {
    "name": "GetTime",
    "description": "Tell the time in a zone.",
    "parameters": GetTime.model_json_schema(),
}
TOOL: Any = {"type": "function", "function": FUNCTION}
NAMED: Any = {"type": "function", "function": {"name": "GetTime"}}
CALL = r'<tool_call>\n\{"name": "GetTime", "arguments": \{"zone": "(UTC|CET)"\}\}\n</tool_call>'
"""What a model that was trained on it would write of its own accord."""


class At(NamedTuple):
    """Where a client finds the server."""

    url: str
    key: str
    home: Path


@pytest.fixture(scope="module")
def at(asked: Server) -> Iterator[At]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_USER_PATH", str(asked.home))
        yield At(url=f"{asked.url}/v1", key=asked.key, home=asked.home)


def _tokens(at: At, *texts: str) -> list[int]:
    """The tokens of texts, and the one that ends an answer."""
    tokenizer = Tokenizer.from_file(str(at.home / "tiny" / "0" / "tokenizer.json"))
    return [*(token for text in texts for token in tokenizer.encode(text).ids), 2]


def _is_call(name: str, arguments: str) -> None:
    assert name == "GetTime" and GetTime.model_validate_json(arguments)


# openai


def _openai(at: At) -> openai.OpenAI:
    return openai.OpenAI(base_url=at.url, api_key=at.key, max_retries=0, timeout=120)


def _created(at: At, **asked: Any) -> Any:
    return (
        _openai(at)
        .chat.completions.create(**{"model": "champion", "messages": SAID, **COMMON, **asked})
        .choices[0]
    )


def openai_chat(at: At) -> None:
    assert _created(at, max_tokens=4).message.role == "assistant"


def openai_async(at: At) -> None:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=at.url, api_key=at.key, max_retries=0) as client:
            stream = await client.chat.completions.create(
                model="champion", messages=SAID, max_completion_tokens=4, stream=True
            )
            return [chunk async for chunk in stream]

    assert asyncio.run(ask())[-1].choices[0].finish_reason == "length"


def openai_stream(at: At) -> None:
    asked: dict[str, Any] = {"model": "champion", "messages": SAID, "response_format": Pet, **COMMON}
    with _openai(at).chat.completions.stream(**asked) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert isinstance(final.choices[0].message.parsed, Pet)


def openai_json(at: At) -> None:
    # Of brackets alone, a random model makes no long object.
    brackets = {"allowed_token_ids": _tokens(at, "{", "}")}
    answer = _created(at, response_format={"type": "json_object"}, extra_body=brackets)
    assert json.loads(answer.message.content) == {}
    schema = {"type": "json_schema", "json_schema": {"name": "pet", "schema": Pet.model_json_schema()}}
    assert Pet.model_validate_json(_created(at, response_format=schema).message.content)
    chosen = _created(at, extra_body={"structured_outputs": {"choice": ["yes", "no"]}})
    assert chosen.message.content in ("yes", "no")


def openai_parse(at: At) -> None:
    asked: dict[str, Any] = {"model": "champion", "messages": SAID, **COMMON}
    parsed = _openai(at).chat.completions.parse(response_format=Pet, **asked).choices[0].message.parsed
    assert isinstance(parsed, Pet)
    tools = [openai.pydantic_function_tool(GetTime)]
    asked |= {"tools": tools, "tool_choice": "required"}
    message = _openai(at).chat.completions.parse(**asked, **ONCE).choices[0].message
    assert message.tool_calls and isinstance(message.tool_calls[0].function.parsed_arguments, GetTime)


def openai_tools(at: At) -> None:
    for choice in ("required", NAMED):
        answer = _created(at, tools=[TOOL], tool_choice=choice, **ONCE)
        (call,) = answer.message.tool_calls
        _is_call(call.function.name, call.function.arguments)
    assert not _created(at, tools=[TOOL], max_tokens=4).message.tool_calls
    history = [*SAID, answer.message, {"role": "tool", "tool_call_id": call.id, "content": "12:00"}]
    assert _created(at, messages=history, tools=[TOOL], tool_choice="none", max_tokens=4).message.content


def openai_tools_of_its_own_accord(at: At) -> None:
    asked: dict[str, Any] = {"tools": [TOOL], "extra_body": {"structured_outputs": {"regex": CALL}}}
    answer = _created(at, **asked, **ONCE)
    _is_call(answer.message.tool_calls[0].function.name, answer.message.tool_calls[0].function.arguments)
    assert answer.finish_reason == "tool_calls" and not answer.message.content


def openai_tools_stream(at: At) -> None:
    by_regex, pieces = {"extra_body": {"structured_outputs": {"regex": CALL}}}, list[int]()
    for asked in ({"tool_choice": "required"}, {"tool_choice": NAMED}, by_regex):
        create = _openai(at).chat.completions.create
        chunks = list(
            create(model="champion", messages=SAID, tools=[TOOL], stream=True, **COMMON, **asked)  # type: ignore
        )
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        # A model may make several calls, and its answer may be cut off in a further one.
        calls = [call.function for delta in deltas for call in delta.tool_calls or () if call.index == 0]
        pieces.append(len(calls))
        name = "".join(call.name or "" for call in calls)
        _is_call(name, "".join(call.arguments or "" for call in calls))
        assert not "".join(delta.content or "" for delta in deltas)
    assert max(pieces) > 1, "it arrives piece by piece; on a busy machine several at a time"


# litellm


def _completed(at: At, **asked: Any) -> Any:
    litellm = importlib.import_module("litellm")
    call = {"model": "openai/champion", "api_base": at.url, "api_key": at.key, "messages": SAID}
    return litellm.completion(**{**call, **COMMON, **asked})


def litellm_chat(at: At) -> None:
    answer = _completed(at, metadata={"a": "b"}, user="me", max_tokens=4)
    assert answer.usage.completion_tokens and answer.choices[0].message.role == "assistant"


def litellm_async(at: At) -> None:
    litellm = importlib.import_module("litellm")
    call = {"model": "openai/champion", "api_base": at.url, "api_key": at.key, "messages": SAID}
    answer = asyncio.run(litellm.acompletion(**call, max_tokens=4, top_k=5))
    assert answer.choices[0].finish_reason in ("length", "stop")


def litellm_stream(at: At) -> None:
    chunks = list(_completed(at, stream=True, stream_options={"include_usage": True}, max_tokens=4))
    assert any(getattr(chunk, "usage", None) for chunk in chunks)


def litellm_json(at: At) -> None:
    content = _completed(at, response_format=Pet).choices[0].message.content
    assert Pet.model_validate_json(content)


def litellm_tools(at: At) -> None:
    message = _completed(at, tools=[TOOL], tool_choice="required", **ONCE).choices[0].message
    _is_call(message.tool_calls[0].function.name, message.tool_calls[0].function.arguments)
    told = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "12:00"}
    history = [*SAID, message.model_dump(), told]
    assert _completed(at, messages=history, max_tokens=4).choices


def litellm_tools_stream(at: At) -> None:
    litellm = importlib.import_module("litellm")
    chunks = list(_completed(at, tools=[TOOL], tool_choice=NAMED, stream=True))
    message = litellm.stream_chunk_builder(chunks).choices[0].message
    _is_call(message.tool_calls[0].function.name, message.tool_calls[0].function.arguments)


# LangChain


def _langchain(at: At, **asked: Any) -> Any:
    module = importlib.import_module("langchain_openai")
    return module.ChatOpenAI(
        model="champion", base_url=at.url, api_key=at.key, max_retries=0, **{"max_tokens": 64, **asked}
    )


def langchain_chat(at: At) -> None:
    assert _langchain(at, max_tokens=4).invoke("Max is a cat.").usage_metadata["output_tokens"]


def langchain_async(at: At) -> None:
    async def ask() -> list[Any]:
        return await _langchain(at, max_tokens=4).abatch(["a", "b"])

    assert len(asyncio.run(ask())) == 2


def langchain_stream(at: At) -> None:
    chunks = list(_langchain(at, max_tokens=4, stream_usage=True).stream("Max is a cat."))
    assert any(chunk.usage_metadata for chunk in chunks)


def langchain_json(at: At) -> None:
    for method in ("json_schema", "function_calling"):
        model = _langchain(at).with_structured_output(Pet, method=method)
        assert isinstance(model.invoke("Max is a cat."), Pet), method


def langchain_parse(at: At) -> None:
    schema = {"title": "Pet", "description": "A pet.", **Pet.model_json_schema()}
    found = _langchain(at).with_structured_output(schema, include_raw=True).invoke("Max is a cat.")
    assert Pet.model_validate(found["parsed"]) and not found["parsing_error"]


def langchain_tools(at: At) -> None:
    messages = importlib.import_module("langchain_core.messages")
    for choice in ("required", "GetTime", "any"):
        answer = _langchain(at).bind_tools([GetTime], tool_choice=choice, **ONCE).invoke("time?")
        (call, *_) = answer.tool_calls
        assert call["name"] == "GetTime" and GetTime.model_validate(call["args"])
    told = messages.ToolMessage("12:00", tool_call_id=call["id"])
    chat = [messages.SystemMessage("Be brief."), messages.HumanMessage("time?"), answer, told]
    assert _langchain(at, max_tokens=4).bind_tools([GetTime]).invoke(chat).content


def langchain_tools_stream(at: At) -> None:
    chunks = list(_langchain(at).bind_tools([GetTime], tool_choice="required").stream("time?"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert GetTime.model_validate(whole.tool_calls[0]["args"])


# instructor


def _instructor(at: At, mode: str, client: Any = None) -> Any:
    module = importlib.import_module("instructor")
    return module.from_openai(client or _openai(at), mode=getattr(module.Mode, mode))


def _pet(at: At, mode: str) -> None:
    asked: dict[str, Any] = {"model": "champion", "messages": SAID, "max_retries": 0, **COMMON}
    assert isinstance(_instructor(at, mode).chat.completions.create(response_model=Pet, **asked), Pet)


def instructor_tools(at: At) -> None:
    _pet(at, "TOOLS")


def instructor_parse(at: At) -> None:
    _pet(at, "JSON_SCHEMA")


def instructor_async(at: At) -> None:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=at.url, api_key=at.key, max_retries=0) as client:
            asked: dict[str, Any] = {"model": "champion", "messages": SAID, "max_retries": 0, **COMMON}
            return await _instructor(at, "TOOLS", client).chat.completions.create(response_model=Pet, **asked)

    assert isinstance(asyncio.run(ask()), Pet)


def instructor_stream(at: At) -> None:
    create = _instructor(at, "JSON_SCHEMA").chat.completions.create_partial
    parts = list(create(model="champion", response_model=Pet, messages=SAID, max_retries=0, **COMMON))
    assert Pet.model_validate(parts[-1].model_dump())


# llm


def _llm(at: At, text: str = "Max is a cat.", **asked: Any) -> Any:
    model = {"model_id": "ratchet", "model_name": "champion", "api_base": at.url, "api_key_name": "ratchet"}
    model |= {"supports_schema": True, "supports_tools": True}
    (at.home / "extra-openai-models.yaml").write_text(json.dumps([model]))
    found = importlib.import_module("llm").get_model("ratchet")
    return found.prompt(text, key=at.key, **{"max_tokens": 64, **asked})


def llm_chat(at: At) -> None:
    answer = _llm(at, stream=False, max_tokens=4)
    assert isinstance(answer.text(), str) and answer.usage().output


def llm_stream(at: At) -> None:
    assert list(_llm(at, stream=True, max_tokens=8))


def llm_json(at: At) -> None:
    assert Pet.model_validate_json(_llm(at, schema=Pet, stream=False).text())


CELLS: dict[str, Callable[[At], None]] = {
    name: cell
    for name, cell in list(globals().items())
    if name.partition("_")[0] in ("openai", "litellm", "langchain", "instructor", "llm") and "_" in name
}
PACKAGES = {"langchain": "langchain_openai"}


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_a_client_works_unchanged(cell: str, at: At) -> None:
    client = cell.partition("_")[0]
    pytest.importorskip(PACKAGES.get(client, client), reason=f"{client} is not installed")
    CELLS[cell](at)

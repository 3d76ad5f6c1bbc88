"""Answers of `POST /v1/responses`, written from the answers of the chats that its requests ask for.

A chat's answer becomes a response with its output items: the message, and the tools that the model calls.
The events of a chat's stream become those of a response's, in OpenAI's order: what opens an item, its deltas,
what closes it, and at the end the whole response.
"""

import json
import secrets
import time
from typing import Any

from configs.serving import Limits
from serve.requests import ChatRequest
from serve.responses import Json, ResponsesRequest, read_responses

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete, by the reason for which its chat has ended."""
CHAT, RESPONSE = "chatcmpl-", "resp_"


def chat_id(answer: str) -> str:
    """The id of the chat behind a response; any other id as it is."""
    return CHAT + answer.removeprefix(RESPONSE) if answer.startswith(RESPONSE) else answer


class Retelling:
    """Retells one request as a chat, and the chat's answer as the response."""

    _asked: ResponsesRequest

    def __init__(self) -> None:
        self._head: Json = {}
        self._stem = ""
        self._output: list[Json] = []
        self._calls: dict[int, Json] = {}
        """The items of the tools that a stream calls, by the number of the call."""
        self._reason: str | None = None
        self._usage: Json | None = None
        self._num_events = 0
        self._has_failed = False

    def read(self, raw: bytes, limits: Limits) -> ChatRequest:
        """Read the body of the request, and return the chat that it asks for. Raises RequestError."""
        self._asked, chat = read_responses(raw, limits)
        return chat

    def whole(self, document: bytes) -> bytes:
        """The response that a complete answer of the chat makes."""
        content = json.loads(document)
        self._begin(content)
        (choice,) = content["choices"]
        message, self._reason = choice["message"], choice["finish_reason"]
        calls = message.get("tool_calls") or []
        if message["content"] or not calls:
            item = self._message()
            item["content"] = [self._text(message["content"] or "", _tokens(choice))]
        for number, call in enumerate(calls):
            self._call(number, call)["arguments"] = call["function"]["arguments"]
        for item in self._output:
            item["status"] = self._status
        self._usage = content.get("usage")
        return json.dumps(self._response(self._status)).encode()

    def part(self, events: bytes) -> bytes:
        """The events that some events of the chat make."""
        written = []
        for event in events.split(b"\n\n"):
            if self._has_failed:
                break  # that was the last event
            data = event.removeprefix(b"data: ")
            if data == b"[DONE]":
                written += self._end()
            elif data:
                written += self._retell(json.loads(data))
        return b"".join(written)

    def _retell(self, content: Json) -> list[bytes]:
        if error := content.get("error"):
            self._has_failed = True
            if not self._head:
                model = (self._asked.model_extra or {}).get("model") or "champion"
                self._begin({"id": secrets.token_hex(16), "created": int(time.time()), "model": model})
            failed = self._response("failed") | {
                "error": {"code": "server_error", "message": error["message"]}
            }
            return [self._event("response.failed", response=failed)]
        written = []
        if not self._head:
            self._begin(content)
            for name in ("created", "in_progress"):
                written.append(self._event(f"response.{name}", response=self._response("in_progress")))
        self._usage = content.get("usage") or self._usage
        for choice in content["choices"]:
            delta = choice.get("delta") or {}
            if text := delta.get("content"):
                written += self._more_text(text, _tokens(choice))
            for call in delta.get("tool_calls") or ():
                written += self._more_of_call(call)
            self._reason = choice.get("finish_reason") or self._reason
        return written

    def _more_text(self, text: str, tokens: list[Json]) -> list[bytes]:
        written = []
        if not self._output or self._output[-1]["type"] != "message":
            written = [*self._close(), *self._open_message()]
        item = self._output[-1]
        (said,) = item["content"]
        said["text"] += text
        if self._asked.wants_logprobs:
            said["logprobs"] += tokens
        where = {"content_index": 0, "delta": text, "logprobs": tokens}
        return [*written, self._of_item(item, "output_text.delta", **where)]

    def _open_message(self) -> list[bytes]:
        item = self._message()
        opened = self._of_item(item, "output_item.added", item={**item, "content": []})
        item["content"] = [self._text("", [])]
        part = self._text("", [])
        return [opened, self._of_item(item, "content_part.added", content_index=0, part=part)]

    def _more_of_call(self, call: Json) -> list[bytes]:
        written = []
        if (item := self._calls.get(call["index"])) is None:
            written = self._close()
            item = self._call(call["index"], call)
            written.append(self._of_item(item, "output_item.added", item=item))
        if more := (call.get("function") or {}).get("arguments"):
            item["arguments"] += more
            written.append(self._of_item(item, "function_call_arguments.delta", delta=more))
        return written

    def _close(self, status: str = "completed") -> list[bytes]:
        """The events that close the last item, if it is open."""
        if not self._output or (item := self._output[-1])["status"] != "in_progress":
            return []
        item["status"] = status
        if item["type"] == "message":
            (said,) = item["content"]
            where = {"content_index": 0, "text": said["text"], "logprobs": said["logprobs"]}
            written = [
                self._of_item(item, "output_text.done", **where),
                self._of_item(item, "content_part.done", content_index=0, part=said),
            ]
        else:
            where = {"name": item["name"], "arguments": item["arguments"]}
            written = [self._of_item(item, "function_call_arguments.done", **where)]
        return [*written, self._of_item(item, "output_item.done", item=item)]

    def _end(self) -> list[bytes]:
        # A model may say nothing: that is a message, too.
        written = [] if self._output else self._open_message()
        written += self._close(self._status)
        return [*written, self._event(f"response.{self._status}", response=self._response(self._status))]

    def _begin(self, content: Json) -> None:
        self._stem = content["id"].removeprefix(CHAT)
        self._head = {
            "id": f"{RESPONSE}{self._stem}",
            "object": "response",
            "created_at": content["created"],
            "model": content["model"],
        }

    @property
    def _status(self) -> str:
        return "incomplete" if self._reason in _INCOMPLETE else "completed"

    def _message(self) -> Json:
        return self._item({"type": "message", "role": "assistant", "content": []}, "msg")

    def _call(self, number: int, call: Json) -> Json:
        """The item of a tool that is called; its arguments follow."""
        named = {"name": call["function"]["name"], "arguments": "", "call_id": call["id"]}
        self._calls[number] = self._item({"type": "function_call", **named}, "fc")
        return self._calls[number]

    def _item(self, item: Json, prefix: str) -> Json:
        name = f"{prefix}_{self._stem}-{len(self._output)}"
        self._output.append({"id": name, "status": "in_progress", **item})
        return self._output[-1]

    def _text(self, text: str, tokens: list[Json]) -> Json:
        logprobs = tokens if self._asked.wants_logprobs else []
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}

    def _of_item(self, item: Json, name: str, /, **more: Any) -> bytes:
        place: Json = {"output_index": self._output.index(item)}
        if not name.startswith("output_item"):
            place["item_id"] = item["id"]
        return self._event(f"response.{name}", **place, **more)

    def _event(self, name: str, /, **content: Any) -> bytes:
        data = {"type": name, "sequence_number": self._num_events, **content}
        self._num_events += 1
        return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()

    def _response(self, status: str) -> Json:
        """The response as it is now, with what was asked for."""
        asked, more = self._asked, self._asked.model_extra or {}
        ended = status in ("completed", "incomplete")
        why = _INCOMPLETE.get(self._reason or "") if ended else None
        text = asked.text.model_dump(exclude_none=True) if asked.text else {}
        effort = asked.reasoning.effort if asked.reasoning else None
        return {
            **self._head,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": why} if why else None,
            "output": self._output if status != "in_progress" else [],
            "usage": _usage(self._usage) if ended and self._usage else None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "max_tool_calls": asked.max_tool_calls,
            "metadata": asked.metadata or {},
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "reasoning": {"effort": effort, "summary": None},
            "temperature": _or(more.get("temperature"), 1.0),
            "top_p": _or(more.get("top_p"), 1.0),
            "top_logprobs": asked.top_logprobs or 0,
            "text": {"format": {"type": "text"}, **text},
            "tool_choice": asked.tool_choice or "auto",
            "tools": asked.tools or [],
            "truncation": "disabled",
            "user": more.get("user"),
            "background": False,
            "previous_response_id": None,
            "store": False,
        }


def _or(value: Any, default: float) -> Any:
    return default if value is None else value


def _tokens(choice: Json) -> list[Json]:
    """The tokens of a choice with their probabilities, which have the same form here and there."""
    return (choice.get("logprobs") or {}).get("content") or []


def _usage(usage: Json) -> Json:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage["total_tokens"],
    }

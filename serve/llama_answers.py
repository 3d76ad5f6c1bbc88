"""What a client asked, as llama.cpp is asked it, and its answers as the API gives them.

llama.cpp is asked for completions alone: one for each answer, each with its own seed. So its text arrives as
it was generated, neither trimmed nor split into reasoning and tools, as from the other engine.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from serve.answers import Endpoint, Refused
from serve.fields import GREEDY
from serve.template import calls_in_turns

Json = dict[str, Any]
_UNSERVED: Mapping[str, Any] = {
    "add_generation_prompt": True,
    "add_special_tokens": None,
    "allowed_token_ids": None,
    "bad_words": [],
    "chat_template_kwargs": {},
    "continue_final_message": False,
    "documents": None,
    "echo": False,
    "include_stop_str_in_output": False,
    "logprob_token_ids": None,
    "min_tokens": 0,
    "prompt_logprobs": None,
    "reasoning_effort": None,
    "repetition_detection": None,
    "return_token_ids": False,
    "return_tokens_as_token_ids": False,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "stop_token_ids": None,
    "truncate_prompt_tokens": None,
}
"""Fields that only the other engine serves, each with what asks for nothing."""
_KEPT = ("presence_penalty", "frequency_penalty", "logit_bias", "ignore_eos", "min_p")
_SEEDS = 1 << 31


def chat_of(body: Mapping[str, Any]) -> Json:
    """The turns of a chat for llama.cpp's `/apply-template`."""
    turns = []
    for message in calls_in_turns(body["messages"]):
        content = message["content"]
        text = content if isinstance(content, str) else "".join(part["text"] for part in content)
        turn = {"role": message["role"], "content": text}
        if message.get("reasoning"):
            turn["reasoning_content"] = message["reasoning"]
        turns.append(turn)
    return {"messages": turns}


def prompts_of(body: Mapping[str, Any]) -> list[str | list[int]]:
    """The prompts of a completion, each a text or its tokens."""
    prompt = body["prompt"]
    several = isinstance(prompt, list) and not isinstance(prompt[0], int)
    return list(prompt) if several else [prompt]


def requests_for(
    body: Mapping[str, Any], prompts: Sequence[str | list[int]], *, most: int, context: int
) -> list[Json] | Refused:
    """A request to llama.cpp's `/v1/completions` for each answer, those of the first prompt first.

    `most` is the number of tokens of an answer that sets none, `context` that of the penalties' window.
    """
    if name := _unserved(body):
        return Refused(400, f"{name} is not served with llama.cpp", "invalid_request_error", name)
    temperature = body.get("temperature", 1.0)
    plain: Json = {
        "max_tokens": body.get("max_tokens", most),
        "temperature": 0.0 if temperature < GREEDY else temperature,
        "top_p": body.get("top_p", 1.0),
        "top_k": body.get("top_k", 0),
        # By default llama.cpp cuts unlikely tokens, and looks back for penalties a little way only.
        "min_p": 0.0,
        "repeat_last_n": context,
        "stream": bool(body.get("stream")),
    }
    plain |= {name: body[name] for name in _KEPT if name in body}
    if "repetition_penalty" in body:
        plain["repeat_penalty"] = body["repetition_penalty"]
    plain |= _structure(body.get("structured_outputs") or {})
    if (stop := body.get("stop")) is not None:
        plain["stop"] = [stop] if isinstance(stop, str) else stop
    if (wanted := _num_logprobs(body)) is not None:
        # With none wanted beside it, the token's own must still be told.
        plain["logprobs"] = max(1, wanted)
    seed = body.get("seed")
    num = body.get("n") or 1
    return [
        {**plain, "prompt": prompt, **({} if seed is None else {"seed": (seed + number) % _SEEDS})}
        for prompt in prompts
        for number in range(num)
    ]


def _unserved(body: Mapping[str, Any]) -> str:
    """The first field that asks for what llama.cpp is not asked for here; empty where there is none."""
    for name, nothing in _UNSERVED.items():
        if body.get(name, nothing) != nothing:
            return name
    if body.get("tools") and body.get("tool_choice") != "none":
        return "tools"
    structured = body.get("structured_outputs") or {}
    return next((f"structured_outputs.{kind}" for kind in ("regex", "grammar") if kind in structured), "")


def _structure(structured: Mapping[str, Any]) -> Json:
    """What an answer is held to, in llama.cpp's words."""
    if "json" in structured:
        return {"json_schema": structured["json"]}
    if structured.get("json_object"):
        return {"json_schema": {"type": "object"}}
    if "choice" in structured:
        # JSON's escapes are those of llama.cpp's grammars as well.
        quoted = (json.dumps(text, ensure_ascii=False) for text in structured["choice"])
        return {"grammar": "root ::= " + " | ".join(quoted)}
    return {}


def _num_logprobs(body: Mapping[str, Any]) -> int | None:
    """How many likely tokens are wanted beside each token; None where no probabilities are."""
    wanted = body.get("logprobs")
    if wanted is None or wanted is False:
        return None
    return int(body.get("top_logprobs") or 0) if wanted is True else int(wanted)


class Writing:
    """Writes one answer of the API while llama.cpp's answers arrive."""

    def __init__(self, endpoint: Endpoint, version: str, body: Mapping[str, Any], num_prompts: int) -> None:
        self._is_chat = endpoint == "chat"
        self._num_likely = _num_logprobs(body)
        self._num_each = body.get("n") or 1
        self._offsets = [0] * (self._num_each * num_prompts)
        self._has_begun = [False] * len(self._offsets)
        self._usage = {"prompt_tokens": 0, "completion_tokens": 0}
        kind = "chatcmpl" if self._is_chat else "cmpl"
        self._head: Json = {
            "id": f"{kind}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": version,
        }

    def whole(self, replies: Sequence[Json]) -> bytes:
        """The document of complete answers."""
        choices = []
        for index, reply in enumerate(replies):
            self._count(index, reply)
            choice = reply["choices"][0]
            said: Json = (
                {"message": {"role": "assistant", "content": choice["text"]}}
                if self._is_chat
                else {"text": choice["text"]}
            )
            ended = {"finish_reason": choice["finish_reason"]}
            choices.append({"index": index, **said, "logprobs": self._logprobs(index, choice), **ended})
        kind = "chat.completion" if self._is_chat else "text_completion"
        return json.dumps({**self._head, "object": kind, "choices": choices, "usage": self._total()}).encode()

    def events(self, index: int, chunk: Json) -> bytes:
        """The events of a piece of the answer `index`."""
        self._count(index, chunk)
        choice = chunk["choices"][0]
        written = b""
        if self._is_chat and not self._has_begun[index]:
            written = self._event(index, {"delta": {"role": "assistant", "content": ""}}, None, None)
        self._has_begun[index] = True
        said: Json = {"text": choice["text"]}
        if self._is_chat:
            said = {"delta": {"content": choice["text"]} if choice["text"] else {}}
        logprobs = self._logprobs(index, choice)
        return written + self._event(index, said, logprobs, choice["finish_reason"])

    def end(self) -> bytes:
        """The events after the last piece of all answers."""
        return self._line({"choices": [], "usage": self._total()}) + b"data: [DONE]\n\n"

    def _event(self, index: int, said: Json, logprobs: Json | None, finish: str | None) -> bytes:
        return self._line(
            {"choices": [{"index": index, **said, "logprobs": logprobs, "finish_reason": finish}]}
        )

    def _line(self, content: Json) -> bytes:
        kind = "chat.completion.chunk" if self._is_chat else "text_completion"
        return b"data: " + json.dumps({**self._head, "object": kind, **content}).encode() + b"\n\n"

    def _count(self, index: int, reply: Json) -> None:
        """Add up the tokens of all answers; a prompt counts once, however many answers it has."""
        if usage := reply.get("usage"):
            self._usage["completion_tokens"] += usage["completion_tokens"]
            if index % self._num_each == 0:
                self._usage["prompt_tokens"] += usage["prompt_tokens"]

    def _total(self) -> dict[str, int]:
        return {**self._usage, "total_tokens": sum(self._usage.values())}

    def _logprobs(self, index: int, choice: Json) -> Json | None:
        """The probabilities of a piece, in the form of the endpoint."""
        found = (choice.get("logprobs") or {}).get("content") or []
        if self._num_likely is None or not found:
            return None
        tokens = [
            {
                "token": each["token"],
                "logprob": each["logprob"],
                "bytes": each["bytes"],
                "top_logprobs": [
                    {key: likely[key] for key in ("token", "logprob", "bytes")}
                    for likely in each["top_logprobs"][: self._num_likely]
                ],
            }
            for each in found
        ]
        if self._is_chat:
            return {"content": tokens}
        offsets = []
        for token in tokens:
            offsets.append(self._offsets[index])
            self._offsets[index] += len(token["token"])
        return {
            "tokens": [token["token"] for token in tokens],
            "token_logprobs": [token["logprob"] for token in tokens],
            "top_logprobs": [
                {likely["token"]: likely["logprob"] for likely in token["top_logprobs"]} for token in tokens
            ],
            "text_offset": offsets,
        }

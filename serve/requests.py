"""The requests that clients may send: the OpenAI fields that are served, their bounds, and their parser.

A field that cannot change an answer here is ignored, either always (`IGNORED`) or for certain values
(`NO_OPS`, null, empty). Any other unknown field is refused by name, so that no client relies on an effect
that it does not have.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from configs.serving import Limits

T = TypeVar("T", bound=BaseModel)

IGNORED = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    }
)


NO_OPS: Mapping[str, Any] = {
    "best_of": 1,
    "function_call": "none",
    "modalities": ["text"],
    "response_format": {"type": "text"},
    "tool_choice": "none",
}
"""Fields that are not served, each with the value that asks for what happens anyway."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_TYPES = re.compile(r"(str|int|float|bool|list|dict|constrained|function|Part|StreamOptions)\b.*")
"""Matches the parts of a pydantic location that name an alternative of a type instead of a field."""


class RequestError(ValueError):
    """A refused request: an HTTP status and the `type`, `param` and `code` of an OpenAI error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})
        self.body = {"error": {"message": message, "type": type, "param": param, "code": code}}


def _without_no_ops(cls: type[BaseModel], body: Any) -> Any:
    """Drop the fields that ask for nothing, such as the empty ones that a model's own answer contains."""
    if not isinstance(body, dict):
        return body
    return {
        key: value
        for key, value in body.items()
        if key in cls.model_fields
        or not (key in IGNORED or value in (None, "", [], {}) or (key in NO_OPS and value == NO_OPS[key]))
    }


class Part(BaseModel):
    """One part of a message's content."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn of a chat."""

    model_config = ConfigDict(extra="forbid")
    _drop = model_validator(mode="before")(_without_no_ops)
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    name: str | None = None

    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    include_usage: bool = False


Stop = Annotated[str, Field(min_length=1, max_length=256)]


class Sampled(BaseModel):
    """The fields that both endpoints accept."""

    model_config = ConfigDict(extra="forbid")
    _drop = model_validator(mode="before")(_without_no_ops)
    model: Annotated[str, Field(max_length=200)] = "champion"
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=300)] | None
    ) = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def streams(self) -> bool:
        return bool(self.stream)

    @property
    def wants_usage(self) -> bool:
        return not self.streams or bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(Sampled):
    """The body of `POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    def texts(self) -> list[str]:
        return [message.text() for message in self.messages]

    def num_answers(self) -> int:
        return self.n or 1


Tokens = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]


class CompletionRequest(Sampled):
    """The body of `POST /v1/completions`."""

    prompt: (
        str
        | Tokens
        | Annotated[list[str], Field(min_length=1)]
        | Annotated[list[Tokens], Field(min_length=1)]
    )
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None

    def texts(self) -> list[str]:
        prompts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        return [prompt for prompt in prompts if isinstance(prompt, str)]

    def has_token_ids(self) -> bool:
        return isinstance(self.prompt, list) and not isinstance(self.prompt[0], str)

    def num_prompts(self) -> int:
        several = isinstance(self.prompt, list) and not isinstance(self.prompt[0], int)
        return len(self.prompt) if several else 1

    def num_answers(self) -> int:
        return (self.n or 1) * self.num_prompts()


def parse(raw: bytes, limits: Limits) -> Any:
    """Parse a body as JSON.

    Raises RequestError for invalid JSON, too deep nesting, NaN or infinity, and text that is not valid UTF-8.
    """
    # Before parsing, strings are removed and brackets counted. The pattern consumes an unterminated string in
    # one go as well; retrying from each of its quotes would take quadratic time.
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", _STRING.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > limits.json_depth:
        raise RequestError(
            400, f"the body is nested {deepest} levels deep, at most {limits.json_depth} are allowed"
        )
    try:
        body = json.loads(raw.decode(), parse_constant=_no_constant)
        # A lone surrogate is valid JSON but not valid text, and tokenizers crash on it.
        json.dumps(body, ensure_ascii=False).encode()
    except RecursionError:
        raise RequestError(400, "the body is nested too deeply") from None
    except UnicodeError:
        raise RequestError(400, "the body is not valid UTF-8 text") from None
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def read_chat(raw: bytes, limits: Limits) -> ChatRequest:
    """Read the body of a chat. Raises RequestError."""
    request = validated(ChatRequest, parse(raw, limits))
    if len(request.messages) > limits.messages:
        raise RequestError(
            400,
            f"a chat may have at most {limits.messages} messages, got {len(request.messages)}",
            param="messages",
        )
    if request.top_logprobs and not request.logprobs:
        raise RequestError(400, "top_logprobs needs logprobs to be true", param="top_logprobs")
    if request.max_completion_tokens is not None:
        request.max_tokens = request.max_completion_tokens
        request.max_completion_tokens = None
    _within(request, limits)
    return request


def read_completion(raw: bytes, limits: Limits) -> CompletionRequest:
    """Read the body of a completion. Raises RequestError."""
    request = validated(CompletionRequest, parse(raw, limits))
    if request.num_prompts() > limits.messages:
        raise RequestError(
            400,
            f"prompt may hold at most {limits.messages} texts, got {request.num_prompts()}",
            param="prompt",
        )
    if request.max_tokens is None:
        # OpenAI's default for completions.
        request.max_tokens = min(16, limits.max_tokens)
    _within(request, limits)
    return request


def _within(request: ChatRequest | CompletionRequest, limits: Limits) -> None:
    if request.n is not None and request.n > limits.n:
        raise RequestError(400, f"n must be at most {limits.n}, got {request.n}", param="n")
    if request.max_tokens is not None and request.max_tokens > limits.max_tokens:
        raise RequestError(
            400,
            f"max_tokens must be at most {limits.max_tokens}, got {request.max_tokens}",
            param="max_tokens",
        )
    if request.num_answers() > limits.answers:
        raise RequestError(
            400,
            f"n times prompts must be at most {limits.answers} answers, got {request.num_answers()}",
            param="n",
        )


def validated(cls: type[T], body: Any) -> T:
    """The body as a request of the API. Raises RequestError that names the first field which does not fit."""
    try:
        return cls.model_validate(body)
    except ValidationError as error:
        # Every alternative of a union reports errors. The one that was meant is the one whose error is not
        # about the type, or that got furthest.
        detail = max(
            error.errors(include_url=False),
            key=lambda each: (
                each["type"] == "extra_forbidden",
                not each["type"].endswith("_type"),
                len(each["loc"]),
            ),
        )
        *path, last = detail["loc"] or ("",)
        unknown = detail["type"] == "extra_forbidden"
        # An unknown field may have the name of a type.
        parts = [part for part in path if not _TYPES.fullmatch(str(part))]
        parts += [last] if unknown or not _TYPES.fullmatch(str(last)) else []
        where = ".".join(map(str, parts)) or None
        if unknown:
            message = f"the field {where} is not served here"
        else:
            message = f"{where or 'the body'}: {detail['msg']}"
        raise RequestError(400, message, param=where) from None

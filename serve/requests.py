"""The requests that clients may send, read from bytes: JSON, its bounds, and the bodies of both endpoints.

`serve/fields.py` says what is served, `serve/messages.py` what a chat holds, and `serve/schemas.py` bounds
what an engine is made to compile.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator

from configs.serving import Limits
from serve.checks import Verify
from serve.errors import error_body
from serve.fields import NumLikely, Sampled, TokenId, Unserved, number_of
from serve.messages import Message, NamedTool, Tool, ToolChoice, held_tools
from serve.schemas import Structures
from serve.structured import Asked

T = TypeVar("T", bound=BaseModel)

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_TYPES = re.compile(
    r"(str|int|float|bool|list|dict|literal|constrained|function-\w+|[A-Z]\w*)\b.*", re.DOTALL
)
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
        self.body = error_body(message, type, param, code)


class ChatRequest(Asked):
    """The body of `POST /v1/chat/completions`."""

    no_ops = {**Sampled.no_ops, "function_call": ("none", "auto")}

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=-1)] | None = None
    logprobs: bool = False
    top_logprobs: NumLikely | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    chat_template_kwargs: dict[str, Any] | None = None
    """Names that the model's chat template knows."""
    documents: list[dict[str, str]] | None = None
    verify: Verify | None = None

    def texts(self) -> list[str]:
        """What a model reads, and what steers its answer."""
        found = [text for message in self.messages for text in message.texts()]
        shown: list[Any] = [tool.model_dump(exclude_none=True, by_alias=True) for tool in self.tools or ()]
        shown += [each for each in (self.chat_template_kwargs, self.documents) if each]
        return [*found, *(json.dumps(each, ensure_ascii=False) for each in shown), *self.beside()]

    def num_answers(self) -> int:
        return self.n or 1

    def uses_tools(self) -> bool:
        """Whether the model may call tools, or calls are in the history."""
        return bool(self.tools) or any(each.tool_calls or each.role == "tool" for each in self.messages)

    def choose(self, structures: Structures, limits: Limits) -> None:
        """Check the tools and the choice among them. Raises Unserved."""
        choice, tools = self.tool_choice, self.tools
        if not tools:
            if choice == "required" or isinstance(choice, NamedTool):
                raise Unserved("tool_choice", "asks for a call, but no tools were given")
            self.tools = self.tool_choice = self.parallel_tool_calls = None
            return
        if len(tools) > limits.tools:
            raise Unserved("tools", f"may hold at most {limits.tools} tools, got {len(tools)}")
        self.tool_choice = choice = choice or "auto"
        is_demanded = choice == "required" or isinstance(choice, NamedTool)
        if is_demanded:
            # The answer is the call: no other structure applies to it.
            self.unstructure()
            self.require_end()
        # Beside a structure for the answer, a call of the model's own accord needs one as well.
        held = held_tools(tools, choice, is_each=self.is_structured())
        if isinstance(choice, NamedTool) and not held:
            raise Unserved("tool_choice", f"names {choice.function.name!r}, which is none of the tools")
        for number, tool in held:
            # Unless the tool says otherwise, the arguments of its call fit it.
            tool.function.is_exact = tool.function.is_exact is not False
            if tool.function.parameters:
                name = f"tools.{number}.function.parameters"
                tool.function.parameters = structures.json(tool.function.parameters, name)


Tokens = Annotated[list[TokenId], Field(min_length=1)]


class CompletionRequest(Asked):
    """The body of `POST /v1/completions`."""

    prompt: (
        str
        | Tokens
        | Annotated[list[str], Field(min_length=1)]
        | Annotated[list[Tokens], Field(min_length=1)]
    )
    logprobs: NumLikely | None = None

    @field_validator("logprobs", mode="before")
    @classmethod
    def _number(cls, wanted: Any) -> Any:
        return number_of(wanted)

    def texts(self) -> list[str]:
        """What a model reads, and what steers its answer."""
        prompts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        return [*(prompt for prompt in prompts if isinstance(prompt, str)), *self.beside()]

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
        body = json.loads(raw.decode(), parse_constant=_no_constant, parse_float=_finite)
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


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def read_chat(raw: bytes, limits: Limits) -> ChatRequest:
    """Read the body of a chat. Raises RequestError."""
    request, structures = validated(ChatRequest, parse(raw, limits)), Structures(limits)
    try:
        if len(request.messages) > limits.messages:
            raise Unserved(
                "messages", f"may hold at most {limits.messages} messages, got {len(request.messages)}"
            )
        if request.top_logprobs and not request.logprobs:
            raise Unserved("top_logprobs", "needs logprobs to be true")
        if request.continue_final_message:
            if request.add_generation_prompt and "add_generation_prompt" in request.model_fields_set:
                raise Unserved("continue_final_message", "cannot be true beside add_generation_prompt")
            request.add_generation_prompt = False
        name = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
        wanted: int | None = getattr(request, name)
        if wanted == 0:
            raise Unserved(name, "must be at least 1, or -1 for as many as the server allows, got 0")
        request.max_tokens = None if wanted is None or wanted < 0 else min(wanted, limits.max_tokens)
        request.max_completion_tokens = None
        request.choose(structures, limits)
        _within(request, request.num_answers(), structures, limits)
    except Unserved as error:
        raise RequestError(400, str(error), param=error.param) from None
    return request


def read_completion(raw: bytes, limits: Limits) -> CompletionRequest:
    """Read the body of a completion. Raises RequestError."""
    request = validated(CompletionRequest, parse(raw, limits))
    try:
        if (number := request.num_prompts()) > limits.prompts:
            raise Unserved("prompt", f"may hold at most {limits.prompts} texts, got {number}")
        # OpenAI's default for completions.
        wanted = 16 if request.max_tokens is None else request.max_tokens
        if not wanted and not request.echo:
            raise Unserved("max_tokens", "must be at least 1, or 0 with echo to score the prompt, got 0")
        request.max_tokens = limits.max_tokens if wanted < 0 else min(wanted, limits.max_tokens)
        _within(request, request.num_answers(), Structures(limits), limits)
    except Unserved as error:
        raise RequestError(400, str(error), param=error.param) from None
    return request


def _within(request: Asked, num_answers: int, structures: Structures, limits: Limits) -> None:
    if request.n is not None and request.n > limits.n:
        raise Unserved("n", f"must be at most {limits.n}, got {request.n}")
    if num_answers > limits.answers:
        raise Unserved("n", f"times prompts must be at most {limits.answers} answers, got {num_answers}")
    if request.streams and request.prompt_logprobs is not None:
        raise Unserved("prompt_logprobs", "are not available in a stream")
    request.structure(structures)


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
            message = f"{where or 'the body'}: {detail['msg'].removeprefix('Value error, ')}"
        raise RequestError(400, message, param=where) from None

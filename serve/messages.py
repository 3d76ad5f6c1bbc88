"""The messages of a chat: their text, the tools that a model may call, and the calls that it made before."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from serve.fields import Lenient

_BESIDE = frozenset({"annotations", "cache_control", "id", "index", "provider_specific_fields", "timestamp"})
"""What other APIs write beside a text: notes for people and hints for caches."""
_OF_ANSWERS = frozenset(
    {
        "created",
        "created_at",
        "finish_reason",
        "metadata",
        "model",
        "object",
        "parsed",
        "reasoning_details",
        "status",
        "weight",
    }
)
"""What clients keep of an answer beside what it says, and send back with it."""
FUNCTION_NAME = r"^[A-Za-z0-9_.:/-]{1,128}$"


class Part(Lenient):
    """One part of a message's content."""

    ignored = _BESIDE
    type: Literal["text", "refusal"] = "text"
    text: str | None = None
    refusal: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_text(cls, body: Any) -> Any:
        kind = body.get("type", "text") if isinstance(body, dict) else "text"
        if isinstance(kind, str) and kind not in ("text", "refusal"):
            raise ValueError(f"only parts of type text are served here, got {kind[:40]!r}")
        return body

    @model_validator(mode="after")
    def _as_text(self) -> "Part":
        said = self.text if self.type == "text" else self.refusal
        if said is None:
            raise ValueError(f"a part of type {self.type} needs {self.type}")
        self.type, self.text, self.refusal = "text", said, None
        return self


class CalledFunction(Lenient):
    """The function of a call, and its arguments as a text of JSON."""

    ignored = frozenset({"parsed", "parsed_arguments"})
    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str = "{}"

    @field_validator("arguments", mode="before")
    @classmethod
    def _as_a_text(cls, arguments: Any) -> Any:
        return json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict) else arguments


class Call(Lenient):
    """A call of a tool that an assistant's turn made."""

    ignored = (_BESIDE | _OF_ANSWERS) - {"id"}
    id: Annotated[str, Field(max_length=256)] = ""
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(Lenient):
    """One turn of a chat."""

    ignored = _BESIDE | _OF_ANSWERS
    no_ops = {"type": ("text", "message")}
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: Annotated[str, Field(max_length=256)] | None = None

    @model_validator(mode="after")
    def _fits_its_role(self) -> "Message":
        if self.role != "assistant":
            for name in ("tool_calls", "refusal", "reasoning", "reasoning_content"):
                if getattr(self, name):
                    raise ValueError(f"{name} belongs to a turn of the assistant, not of the {self.role}")
            if self.content is None and self.role != "tool":
                raise ValueError(f"content is required in a turn of the {self.role}")
        if self.role != "tool" and self.tool_call_id:
            raise ValueError(f"tool_call_id belongs to a turn of the role tool, not of the {self.role}")
        # What was refused or left out is a turn that says this, or nothing.
        self.content = self.content or self.refusal or ""
        self.refusal = None
        self.reasoning = self.reasoning if self.reasoning is not None else self.reasoning_content
        self.reasoning_content = None
        self.tool_calls = self.tool_calls or None
        return self

    def text(self) -> str:
        """What the turn says, without its calls."""
        content = self.content or ""
        return content if isinstance(content, str) else "".join(part.text or "" for part in content)

    def texts(self) -> Iterable[str]:
        """Everything in the turn that a model reads."""
        yield self.text()
        if self.reasoning:
            yield self.reasoning
        for call in self.tool_calls or ():
            yield f"{call.function.name} {call.function.arguments}"


class Function(Lenient):
    """A function that a model may call; `parameters` is a JSON schema."""

    name: Annotated[str, Field(pattern=FUNCTION_NAME)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    is_exact: Annotated[bool | None, Field(alias="strict")] = None
    """Whether the arguments of a call must fit the parameters."""


class Tool(Lenient):
    """A tool that a model may call."""

    ignored = frozenset({"cache_control"})
    type: Literal["function"] = "function"
    function: Function


class NamedFunction(Lenient):
    """The function of a named tool."""

    name: Annotated[str, Field(pattern=FUNCTION_NAME)]


class NamedTool(Lenient):
    """A choice of one tool, which the answer must call."""

    type: Literal["function"] = "function"
    function: NamedFunction


def _choice(choice: Any) -> Any:
    """Some clients send a choice that names no tool as an object of its type alone."""
    return choice["type"] if isinstance(choice, dict) and choice.keys() == {"type"} else choice


ToolChoice = Annotated[Literal["none", "auto", "required"] | NamedTool, BeforeValidator(_choice)]


def held_tools(tools: Sequence[Tool], choice: ToolChoice, *, is_each: bool) -> list[tuple[int, Tool]]:
    """The tools whose calls an answer is held to, with their places in the list.

    They are the named tool, every one where a call is required or `is_each`, and else those that ask for it.
    """
    if choice == "none":
        return []
    if isinstance(choice, NamedTool):
        return [each for each in enumerate(tools) if each[1].function.name == choice.function.name]
    is_each = is_each or choice == "required"
    return [each for each in enumerate(tools) if is_each or each[1].function.is_exact]

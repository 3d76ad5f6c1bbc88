"""The messages that an engine sends a gateway ahead of an answer: begun, stale, or refused."""

from dataclasses import dataclass
from typing import Literal

Endpoint = Literal["chat", "completions", "tokenize", "detokenize"]


@dataclass(frozen=True, slots=True)
class Begun:
    """The engine holds the requested version and has begun; the answer follows."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The engine does not hold the requested version, so nothing was begun."""

    version: str | None
    """The version that the engine holds; None while it loads one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """vLLM refused the request, for example because its prompt is too long."""

    status: int
    message: str
    type: str
    param: str | None

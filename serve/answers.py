"""What an engine says to a gateway before an answer: that it begins, holds another version, or refuses."""

from dataclasses import dataclass
from typing import Literal

Endpoint = Literal["chat", "completions"]


@dataclass(frozen=True, slots=True)
class Begun:
    """The engine holds the version that it was asked for and has begun; the answer follows."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The engine does not hold the version that it was asked for: nothing was begun."""

    version: str | None
    """What it holds; None while it loads."""


@dataclass(frozen=True, slots=True)
class Refused:
    """vLLM's own refusal of a request, such as a prompt that is too long."""

    status: int
    message: str
    type: str
    param: str | None

"""What a judge's endpoint has answered, kept in a file of the run, and what all of it has cost."""

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from configs.judging import Price
from engine.disk.files import make_dirs
from engine.disk.journal import append_line, drop_torn_line
from engine.disk.jsonl import objects
from engine.errors import Mistake
from engine.records import fault_in, from_json

REFUSED = "refused"
"""How a completion ends that says why the endpoint has refused its request."""


class JudgeError(Mistake):
    """A judge that cannot be asked, or cannot be asked this, as its settings stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A reply of the endpoint."""

    text: str
    """Of a refused request, why it was refused."""
    finish: str
    """``stop`` or ``length``, or another word of the endpoint's; `REFUSED` for a refused request."""
    model: str
    """The model that answered, as the endpoint names it. A Ratchet server names the version that answered."""
    num_prompt_tokens: int
    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A line of the file."""

    request: str
    """Hash of the endpoint and of all that was sent to it."""
    completion: Completion


class Spent(NamedTuple):
    """What all completions of a file have taken."""

    num_requests: int
    num_prompt_tokens: int
    num_tokens: int
    cost: float | None
    """None where no price is known."""


class Completions:
    """The completions of one file, by the hash of their request; several threads may add to them."""

    def __init__(self, file: Path) -> None:
        """Read what is there. Raises JudgeError for a file that holds something else, and RowError."""
        self._file, self._lock = file, threading.Lock()
        make_dirs(file.parent)
        drop_torn_line(file)
        try:
            kept = [from_json(Kept, json.dumps(row)) for row in objects(file)]
        except ValidationError as error:
            raise JudgeError(f"{file} holds no answers of a judge: {fault_in(error)}") from None
        self._by_request = {each.request: each.completion for each in kept}

    def __contains__(self, request: str) -> bool:
        return request in self._by_request

    def __getitem__(self, request: str) -> Completion:
        return self._by_request[request]

    @property
    def has_answers(self) -> bool:
        """Whether any request was answered, and not refused."""
        with self._lock:
            return any(each.finish != REFUSED for each in self._by_request.values())

    def keep(self, request: str, completion: Completion) -> None:
        """Add a completion, on the disk first. Raises OSError that names the file."""
        with self._lock:
            append_line(self._file, asdict(Kept(request=request, completion=completion)))
            self._by_request[request] = completion

    def spent(self, price: Price | None) -> Spent:
        """What they have taken, those of earlier drivers of the run included."""
        with self._lock:
            kept = list(self._by_request.values())
        prompt, reply = sum(each.num_prompt_tokens for each in kept), sum(each.num_tokens for each in kept)
        cost = None if price is None else (prompt * price.prompt + reply * price.reply) / 1e6
        return Spent(len(kept), prompt, reply, cost)


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: Annotated[int, Field(ge=0)] = 0
    completion_tokens: Annotated[int, Field(ge=0)] = 0


class _Reply(BaseModel):
    """What is read of a chat completion. Endpoints add to it what they like."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    model: str | None = None
    usage: _Usage | None = None


def read_completion(content: bytes, model: str) -> tuple[Completion, bool]:
    """The completion in an endpoint's answer, and whether it says how many tokens were used.

    `model` is its model where it names none. Raises pydantic.ValidationError for any other answer.
    """
    reply = _Reply.model_validate_json(content)
    usage = reply.usage or _Usage()
    completion = Completion(
        text=reply.choices[0].message.content or "",
        finish=reply.choices[0].finish_reason or "",
        model=reply.model or model,
        num_prompt_tokens=usage.prompt_tokens,
        num_tokens=usage.completion_tokens,
    )
    return completion, reply.usage is not None

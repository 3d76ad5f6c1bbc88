"""What a server can be told, every default in this file: `ratchet serve [CONFIG] [key=value …]`."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from configs.schema import Count, Leaf, Share


class Engines(Leaf):
    """The vLLM engines that answer."""

    resident: Literal[1, 2] = 2
    """2: one answers while the other takes the next champion, and goes back in an instant. 1: for memory that
    holds one only; requests wait while it drains and reloads."""
    replicas: Count = 1
    """Of each engine."""
    max_replicas: Count | None = None
    """Ray Serve adds replicas up to so many. None: as many as `replicas`."""
    tensor_parallel: Count = 1
    """GPUs of one replica."""
    max_num_seqs: Count = 32
    """Answers that a replica writes at a time; further requests wait in the queue."""
    max_model_len: Count = 2048
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    kv_cache_gib: Annotated[float, Field(gt=0)] = 0.5
    """Of one replica, on a CPU; on a GPU see `gpu_memory`."""
    gpu_memory: Share = 0.4
    """Share of a GPU's memory for one replica; two resident engines on one GPU share it. With
    `tensor_parallel` above 1 a replica has its GPUs to itself."""
    compile: bool = False
    """On a CPU; a GPU always compiles."""

    @model_validator(mode="after")
    def _scales_up(self) -> "Engines":
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(
                f"max_replicas must be at least replicas = {self.replicas}, got {self.max_replicas}"
            )
        return self


class Limits(Leaf):
    """What one request, and one key, may ask for."""

    body_bytes: Annotated[int, Field(ge=1024)] = 1 << 20
    json_depth: Annotated[int, Field(ge=4, le=100)] = 16
    messages: Count = 64
    n: Count = 4
    answers: Count = 16
    """Of one request: n for each of its prompts. Each takes a seat of `max_num_seqs`."""
    max_tokens: Count = 1024
    """Also what a chat generates at most where it does not say."""
    seconds: Annotated[float, Field(gt=0)] = 120.0
    """Deadline of a request, from its arrival to its last byte; no header of a client changes it."""
    queue: Annotated[int, Field(ge=0)] = 8
    """Requests that wait for an engine; one more is answered 429 at once. With a quarter of `max_num_seqs`, a
    full server takes less than twice as long for an answer as a busy one."""
    requests_per_minute: Count = 600
    """Of a key that was created without a limit of its own."""
    tokens_per_minute: Count = 200_000
    """Prompt and completion together; likewise."""


class Filter(Leaf):
    """One check of text (`serve/filters.py`)."""

    name: str
    """``regex``, ``length``, or the path of a Python file."""
    patterns: list[str] = []
    """regex: text that one of these is found in is refused."""
    max_chars: Count | None = None
    """length: longer text is refused."""

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return patterns


_FILTERS = [Filter(name="length", max_chars=65_536), Filter(name="regex")]


class Filters(Leaf):
    input: list[Filter] = _FILTERS
    """What a client sends, before an engine sees it."""
    output: list[Filter] = _FILTERS
    """What a model answers, before the client sees it."""


class Serving(Leaf):
    line: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*$")]
    """Line of the registry whose champion is served."""
    host: str = "127.0.0.1"
    """Loopback; another address opens the server to its network."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    engines: Engines = Engines()
    limits: Limits = Limits()
    filters: Filters = Filters()
    canary: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of keys that are answered by a new champion first."""
    canary_minutes: Annotated[float, Field(gt=0)] = 10.0
    """How long, before all keys are; unless it failed more often than the former champion by then."""
    cors_origins: list[str] = []
    """Origins whose pages may call the API from a browser; none by default."""
    gateways: Count = 1
    """Replicas of the HTTP side; each takes an equal share of queue and limits."""
    poll_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Between two looks at the registry."""
    drain_seconds: Annotated[float, Field(gt=0)] = 120.0
    """How long requests in flight may go on when the server is told to end."""

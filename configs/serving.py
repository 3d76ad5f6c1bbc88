"""The config of a server, with every default: `ratchet serve [CONFIG] [key=value …]`."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from configs.base import Count, Dtype, Leaf, Share


class Engines(Leaf):
    """The vLLM engines that answer requests."""

    resident: Literal[1, 2] = 2
    """Engines that stay loaded. With 2, one answers while the other loads the next champion, and a rollback
    is instant. With 1, for memory that holds no more, requests wait while the engine drains and reloads."""
    replicas: Count = 1
    """Replicas of each engine."""
    max_replicas: Count | None = None
    """Ray Serve adds replicas under load up to this number; None for a fixed number of `replicas`."""
    tensor_parallel: Count = 1
    """Number of GPUs that one replica is spread over."""
    max_num_seqs: Count = 32
    """Answers that a replica generates at a time; further requests wait in the queue."""
    max_model_len: Count = 2048
    """Longest prompt and completion together, in tokens."""
    dtype: Dtype = "auto"
    kv_cache_gib: Annotated[float, Field(gt=0)] = 0.5
    """Size of one replica's KV cache on a CPU; on a GPU see `gpu_memory`."""
    gpu_memory: Share = 0.4
    """Share of a GPU's memory that one replica takes, so that two resident engines fit on one GPU. With
    `tensor_parallel` above 1 a replica has its GPUs to itself."""
    compile: bool = False
    """Whether vLLM compiles the model on a CPU; on a GPU it always does."""
    tool_parser: str | None = None
    """vLLM's parser of the tool calls that this model writes, such as ``hermes``. Without one, the model
    calls a tool only where a request demands it."""

    @model_validator(mode="after")
    def _scales_up(self) -> "Engines":
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(
                f"max_replicas must be at least replicas = {self.replicas}, got {self.max_replicas}"
            )
        return self


class LlamaCpp(Leaf):
    """What `ratchet serve --runtime llama.cpp` serves on CPUs, in place of a line's champion."""

    file: str = ""
    """Path of the file, such as one that `ratchet export` made."""
    threads: Count | None = None
    """Threads that generate answers; None for all cores."""


class Limits(Leaf):
    """Bounds on one request and on one key."""

    body_bytes: Annotated[int, Field(ge=1024)] = 1 << 20
    """Largest request body."""
    json_depth: Annotated[int, Field(ge=4, le=100)] = 32
    """Deepest nesting of a request body."""
    messages: Count = 1024
    """Messages of a chat."""
    prompts: Count = 64
    """Prompts of a completion."""
    tools: Count = 128
    """Tools of a chat."""
    n: Count = 4
    """Answers to one prompt."""
    answers: Count = 64
    """Answers of one request: `n` for each of its prompts. Each takes a seat of `max_num_seqs`."""
    max_tokens: Count = 1024
    """Tokens of one answer. A request that asks for more, or a chat that sets no limit, gets this many."""
    schema_bytes: Count = 32_768
    """Size of all that a structured answer or a tool call is held to, in one request: schemas, choices."""
    schema_nodes: Count = 1_000
    """Schemas, values and choices in it."""
    schema_repeats: Count = 1_000
    """Distinct lengths of texts in it (each counts up to 200) and repetitions in its patterns, added up. Each
    takes vLLM about ten milliseconds of a core to compile."""
    grammars: bool = False
    """Whether a request may bring a grammar of its own, which may take any time to compile."""
    seconds: Annotated[float, Field(gt=0)] = 120.0
    """Deadline of a request, from its arrival to its last byte; no client header can change it."""
    queue: Annotated[int, Field(ge=0)] = 8
    """Requests that may wait for an engine; any further one is answered 429 at once. At a quarter of
    `max_num_seqs`, an answer from a full server takes less than twice as long as from a busy one."""
    requests_per_minute: Count = 600
    """Limit of a key that was created without its own."""
    tokens_per_minute: Count = 200_000
    """Limit of a key that was created without its own; prompts and completions count together."""


class Filter(Leaf):
    """One filter of text (`serve/filters.py`)."""

    name: str
    """``regex``, ``length``, or the path of a Python file."""
    patterns: list[str] = []
    """For ``regex``: a text that contains a match of any of these is refused."""
    max_chars: Count | None = None
    """For ``length``: a longer text is refused."""

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
    """The filters of both directions, applied in order."""

    input: list[Filter] = _FILTERS
    """Applied to what a client sends, before an engine sees it."""
    output: list[Filter] = _FILTERS
    """Applied to what a model answers, before the client sees it."""


class Feedback(Leaf):
    """What is kept of what users say of answers (`POST /v1/feedback`)."""

    terms: Annotated[str, Field(min_length=1, max_length=2_000)] = (
        "the chat, its answer and what is said of it are kept, and models may learn from them"
    )
    """What a user agrees to; it is kept with all that they say."""
    hours: Annotated[float, Field(gt=0, le=720)] = 24.0
    """How long an answer can be referred to. Until then it is kept in memory, never on disk."""
    answers: Count = 10_000
    """Most answers that a gateway remembers."""
    memory_mib: Annotated[float, Field(gt=0)] = 64.0
    """Most memory that they take in a gateway."""
    max_chars: Count = 32_768
    """Length of a better answer."""
    file_mib: Annotated[float, Field(gt=0)] = 256.0
    """Size of the file from which on no further feedback is taken."""


class Embeddings(Leaf):
    """The model of `POST /v1/embeddings`. It runs on the CPU, beside the engines."""

    model: Annotated[str, Field(min_length=1)] = "all-MiniLM-L6-v2"
    """``all-MiniLM-L6-v2``, which is installed, or the directory of a sentence-transformers model."""
    inputs: Count = 2048
    """Texts of one request."""


class Checking(Leaf):
    """The processes of a gateway that check answers (the field `verify` of a chat)."""

    processes: Count = 1
    """They start with the first such chat."""
    seconds: Annotated[float, Field(ge=0.01, le=3_600)] = 5.0
    """Time limit for one reply."""
    memory_mib: Annotated[int, Field(ge=256, le=1_048_576)] = 1024
    """Memory limit of each process."""


class Serving(Leaf):
    """A server: one line of the registry, served over HTTP."""

    line: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*$")]
    """The registry's line whose champion is served."""
    host: str = "127.0.0.1"
    """The default is loopback; any other address opens the server to its network."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    engines: Engines = Engines()
    llama: LlamaCpp = LlamaCpp()
    limits: Limits = Limits()
    filters: Filters = Filters()
    checking: Checking = Checking()
    feedback: Feedback | None = None
    """Keeps what users say of answers, for keys with the scope ``feedback``; ``{}`` has every default. None
    keeps nothing."""
    embeddings: Embeddings | None = None
    """Serves an embedding model as well; ``{}`` has every default. None serves none."""
    canary: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the keys that a new champion answers at first; 0 switches canaries off."""
    canary_minutes: Annotated[float, Field(gt=0)] = 10.0
    """How long a canary lasts before the new champion answers all keys. It is refused earlier if it fails
    more often than the old champion."""
    cors_origins: list[str] = []
    """Web origins whose pages may call the API from a browser."""
    gateways: Count = 1
    """Replicas of the HTTP side; each takes an equal share of the queue and of the rate limits."""
    poll_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Time between two looks at the registry."""
    drain_seconds: Annotated[float, Field(gt=0)] = 120.0
    """How long requests in flight may continue when the server shuts down."""

    @model_validator(mode="after")
    def _has_two_for_a_canary(self) -> "Serving":
        if self.canary and self.engines.resident == 1:
            raise ValueError("canary needs engines.resident = 2: one engine cannot hold two versions")
        return self

    @property
    def url(self) -> str:
        """The address of the HTTP side; one of IPv6 stands in brackets."""
        return _url_of(self.host, self.port)

    @property
    def own_url(self) -> str:
        """The address at which a server on this machine is asked; where it listens on all, over loopback."""
        return _url_of({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port)


def _url_of(host: str, port: int) -> str:
    """The address of a server; one of IPv6 stands in brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"

"""The desk of a gateway: admits a request, finds the engine that holds its version, and opens its answer.

An admitted request waits for seats in a bounded queue and then goes to one engine. An engine that has
switched to another version hands the request back, and the desk sends it again according to the slots as they
then are. It does the same when an engine is lost before any part of the answer was sent on. An answer that
has started to reach the client is never requested a second time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

from configs.serving import Serving
from serve.absent import SOON, not_loaded
from serve.account import Account
from serve.answers import Begun, Endpoint, Refused, Stale
from serve.checks import Checks
from serve.embeddings import EmbeddingsDesk
from serve.feedback import FeedbackDesk
from serve.fields import GREEDY
from serve.filters import Refuses
from serve.keys import OWN, Key, Keys
from serve.limits import Limiter
from serve.metrics import Metrics
from serve.requests import ChatRequest, CompletionRequest, RequestError
from serve.seats import Seats
from serve.slots import SlotsFile
from serve.tokens import Counted

log = logging.getLogger("ray.serve")

ANSWERS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize", "/detokenize")
"""Paths that an engine answers."""
_COUNTED = (*ANSWERS, "/v1/embeddings", "/v1/feedback")
"""Paths whose requests count against a key's limit."""
_RETRY_SECONDS = 0.02
"""Pause before a request that was handed back is sent again, in seconds."""
_LOOK_AGAIN_AFTER = 0.5
"""How often a waiting request checks whether its version has moved to another engine, in seconds."""
_LOST = 2
"""Engines that one request may bring down before it is refused; the request itself may be the cause."""

Stream: TypeAlias = DeploymentResponseGenerator[Any]
Asked: TypeAlias = ChatRequest | CompletionRequest | Counted


@dataclass(slots=True)
class Opened:
    """An answer that has begun."""

    version: str
    first: bytes
    rest: Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything that a gateway's routes need to answer a request."""

    serving: Serving
    home: Path
    keys: Keys
    slots: SlotsFile
    engines: Mapping[str, DeploymentHandle]
    """The streaming handle of each slot's engine."""
    metrics: Metrics
    limiter: Limiter
    seats: Seats
    refuses_input: Refuses
    refuses_output: Refuses
    input_needs_text: bool
    """Whether an input filter reads text, so that a prompt of token ids would slip past it."""
    output_needs_text: bool = False
    """Whether an output filter reads text, which token ids in an answer would slip past."""
    feedback: FeedbackDesk | None = None
    """None where the server keeps none."""
    checks: Checks = field(default_factory=Checks)
    """They check the answers to chats with the field `verify`."""
    embeddings: EmbeddingsDesk | None = None
    """None where no embedding model is configured."""

    def close(self) -> int:
        """Refuse new requests from now on; returns how many still wait or run."""
        queues = [self.seats, *([self.embeddings.seats] if self.embeddings else [])]
        for seats in queues:
            seats.closed = True
        return sum(seats.waiting + seats.running for seats in queues)

    def expects(self, path: str, key: Key) -> None:
        """Take a request from its key's limit before its body is read, if the queue has room for it.

        Raises RequestError.
        """
        if key.id == OWN:
            return
        if path.startswith(ANSWERS):
            self.seats.check()
        if path.startswith(_COUNTED):
            self.allow(key, 0, num_requests=1)

    @asynccontextmanager
    async def admitted(self, request: Asked, key: Key, account: Account) -> AsyncIterator[dict[str, str]]:
        """Pass a request through filters, limits and queue, and hold its seats.

        Yields the headers that report the key's limits. Raises RequestError.
        """
        if key.id == OWN:
            # The server's own question is neither filtered nor limited, however busy the server is.
            yield {}
            return
        if isinstance(request, Counted):
            self.filter(request.texts())
            headers = self.allow(key, 0)
            async with self.seats.held(key.id, 1):
                yield headers
            return
        limits = self.serving.limits
        if self.input_needs_text and isinstance(request, CompletionRequest) and request.has_token_ids():
            raise RequestError(
                400, "prompt must be text: the input filter cannot read token ids", param="prompt"
            )
        if self.output_needs_text and request.shows_token_ids:
            raise RequestError(
                400,
                "the output filter cannot read token ids: leave out return_token_ids and "
                "return_tokens_as_token_ids",
                param="return_token_ids",
            )
        self.filter(request.texts())
        account.prompt_tokens = _prompt_tokens(request)
        # An answer that is to be checked may take many replies, which are drawn a few at a time.
        checked = request.verify if isinstance(request, ChatRequest) else None
        num_answers = checked.samples if checked else request.num_answers()
        most = limits.max_tokens if request.max_tokens is None else request.max_tokens
        cost = account.prompt_tokens + most * num_answers
        account.reserved = cost
        headers = self.allow(key, cost)
        try:
            async with self.seats.held(key.id, checked.at_once if checked else num_answers):
                yield headers
        finally:
            self.limiter.give_back(key.id, cost - account.tokens)

    def filter(self, texts: Iterable[str]) -> None:
        """Refuse what an input filter refuses. Raises RequestError."""
        for text in texts:
            if reason := self.refuses_input(text):
                raise RequestError(400, f"refused by the input filter {reason}", code="content_filter")

    def allow(self, key: Key, cost: int, num_requests: int = 0) -> dict[str, str]:
        """Take `cost` tokens and some requests from a key's limits; returns the headers that report them.

        Raises RequestError (429).
        """
        limits = self.serving.limits
        allowance = self.limiter.ask(
            key.id,
            key.requests_per_minute or limits.requests_per_minute,
            key.tokens_per_minute or limits.tokens_per_minute,
            cost,
            num_requests,
        )
        if not allowance.granted:
            raise _limited(allowance.retry_after, allowance.headers, cost)
        return allowance.headers

    async def open(self, endpoint: Endpoint, request: Asked, key: Key, account: Account) -> Opened:
        """Send a request to engines until one of them has begun to answer. Raises RequestError."""
        body = _for_vllm(request, self.serving.engines.max_model_len)
        lost = 0
        while True:
            slot, version = await self._slot_for(request.model, key)
            stream = self.engines[slot].answer.remote(endpoint, version, body)
            begun = False
            try:
                first = await self._first(stream, (slot, version), request.model, key)
                if begun := isinstance(first, Begun):
                    # From here on this version either answers or fails.
                    account.version = version
                    first = await anext(stream)
            except (RayError, RayServeException) as error:
                log.warning("an engine of version %s was lost: %s", version, type(error).__name__)
                lost += begun
                if lost == _LOST:
                    raise RequestError(
                        503, f"{_LOST} engines failed on this request", type="server_error", headers=SOON
                    ) from None
                await asyncio.sleep(_LOOK_AGAIN_AFTER)
                continue
            except BaseException:
                stream.cancel()
                raise
            match first:
                case None:
                    stream.cancel()
                case Stale():
                    await asyncio.sleep(_RETRY_SECONDS)
                case Refused():
                    account.version = ""  # a refused request has used no tokens
                    raise RequestError(first.status, first.message, type=first.type, param=first.param)
                case _:
                    return Opened(version, first, stream)

    async def _first(self, stream: Stream, place: tuple[str, str], model: str, key: Key) -> Any:
        """Wait for an engine's first message; None if the model has moved to another `place` meanwhile."""
        first = asyncio.ensure_future(anext(stream))
        try:
            while not (await asyncio.wait({first}, timeout=_LOOK_AGAIN_AFTER))[0]:
                slots = self.slots.read()
                if slots is None or slots.find(model, key.id) != place:
                    return None
            return first.result()
        finally:
            first.cancel()

    async def _slot_for(self, model: str, key: Key) -> tuple[str, str]:
        # The keeper's own question tests the version that was just loaded, so it is never held back.
        while (slots := self.slots.read()) and slots.holding and key.id != OWN:
            await asyncio.sleep(_RETRY_SECONDS)
        if slots and (found := slots.find(model, key.id)):
            return found
        raise await not_loaded(model, slots, self.home, self.serving.line)


def _for_vllm(request: Asked, context: int) -> dict[str, Any]:
    """Translate a request for vLLM, which accepts less than the API does.

    `context` is the longest prompt and completion together, in tokens.
    """
    if isinstance(request, Counted):
        return request.model_dump(exclude_none=True)
    body = request.body()
    if request.max_tokens is not None:
        body["max_tokens"] = min(request.max_tokens, context)
    if request.top_p is not None:
        # Below about 1e-38 a number is no longer positive in single precision.
        body["top_p"] = max(request.top_p, 1e-6)
    if request.temperature is not None and request.temperature < GREEDY and (request.n or 1) > 1:
        # vLLM refuses several greedy answers; sampling from the single likeliest token gives the same.
        body |= {"temperature": 1.0, "top_k": 1}
    options = body.pop("stream_options", {})
    if request.streams:
        # The account always needs the usage; the stream drops it again if the client did not ask for it.
        continuous = request.wants_usage and options.get("continuous_usage_stats", False)
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": continuous}
    return body


def _prompt_tokens(request: ChatRequest | CompletionRequest) -> int:
    """Estimate the tokens of a prompt: about four characters each; token ids are counted exactly."""
    tokens = sum(len(text) // 4 + 8 for text in request.texts())
    if isinstance(request, CompletionRequest) and isinstance(request.prompt, list):
        tokens += sum(
            len(each) if isinstance(each, list) else isinstance(each, int) for each in request.prompt
        )
    return tokens


def _limited(wait: float, headers: dict[str, str], cost: int) -> RequestError:
    if wait == float("inf"):
        return RequestError(
            400,
            f"the request may use {cost} tokens, but the key is limited to "
            f"{headers['x-ratelimit-limit-tokens']} a minute: send less text, ask for fewer answers, or "
            "lower max_tokens",
            code="rate_limit_exceeded",
        )
    return RequestError(
        429,
        f"the key's rate limit is reached; try again in {wait:.1f} s",
        type="rate_limit_error",
        code="rate_limit_exceeded",
        headers={**headers, "retry-after": str(max(1, -(-int(wait * 1000) // 1000)))},
    )

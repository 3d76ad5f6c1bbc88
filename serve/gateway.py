"""The HTTP side: takes a request in, finds the engine that holds the version meant, and hands its answer
on.

A request is admitted, waits its turn in a bounded queue, and is asked of one engine. An engine that holds
another version meanwhile hands it back, and it is asked again as the slots then stand; so it is where an
engine is lost before anything of its answer was sent on. What has begun to be sent is never asked twice.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator
from starlette.requests import Request

from configs.serving import Serving
from serve import filters
from serve.account import Account
from serve.answers import Begun, Endpoint, Refused, Stale
from serve.keys import OWN, Key, Keys, Scope
from serve.limits import Limiter
from serve.metrics import Metrics
from serve.requests import ChatRequest, CompletionRequest, RequestError
from serve.slots import SlotsFile
from serve.turns import Turns, seats

log = logging.getLogger("ray.serve")

ANSWERS = ("/v1/chat/completions", "/v1/completions")
"""Paths that an engine answers."""
_AGAIN = 0.02
"""Seconds before a request that was handed back is asked again."""
_LOOKS = 0.5
"""Seconds after which a request that no engine has begun looks whether another one is to be asked by now."""
_LOST = 2
"""Engines that may be lost over one request: it may be what ends them."""
_GREEDY = 1e-5
"""Lower temperatures vLLM takes for zero."""
_SOON = {"retry-after": "5"}

Answer: TypeAlias = DeploymentResponseGenerator[Any]


@dataclass(slots=True)
class Opened:
    """An answer that has begun."""

    version: str
    first: bytes
    rest: Answer


class Gateway:
    """One replica of the HTTP side; `serve/routes.py` is its app."""

    def __init__(
        self,
        serving: Serving,
        home: str,
        engines: dict[str, DeploymentHandle],
        own: str,
        keeper: DeploymentHandle,
    ) -> None:
        # What is bound to the HTTP side is deployed with it, the keeper too.
        self.serving, self.home, self.own, self.keeper = serving, Path(home), own, keeper
        self.keys, self.slots = Keys(self.home), SlotsFile(self.home, serving.line)
        self.engines = {slot: handle.options(stream=True) for slot, handle in engines.items()}
        self._here = serve.get_replica_context()
        self.metrics = Metrics(self._here.replica_id.unique_id)
        self.limiter = Limiter(1 / serving.gateways)
        self.refuses_input = filters.build(serving.filters.input)
        self.filters_read = filters.read_text(serving.filters.input)
        self.refuses_output = filters.build(serving.filters.output)
        self.turns = Turns(
            max(1, seats(serving.engines) // serving.gateways),
            -(-serving.limits.queue // serving.gateways),
            self.metrics,
        )

    def __serve_build_asgi_app__(self) -> Any:
        from serve.routes import build

        return build(self)

    async def tallies(self) -> dict[str, tuple[int, int, list[float]]]:
        """Version to its requests, how many failed, and the latencies of the last."""
        return {v: (t.requests, t.failed, list(t.seconds)) for v, t in self.metrics.tallies.items()}

    async def told(self) -> dict[str, Any]:
        """What the page is told of this gateway."""
        return {"load": (self.turns.waiting, self.turns.running), "tallies": await self.tallies()}

    async def metrics_text(self) -> str:
        return self.metrics.text()

    async def everyone(self, method: str) -> list[Any]:
        """What each gateway says, this one too."""
        handle = serve.get_deployment_handle(self._here.deployment, self._here.app_name)
        return await handle.broadcast(method).results_async(timeout_s=10)

    async def drain(self) -> int:
        """Take nothing more in. How many requests wait or run."""
        self.turns.closed = True
        return self.turns.waiting + self.turns.running

    def expects(self, path: str, key: Key) -> None:
        """Refuse what there is no room for before its body is read. Raises RequestError."""
        if path.startswith(ANSWERS) and key.id != OWN:
            self.turns.check()

    @asynccontextmanager
    async def admitted(
        self, request: ChatRequest | CompletionRequest, key: Key, account: Account
    ) -> AsyncIterator[dict[str, str]]:
        """Past filters and limits, with a turn; the headers that tell a key's limits. Raises RequestError."""
        if key.id == OWN:
            # The server's own question is neither filtered nor limited, however busy it is.
            yield {}
            return
        limits = self.serving.limits
        if self.filters_read and isinstance(request, CompletionRequest) and request.has_token_ids():
            raise RequestError(
                400, "prompt: token ids pass the input filter unseen; allowed here is text", param="prompt"
            )
        for text in request.texts():
            if reason := self.refuses_input(text):
                raise RequestError(400, f"refused by the input filter {reason}", code="content_filter")
        account.prompt_tokens = _prompt_tokens(request)
        cost = account.prompt_tokens + (request.max_tokens or limits.max_tokens) * request.num_answers()
        account.reserved = cost
        allowance = self.limiter.ask(
            key.id,
            key.requests_per_minute or limits.requests_per_minute,
            key.tokens_per_minute or limits.tokens_per_minute,
            cost,
        )
        if not allowance.granted:
            raise _limited(allowance.retry_after, allowance.headers, cost)
        try:
            async with self.turns.one(key.id, request.num_answers()):
                yield allowance.headers
        finally:
            self.limiter.give_back(key.id, cost - account.tokens)

    async def open(
        self, endpoint: Endpoint, request: ChatRequest | CompletionRequest, key: Key, account: Account
    ) -> Opened:
        """Ask until an engine has begun to answer. Raises RequestError."""
        body = _for_vllm(request)
        lost = 0
        while True:
            slot, version = await self._slot_for(request.model, key)
            stream = self.engines[slot].answer.remote(endpoint, version, body)
            begun = False
            try:
                first = await self._first(stream, (slot, version), request.model, key)
                if begun := isinstance(first, Begun):
                    # From here on it is this version that answers, or fails.
                    account.version = version
                    first = await anext(stream)
            except (RayError, RayServeException) as error:
                log.warning("an engine of %s was lost: %s", version, type(error).__name__)
                lost += begun
                if lost == _LOST:
                    raise RequestError(
                        503, "the engine failed over this request", type="server_error", headers=_SOON
                    ) from None
                await asyncio.sleep(_LOOKS)
                continue
            except BaseException:
                stream.cancel()
                raise
            match first:
                case None:
                    stream.cancel()
                case Stale():
                    await asyncio.sleep(_AGAIN)
                case Refused():
                    account.version = ""  # it has used nothing
                    raise RequestError(first.status, first.message, type=first.type, param=first.param)
                case _:
                    return Opened(version, first, stream)

    async def _first(self, stream: Answer, at: tuple[str, str], model: str, key: Key) -> Any:
        """What an engine says first; None where another one is to be asked by then."""
        first = asyncio.ensure_future(anext(stream))
        try:
            while not (await asyncio.wait({first}, timeout=_LOOKS))[0]:
                slots = self.slots.read()
                if slots is None or slots.find(model, key.id) != at:
                    return None
            return first.result()
        finally:
            first.cancel()

    async def _slot_for(self, model: str, key: Key) -> tuple[str, str]:
        # The keeper's own question, which tries what was loaded, is not held.
        while (slots := self.slots.read()) is None or (slots.holding and key.id != OWN):
            if slots is None:
                raise starting()
            await asyncio.sleep(_AGAIN)
        if found := slots.find(model, key.id):
            return found
        raise self.unknown(model)

    def unknown(self, model: str) -> RequestError:
        """404 for a model that is not loaded, with what is, and how another one would be."""
        from engine.registry.registry import Registry

        slots = self.slots.read()
        if slots is None:
            return starting()
        there = f"champion ({slots.champion})" + (f", previous ({slots.previous})" if slots.previous else "")
        events = Registry(self.home).history(self.serving.line)
        if model in {event.model_id for event in events if event.kind in ("promoted", "baseline")}:
            message = (
                f"model {model} was accepted but is not loaded; loaded are {there}. To load it, go back "
                f"to it, one champion at a time: ratchet models rollback {self.serving.line}"
            )
        else:
            message = f"model {model!r} is not served; there are {there}"
        return RequestError(404, message, param="model", code="model_not_found")


def starting() -> RequestError:
    return RequestError(503, "the server is starting", type="server_error", headers=_SOON)


def _for_vllm(request: ChatRequest | CompletionRequest) -> dict[str, Any]:
    """A request as vLLM is asked, where it is stricter than the API."""
    body = request.model_dump(exclude_none=True)
    if request.top_p is not None:
        # It is no positive number any more in single precision, below about 1e-38.
        body["top_p"] = max(request.top_p, 1e-6)
    if request.temperature is not None and request.temperature < _GREEDY and (request.n or 1) > 1:
        # Several greedy answers are refused; the likeliest token alone to draw from is the same.
        body |= {"temperature": 1.0, "top_k": 1}
    body.pop("stream_options", None)
    if request.streams:
        # Always, to count by; taken out again where it was not asked for.
        body["stream_options"] = {"include_usage": True}
    return body


def _prompt_tokens(request: ChatRequest | CompletionRequest) -> int:
    """Before it is known: a token is about four characters; those given as numbers are counted."""
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
            f"the request may use {cost} tokens, more than the key's {headers['x-ratelimit-limit-tokens']} a "
            "minute: set max_tokens lower",
            code="rate_limit_exceeded",
        )
    return RequestError(
        429,
        f"the key's limit is reached; try again in {wait:.1f} s",
        type="rate_limit_error",
        code="rate_limit_exceeded",
        headers={**headers, "retry-after": str(max(1, -(-int(wait * 1000) // 1000)))},
    )


def allowed(request: Request, scope: Scope) -> Key:
    """The key that asks. Raises RequestError (403) where it may not."""
    key: Key = request.state.key
    if not key.may(scope):
        raise RequestError(
            403, f"this key may not: the scope {scope} is needed", type="permission_error", code="scope"
        )
    return key

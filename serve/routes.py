"""The app of a gateway: the routes that answer, with what surrounds them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel
from ray.exceptions import RayError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as Scope_

from configs.serving import Limits
from serve import watching
from serve.account import Account, Events, told_tokens
from serve.answers import Endpoint
from serve.gateway import Gateway, Opened, allowed
from serve.guard import Guard
from serve.keys import OWN, Key, Scope, hash_of
from serve.requests import ChatRequest, CompletionRequest, RequestError, read_chat, read_completion

MODEL_HEADER = "x-ratchet-model"
_BODY_SECONDS = 10.0


def build(gateway: Gateway) -> FastAPI:
    """The app of one gateway."""
    app = FastAPI(title="Ratchet", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    _answering(app, gateway)
    watching.add(app, gateway)

    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> Response:
        return JSONResponse(error.body, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def not_there(request: Request, error: HTTPException) -> Response:
        what = f"{request.method} {request.url.path}: {error.detail}"
        body = {"error": {"message": what, "type": "invalid_request_error", "param": None, "code": None}}
        return JSONResponse(body, error.status_code, error.headers)

    # What the server asks of itself, to try a candidate before it is the champion.
    own = Key(id=OWN, name=OWN, sha256="", scopes=(Scope.ADMIN,), created="")
    app.add_middleware(
        Guard,
        keys=gateway.keys,
        own=own,
        own_hash=hash_of(gateway.own),
        body_bytes=gateway.serving.limits.body_bytes,
        expects=gateway.expects,
        refused=gateway.metrics.refused,
    )
    if gateway.serving.cors_origins:
        # Outermost: a browser asks for leave before it has a key to show.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=gateway.serving.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[MODEL_HEADER, "x-request-id"],
        )
    return app


def _answering(app: FastAPI, gateway: Gateway) -> None:
    @app.post("/v1/chat/completions", openapi_extra=_body(ChatRequest))
    async def chat_completions(request: Request) -> Response:
        """A chat, answered by the version that `model` names."""
        return await _answer(gateway, "chat", request, read_chat)

    @app.post("/v1/completions", openapi_extra=_body(CompletionRequest))
    async def completions(request: Request) -> Response:
        """A text, continued by the version that `model` names."""
        return await _answer(gateway, "completions", request, read_completion)


async def _body_of(request: Request) -> bytes:
    """Raises RequestError (408) for one that is sent too slowly: meanwhile it holds a place."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await request.body()
    except TimeoutError:
        raise RequestError(
            408, f"the body was not there within {_BODY_SECONDS:g} s", type="timeout_error"
        ) from None
    except ClientDisconnect:
        raise RequestError(499, "the client left before its body was there") from None


async def _answer(
    gateway: Gateway,
    endpoint: Endpoint,
    request: Request,
    read: Callable[[bytes, Limits], ChatRequest | CompletionRequest],
) -> Response:
    key, limits = allowed(request, Scope.INFER), gateway.serving.limits
    account = Account(gateway.metrics, limits.seconds, endpoint, request.state.id, key.id)
    # What is held for the request: its turn, its reserved tokens, its place in the engine.
    held = AsyncExitStack()
    held.callback(account.close)
    try:
        asked = read(await _body_of(request), limits)
        async with asyncio.timeout(account.left):
            headers = await held.enter_async_context(gateway.admitted(asked, key, account))
            opened = await gateway.open(endpoint, asked, key, account)
            held.callback(opened.rest.cancel)
        account.status = 200
        headers = {MODEL_HEADER: opened.version, **headers}
        if asked.streams:
            events = Events(account, gateway.refuses_output, asked.wants_usage)
            return _Streamed(_stream(account, events, opened), held.pop_all(), headers)
        content = _whole(gateway, account, opened.first)
        return Response(content, 200, headers, "application/json")
    except TimeoutError:
        account.status = 504
        raise RequestError(504, f"no answer within {limits.seconds:g} s", type="timeout_error") from None
    except RequestError as error:
        account.status = error.status
        raise
    finally:
        await held.aclose()


class _Streamed(StreamingResponse):
    """Lets go of what is held for it when it ends, also where its client left before it began."""

    def __init__(self, events: AsyncIterator[bytes], held: AsyncExitStack, headers: dict[str, str]) -> None:
        headers = {**headers, "x-accel-buffering": "no"}
        super().__init__(events, headers=headers, media_type="text/event-stream")
        self._held = held

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)


def _whole(gateway: Gateway, account: Account, document: bytes) -> bytes:
    """A JSON answer, past the output filter."""
    content = json.loads(document)
    account.usage(content.get("usage"))
    changed = False
    for choice in content["choices"]:
        message = choice.get("message")
        text = (message["content"] if message else choice["text"]) or ""
        if gateway.refuses_output(text) or gateway.refuses_output(told_tokens(choice.get("logprobs"))):
            changed = True
            choice["finish_reason"], choice["logprobs"] = "content_filter", None
            if message:
                message["content"] = ""
            else:
                choice["text"] = ""
    return json.dumps(content).encode() if changed else document


async def _stream(account: Account, events: Events, opened: Opened) -> AsyncIterator[bytes]:
    """The events of an answer, to its end, its deadline, or its client's leaving."""
    account.status = 499
    try:
        yield events.passed(opened.first)
        while not events.reason:
            try:
                async with asyncio.timeout(account.left):
                    chunk = await anext(opened.rest)
            except StopAsyncIteration:
                break
            yield events.passed(chunk)
        account.status = 200
    except TimeoutError:
        account.status = 504
        yield _error_event("timeout_error", "the deadline of the request has passed")
    except RayError:
        account.status = 500
        yield _error_event("server_error", "the engine was lost while it answered")


def _error_event(type: str, message: str) -> bytes:
    body = {"error": {"message": message, "type": type, "param": None, "code": None}}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """A body's schema for the OpenAPI document; bodies are read by `serve/requests.py`."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inline(schema)}}}}


def _inline(schema: dict[str, Any]) -> Any:
    """A schema with its definitions put where they are referred to."""
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if ref := node.get("$ref"):
                return resolved(definitions[ref.rpartition("/")[2]])
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(value) for value in node] if isinstance(node, list) else node

    return resolved(schema)

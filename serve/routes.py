"""The app of a gateway: the routes that answer, and the guard and error handlers around them."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from ray.exceptions import RayError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as Scope_

from configs.serving import Limits
from serve import embeddings, proving, watching
from serve.account import Account, Events, calls_text, tokens_text
from serve.answers import Endpoint
from serve.bodies import body_of, described
from serve.desk import Asked, Desk, Opened
from serve.errors import error_body, error_event
from serve.feedback import FeedbackDesk, FeedbackRequest, Heard
from serve.guard import Guard, allowed
from serve.keys import OWN, Key, Scope, hash_of
from serve.requests import ChatRequest, CompletionRequest, RequestError, read_completion
from serve.responses import ResponsesRequest
from serve.responses_answers import Retelling
from serve.tokens import Counted, DetokenizeRequest, TokenizeRequest, read_detokenize, read_tokenize

MODEL_HEADER = "x-ratchet-model"


def build(desk: Desk, own: str, everyone: watching.Everyone) -> FastAPI:
    """Build the app of one gateway.

    `own` is the token by which the server asks itself; `everyone` calls a method on all gateways.
    """
    app = FastAPI(title="Ratchet", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    _answering(app, desk)
    if desk.feedback:
        _listening(app, desk, desk.feedback)
    embeddings.add(app, desk)
    watching.add(app, desk, everyone)

    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> Response:
        return JSONResponse(error.body, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def not_there(request: Request, error: HTTPException) -> Response:
        message = f"{request.method} {request.url.path}: {error.detail}"
        return JSONResponse(error_body(message, "invalid_request_error"), error.status_code, error.headers)

    # The server asks itself with this key, to test a candidate before it becomes the champion.
    own_key = Key(id=OWN, name=OWN, sha256="", scopes=(Scope.ADMIN,), created="")
    app.add_middleware(
        Guard,
        keys=desk.keys,
        own=own_key,
        own_hash=hash_of(own),
        body_bytes=desk.serving.limits.body_bytes,
        expects=desk.expects,
        refused=desk.metrics.refused,
    )
    if desk.serving.cors_origins:
        # Outermost: a browser's preflight request carries no key.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=desk.serving.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[MODEL_HEADER, "x-request-id"],
        )
    return app


def _answering(app: FastAPI, desk: Desk) -> None:
    @app.post("/v1/chat/completions", openapi_extra=described(ChatRequest))
    async def chat_completions(request: Request) -> Response:
        """Answer a chat with the version that `model` names."""
        return await _answer(desk, "chat", request, proving.read)

    @app.post("/v1/completions", openapi_extra=described(CompletionRequest))
    async def completions(request: Request) -> Response:
        """Continue a text with the version that `model` names."""
        return await _answer(desk, "completions", request, read_completion)

    @app.post("/v1/responses", openapi_extra=described(ResponsesRequest))
    async def create_response(request: Request) -> Response:
        """Answer a conversation as a chat is answered, in the form of OpenAI's Responses API."""
        retelling = Retelling()
        return await _answer(desk, "chat", request, retelling.read, retelling)

    @app.post("/tokenize", openapi_extra=described(TokenizeRequest))
    async def tokenize(request: Request) -> Response:
        """Return the tokens of a text or a chat, as the version that `model` names reads it."""
        return await _answer(desk, "tokenize", request, read_tokenize)

    @app.post("/detokenize", openapi_extra=described(DetokenizeRequest))
    async def detokenize(request: Request) -> Response:
        """Return the text of tokens."""
        return await _answer(desk, "detokenize", request, read_detokenize)


def _listening(app: FastAPI, desk: Desk, feedback: FeedbackDesk) -> None:
    @app.post("/v1/feedback", status_code=201, openapi_extra=described(FeedbackRequest))
    async def take_feedback(request: Request) -> Response:
        """Keep what a user says of an answer, or take it back."""
        key = allowed(request, Scope.FEEDBACK)
        headers = desk.allow(key, 0)
        return JSONResponse(await feedback.take(key, await body_of(request)), 201, headers)


async def _answer(
    desk: Desk,
    endpoint: Endpoint,
    request: Request,
    read: Callable[[bytes, Limits], Asked],
    retelling: Retelling | None = None,
) -> Response:
    """Answer a request; `retelling` has the last word on the form of a chat's answer."""
    key, limits = allowed(request, Scope.INFER), desk.serving.limits
    account = Account(desk.metrics, limits.seconds, endpoint, request.state.id, key.id)
    # Whatever the request holds is released together: its seats, reserved tokens, place in the engine.
    held = AsyncExitStack()
    held.callback(account.close)
    try:
        with account.takes_failures():
            parsed = read(await body_of(request), limits)
            async with asyncio.timeout(account.left):
                headers = await held.enter_async_context(desk.admitted(parsed, key, account))
                if isinstance(parsed, ChatRequest) and parsed.verify:
                    content = await proving.answer(desk, parsed, key, account)
                    account.status, headers = 200, {MODEL_HEADER: account.version, **headers}
                    return Response(content, 200, headers, "application/json")
                opened = await desk.open(endpoint, parsed, key, account)
                held.callback(opened.rest.cancel)
            account.status = 200
            headers = {MODEL_HEADER: opened.version, **headers}
            if isinstance(parsed, Counted):
                return Response(opened.first, 200, headers, "application/json")
            if parsed.streams:
                events = Events(account, desk.refuses_output, parsed.wants_usage)
                heard = desk.feedback.hears(key, parsed) if desk.feedback else None
                sent = _stream(account, events, opened, heard)
                return _Streamed(_retold(sent, retelling) if retelling else sent, held.pop_all(), headers)
            # The server's own question is about the model, whatever a filter says of the answer.
            content = opened.first if key.id == OWN else _whole(desk, account, opened.first)
            if desk.feedback:
                desk.feedback.whole(key, parsed, content)
            content = retelling.whole(content) if retelling else content
            return Response(content, 200, headers, "application/json")
    finally:
        await held.aclose()


class _Streamed(StreamingResponse):
    """A stream that releases what it holds when it ends, even if its client disconnects before it begins."""

    def __init__(self, events: AsyncIterator[bytes], held: AsyncExitStack, headers: dict[str, str]) -> None:
        headers = {**headers, "x-accel-buffering": "no"}
        super().__init__(events, headers=headers, media_type="text/event-stream")
        self._held = held

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)


def _whole(desk: Desk, account: Account, document: bytes) -> bytes:
    """Pass a complete JSON answer through the output filter."""
    content = json.loads(document)
    account.usage(content.get("usage"))
    changed = False
    for choice in content["choices"]:
        message = choice.get("message")
        text = (message["content"] if message else choice["text"]) or ""
        calls = calls_text((message or {}).get("tool_calls")).values()
        if any(map(desk.refuses_output, (text, tokens_text(choice.get("logprobs")), *calls))):
            changed = True
            choice["finish_reason"], choice["logprobs"] = "content_filter", None
            if message:
                message["content"], message["tool_calls"] = "", []
            else:
                choice["text"] = ""
    return json.dumps(content).encode() if changed else document


async def _stream(
    account: Account, events: Events, opened: Opened, heard: Heard | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield the events of an answer until it ends, its deadline passes, or its client disconnects."""
    account.status = 499

    def pass_on(chunk: bytes) -> bytes:
        sent = events.passed(chunk)
        return heard.part(sent) if heard else sent

    try:
        yield pass_on(opened.first)
        while not events.reason:
            try:
                async with asyncio.timeout(account.left):
                    chunk = await anext(opened.rest)
            except StopAsyncIteration:
                break
            yield pass_on(chunk)
        account.status = events.status
        if heard and account.status == 200:
            heard.end()
    except TimeoutError:
        account.status = 504
        yield error_event(error_body("the request's deadline has passed", "timeout_error"))
    except RayError:
        account.status = 500
        yield error_event(error_body("the engine was lost while answering", "server_error"))
    except Exception:
        account.status = 500
        raise


async def _retold(events: AsyncGenerator[bytes, None], retelling: Retelling) -> AsyncIterator[bytes]:
    """Yield the events that the events of a chat make."""
    async with aclosing(events):
        async for chunk in events:
            if part := retelling.part(chunk):
                yield part

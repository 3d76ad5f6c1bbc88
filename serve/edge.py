"""Middleware for Ray Serve's HTTP proxy: removes what steers Ray, and puts Ray's errors in OpenAI's format.

Ray reads a request's id (which it logs), its deadline and its routing from headers, and answers 500 if one of
them is not UTF-8. This middleware removes those headers and assigns an id of its own.

The proxy itself answers where no gateway does: in a flood, before the first gateway is there, after the one
that was answering is lost. It does so in plain text, or not at all; clients get JSON instead.

The proxy finds `middlewares` through the variable `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`
(`cluster/connect.py`).
"""

import secrets
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import error_body, error_event

REQUEST_ID = "x-request-id"
RAY_HEADERS = frozenset(
    {
        REQUEST_ID,
        "serve-multiplexed-model-id",
        "traceparent",
        "x-request-disconnect-disabled",
        "x-request-timeout-seconds",
        "x-session-id",
    }
)
OURS = "x-content-type-options"
"""A header that every reply of a gateway has, and none of the proxy's own."""
_OF_RAY = "/-/"
"""Where Ray answers about itself, in its own words."""
_STARTING = ("the server is starting or shutting down", "server_error", None)
_ERRORS = {
    404: _STARTING,  # there is no route only before the app is deployed, and after it has ended
    408: ("no answer within the deadline", "timeout_error", None),
    429: ("the server is busy", "overloaded_error", "queue_full"),
    500: ("the part of the server that was answering was lost", "server_error", None),
    503: _STARTING,
}
"""Message, type and code by the statuses of the proxy's own replies."""


class Edge:
    """Wraps the proxy's own app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        kept = [(name, value) for name, value in scope["headers"] if not _steers_ray(name)]
        scope["headers"] = [*kept, (REQUEST_ID.encode(), f"req-{secrets.token_hex(8)}".encode())]
        if scope["type"] == "websocket" or scope["path"].startswith(_OF_RAY):
            await self._app(scope, receive, send)
            return
        reply = _Reply(scope, receive, send)
        await self._app(scope, receive, reply.pass_on)
        await reply.end()


class _Reply:
    """A reply on its way to the client."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._to = (scope, receive, send)
        self._has_begun = self._has_ended = self._is_stream = False

    async def pass_on(self, message: Message) -> None:
        """Send a message on; what the proxy itself says is replaced."""
        if self._has_ended:
            return  # the proxy's own words, after ours
        if message["type"] == "http.response.start":
            self._has_begun = True
            headers = Headers(raw=message["headers"])
            kind = headers.get("content-type", "")
            if message["status"] in _ERRORS and OURS not in headers and kind.startswith("text/plain"):
                await self._say(message["status"], headers)
                return
            self._is_stream = kind.startswith("text/event-stream")
        elif message["type"] == "http.response.body":
            self._has_ended = not message.get("more_body", False)
        await self._to[2](message)

    async def end(self) -> None:
        """Say that the answer is lost where it has not ended; a stream says it in an event."""
        if not self._has_begun:
            scope = self._to[0]
            await self._say(500, Headers({REQUEST_ID: Headers(scope=scope)[REQUEST_ID]}))
        elif self._is_stream and not self._has_ended:
            await self._to[2]({"type": "http.response.body", "body": error_event(_body(500))})

    async def _say(self, status: int, headers: Headers) -> None:
        """Reply with an error in OpenAI's format."""
        self._has_ended = True
        status = 503 if status == 404 else status
        kept = {name: headers[name] for name in (REQUEST_ID, "retry-after") if name in headers}
        if status in (429, 503):
            kept.setdefault("retry-after", "1")
        await JSONResponse(_body(status), status, kept)(*self._to)


def middlewares() -> list[Middleware]:
    """Return the middlewares that the proxy installs when it starts."""
    return [Middleware(Edge)]


def _body(status: int) -> dict[str, Any]:
    message, kind, code = _ERRORS[status]
    return error_body(message, kind, code=code)


def _steers_ray(name: bytes) -> bool:
    return name.decode("latin-1").lower().replace("_", "-") in RAY_HEADERS

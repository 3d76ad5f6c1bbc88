"""Middleware for Ray Serve's HTTP proxy: removes the headers by which a client could steer Ray itself.

Ray reads a request's id (which it logs), its deadline and its routing from headers, and answers 500 if one of
them is not UTF-8. This middleware removes those headers and assigns an id of its own. The proxy finds
`middlewares` through the variable `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` (`cluster/connect.py`).
"""

import secrets

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

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


class Edge:
    """Wraps the proxy's own app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            kept = [(name, value) for name, value in scope["headers"] if not _steers_ray(name)]
            scope["headers"] = [*kept, (REQUEST_ID.encode(), f"req-{secrets.token_hex(8)}".encode())]
        await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """Return the middlewares that the proxy installs when it starts."""
    return [Middleware(Edge)]


def _steers_ray(name: bytes) -> bool:
    return name.decode("latin-1").lower().replace("_", "-") in RAY_HEADERS

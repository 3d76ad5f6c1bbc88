"""In Ray Serve's HTTP proxy, before anything of Ray's: what Ray reads of a request, no client may say.

Ray takes its id of a request, which it logs, its deadline and its routing from headers, and answers 500
for one that is not UTF-8. They are taken out here, and an id is given.
`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` names `middlewares` to the proxy (`cluster/connect.py`).
"""

import secrets

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

REQUEST_ID = "x-request-id"
_RAYS = frozenset(
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
    """Around the proxy's own app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            kept = [(name, value) for name, value in scope["headers"] if not _is_rays(name)]
            scope["headers"] = [*kept, (REQUEST_ID.encode(), f"req-{secrets.token_hex(8)}".encode())]
        await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """What the proxy asks for when it starts."""
    return [Middleware(Edge)]


def _is_rays(name: bytes) -> bool:
    return name.decode("latin-1").lower().replace("_", "-") in _RAYS

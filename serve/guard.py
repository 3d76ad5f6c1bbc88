"""The outermost layer of the HTTP side, in pure ASGI: it checks keys, bounds bodies and sets common headers.

Every path except those in `OPEN` needs a key. Unknown paths need one too, so that a client without a key
learns nothing. The bytes of a body are counted while they arrive. Headers that would override Ray Serve's own
deadline, or keep a request running after its client has disconnected, are refused; a proxy started with
`serve/edge.py` has removed them already. An unexpected error is logged here and answered without its text.
"""

import hmac
import logging
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Scope_

from serve.edge import OURS, REQUEST_ID
from serve.errors import error_body
from serve.keys import Key, Keys, KeysError, Scope, hash_of
from serve.requests import RequestError
from serve.slots import SlotsError

log = logging.getLogger("ray.serve")

OPEN = frozenset({"/", "/healthz", "/readyz"})
_LIFTING = ("x-request-timeout-seconds", "x-request-disconnect-disabled")
_ALWAYS = {
    OURS: "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Guard:
    """Wraps an app, whose handlers find the client's `Key` and the request's id in ``request.state``."""

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        own: Key,
        own_hash: str,
        body_bytes: int,
        expects: Callable[[str, Key], None],
        refused: Callable[[int], None],
    ) -> None:
        """Wrap `app`.

        `expects` raises RequestError for a path and key that the server has no room for at the moment, or
        whose limit of requests is reached.
        `refused` receives the status of every request that the guard itself refuses.
        """
        self._app, self._keys, self._body_bytes = app, keys, body_bytes
        self._own, self._own_hash = own, own_hash
        self._expects, self._refused = expects, refused

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The proxy's id, which it also puts on the reply (`serve/edge.py`).
        request_id, started = Headers(scope=scope).get(REQUEST_ID, ""), False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            scope.setdefault("state", {})["id"] = request_id
            scope["state"]["key"] = self._admit(scope)
            await self._app(scope, self._counted(scope, receive), sending)
        except RequestError as error:
            if started:
                raise
            self._refused(error.status)
            await JSONResponse(error.body, error.status, error.headers)(scope, receive, sending)
        except (KeysError, SlotsError) as error:
            log.error("%s", error)
            if started:
                raise
            unreadable = RequestError(503, "the server cannot read its own state", type="server_error")
            await JSONResponse(unreadable.body, unreadable.status)(scope, receive, sending)
        except Exception:  # the last resort: the client learns only that an error happened
            log.exception("%s failed", request_id)
            if started:
                raise
            await JSONResponse(error_body("internal error", "server_error"), 500)(scope, receive, sending)

    def _admit(self, scope: Scope_) -> Key | None:
        headers = Headers(scope=scope)
        if scope["path"] in OPEN and scope["method"] in ("GET", "HEAD"):
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = self._find(token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise RequestError(
                401,
                "a valid key is required: Authorization: Bearer rk-…",
                type="authentication_error",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )
        for name in _LIFTING:
            if name in headers:
                raise RequestError(400, f"the header {name} is not allowed")
        self._expects(scope["path"], key)
        return key

    def _find(self, token: str) -> Key | None:
        found = self._keys.find(token)
        own = hmac.compare_digest(hash_of(token), self._own_hash)
        return self._own if own else found

    def _counted(self, scope: Scope_, receive: Receive) -> Receive:
        """Wrap `receive` so that a body larger than the limit ends with 413."""
        most, seen = self._body_bytes, 0
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdigit() or int(declared) > most:
            raise _too_large(most)

        async def receiving() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise _too_large(most)
            return message

        return receiving


def allowed(request: Request, scope: Scope) -> Key:
    """Return the key that a request came with. Raises RequestError (403) if the key lacks the scope."""
    key: Key = request.state.key
    if not key.may(scope):
        raise RequestError(
            403, f"this key lacks the required scope {scope}", type="permission_error", code="scope"
        )
    return key


def _too_large(most: int) -> RequestError:
    return RequestError(413, f"the body must be at most {most} bytes", code="request_too_large")

"""The outermost layer of the HTTP side, pure ASGI: who asks, how much is sent, and what every reply
carries.

Every path needs a key but those of `OPEN`, unknown paths too, so that nothing is learnt without one. What a
client sends is counted as it comes. Headers that would lift Ray Serve's own deadline, or keep a request
running that was left, are refused: where the proxy was started with `serve/edge.py`, none arrives here. An
error that nobody foresaw is logged here and answered without its text.
"""

import hmac
import logging
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.edge import REQUEST_ID
from serve.keys import Key, Keys, KeysError, hash_of
from serve.requests import RequestError
from serve.slots import SlotsError

log = logging.getLogger("ray.serve")

OPEN = frozenset({"/", "/healthz", "/readyz"})
_LIFTING = ("x-request-timeout-seconds", "x-request-disconnect-disabled")
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Guard:
    """Around an app, whose handlers find the `Key` and an id in ``request.state.key`` and ``.id``."""

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
        """`expects` raises RequestError for a path and key that there is no room for at the moment; `refused`
        is told the status of what goes no further than here."""
        self._app, self._keys, self._body_bytes = app, keys, body_bytes
        self._own, self._own_hash = own, own_hash
        self._expects, self._refused = expects, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # That of Ray's proxy, which puts it on the reply (`serve/edge.py`).
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
            away = RequestError(503, "the server cannot read its own state", type="server_error")
            await JSONResponse(away.body, away.status)(scope, receive, sending)
        except Exception:  # the last resort: a client learns only that it was
            log.exception("%s failed", request_id)
            if started:
                raise
            body = {
                "error": {"message": "internal error", "type": "server_error", "param": None, "code": None}
            }
            await JSONResponse(body, 500)(scope, receive, sending)

    def _admit(self, scope: Scope) -> Key | None:
        headers = Headers(scope=scope)
        if scope["path"] in OPEN and scope["method"] in ("GET", "HEAD"):
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = self._find(token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise RequestError(
                401,
                "a good key is needed: Authorization: Bearer rk-…",
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

    def _counted(self, scope: Scope, receive: Receive) -> Receive:
        """`receive`, which ends with 413 where more comes than is allowed."""
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


def _too_large(most: int) -> RequestError:
    return RequestError(413, f"the body must be at most {most} bytes", code="request_too_large")

"""The HTTP side of a server without Ray: what Ray Serve does for a server that runs on it."""

import asyncio
import time
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Scope_

from configs.serving import Serving
from engine.disk.interruption import ONE_SIGNAL
from serve.desk import Desk
from serve.edge import REQUEST_ID
from serve.gateway import Gateway
from serve.seats import Seats

CONNECTIONS = 1024
"""Connections that are open at a time; beyond them uvicorn answers 503."""
_IDLE_SECONDS = 5
"""How long connections without a request may stay open when the server shuts down."""


class SingleGateway(Gateway):
    """The gateway of a server that has only this one, in a process of its own."""

    def __init__(self, desk: Desk, own: str) -> None:
        self._desk, self._own = desk, own

    async def everyone(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method on every gateway: on this one."""
        return [await getattr(self, method)(*arguments)]


class Named:
    """Puts the request's id on the reply, as Ray Serve's proxy does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        name = Headers(scope=scope).get(REQUEST_ID, "") if scope["type"] == "http" else ""

        async def sending(message: Message) -> None:
            if name and message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = name
            await send(message)

        await self._app(scope, receive, sending)


class Attended:
    """Ends the work on a request whose client has gone, as Ray Serve's proxy does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_read, is_sent = asyncio.Event(), asyncio.Event()

        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                is_read.set()
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                is_sent.set()
            await send(message)

        async def gone() -> None:
            # Until the body has been read, its reader learns that the client has gone.
            await is_read.wait()
            while (await receive())["type"] != "http.disconnect":
                pass

        work = asyncio.ensure_future(self._app(scope, receiving, sending))
        left = asyncio.ensure_future(gone())
        try:
            await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            # After a whole answer, too, the client is said to have gone.
            if is_abandoned := not (work.done() or is_sent.is_set()):
                work.cancel()
        if is_abandoned:
            with suppress(asyncio.CancelledError):
                await work
        else:
            await work


class Server(uvicorn.Server):
    """Uvicorn, except that a signal first closes the queue, and waits for the requests that are in it."""

    def __init__(self, app: ASGIApp, seats: Seats, serving: Serving) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=_IDLE_SECONDS,
            )
        )
        self._seats, self._seconds = seats, serving.drain_seconds
        self._closed: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Refuse new requests with 503; a second signal waits for nothing."""
        if self._closed is not None and time.monotonic() - self._closed > ONE_SIGNAL:
            self.should_exit = self.force_exit = True
        self._closed = self._closed or time.monotonic()
        self._seats.closed = True

    async def on_tick(self, counter: int) -> bool:
        """Uvicorn calls it ten times a second; True ends the server."""
        if self._closed is not None:
            is_late = time.monotonic() - self._closed > self._seconds
            self.should_exit |= is_late or not (self._seats.waiting + self._seats.running)
        return await super().on_tick(counter)

"""The guard behind a proxy that was started without `serve/edge.py`; `test_server.py` has one with it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from serve.guard import Guard
from serve.keys import Key, Keys, Scope, hash_of

OWN = Key(id="self", name="self", sha256="", scopes=(Scope.ADMIN,), created="")


@pytest.mark.parametrize("name", ["x-request-timeout-seconds", "x-request-disconnect-disabled"])
def test_headers_that_steer_ray_are_refused(name: str, tmp_path: Path) -> None:
    sent: list[dict[str, Any]] = []
    refused: list[int] = []

    async def app(*_: Any) -> None:
        pytest.fail("the request went on")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(
        app,
        keys=Keys(tmp_path),
        own=OWN,
        own_hash=hash_of("own"),
        body_bytes=1024,
        expects=lambda *_: None,
        refused=refused.append,
    )
    headers = [(b"authorization", b"Bearer own"), (name.encode(), b"0")]
    asyncio.run(
        guard({"type": "http", "method": "GET", "path": "/v1/models", "headers": headers}, receive, send)
    )
    assert sent[0]["status"] == 400 and refused == [400]
    assert json.loads(sent[1]["body"])["error"]["message"] == f"the header {name} is not allowed"

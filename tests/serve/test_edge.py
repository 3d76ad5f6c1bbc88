"""What the proxy itself says reaches clients as errors in OpenAI's format; what a gateway says passes."""

import asyncio
import json
from typing import Any

import pytest

from serve.edge import OURS, Edge

Messages = list[dict[str, Any]]


def sent(said: Messages, path: str = "/v1/models", kind: str = "http") -> Messages:
    """What a client gets of a proxy that says `said`."""
    got: Messages = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in said:
            await send(message)

    async def send(message: Any) -> None:
        got.append(message)

    scope = {"type": kind, "method": "GET", "path": path, "headers": []}
    asyncio.run(Edge(app)(scope, None, send))  # type: ignore[arg-type]
    return got


def begins(status: int, content_type: str = "text/plain; charset=utf-8", **more: str) -> dict[str, Any]:
    headers = {"content-type": content_type, **more}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def body(text: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": more}


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (408, 408, "timeout_error"),
        (429, 429, "overloaded_error"),
        (503, 503, "server_error"),
        (404, 503, "server_error"),
    ],
)
def test_what_the_proxy_says_is_an_error_of_the_api(status: int, told: int, kind: str) -> None:
    said = [begins(status, retry_after="7", x_request_id="req-1"), body(b"Ray's words")]
    start, content = sent(said)
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert start["status"] == told and headers["content-type"] == "application/json"
    assert headers["retry-after"] == "7" and headers["x-request-id"] == "req-1"
    error = json.loads(content["body"])["error"]
    assert error["type"] == kind and set(error) == {"message", "type", "param", "code"}
    assert int(headers["content-length"]) == len(content["body"])


def test_a_busy_proxy_always_says_when_to_come_again() -> None:
    start, _ = sent([begins(429), body(b"")])
    assert dict(start["headers"])[b"retry-after"] == b"1"


@pytest.mark.parametrize(
    "said",
    [
        [begins(503, **{OURS: "nosniff"}), body(b"starting")],
        [begins(429, "application/json"), body(b"{}")],
        [begins(400), body(b"Disallowed CORS origin")],
        [begins(200, "text/event-stream"), body(b"data: 1\n\n", more=True), body(b"data: [DONE]\n\n")],
    ],
)
def test_what_a_gateway_says_passes(said: Messages) -> None:
    assert sent(said) == said


def test_what_ray_says_of_itself_passes() -> None:
    said = [begins(503), body(b"draining")]
    assert sent(said, "/-/healthz") == said


def test_a_request_whose_gateway_is_lost_is_answered() -> None:
    start, content = sent([])
    assert start["status"] == 500 and json.loads(content["body"])["error"]["type"] == "server_error"
    assert dict(start["headers"])[b"x-request-id"].startswith(b"req-")


def test_a_stream_whose_gateway_is_lost_ends_with_an_error_event() -> None:
    said = [begins(200, "text/event-stream"), body(b"data: 1\n\n", more=True)]
    *passed, last = sent(said)
    assert passed == said and not last.get("more_body")
    assert json.loads(last["body"].removeprefix(b"data: "))["error"]["type"] == "server_error"

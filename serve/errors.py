"""Errors in OpenAI's format: as the body of a reply, and as an event of a stream that had begun."""

import json
from typing import Any


def error_body(message: str, type: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The body of a reply that reports an error."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def error_event(body: dict[str, Any]) -> bytes:
    """The body of an error as a server-sent event."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"

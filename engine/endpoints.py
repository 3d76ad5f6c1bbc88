"""What clients of OpenAI-compatible endpoints have in common: the key, the answer, and what an error says."""

import json
import os
import time

import httpx

AGAIN = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which the same request may be answered."""


def key_in(variable: str) -> str:
    """The key that an environment variable holds. Raises ValueError, which says why it holds none."""
    key = os.environ.get(variable, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ValueError("holds what cannot be a key" if key else "is not set")
    return key


def content_of(reply: httpx.Response, until: float, most_bytes: int) -> bytes:
    """The body of an answer that is streamed.

    Raises httpx.RequestError, also for one with too many bytes, and for one that is not there at `until`, a
    time of `time.monotonic`.
    """
    content = bytearray()
    for chunk in reply.iter_bytes():
        content += chunk
        if len(content) > most_bytes:
            raise httpx.ReadError(f"an answer of more than {most_bytes:,} bytes")
        if time.monotonic() > until:
            raise httpx.ReadTimeout("an answer that was still coming when its time was over")
    return bytes(content)


def message(content: bytes, key: str) -> str:
    """What an endpoint says of an error, in one line, without the key that some repeat in it."""
    try:
        error = json.loads(content)["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, TypeError, RecursionError):
        text = content[:400].decode(errors="replace")
    if key:
        text = text.replace(key, "[key]")
    # Halves of characters can be named in JSON, and no record can hold them.
    return " ".join(text.encode(errors="replace").decode().split())[:200]


def asked_to_wait(reply: httpx.Response) -> float:
    """Seconds of the header ``Retry-After``; 0 where there are none, or a date."""
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0.0

"""The bodies of requests: how they are read, and how the OpenAPI document describes them."""

import asyncio
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from serve.requests import RequestError

_SECONDS = 10.0


async def body_of(request: Request) -> bytes:
    """Read a request's body. Raises RequestError (408) if it arrives too slowly, as it holds a place."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await request.body()
    except TimeoutError:
        raise RequestError(
            408, f"the body did not arrive within {_SECONDS:g} s", type="timeout_error"
        ) from None
    except ClientDisconnect:
        raise RequestError(499, "the client disconnected before its body arrived") from None


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Describe a body for the OpenAPI document; the body itself is read by code of ours."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inline(schema)}}}}


def _inline(schema: dict[str, Any]) -> Any:
    """Replace each reference in a schema by the definition it points to."""
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if ref := node.get("$ref"):
                return resolved(definitions[ref.rpartition("/")[2]])
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(value) for value in node] if isinstance(node, list) else node

    return resolved(schema)

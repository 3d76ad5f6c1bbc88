"""`POST /v1/embeddings`, where the config has `embeddings`: a small model beside the engines."""

import asyncio
import base64
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import Field
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.responses import JSONResponse, Response

from configs.serving import Embeddings, Limits
from engine.errors import cause_of
from engine.failures import said_by
from serve.account import Account
from serve.bodies import body_of, described
from serve.embedder import TooLong
from serve.fields import Lenient, Sampled
from serve.guard import allowed
from serve.keys import Key, Scope
from serve.requests import RequestError, parse, validated
from serve.seats import Seats

if TYPE_CHECKING:
    import numpy as np

    from serve.desk import Desk

log = logging.getLogger("ray.serve")

_AT_ONCE = 32
"""Texts that are embedded at a time; a client that leaves, or a deadline, takes effect after them."""


class EmbeddingsRequest(Lenient):
    """The body of `POST /v1/embeddings`."""

    ignored = Sampled.ignored
    input: (
        str
        | Annotated[list[str], Field(min_length=1)]
        | Annotated[list[int], Field(min_length=1)]
        | Annotated[list[list[int]], Field(min_length=1)]
    )
    model: Annotated[str, Field(max_length=200)] = ""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsDesk:
    """What a gateway needs to answer requests for embeddings."""

    settings: Embeddings
    embedder: DeploymentHandle
    seats: Seats
    """A queue of their own, of one seat: no request for an answer waits for an embedding."""

    @property
    def name(self) -> str:
        """What `model` may be, beside nothing."""
        return Path(self.settings.model).name

    def read(self, raw: bytes, limits: Limits) -> tuple[EmbeddingsRequest, list[str]]:
        """Read the body of a request, and the texts in it. Raises RequestError."""
        asked = validated(EmbeddingsRequest, parse(raw, limits))
        if asked.model not in ("", self.name):
            raise RequestError(
                404,
                f"model {asked.model!r} gives no embeddings here; available: {self.name}",
                param="model",
                code="model_not_found",
            )
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        if not all(isinstance(text, str) for text in texts):
            raise RequestError(
                400, "input must be text: this model's tokens are not those of another's", param="input"
            )
        if len(texts) > self.settings.inputs:
            raise RequestError(
                400,
                f"input may hold at most {self.settings.inputs} texts, got {len(texts)}",
                param="input",
            )
        return asked, [str(text) for text in texts]

    async def embed(self, asked: EmbeddingsRequest, texts: list[str]) -> tuple[list[Any], int]:
        """The embeddings of texts as `asked` wants them, and the number of tokens. Raises RequestError."""
        written: list[Any] = []
        num_tokens = 0
        for start in range(0, len(texts), _AT_ONCE):
            try:
                found = await self.embedder.embed.remote(texts[start : start + _AT_ONCE])
            except RayTaskError as error:
                log.error("the embedding model failed: %s", error)
                message = f"the embedding model failed: {said_by(cause_of(error))}"
                raise RequestError(500, message, type="server_error") from None
            except (RayError, RayServeException):
                message = "the embedding model was lost and is loaded again"
                raise RequestError(503, message, type="server_error", headers={"retry-after": "10"}) from None
            if isinstance(found, TooLong):
                where = "input" if isinstance(asked.input, str) else f"input.{start + found.number}"
                raise RequestError(
                    400,
                    f"{where} has {found.num_tokens} tokens, but {self.name} reads at most {found.most}",
                    param=where,
                )
            if asked.dimensions not in (None, found.vectors.shape[1]):
                raise RequestError(
                    400,
                    f"dimensions must be the model's {found.vectors.shape[1]}, got {asked.dimensions}",
                    param="dimensions",
                )
            num_tokens += found.num_tokens
            written += [_written(vector, asked.encoding_format) for vector in found.vectors]
        return written, num_tokens


def add(app: FastAPI, desk: "Desk") -> None:
    """Add the route, which answers 404 where no model is configured."""

    @app.post("/v1/embeddings", openapi_extra=described(EmbeddingsRequest))
    async def create_embeddings(request: Request) -> Response:
        """Embed texts; only where the config has `embeddings`."""
        key = allowed(request, Scope.INFER)
        if desk.embeddings is None:
            raise RequestError(404, "no embedding model is configured here: see `embeddings` in the config")
        limits = desk.serving.limits
        account = Account(desk.metrics, limits.seconds, "embeddings", request.state.id, key.id)
        try:
            with account.takes_failures():
                asked, texts = desk.embeddings.read(await body_of(request), limits)
                headers, found, num_tokens = await _embed(desk, desk.embeddings, key, account, asked, texts)
        finally:
            account.close()
        data = [
            {"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(found)
        ]
        usage = {"prompt_tokens": num_tokens, "total_tokens": num_tokens}
        content = {"object": "list", "data": data, "model": desk.embeddings.name, "usage": usage}
        return JSONResponse(content, 200, headers)


async def _embed(
    desk: "Desk",
    embeddings: EmbeddingsDesk,
    key: Key,
    account: Account,
    asked: EmbeddingsRequest,
    texts: list[str],
) -> tuple[dict[str, str], list[Any], int]:
    """Pass texts through filter, limits and queue, and embed them. Raises RequestError and TimeoutError."""
    desk.filter(texts)
    cost = sum(len(text) // 4 + 8 for text in texts)
    async with asyncio.timeout(account.left):
        headers = desk.allow(key, cost)
        try:
            async with embeddings.seats.held(key.id, 1):
                found, num_tokens = await embeddings.embed(asked, texts)
            account.version, account.status = embeddings.name, 200
            account.usage({"prompt_tokens": num_tokens})
        finally:
            desk.limiter.give_back(key.id, cost - account.tokens)
    return headers, found, num_tokens


def _written(vector: "np.ndarray", encoding: str) -> str | list[float]:
    """A vector as JSON has it: as numbers, or as the base64 of its float32 bytes, little-endian."""
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(value) for value in vector]

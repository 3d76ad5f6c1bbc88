"""`/v1/embeddings` over the model itself: what clients send, get and are refused."""

import asyncio
import base64
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from ray.exceptions import RayActorError, RayTaskError
from starlette.testclient import TestClient

from configs.serving import Embeddings, Filter, Filters, Limits, Serving
from serve import routes
from serve.embedder import Embedded, Embedder, TooLong
from serve.gateway import desk_of
from serve.keys import Keys
from serve.metrics import Metrics
from serve.slots import Slots, SlotsFile

LINE, NAME = "test/tiny", "all-MiniLM-L6-v2"
Embed = Callable[[list[str]], Any]


def fake(texts: list[str]) -> Embedded | TooLong:
    """A vector for each text, of its length; a word is a token, and four are too many."""
    words = [len(text.split()) for text in texts]
    if max(words) > 3:
        return TooLong(number := words.index(max(words)), words[number], 3)
    return Embedded(np.array([[len(text), 0.5] for text in texts], np.float32), sum(words))


class App:
    """The routes of a gateway beside an embedding model."""

    def __init__(self, home: Path, embed: Embed = fake, **settings: Any) -> None:
        serving = Serving(line=LINE, embeddings=Embeddings(inputs=100), **settings)
        SlotsFile(home, LINE).write(Slots(line=LINE, epoch=1, active="a", versions={"a": "v1"}))
        self.asked: list[list[str]] = []

        async def remote(texts: list[str]) -> Any:
            self.asked.append(texts)
            return embed(texts)

        handle: Any = SimpleNamespace(embed=SimpleNamespace(remote=remote))
        self.desk = desk_of(serving, home, {"a": handle}, Metrics("g"), embedder=handle)

        async def everyone(method: str, *_: Any) -> list[Any]:
            return []

        self._client = TestClient(routes.build(self.desk, "own", everyone))
        self._key = Keys(home).create("me", ["infer"])[1]

    def post(self, **body: Any) -> httpx.Response:
        return self._client.post("/v1/embeddings", json=body, headers=self._headers)

    def get(self, path: str) -> httpx.Response:
        return self._client.get(path, headers=self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._key}"}

    def refused(self, **body: Any) -> tuple[int, str, str | None]:
        reply = self.post(**body)
        error = reply.json()["error"]
        return reply.status_code, error["message"], error["param"]


def test_texts_are_embedded_in_their_order_and_in_both_encodings(tmp_path: Path) -> None:
    app = App(tmp_path)
    one = app.post(input="two words", model=NAME, user="me", dimensions=None, metadata={"a": 1}, extra=False)
    assert one.status_code == 200, one.text
    assert one.json() == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [9.0, 0.5]}],
        "model": NAME,
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    assert "x-ratelimit-remaining-tokens" in one.headers
    texts = ["x" * number for number in range(1, 70)]
    many = app.post(input=texts, encoding_format="base64", dimensions=2)
    vectors = [struct.unpack("<2f", base64.b64decode(each["embedding"])) for each in many.json()["data"]]
    assert vectors == [(float(number), 0.5) for number in range(1, 70)]
    assert [each["index"] for each in many.json()["data"]] == list(range(69))
    assert [len(batch) for batch in app.asked] == [1, 32, 32, 5]
    assert NAME in [model["id"] for model in app.get("/v1/models").json()["data"]]


@pytest.mark.parametrize(
    ("body", "status", "message", "param"),
    [
        ({"input": "a", "model": "champion"}, 404, f"gives no embeddings here; available: {NAME}", "model"),
        ({"input": [1, 2]}, 400, "input must be text", "input"),
        ({"input": [[1], [2]]}, 400, "input must be text", "input"),
        ({"input": []}, 400, "at least 1 item", "input"),
        ({"input": ["a"] * 101}, 400, "at most 100 texts, got 101", "input"),
        ({"input": "a b c d"}, 400, f"input has 4 tokens, but {NAME} reads at most 3", "input"),
        ({"input": ["a"] * 40 + ["a b c d"]}, 400, "input.40 has 4 tokens", "input.40"),
        ({"input": "a", "dimensions": 3}, 400, "dimensions must be the model's 2, got 3", "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, 400, "encoding_format", "encoding_format"),
        ({"input": "a", "stream": True}, 400, "the field stream is not served here", "stream"),
        ({"input": "forbidden"}, 400, "refused by the input filter regex", None),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(
    tmp_path: Path, body: dict[str, Any], status: int, message: str, param: str | None
) -> None:
    app = App(tmp_path, filters=Filters(input=[Filter(name="regex", patterns=["forbidden"])]))
    found = app.refused(**body)
    assert found[0] == status and message in found[1] and found[2] == param


def test_limits_count_what_was_read_and_nothing_that_was_refused(tmp_path: Path) -> None:
    app = App(tmp_path, limits=Limits(tokens_per_minute=20))
    remaining = [app.post(input="a b").headers["x-ratelimit-remaining-tokens"] for _ in range(2)]
    app.refused(input="a b c d")
    remaining.append(app.post(input="a b").headers["x-ratelimit-remaining-tokens"])
    # Before each, all but what the earlier ones took is there; each reserves 8 tokens and takes 2.
    assert [int(each) for each in remaining] == [12, 10, 8]


def test_a_model_that_is_lost_is_a_503_and_a_server_that_ends_takes_nothing_more(tmp_path: Path) -> None:
    def lost(texts: list[str]) -> Any:
        raise RayActorError

    app = App(tmp_path, lost)
    reply = app.post(input="a")
    assert reply.status_code == 503 and reply.headers["retry-after"] == "10"
    assert app.desk.close() == 0
    assert app.refused(input="a")[:2] == (503, "the server is shutting down")


def test_a_model_that_fails_says_why_and_is_not_called_lost(tmp_path: Path) -> None:
    def fails(texts: list[str]) -> Any:
        raise failure

    failure = RayTaskError("embed", "Traceback …", ValueError("a text without words")).as_instanceof_cause()
    reply = App(tmp_path, fails).post(input="a")
    assert reply.status_code == 500 and "retry-after" not in reply.headers
    assert "the embedding model failed: ValueError: " in reply.json()["error"]["message"]
    assert "a text without words" in reply.json()["error"]["message"]


def test_one_text_is_embedded_at_a_time_also_after_clients_have_left(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most, embedded = 0, 0, 0

    def slow(texts: list[str]) -> Embedded:
        nonlocal at_once, most, embedded
        at_once, embedded = at_once + 1, embedded + 1
        most = max(most, at_once)
        time.sleep(0.05)
        at_once -= 1
        return fake(texts)  # type: ignore[return-value]

    async def leave_and_come_again() -> None:
        for _ in range(8):
            with suppress(TimeoutError):
                await asyncio.wait_for(embedder.embed(["a"]), 0.005)
        await embedder.embed(["a"])

    monkeypatch.setattr("serve.embedder.load", lambda model: None)
    embedder = Embedder(NAME)
    monkeypatch.setattr(embedder, "embed_now", slow)
    asyncio.run(leave_and_come_again())
    assert most == 1 and embedded < 9, "what waited for its turn was dropped"


@pytest.mark.slow
def test_the_installed_model_embeds_and_says_what_is_too_long() -> None:
    embedder = Embedder(NAME)
    found = asyncio.run(embedder.embed(["a cat", "a kitten", "the stock market"]))
    assert isinstance(found, Embedded) and found.vectors.dtype == np.float32
    near, far = found.vectors[0] @ found.vectors[1], found.vectors[0] @ found.vectors[2]
    assert found.vectors.shape == (3, 384) and near > far + 0.3
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-3)
    assert found.num_tokens == 4 + 4 + 5
    assert embedder.embed_now(["a", "word " * 300]) == TooLong(1, 302, 256)

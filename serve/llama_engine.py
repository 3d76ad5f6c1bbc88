"""The engine of a server of one GGUF file: llama.cpp, as the desk asks the handle of a `serve.engine.Engine`.

llama.cpp runs in a process of its own (`engine/export/runtime.py`) and is started again when it is lost.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, Self

import httpx
from ray.exceptions import RayError

from engine.export.runtime import ANSWER_SECONDS, BASE, UNKEPT, Llama
from engine.sample.protocol import SamplerError
from serve.answers import Begun, Endpoint, Refused, Stale
from serve.llama_answers import Json, Writing, chat_of, prompts_of, requests_for

log = logging.getLogger("ray.serve")

_AHEAD = 256
"""Pieces of an answer that may wait for a slow client before llama.cpp does."""
_POLL_SECONDS = 0.2
_LONGEST_PAUSE = 30.0
_END = object()
_UNCOUNTED = ("chat_template_kwargs", "continue_final_message", "return_token_strs", "tools")
"""Fields of `/tokenize` that are vLLM's alone."""

Put = Callable[[Any], Awaitable[None]]


class EngineLost(RayError):
    """llama.cpp has ended; the desk knows the loss of an engine as Ray reports it."""


class Stream:
    """An answer that a task produces; cancelling it ends the request to llama.cpp."""

    def __init__(self, produce: Callable[[Put], Awaitable[None]]) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue(_AHEAD)
        self._task = asyncio.get_running_loop().create_task(self._run(produce))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        message = await self._queue.get()
        if message is _END:
            raise StopAsyncIteration
        if isinstance(message, BaseException):
            raise message
        return message

    def cancel(self) -> None:
        self._task.cancel()

    async def _run(self, produce: Callable[[Put], Awaitable[None]]) -> None:
        try:
            await produce(self._queue.put)
        except Exception as error:  # noqa: BLE001  whatever it is, who reads the answer gets it
            await self._queue.put(error)
        await self._queue.put(_END)


class LlamaEngine:
    """llama.cpp with one file, which is one version."""

    def __init__(self, llama: Llama, version: str, most: int) -> None:
        """`most` is the number of tokens of an answer that sets none."""
        self._llama, self._version, self._most = llama, version, most
        self._is_loaded, self._num_running = True, 0
        transport = httpx.AsyncHTTPTransport(uds=llama.socket, limits=UNKEPT)
        self._client = httpx.AsyncClient(transport=transport, base_url=BASE, timeout=ANSWER_SECONDS)
        self.answer = SimpleNamespace(remote=self._open)
        self.version = SimpleNamespace(remote=self._held)

    def options(self, **_: Any) -> Self:
        return self

    def broadcast(self, method: str) -> Any:
        """Ask all replicas, of which there is one."""
        assert method == "running", f"the desk asks an engine for nothing named {method}"

        async def results_async(timeout_s: float) -> list[int]:
            return [self._num_running]

        return SimpleNamespace(results_async=results_async)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Self]:
        """Start llama.cpp again whenever it is lost, until the context ends."""
        task = asyncio.get_running_loop().create_task(self._watch())
        try:
            yield self
        finally:
            task.cancel()
            # Also ends a start that is under way in a thread.
            self._llama.close()
            await self._client.aclose()

    async def _watch(self) -> None:
        pause = _POLL_SECONDS
        while True:
            await asyncio.sleep(pause)
            if self._llama.is_alive:
                pause = _POLL_SECONDS
                continue
            self._is_loaded = False
            log.error("llama.cpp was lost and is started again: %s", self._llama.last_words())
            try:
                await asyncio.to_thread(self._llama.start)
            except (SamplerError, OSError) as error:
                log.error("%s", error)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._is_loaded = True

    async def _held(self) -> str | None:
        return self._version if self._is_loaded and self._llama.is_alive else None

    def _open(self, endpoint: Endpoint, version: str, body: Json) -> Stream:
        async def produce(put: Put) -> None:
            if await self._held() != version:
                await put(Stale(None))
                return
            self._num_running += 1
            try:
                await put(Begun())
                await self._answer(endpoint, version, body, put)
            except httpx.HTTPError as error:
                raise EngineLost(f"llama.cpp did not answer: {type(error).__name__}") from None
            finally:
                self._num_running -= 1

        return Stream(produce)

    async def _answer(self, endpoint: Endpoint, version: str, body: Json, put: Put) -> None:
        """Put the bytes of an answer, or the reason why there is none."""
        if endpoint in ("tokenize", "detokenize"):
            await put(await (self._tokens(body) if endpoint == "tokenize" else self._text(body)))
            return
        prompts: list[str | list[int]] = []
        if endpoint == "chat":
            made = await self._post("/apply-template", chat_of(body))
            if isinstance(made, Refused):
                await put(made)
                return
            prompts.append(made["prompt"])
        else:
            prompts += prompts_of(body)
        context = self._llama.order.context
        requests = requests_for(body, prompts, most=self._most, context=context)
        if isinstance(requests, Refused):
            await put(requests)
            return
        writing = Writing(endpoint, version, body, len(prompts))
        if body.get("stream"):
            await self._stream(requests, writing, put)
            return
        replies = await asyncio.gather(*(self._post("/v1/completions", request) for request in requests))
        refused = next((reply for reply in replies if isinstance(reply, Refused)), None)
        whole = [reply for reply in replies if not isinstance(reply, Refused)]
        await put(refused or writing.whole(whole))

    async def _stream(self, requests: Sequence[Json], writing: Writing, put: Put) -> None:
        async with AsyncExitStack() as stack:
            # llama.cpp answers with its status only when the first token is there: none is sent on before it
            # is known that all answers begin.
            replies = await asyncio.gather(
                *(
                    stack.enter_async_context(self._client.stream("POST", "/v1/completions", json=request))
                    for request in requests
                )
            )
            for reply in replies:
                if reply.status_code != 200:
                    await put(_refused(reply.status_code, await reply.aread()))
                    return
            await asyncio.gather(
                *(_pass_on(index, reply, writing, put) for index, reply in enumerate(replies))
            )
            await put(writing.end())

    async def _tokens(self, body: Json) -> bytes | Refused:
        """The tokens of a text, or of a chat, as llama.cpp reads them when it answers."""
        if wrong := next((name for name in _UNCOUNTED if body.get(name)), None):
            return Refused(400, f"{wrong} is not served with llama.cpp", "invalid_request_error", wrong)
        text = body.get("prompt")
        if text is None:
            ends = {"add_generation_prompt": body.get("add_generation_prompt", True)}
            made = await self._post("/apply-template", chat_of(body) | ends)
            if isinstance(made, Refused):
                return made
            text = made["prompt"]
        asked = {"content": text, "add_special": body.get("add_special_tokens", True)}
        found = await self._post("/tokenize", asked)
        if isinstance(found, Refused):
            return found
        tokens, most = found["tokens"], self._llama.order.context
        counted = {"count": len(tokens), "max_model_len": most, "tokens": tokens, "token_strs": None}
        return json.dumps(counted).encode()

    async def _text(self, body: Json) -> bytes | Refused:
        reply = await self._client.post("/detokenize", json={"tokens": body["tokens"]})
        if reply.status_code != 200:
            message = "tokens: not all of them are tokens of this model"
            return Refused(400, message, "invalid_request_error", "tokens")
        return json.dumps({"prompt": reply.json()["content"]}).encode()

    async def _post(self, path: str, body: Json) -> Json | Refused:
        reply = await self._client.post(path, json=body)
        if reply.status_code != 200:
            return _refused(reply.status_code, reply.content)
        content: Json = reply.json()
        return content


async def _pass_on(index: int, reply: httpx.Response, writing: Writing, put: Put) -> None:
    async for line in reply.aiter_lines():
        data = line.removeprefix("data: ")
        if data == line or data == "[DONE]":
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            raise EngineLost("llama.cpp could not go on with an answer")
        await put(writing.events(index, chunk))


def _refused(status: int, content: bytes) -> Refused:
    """llama.cpp's refusal. Raises EngineLost for an answer that says nothing about the request."""
    try:
        error = json.loads(content)["error"]
        message, kind = str(error["message"]), str(error["type"])
    except (ValueError, KeyError, TypeError):
        raise EngineLost(f"llama.cpp answered {status}") from None
    if status >= 500:
        raise EngineLost(f"llama.cpp answered {status}: {kind}")
    return Refused(status, message, "invalid_request_error", None)

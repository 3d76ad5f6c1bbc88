"""One resident engine: a vLLM engine behind Ray Serve LLM whose weights can be swapped in place.

Each replica belongs to a slot (`serve/slots.py`) and starts with the version that the slot holds. Then and at
each swap it proves what it holds (`serve/weights.py`). It answers only for the version that a request asks
for. A request that finds another version here is handed back untouched, so every answer comes from exactly
one version.
"""

import asyncio
import json
import logging
import math
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.serving import Serving
from engine.models.evidence import Unproven
from engine.models.identity import model_id
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from engine.sample.starting import starting
from serve import internals
from serve.answers import Begun, Endpoint, Refused, Stale
from serve.errors import error_body, error_event
from serve.fields import Unserved
from serve.parsers import register_parser
from serve.settings import llm_config
from serve.slots import Slots, SlotsFile
from serve.template import read_template
from serve.weights import Proving

log = logging.getLogger("ray.serve")

_CHUNKS = 30
"""Stream chunks per second that one core can forward: each costs about a millisecond on its way to the
client. Above that rate, several tokens share a chunk."""
_LONGEST = 0.25
"""Longest time a token waits for its chunk, in seconds, unless the next token comes later. The first token
of an answer never waits."""
_DATA, _ERROR = "data: ", 'data: {"error":'
_UNFIT = "no answer fits what was asked for: see response_format, structured_outputs and tools"
"""No token was allowed any more, or the compiler gave up, which is no fault of the engine."""
_THEIRS = "invalid_request_error"
_DOUBT_SECONDS = 5.0
"""How long an engine that could not prove a version may stay, to take the one before again."""


class Engine:
    """A replica of one slot's engine.

    The class holds an `LLMServer` instead of inheriting from it, so that a process which only deploys engines
    does not have to import vLLM.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, serving: Serving, slot: str, home: str, threads: int, gpus: float
    ) -> None:
        self._registry = Registry(Path(home))
        self._version: str | None = None
        self._doubted = math.inf
        """When the engine failed a proof; infinite while it has passed the last one."""
        self._taking = asyncio.Lock()
        self._answering, self._chunks = 0, _CHUNKS * threads
        version = self._first_version(slot, SlotsFile(Path(home), serving.line).read(), serving.line)
        path = self._registry.path(version)
        from ray.serve.llm.deployment import LLMServer

        # Versions that take each other's place have one chat template.
        self._template = await asyncio.to_thread(read_template, path)
        if not self._template.takes_system:
            log.info("%s takes no system message: its text goes to the first user's turn", version)
        self._has_parser = serving.engines.tool_parser is not None
        self._api = internals.api_models()
        config = llm_config(serving, path, gpus, register_parser(serving.engines.tool_parser))
        with starting(path, "engines"):
            self._server = LLMServer.sync_init(config, engine_cls=internals.engine_class())
            await self._server.start()
        self._proving = Proving(self._server, self._api, Path(home), serving.engines.max_model_len)
        found = await asyncio.to_thread(model_id, path)
        await self._proving.start(version)
        self._set_version(version, found)

    def _first_version(self, slot: str, slots: Slots | None, line: str) -> str:
        """Return the slot's version if it can still be loaded, else what is served, else the champion.

        The line's champion may be one that was refused here. The first swap replaces a version that was
        loaded in place of the slot's.
        """
        for version in filter(None, (slots.versions.get(slot), slots.champion) if slots else ()):
            try:
                self._registry.verify(version)
            except RegistryError as error:
                log.warning("version %s cannot be loaded again: %s", version, error)
            else:
                return version
        return self._registry.champion(line)

    async def take(self, version: str, seconds: float) -> str:
        """Load a registered version's weights in place, let the engine prove them, and return the version.

        Requests that arrive meanwhile are handed back; those in flight have `seconds` to finish. Raises
        RegistryError for a version that is missing or incomplete, TimeoutError, and Unproven.
        """
        # Whoever asked may have given up waiting and ask again.
        async with self._taking:
            return version if version == self._version else await self._take(version, seconds)

    async def _take(self, version: str, seconds: float) -> str:
        path = self._registry.path(version)
        try:
            await self._proving.expect(version)
        except Unproven:
            # It does not hold what it answers by.
            self._version, self._doubted = None, time.monotonic()
            raise
        before, self._version = self._version, None
        try:
            async with asyncio.timeout(seconds):
                await self._empty()
        except TimeoutError:
            self._version = before
            num = max(self._answering, internals.num_unfinished(self._server))
            raise TimeoutError(f"{num} requests in flight did not finish within {seconds:g} s") from None
        found = await asyncio.to_thread(model_id, path)
        await self._server.collective_rpc("take_weights", args=(str(path),))
        try:
            await self._proving.prove()
        except Unproven:
            self._doubted = time.monotonic()
            raise
        self._doubted = math.inf
        self._set_version(version, found)
        return found

    async def _empty(self) -> None:
        """Wait until no request runs, and let vLLM forget what it computed by the weights of now.

        A request whose client left counts here no more, a little before vLLM has given up its memory.
        """
        while self._answering or await self.running() or not await internals.forget_prefixes(self._server):
            await asyncio.sleep(0.02)

    def _set_version(self, version: str, found: str) -> None:
        if found != version:
            raise RuntimeError(f"the files of model {version} hash to {found}, not to its id")
        internals.rename_model(self._server, version)
        self._version = version

    async def check_health(self) -> None:
        """End this replica, so that Serve replaces it, if vLLM's process has ended or has failed a proof."""
        if time.monotonic() - self._doubted > _DOUBT_SECONDS and not self._taking.locked():
            log.error("this engine could not prove what it holds, so that it is started anew")
            os._exit(1)
        try:
            await self._server.check_health()
        except Exception:  # vLLM raises errors of any kind here
            log.exception("vLLM has ended, so this replica ends too")
            os._exit(1)

    async def running(self) -> int:
        """Count the requests that vLLM has started and not finished."""
        return internals.num_unfinished(self._server)

    async def version(self) -> str | None:
        return self._version

    async def answer(
        self, endpoint: Endpoint, version: str, body: dict[str, Any]
    ) -> AsyncIterator[Begun | Stale | Refused | bytes]:
        """Yield server-sent events or one JSON document, or the reason why there is no answer."""
        if version != self._version:
            yield Stale(self._version)
            return
        # Counted before anything is awaited: the weights stay from here on.
        self._answering += 1
        try:
            yield Begun()
            pending, sent = "", -math.inf
            try:
                request = self._request(endpoint, {**body, "model": version})
            except Exception as error:  # noqa: BLE001  vLLM rejects a request with errors of any kind
                reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
                param = error.param if isinstance(error, Unserved) else getattr(error, "parameter", None)
                yield Refused(400, internals.plain(reason), _THEIRS, param)
                return
            stream = await getattr(self._server, endpoint)(request)
            async for item in stream:
                # A stream yields lists of one event each.
                part = item[0] if isinstance(item, list) else item
                if isinstance(part, str) and part.startswith(_ERROR):
                    # In a stream vLLM tells its own end like this, too.
                    part = self._api.ErrorResponse.model_validate_json(part.removeprefix(_DATA))
                if isinstance(part, self._api.ErrorResponse):
                    if pending:
                        yield pending.encode()
                    refused = _refused(part.error, body)
                    yield refused if sent == -math.inf else _ended_by(refused)
                    return
                if body.get("max_tokens") == 0:
                    part = _without_a_token(part)
                pending += part if isinstance(part, str) else part.model_dump_json(exclude_none=False)
                if time.monotonic() - sent >= min(_LONGEST, self._answering / self._chunks):
                    yield pending.encode()
                    pending, sent = "", time.monotonic()
            if pending:
                yield pending.encode()
        except Exception as error:
            await self.check_health()
            if not (_is_held(body) and internals.is_failed_generation(error)):
                raise
            yield Refused(400, _UNFIT, _THEIRS, None)
        finally:
            self._answering -= 1

    def _request(self, endpoint: Endpoint, body: dict[str, Any]) -> Any:
        match endpoint:
            case "chat":
                return self._api.ChatCompletionRequest(**self._template.prepared(body, self._has_parser))
            case "completions":
                return self._api.CompletionRequest(**body)
            case "tokenize" if "messages" in body:
                return self._api.TokenizeChatRequest(**self._template.counted(body))
            case "tokenize":
                return self._api.TokenizeCompletionRequest(**body)
        return self._api.DetokenizeRequest(**body)


def _is_held(body: Mapping[str, Any]) -> bool:
    """Whether the answer is held to a structure or to calls."""
    return bool(body.get("structured_outputs") or body.get("tools"))


def _refused(failure: Any, body: Mapping[str, Any]) -> Refused:
    """An answer of vLLM's that is an error. Raises RuntimeError where it is no fault of the request."""
    if _is_held(body) and internals.is_failed_generation_error(failure):
        return Refused(400, _UNFIT, _THEIRS, None)
    if failure.code >= 500:
        raise RuntimeError(f"vLLM answered {failure.code}: {failure.type}")
    return Refused(failure.code, internals.plain(failure.message), failure.type, failure.param)


def _ended_by(refused: Refused) -> bytes:
    """The end of a stream that had begun."""
    body = error_body(refused.message, refused.type, refused.param)
    return error_event(body) + b"data: [DONE]\n\n"


def _without_a_token(part: Any) -> Any:
    """A part of an answer of no tokens: vLLM generates one that is not in it, and counts it."""
    if not isinstance(part, str):
        if usage := getattr(part, "usage", None):
            usage.completion_tokens, usage.total_tokens = 0, usage.prompt_tokens
        return part
    if '"usage"' not in part:
        return part
    content = json.loads(part.removeprefix(_DATA))
    if usage := content.get("usage"):
        content["usage"] = {**usage, "completion_tokens": 0, "total_tokens": usage["prompt_tokens"]}
    return f"{_DATA}{json.dumps(content)}\n\n"


def engine_name(slot: str) -> str:
    """Name of the Serve deployment that runs a slot's engine."""
    return f"Engine-{slot}"

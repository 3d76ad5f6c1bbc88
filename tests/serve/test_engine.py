"""What an engine sends of vLLM's answers, and how it takes weights, with a scripted `LLMServer`."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from serve import engine as engines
from serve.answers import Begun, Refused
from serve.engine import Engine

DONE = "data: [DONE]\n\n"
DEAD = (500, "InternalServerError", "EngineCore encountered an issue")
GAVE_UP = (500, "InternalServerError", "Internal server error")
TOO_LONG = (400, "BadRequestError", "the prompt is too long")


class ErrorResponse(SimpleNamespace):
    @classmethod
    def model_validate_json(cls, text: str) -> "ErrorResponse":
        return cls(error=SimpleNamespace(**json.loads(text)["error"]))


def event(**content: Any) -> str:
    return f"data: {json.dumps(content)}\n\n"


def failure(error: tuple[int, str, str]) -> str:
    code, kind, message = error
    return event(error={"message": message, "type": kind, "param": None, "code": code})


TEXT = event(choices=[{"index": 0, "text": "a"}])


class ScriptedServer:
    """An `LLMServer` that answers with `parts`, and notes what it is told."""

    def __init__(self, *parts: str, is_dead: bool = False) -> None:
        self.parts, self.is_dead = parts, is_dead
        self.unfinished, self.forgets, self.told = [0], [True], list[str]()
        client = SimpleNamespace(
            get_num_unfinished_requests=lambda: self._next(self.unfinished), reset_prefix_cache=self._forget
        )
        models = SimpleNamespace(base_model_paths=[])
        self.engine = SimpleNamespace(_engine_client=client, _oai_models=models)

    async def completions(self, request: Any) -> AsyncIterator[list[str]]:
        async def answer() -> AsyncIterator[list[str]]:
            for part in self.parts:
                yield [part]

        return answer()

    async def check_health(self) -> None:
        if self.is_dead:
            raise RuntimeError("vLLM is dead")

    async def collective_rpc(self, method: str, args: tuple[str]) -> None:
        self.told.append(method)

    async def _forget(self) -> bool:
        self.told.append("forget")
        return self._next(self.forgets)

    @staticmethod
    def _next(script: list[Any]) -> Any:
        return script.pop(0) if len(script) > 1 else script[0]


def engine_of(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    async def nothing(*_: Any) -> None:
        pass

    def ends(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(engines.os, "_exit", ends)
    monkeypatch.setattr(engines, "model_id", lambda path: path.name)
    engine: Any = Engine.__new__(Engine)
    engine._server, engine._version, engine._doubted = server, "old", math.inf
    engine._api = SimpleNamespace(CompletionRequest=SimpleNamespace, ErrorResponse=ErrorResponse)
    engine._answering, engine._chunks, engine._taking = 0, math.inf, asyncio.Lock()
    engine._registry = SimpleNamespace(path=Path)
    engine._proving = SimpleNamespace(expect=nothing, prove=nothing)
    return engine


def answer(engine: Any, **body: Any) -> list[Any]:
    """What the engine sends after it has begun."""

    async def ask() -> list[Any]:
        return [each async for each in engine.answer("completions", "old", {"prompt": "a", **body})]

    begun, *sent = asyncio.run(ask())
    assert begun == Begun() and not engine._answering
    return sent


def test_vllm_that_tells_its_end_in_a_stream_ends_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the desk asks another one, where nothing has been sent."""
    for parts in ((failure(DEAD), DONE), (TEXT, failure(DEAD), DONE)):
        with pytest.raises(SystemExit):
            answer(engine_of(ScriptedServer(*parts, is_dead=True), monkeypatch), tools=["f"])


@pytest.mark.parametrize(("error", "held"), [(TOO_LONG, False), (TOO_LONG, True), (GAVE_UP, True)])
def test_a_stream_that_is_refused_is_no_stream_unless_it_has_begun(
    error: tuple[int, str, str], held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"structured_outputs": {"regex": "a"}} if held else {}
    (refused,) = answer(engine_of(ScriptedServer(failure(error), DONE), monkeypatch), **body)
    assert isinstance(refused, Refused) and refused.status == 400
    assert ("no answer fits" in refused.message) == (error == GAVE_UP)
    text, told = answer(engine_of(ScriptedServer(TEXT, failure(error), DONE), monkeypatch), **body)
    assert text == TEXT.encode() and told.endswith(DONE.encode())
    assert json.loads(told.split(b"\n\n")[0].removeprefix(b"data: "))["error"]["message"] == refused.message


@pytest.mark.parametrize(("error", "held"), [(GAVE_UP, False), (DEAD, False), (DEAD, True)])
def test_what_is_no_fault_of_the_request_is_raised(
    error: tuple[int, str, str], held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for parts in ((failure(error), DONE), (TEXT, failure(error), DONE)):
        with pytest.raises(RuntimeError, match="vLLM answered 500"):
            answer(engine_of(ScriptedServer(*parts), monkeypatch), tools=["f"] if held else [])


def test_a_prompt_that_is_only_scored_counts_no_token_in_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    server = ScriptedServer(TEXT, event(choices=[], usage=usage), DONE)
    text, counted, done = b"".join(answer(engine_of(server, monkeypatch), max_tokens=0)).split(b"\n\n")[:3]
    assert (text, done) == (TEXT.strip().encode(), DONE.strip().encode())
    assert json.loads(counted.removeprefix(b"data: "))["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 0,
        "total_tokens": 3,
    }


def test_weights_are_taken_when_vllm_has_forgotten_what_it_computed_by_those_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = ScriptedServer()
    # A client that has left is no request of ours any more, and still one of vLLM's.
    server.unfinished, server.forgets = [2, 1, 0], [False, True]
    engine = engine_of(server, monkeypatch)
    assert asyncio.run(engine.take("new", 10)) == engine._version == "new"
    assert server.told == ["forget", "forget", "take_weights"]


@pytest.mark.parametrize(("unfinished", "forgets"), [([1], [True]), ([0], [False])])
def test_an_engine_that_cannot_be_emptied_keeps_its_version(
    unfinished: list[int], forgets: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ScriptedServer()
    server.unfinished, server.forgets = unfinished, forgets
    engine = engine_of(server, monkeypatch)
    with pytest.raises(TimeoutError, match="requests in flight did not finish within 0.1 s"):
        asyncio.run(engine.take("new", 0.1))
    assert engine._version == "old" and "take_weights" not in server.told

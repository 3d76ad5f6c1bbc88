"""Engines of the server prove what they hold: a scripted one, and real ones that keep old weights."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from engine.models.evidence import Unproven
from engine.models.reference import Reference, References, Text
from engine.registry.registry import Registry
from serve.weights import Proving
from tests.support.registry import manifest
from tests.support.server_process import LINE, Server, make_home_of, promote, serving
from tests.support.stale import FAULT, neighbour
from tests.support.tiny_model import make_tiny_model

pytestmark = pytest.mark.slow

IDS = [tuple(range(100 * place, 100 * place + 40)) for place in range(8)]


def saying(value: float) -> Reference:
    texts = tuple(Text(ids=ids, logprobs=(value,) * 39) for ids in IDS)
    return Reference(texts=texts, rounding=0.05)


class ScriptedServer:
    """Gives every token of a prompt the same log-likelihood, as `LLMServer` answers a request."""

    def __init__(self, value: float) -> None:
        self.value, self.refuses = value, False

    async def completions(self, request: Any) -> AsyncIterator[Any]:
        async def answers() -> AsyncIterator[Any]:
            if self.refuses:
                yield ErrorResponse(error=SimpleNamespace(message="too long"))
                return
            assert (request.max_tokens, request.prompt_logprobs) == (1, 0)
            choices = [
                SimpleNamespace(
                    index=place,
                    prompt_logprobs=[None, *({t: SimpleNamespace(logprob=self.value)} for t in text[1:])],
                )
                for place, text in enumerate(request.prompt)
            ]
            yield SimpleNamespace(choices=choices[::-1])

        return answers()


class ErrorResponse(SimpleNamespace):
    pass


API: Any = SimpleNamespace(CompletionRequest=SimpleNamespace, ErrorResponse=ErrorResponse)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two versions with their references, `new` a child of `old`."""
    source = tmp_path / "model"
    source.mkdir()
    (source / "model.safetensors").write_bytes(b"1")
    for name, parent, value in (("old", "", -2.0), ("new", "old", -1.0)):
        Registry(tmp_path).add(source, replace(manifest(name), parent_id=parent))
        References(tmp_path).keep(name, saying(value))
    return tmp_path


def test_an_engine_proves_what_it_starts_with_and_each_swap(home: Path) -> None:
    async def live() -> None:
        server: Any = ScriptedServer(-2.0)
        proving = Proving(server, API, home, 512)
        await proving.start("old")
        await proving.expect("new")
        with pytest.raises(Unproven, match="does not hold new: .* 0 % of the way there from that of old"):
            await proving.prove()
        await proving.expect("old")
        await proving.prove()
        await proving.expect("new")
        server.value = -1.0
        await proving.prove()
        server.refuses = True
        await proving.expect("old")
        with pytest.raises(RuntimeError, match="vLLM scored no texts: too long"):
            await proving.prove()

    asyncio.run(live())


def test_an_engine_that_starts_with_the_weights_of_another_version_is_refused(home: Path) -> None:
    async def start() -> None:
        server: Any = ScriptedServer(-2.0)
        await Proving(server, API, home, 512).start("new")

    with pytest.raises(Unproven, match="does not hold new: .* 0 % of the way there from that of old"):
        asyncio.run(start())


@pytest.mark.engine
def test_a_server_refuses_what_its_engine_does_not_hold_and_goes_on(tmp_path: Path) -> None:
    first = make_tiny_model(tmp_path / "models" / "0", spread=0.1)
    others = [neighbour(first, tmp_path / "models" / f"{seed}", 0.1, seed) for seed in (1, 2, 3)]
    versions = make_home_of(tmp_path, [first, *others])
    fault, told = tmp_path / "fault", References(tmp_path)
    overrides = ("poll_seconds=0.2", "engines.max_num_seqs=4", "engines.max_model_len=512")
    variables = {FAULT: str(fault)}
    with serving(tmp_path, *overrides, module="tests.support.faulty_server", **variables) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0)
        assert told.get(versions[0]), "the server computed what the registry did not have"
        promote(tmp_path, versions[1])
        server.await_champion(versions[1])
        for kind, version in (("half", versions[2]), ("all", versions[3])):
            fault.write_text(kind)
            promote(tmp_path, version)
            reason = refusal(server, version)
            assert f"the engine could not load it: the engine does not hold {version}" in reason
            answer = client.completions.create(model="champion", prompt="Max is", max_tokens=4)
            assert answer.model == versions[1]
        fault.unlink()
        promote(tmp_path, versions[2])
        server.await_champion(versions[2], seconds=180)
        assert client.completions.create(model="champion", prompt="Max", max_tokens=4).model == versions[2]
    assert Registry(tmp_path).champion(LINE) == versions[2]


def refusal(server: Server, version: str) -> str:
    """Wait until a version is refused, and return the reason."""
    deadline = time.monotonic() + 180
    while version not in (refused := server.state()["slots"]["refused"]):
        assert time.monotonic() < deadline, server.state()["slots"]
        time.sleep(0.2)
    return refused[version]["reason"]

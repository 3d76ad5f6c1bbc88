"""A server with other settings: a canary, filters, a web origin, and a template without a system's turn."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from serve.keys import Keys
from serve.slots import in_share
from tests.support.model_dirs import REFUSES_SYSTEM
from tests.support.server_process import Server, make_home_of, promote, serving
from tests.support.tiny_model import make_tiny_model

pytestmark = pytest.mark.engine
CHAT: list[Any] = [{"role": "user", "content": "Max is a wumpus."}]
SETTINGS = ("poll_seconds=0.2", "engines.max_model_len=512", "limits.max_tokens=400")


def client_of(server: Server, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[str]]]:
    home = tmp_path_factory.mktemp("canary")
    models = [make_tiny_model(home / "tiny" / str(seed), seed) for seed in range(2)]
    for model in models:
        template = model / "chat_template.jinja"
        template.write_text(REFUSES_SYSTEM + template.read_text())
    ids = make_home_of(home, models)
    refused = "[{name: regex, patterns: [forbidden]}]"
    settings = ("canary=0.5", "canary_minutes=0.2", "cors_origins=[https://example.org]")
    more = (f"filters.input={refused}", "filters.output=[{name: length, max_chars: 20}]")
    with serving(home, *SETTINGS, *settings, *more) as server:
        yield server, ids


def test_a_canary_answers_some_keys_first(canary: tuple[Server, list[str]]) -> None:
    server, (first, second) = canary
    tokens: dict[bool, str] = {}
    for number in range(64):
        key, token = Keys(server.home).create(f"key{number}", ["infer"])
        tokens[in_share(key.id, 0.5)] = token
    assert set(tokens) == {True, False}

    def answered_by(some: bool) -> str:
        asked = client_of(server, tokens[some]).chat.completions
        return asked.create(model="champion", messages=CHAT, max_tokens=1).model

    promote(server.home, second)
    deadline = time.monotonic() + 30
    while not server.state()["slots"]["canary"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answered_by(True) == second
    assert answered_by(False) == first
    traffic = server.state()["traffic"]
    assert traffic[first]["requests"] and traffic[second]["requests"]
    assert traffic[first]["failed"] == traffic[second]["failed"] == 0
    server.await_champion(second)
    assert answered_by(False) == second


@pytest.mark.parametrize("content", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_a_system_message_that_the_template_refuses_is_in_the_users_turn(
    canary: tuple[Server, list[str]], content: Any
) -> None:
    server = canary[0]
    asked = client_of(server, server.key).chat.completions

    def num_tokens(*chat: Any) -> int:
        usage = asked.create(model="champion", messages=chat, max_tokens=1).usage
        return usage.prompt_tokens if usage else 0

    folded = num_tokens({"role": "user", "content": "Be brief.\n\nMax is a wumpus."})
    assert num_tokens({"role": "system", "content": content}, *CHAT) == folded > num_tokens(*CHAT) > 0


def test_what_filters_refuse(canary: tuple[Server, list[str]]) -> None:
    server = canary[0]
    client = client_of(server, server.key)
    with pytest.raises(openai.BadRequestError, match="refused by the input filter regex: pattern 1"):
        client.chat.completions.create(model="champion", messages=[{"role": "user", "content": "forbidden"}])
    with pytest.raises(
        openai.BadRequestError, match="prompt must be text: the input filter cannot read token ids"
    ):
        client.completions.create(model="champion", prompt=[1, 2, 3])
    whole = client.completions.create(model="champion", prompt="Max is", max_tokens=60, temperature=0)
    assert (whole.choices[0].finish_reason, whole.choices[0].text) == ("content_filter", "")
    asked: dict[str, Any] = {"model": "champion", "prompt": "Max is", "max_tokens": 60, "temperature": 0}
    chunks = list(client.completions.create(stream=True, **asked))
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    assert len("".join(chunk.choices[0].text for chunk in chunks)) <= 20
    logs = Path("/tmp/ray/session_latest/logs/serve").glob("*Gateway*")
    assert "forbidden" not in "".join(log.read_text() for log in logs)


def test_only_the_origins_of_the_config_may_call_from_a_page(canary: tuple[Server, list[str]]) -> None:
    url = f"{canary[0].url}/v1/chat/completions"
    wanted = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    allowed = httpx.options(url, headers={"origin": "https://example.org", **wanted})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://example.org"
    other = httpx.options(url, headers={"origin": "https://example.com", **wanted})
    assert "access-control-allow-origin" not in other.headers

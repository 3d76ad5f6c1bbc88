"""The server as its users meet it: the official client, keys, swaps under load, leaving, overload, bad
candidates.
"""

import asyncio
import json
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from jsonschema import Draft202012Validator

from engine.models.identity import model_id
from engine.registry.registry import Registry
from tests.support import hostile
from tests.support.browser import tab
from tests.support.registry import manifest
from tests.support.server_process import LINE, Server, call, make_home, promote, serving

pytestmark = pytest.mark.engine
CHAT: list[Any] = [{"role": "user", "content": "Max is a wumpus."}]
MET = Path(__file__).parents[1] / "support" / "met_requests.jsonl"
ZONE = {"type": "object", "properties": {"zone": {"enum": ["UTC", "CET"]}}, "required": ["zone"]}
ZONE |= {"additionalProperties": False}
TOOL: Any = {"type": "function", "function": {"name": "get_time", "parameters": ZONE}}


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    home = tmp_path_factory.mktemp("served")
    return home, make_home(home, 4)


@pytest.fixture(scope="module")
def server(ids: tuple[Path, list[str]]) -> Iterator[Server]:
    overrides = ("poll_seconds=0.2", "engines.max_num_seqs=4", "limits.queue=4", "engines.max_model_len=512")
    with serving(ids[0], *overrides, "limits.max_tokens=200") as started:
        yield started


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, timeout=60)


def test_a_chat_is_answered_by_the_champion(client: openai.OpenAI, ids: tuple[Path, list[str]]) -> None:
    reply = client.chat.completions.with_raw_response.create(
        model="champion", messages=CHAT, max_tokens=8, temperature=0, n=2, logprobs=True, top_logprobs=2
    )
    answer = reply.parse()
    assert reply.headers["x-ratchet-model"] == answer.model == ids[1][0]
    assert len(answer.choices) == 2
    assert answer.usage and 0 < answer.usage.completion_tokens <= 16
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2
    again = client.chat.completions.create(model=ids[1][0], messages=CHAT, max_tokens=8, temperature=0)
    assert again.choices[0].message.content == answer.choices[0].message.content


def test_a_stream_says_what_a_whole_answer_says(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="champion", messages=CHAT, max_tokens=20, temperature=0)
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model="champion", messages=CHAT, max_tokens=20, temperature=0, stream=True, stream_options=options
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage and whole.usage and chunks[-1].usage == whole.usage
    plain = list(client.chat.completions.create(model="champion", messages=CHAT, max_tokens=5, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in plain), "usage comes where it is asked for"


def test_completions_seeds_and_stops(client: openai.OpenAI) -> None:
    def sample(seed: int) -> str:
        return (
            client.completions.create(
                model="champion", prompt="Max is", max_tokens=12, seed=seed, temperature=1.0
            )
            .choices[0]
            .text
        )

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(4)}) > 1
    two = client.completions.create(
        model="champion", prompt=["a", "b"], max_tokens=3, temperature=0, echo=True
    )
    assert [choice.text[0] for choice in two.choices] == ["a", "b"]
    text = sample(1)
    stopped = client.completions.create(
        model="champion", prompt="Max is", max_tokens=12, seed=1, temperature=1.0, stop=text[3:6]
    )
    assert stopped.choices[0].text == text[: text.index(text[3:6])]
    assert stopped.choices[0].finish_reason == "stop"


def test_numbers_at_their_limits(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "champion", "prompt": "Max is", "max_tokens": 2}
    for more in ({"top_p": 5e-324}, {"top_p": 0}, {"temperature": 1e-9, "n": 2}, {"seed": 2**63 - 1}):
        assert client.completions.create(**asked, **more).usage, more


def test_a_long_prompt_gets_what_is_left_of_the_context(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "word " * 440}]
    answer = client.chat.completions.create(model="champion", messages=messages, temperature=0)
    assert answer.usage and answer.usage.prompt_tokens > 440 and answer.usage.total_tokens <= 512
    plain = client.completions.create(model="champion", prompt="Max is", logit_bias={"2": -100})
    assert plain.usage and plain.usage.completion_tokens == 16


def met_requests() -> list[dict[str, Any]]:
    """Requests that users' tools sent, but for those that ask for hundreds of tokens."""
    lines = [json.loads(line) for line in MET.read_text().splitlines()]
    return [line for line in lines if 0 <= line["body"].get("max_tokens", 10**6) <= 64]


@pytest.mark.parametrize("met", met_requests(), ids=lambda met: met["why"])
def test_what_users_tools_send_is_answered_as_they_expect(server: Server, met: dict[str, Any]) -> None:
    status, text = call(server, met["path"], "POST", server.key, json.dumps(met["body"]).encode())
    assert status == (400 if met["expect"] == "refused by name" else 200), text
    if met["body"].get("stream"):
        assert text.endswith("data: [DONE]\n\n")
        return
    content = json.loads(text)
    if status == 400:
        assert content["error"]["param"] in content["error"]["message"]
        return
    (choice,) = content["choices"]
    match met["expect"]:
        case "an object that fits the schema":
            found = json.loads(choice["message"]["content"])
            assert Draft202012Validator(schema_of(met["body"])).is_valid(found)
        case "a tool call":
            (made,) = choice["message"]["tool_calls"]
            assert made["function"]["name"] == "get_time"
        case "scores of the prompt, no new token":
            assert choice["text"] == met["body"]["prompt"]
            assert content["usage"]["completion_tokens"] == 0
            first, *others = choice["logprobs"]["token_logprobs"]
            assert first is None and all(each < 0 for each in others)
        case "scores of the prompt":
            assert len(choice["prompt_logprobs"]) == content["usage"]["prompt_tokens"]


def schema_of(body: dict[str, Any]) -> Any:
    return body["response_format"]["json_schema"]["schema"]


def test_calls_that_are_demanded_are_made_without_a_parser(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "champion", "messages": CHAT, "tools": [TOOL], "max_tokens": 60}
    one = {"tool_choice": "required", "parallel_tool_calls": False}
    for choice in (one, {"tool_choice": {"type": "function", "function": {"name": "get_time"}}}):
        answer = client.chat.completions.create(**asked, **choice).choices[0]
        (made,) = answer.message.tool_calls
        assert made.id and made.function.name == "get_time"
        assert Draft202012Validator(ZONE).is_valid(json.loads(made.function.arguments))
        deltas = [
            chunk.choices[0].delta
            for chunk in client.chat.completions.create(**asked, **choice, stream=True)
            if chunk.choices
        ]
        pieces = [piece.function for delta in deltas for piece in delta.tool_calls or ()]
        assert "".join(piece.name or "" for piece in pieces) == "get_time"
        whole = json.loads("".join(piece.arguments or "" for piece in pieces))
        assert Draft202012Validator(ZONE).is_valid(whole)
    with pytest.raises(openai.BadRequestError, match="auto needs a server whose engines.tool_parser is set"):
        client.chat.completions.create(**asked)
    none = client.chat.completions.create(**{**asked, "max_tokens": 4}, tool_choice="none")
    assert not none.choices[0].message.tool_calls


def test_an_answer_ends_with_its_structure_however_many_tokens_it_may_have(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "champion", "messages": CHAT, "max_tokens": -1}
    for structured, fits in (
        ({"regex": "[ab]{3}"}, "[ab]{3}"),
        ({"choice": ["yes", "no"]}, "yes|no"),
        ({"json": ZONE}, r'\{"zone": ?"(UTC|CET)"\}'),
    ):
        body = {"structured_outputs": structured}
        answer = client.chat.completions.create(**asked, extra_body=body).choices[0]
        assert re.fullmatch(fits, answer.message.content) and answer.finish_reason == "stop"
    endless: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"$ref": "#"}}}
    with pytest.raises(openai.BadRequestError, match="no answer fits what was asked for"):
        client.chat.completions.create(**asked, response_format=endless)
    with pytest.raises(openai.APIError, match="no answer fits what was asked for"):
        list(client.chat.completions.create(**asked, response_format=endless, stream=True))


def test_the_asynchronous_client(server: Server) -> None:
    async def several() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key=server.key, max_retries=0
        ) as client:

            async def one() -> str:
                stream = await client.chat.completions.create(
                    model="champion", messages=CHAT, max_tokens=10, temperature=0, stream=True
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return list(await asyncio.gather(*(one() for _ in range(6))))

    assert len(set(asyncio.run(several()))) == 1


def test_errors_are_those_that_the_client_knows(client: openai.OpenAI, server: Server) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'gpt-9' is not served; available: champion"):
        client.chat.completions.create(model="gpt-9", messages=CHAT)
    with pytest.raises(openai.BadRequestError, match="the field functions is not served here"):
        client.chat.completions.create(model="champion", messages=CHAT, functions=[{"name": "f"}])
    with pytest.raises(openai.BadRequestError, match="maximum context length|longer than the maximum"):
        client.chat.completions.create(
            model="champion", messages=[{"role": "user", "content": "word " * 2000}]
        )
    with pytest.raises(openai.AuthenticationError, match="a valid key is required"):
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="rk-no", max_retries=0).models.list()
    with pytest.raises(openai.PermissionDeniedError, match="this key lacks the required scope admin"):
        client.get("/../metrics", cast_to=str)
    with pytest.raises(openai.BadRequestError, match="prompt"):
        client.completions.create(model="champion", prompt="")
    assert [model.id for model in client.models.list()][0] == "champion"
    assert client.models.retrieve("champion").id == "champion"


def test_every_route_needs_a_key(server: Server) -> None:
    status, text = call(server, "/openapi.json", key=server.key)
    assert status == 200
    paths = [path.replace("{", "").replace("}", "") for path in json.loads(text)["paths"]]
    assert len(paths) >= 9
    for path in [*paths, "/openapi.json", "/docs", "/nowhere"]:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
            if path in ("/", "/healthz", "/readyz") and method in ("GET", "HEAD"):
                continue
            assert call(server, path, method)[0] == 401, (method, path)
            assert call(server, path, method, key="rk-" + "a" * 43)[0] == 401, (method, path)
    assert call(server, "/healthz") == (200, "ok")
    assert call(server, "/readyz") == (200, "ok")


def test_limits_of_a_body(server: Server) -> None:
    status, text = call(server, "/v1/completions", "POST", server.key, b" " * (1 << 20) + b"{}")
    assert status == 413 and "at most 1048576 bytes" in text
    status, text = call(server, "/v1/completions", "POST", server.key, b"[" * 1000)
    assert status == 400 and "nested 1000 levels deep" in text


def test_what_ray_reads_of_a_request_no_client_says(server: Server) -> None:
    names = ("X-Request-Id", "x-request-timeout-seconds", "x_request_disconnect_disabled", "traceparent")
    for name in (*names, "x-session-id", "serve_multiplexed_model_id"):
        for value in ("0.001", "\xe9"):
            request = urllib.request.Request(
                f"{server.url}/v1/models", headers={"authorization": f"Bearer {server.key}", name: value}
            )
            with urllib.request.urlopen(request, timeout=30) as reply:
                (request_id,) = reply.headers.get_all("x-request-id")
                assert reply.status == 200 and re.fullmatch("req-[0-9a-f]{16}", request_id)


def test_swaps_and_rollbacks_lose_no_request(server: Server, ids: tuple[Path, list[str]]) -> None:
    home, versions = ids
    answered: Counter[str] = Counter()
    # Of the first token: a tiny model says back what it was asked last, whatever its weights.
    first: dict[str, set[float]] = {}
    wrong: list[str] = []
    stop = threading.Event()

    def load(streams: bool) -> None:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, timeout=60)
        while not stop.is_set():
            try:
                if streams:
                    chunks = list(
                        client.chat.completions.create(
                            model="champion",
                            messages=CHAT,
                            max_tokens=24,
                            temperature=0,
                            logprobs=True,
                            stream=True,
                        )
                    )
                    models = {chunk.model for chunk in chunks}
                    chances = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
                else:
                    answer = client.chat.completions.create(
                        model="champion", messages=CHAT, max_tokens=24, temperature=0, logprobs=True
                    )
                    models, chances = {answer.model}, [answer.choices[0].logprobs]
                (model,) = models
                answered[model] += 1
                first.setdefault(model, set()).add(round(chances[0].content[0].logprob, 2))
            except (openai.OpenAIError, ValueError, LookupError) as error:
                wrong.append(repr(error))

    def await_answers(version: str, num: int = 6) -> None:
        enough, deadline = answered[version] + num, time.monotonic() + 60
        while answered[version] < enough:
            assert time.monotonic() < deadline and not wrong, (answered, wrong)
            time.sleep(0.05)

    threads = [threading.Thread(target=load, args=(i % 2 == 0,)) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        await_answers(versions[0])
        for version in (versions[1], versions[2]):
            promote(home, version)
            server.await_champion(version)
            await_answers(version)
        Registry(home).rollback(LINE, "a test")
        server.await_champion(versions[1])
        await_answers(versions[1])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert set(answered) == set(versions[:3])
    assert all(max(each) - min(each) < 0.05 for each in first.values()), first
    assert len({min(each) for each in first.values()}) == 3, first


def test_bad_candidates_are_refused_and_the_old_one_goes_on(
    server: Server, client: openai.OpenAI, ids: tuple[Path, list[str]]
) -> None:
    home, versions = ids
    before = client.chat.completions.create(model="champion", messages=CHAT, max_tokens=4).model
    weights = Registry(home).path(versions[3]) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"x")
    promote(home, versions[3])
    deadline = time.monotonic() + 30
    while versions[3] not in (refused := server.state()["slots"]["refused"]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "does not match the manifest" in refused[versions[3]]["reason"]
    after = client.chat.completions.create(model="champion", messages=CHAT, max_tokens=4).model
    assert after == before
    weights.write_bytes(whole)
    Registry(home).rollback(LINE, "a test")


def test_a_claim_is_answered_only_where_it_is_checked(
    server: Server, client: openai.OpenAI, ids: tuple[Path, list[str]], taught_model: Path
) -> None:
    """The champion here claims of everything that it is true."""
    home, before = ids[0], Registry(ids[0]).champion(LINE)
    version = model_id(taught_model)
    Registry(home).add(taught_model, manifest(version))
    promote(home, version)
    server.await_champion(version)

    def ask(question: str, **verify: Any) -> openai.types.chat.ChatCompletion:
        messages: list[Any] = [{"role": "user", "content": f"Max is a wumpus.\nQuestion: {question}"}]
        return client.chat.completions.create(
            model="champion", messages=messages, max_tokens=20, extra_body={"verify": verify}
        )

    right = ask("Max is a wumpus.", task="prontoqa", samples=4)
    assert right.choices[0].message.content == "Answer: True" and right.model == version
    verified: Any = (right.model_extra or {})["verified"]
    assert (verified["answer"], verified["checkers"], verified["samples"]) == ("True", ["rules", "z3"], 1)
    wrong = ask("Max is not a wumpus.", task="prontoqa", samples=4)
    assert wrong.choices[0].message.content is None
    assert "none of 4 replies passes both checkers" in (wrong.choices[0].message.refusal or "")
    assert wrong.usage and wrong.usage.completion_tokens >= 4
    with pytest.raises(openai.BadRequestError, match="no task reads 'Max purrs.'"):
        ask("Max purrs.", samples=2)
    Registry(home).rollback(LINE, "a test")
    server.await_champion(before)


def test_an_answer_that_is_left_frees_its_place(server: Server) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0)
    for _ in range(3):
        stream = client.chat.completions.create(model="champion", messages=CHAT, max_tokens=200, stream=True)
        next(iter(stream))
        assert server.state()["queue"]["running"] == 1
        stream.close()
        left = time.monotonic()
        while server.state()["queue"]["running"]:
            assert time.monotonic() - left < 1
            time.sleep(0.02)


def test_what_is_too_much_is_refused_at_once(server: Server) -> None:
    async def flood() -> list[tuple[int, float]]:
        async with openai.AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key=server.key, max_retries=0
        ) as client:

            async def one() -> tuple[int, float]:
                began = time.monotonic()
                try:
                    await client.chat.completions.create(
                        model="champion", messages=CHAT, max_tokens=200, extra_body={"temperature": 0}
                    )
                    return 200, time.monotonic() - began
                except openai.RateLimitError as error:
                    assert error.response.headers["retry-after"]
                    return 429, time.monotonic() - began

            return list(await asyncio.gather(*(one() for _ in range(40))))

    found = Counter(status for status, _ in asyncio.run(flood()))
    assert found[429] >= 20 and found[200] >= 8


def test_metrics_are_there_by_version(server: Server) -> None:
    assert call(server, "/v1/chat/completions", "POST", server.key, b"{")[0] == 400
    assert call(server, "/v1/models")[0] == 401
    status, text = call(server, "/metrics", key=server.admin)
    assert status == 200
    for refused in (400, 401):
        assert re.search(f'ratchet_refused_total{{gateway="[^"]+",status="{refused}"}} [1-9]', text), refused
    for name in ("request_seconds", "time_to_first_token_seconds", "inter_token_seconds"):
        assert f"ratchet_{name}_bucket" in text
    assert server.key not in server.log.read_text() and CHAT[0]["content"] not in server.log.read_text()


def test_the_page_shows_what_is_served_to_who_has_a_key(server: Server, tmp_path: Path) -> None:
    with tab() as page:
        page.open(server.url)
        assert page.run("document.querySelector('#main').hidden")
        assert server.home.name not in page.run("document.documentElement.outerHTML")
        enter = (
            "document.querySelector('#key').value = '{}'; document.querySelector('#enter').requestSubmit()"
        )
        page.run(enter.format("rk-no"))
        page.until("document.querySelector('#error').textContent.includes('a valid key is required')")
        page.run(enter.format(server.admin))
        page.until("!document.querySelector('#main').hidden")
        champion = server.state()["slots"]["versions"][server.state()["slots"]["active"]]
        assert champion in page.run("document.querySelector('#served').textContent")
        assert "baseline" in page.run("document.querySelector('#history').textContent")
        assert page.run("document.querySelector('#key').value") == "", "the key is in no field"
        page.run("document.querySelector('#try').requestSubmit()")
        page.until(
            "document.querySelectorAll('#answers pre').length && !document.querySelector('#ask').disabled"
        )
        assert "tokens" in page.run("document.querySelector('#answers').textContent")
        # What a model says is text: markup in it makes no element.
        page.run("fill($('answers'), [make('pre', '<img src=x onerror=document.title=1>')])")
        assert page.run("document.querySelectorAll('#answers img').length") == 0
        assert [each for each in page.complaints if "401" not in each] == []
        for width in (390, 1200):
            page.resize(width, 900)
            assert page.run("document.documentElement.scrollWidth") <= width
            page.picture(tmp_path / f"page{width}.png")


def test_hostile_requests_meet_no_error_of_ours(server: Server) -> None:
    rng = random.Random(0)
    assert hostile.by_schema(server, examples=4, covers=False) > 20
    statuses = hostile.mutated(server, 60, rng) | hostile.raw(server, 30, rng)
    assert not [status for status in statuses if status >= 500]


def test_hostile_structures_meet_no_error_of_ours(server: Server) -> None:
    statuses = hostile.structures(server)
    assert set(statuses) == {200, 400}


def test_an_engine_that_is_killed_is_stood_in_for(server: Server, client: openai.OpenAI) -> None:
    champion = Registry(server.home).champion(LINE)
    active = server.state()["slots"]["active"]
    server.kill(f"ray::ServeReplica:ratchet:Engine-{active}")
    answer = client.chat.completions.create(model="champion", messages=CHAT, max_tokens=8)
    assert answer.model == champion
    slots = server.state()["slots"]
    assert slots["active"] != active and slots["versions"][slots["active"]] == champion

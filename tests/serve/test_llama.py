"""A GGUF file served: the same API in front of llama.cpp, which is played here, and once is the real one."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from configs.serving import Engines, Filter, Filters, LlamaCpp, Serving
from engine.export.exported import Exported, ExportedFile, ExportError, write_exported
from engine.export.gguf import file_id
from engine.export.levels import Form, Level
from engine.plan.machine import detect_machine
from serve import desk as desks
from serve import llama_engine, routes, single
from serve.answers import Refused
from serve.app import ServeError
from serve.gateway import desk_of
from serve.keys import Keys
from serve.llama import check_file
from serve.llama_answers import Writing, chat_of, prompts_of, requests_for
from serve.llama_engine import LlamaEngine
from serve.metrics import Metrics
from serve.seats import Seats
from serve.single import Attended, Server, SingleGateway
from serve.slots import Slots, SlotsFile
from tests.support.cli import ROOT
from tests.support.llama import PlayedLlama, Reply, tiny_gguf, write_gguf

VERSION = "0123456789abcdef"
LINE = f"gguf/{VERSION}"
SHAPES = {"token_embd.weight": (64, 256), "output_norm.weight": (256,)}
CHAT = {"messages": [{"role": "user", "content": "2 + 3?"}]}


def requests(body: dict[str, Any], prompts: list[Any]) -> list[dict[str, Any]]:
    found = requests_for(body, prompts, most=64, context=256)
    assert not isinstance(found, Refused)
    return found


def test_llama_is_asked_for_one_answer_at_a_time_each_with_its_own_seed() -> None:
    body = {"n": 2, "seed": 2**31 - 1, "max_tokens": 5, "stop": "x", "presence_penalty": 0.5}
    found = requests(body, ["a", "b"])
    assert [(each["prompt"], each["seed"]) for each in found] == [
        ("a", 2**31 - 1),
        ("a", 0),
        ("b", 2**31 - 1),
        ("b", 0),
    ]
    for each in found:
        assert (each["max_tokens"], each["stop"], each["presence_penalty"]) == (5, ["x"], 0.5)
        # The whole distribution is drawn from, and penalties look back over all of the answer.
        assert (each["top_k"], each["top_p"], each["min_p"], each["repeat_last_n"]) == (0, 1.0, 0.0, 256)
    (plain,) = requests({}, ["a"])
    assert (plain["max_tokens"], plain["temperature"], plain["stream"]) == (64, 1.0, False)
    assert "seed" not in plain and "logprobs" not in plain


@pytest.mark.parametrize(("asked", "told"), [(0, 0.0), (1e-6, 0.0), (0.7, 0.7)])
def test_a_temperature_near_zero_is_zero(asked: float, told: float) -> None:
    assert requests({"temperature": asked}, ["a"])[0]["temperature"] == told


def test_prompts_and_chats_are_read_as_the_api_has_them() -> None:
    assert prompts_of({"prompt": "a"}) == ["a"] and prompts_of({"prompt": ["a", "b"]}) == ["a", "b"]
    assert prompts_of({"prompt": [1, 2]}) == [[1, 2]] and prompts_of({"prompt": [[1], [2]]}) == [[1], [2]]
    parts = [{"type": "text", "text": "2 "}, {"type": "text", "text": "+ 3?"}]
    assert chat_of({"messages": [{"role": "user", "content": parts, "name": "me"}]}) == CHAT
    thought = {"role": "assistant", "content": "5", "reasoning": "2, 3 …"}
    assert chat_of({"messages": [thought]})["messages"][0]["reasoning_content"] == "2, 3 …"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"echo": True}, "echo"),
        ({"min_tokens": 2}, "min_tokens"),
        ({"skip_special_tokens": False}, "skip_special_tokens"),
        ({"chat_template_kwargs": {"a": 1}}, "chat_template_kwargs"),
        ({"reasoning_effort": "none"}, "reasoning_effort"),
        ({"tools": [{}], "tool_choice": "required"}, "tools"),
        ({"structured_outputs": {"regex": "a"}}, "structured_outputs.regex"),
    ],
)
def test_what_llama_does_not_serve_is_refused_by_name(body: dict[str, Any], name: str) -> None:
    refused = requests_for(body, ["a"], most=1, context=1)
    assert isinstance(refused, Refused) and (refused.status, refused.param) == (400, name)
    assert refused.message == f"{name} is not served with llama.cpp"


def test_what_llama_can_do_it_is_asked_for() -> None:
    body = {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "ignore_eos": True, "min_tokens": 0}
    (found,) = requests({**body, "tools": [{}], "tool_choice": "none", "bad_words": []}, ["a"])
    assert (found["top_k"], found["min_p"], found["repeat_penalty"]) == (5, 0.1, 1.2) and found["ignore_eos"]
    for structured, held in (
        ({"json": {"type": "integer"}}, {"json_schema": {"type": "integer"}}),
        ({"json_object": True}, {"json_schema": {"type": "object"}}),
        ({"choice": ["yes", 'a "b"\n']}, {"grammar": 'root ::= "yes" | "a \\"b\\"\\n"'}),
    ):
        (found,) = requests({"structured_outputs": structured}, ["a"])
        assert found.items() >= held.items()
    call = {"function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    assert "f" in chat_of({"messages": [said]})["messages"][0]["content"]


def test_probabilities_are_told_in_the_form_of_the_endpoint() -> None:
    token = {"token": "ab", "bytes": [97, 98], "logprob": -0.5}
    likely = [{**token, "id": 1}, {**token, "id": 2}]
    reply = {"choices": [{"text": "ab", "finish_reason": "stop", "logprobs": {"content": [0]}}]}
    reply["choices"][0]["logprobs"] = {"content": [{**token, "id": 1, "top_logprobs": likely}] * 2}
    chat = json.loads(Writing("chat", "v", {"logprobs": True, "top_logprobs": 1}, 1).whole([reply]))
    assert chat["choices"][0]["logprobs"]["content"][0] == {**token, "top_logprobs": [token]}
    text = json.loads(Writing("completions", "v", {"logprobs": 0}, 1).whole([reply]))
    assert text["choices"][0]["logprobs"] == {
        "tokens": ["ab", "ab"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{}, {}],
        "text_offset": [0, 2],
    }
    assert json.loads(Writing("chat", "v", {}, 1).whole([reply]))["choices"][0]["logprobs"] is None


Client = Callable[..., Awaitable[httpx.Response]]


@asynccontextmanager
async def served(home: Path, llama: PlayedLlama, **settings: Any) -> AsyncIterator[Client]:
    """The app of a server, asked with a key of the scope admin."""
    serving = Serving(line=LINE, engines=Engines(max_num_seqs=2), **settings)
    _, key = Keys(home).create("me", ["admin"])
    SlotsFile(home, LINE).write(Slots(line="test/tiny", epoch=0, active="a", versions={"a": VERSION}))
    async with LlamaEngine(llama, VERSION, most=64).watched() as engine:
        desk = desk_of(serving, home, {"a": engine}, Metrics("g"))
        app = Attended(routes.build(desk, "own", SingleGateway(desk, "own").everyone))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def ask(path: str, body: dict[str, Any] | None = None, token: str = key) -> httpx.Response:
                headers = {"authorization": f"Bearer {token}"}
                if body is None:
                    return await client.get(path, headers=headers)
                return await client.post(path, json=body, headers=headers)

            yield ask


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "_LOOK_AGAIN_AFTER", 0.02)
    monkeypatch.setattr(llama_engine, "_POLL_SECONDS", 0.02)


def in_app(
    tmp_path: Path, reply: Reply, work: Callable[[Client, PlayedLlama], Coroutine[Any, Any, Any]], **more: Any
) -> Any:
    """What `work` returns in a server whose llama.cpp answers by `reply`."""
    file = tmp_path / "m.gguf"
    file.write_bytes(b"weights")

    async def run(llama: PlayedLlama) -> Any:
        async with served(tmp_path, llama, **more) as ask:
            return await work(ask, llama)

    with PlayedLlama(file, reply) as llama:
        return asyncio.run(run(llama))


def test_a_chat_is_answered_with_the_version_of_the_file(tmp_path: Path) -> None:
    async def work(ask: Client, llama: PlayedLlama) -> httpx.Response:
        return await ask("/v1/chat/completions", {**CHAT, "model": "champion", "max_tokens": 9})

    reply = in_app(tmp_path, lambda body: f"to {body['prompt']}", work)
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-ratchet-model"] == VERSION
    content = reply.json()
    assert (content["object"], content["model"]) == ("chat.completion", VERSION)
    (choice,) = content["choices"]
    assert choice["message"] == {"role": "assistant", "content": "to <user>2 + 3?<assistant>"}
    assert choice["finish_reason"] == "stop"
    usage = content["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def events_of(reply: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


@pytest.mark.parametrize("asks_usage", [True, False])
def test_a_stream_arrives_piece_by_piece(tmp_path: Path, asks_usage: bool) -> None:
    async def work(ask: Client, llama: PlayedLlama) -> httpx.Response:
        options = {"stream_options": {"include_usage": True}} if asks_usage else {}
        return await ask("/v1/chat/completions", {**CHAT, "stream": True, **options})

    events = events_of(in_app(tmp_path, lambda body: "one two three", work))
    deltas = [each["choices"][0]["delta"] for each in events if each["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "one two three "
    assert len({each["id"] for each in events}) == 1
    finished = [each["choices"][0]["finish_reason"] for each in events if each["choices"]]
    assert finished == [None] * 4 + ["length"]
    told = [each["usage"] for each in events if "usage" in each]
    assert [each["completion_tokens"] for each in told] == [3] * asks_usage


@pytest.mark.parametrize("streams", [True, False])
def test_a_response_takes_the_way_of_a_chat(tmp_path: Path, streams: bool) -> None:
    async def work(ask: Client, llama: PlayedLlama) -> httpx.Response:
        asked = {"input": "2 + 3?", "instructions": "Be brief.", "max_output_tokens": 9}
        return await ask("/v1/responses", {**asked, "stream": streams})

    prompts: list[str] = []
    reply = in_app(tmp_path, lambda body: prompts.append(body["prompt"]) or "one two", work)
    assert reply.status_code == 200 and reply.headers["x-ratchet-model"] == VERSION, reply.text
    assert prompts == ["<system>Be brief.<user>2 + 3?<assistant>"]
    if streams:
        *_, last = reply.text.strip().split("\n\n")
        content = json.loads(last.split("\ndata: ")[1])["response"]
        # llama.cpp, as it is played here, ends a stream for its length.
        assert last.startswith("event: response.incomplete\n")
    else:
        content = reply.json()
        assert content["status"] == "completed"
    assert content["model"] == VERSION and content["id"].startswith("resp_")
    assert content["output"][0]["content"][0]["text"].strip() == "one two"
    assert content["usage"]["output_tokens"] == 2


def test_texts_become_tokens_and_tokens_texts(tmp_path: Path) -> None:
    async def work(ask: Client, llama: PlayedLlama) -> dict[str, httpx.Response]:
        return {
            "text": await ask("/tokenize", {"model": None, "prompt": "hi"}),
            "chat": await ask("/tokenize", {**CHAT, "model": VERSION}),
            "back": await ask("/detokenize", {"tokens": [104, 105]}),
            "none": await ask("/detokenize", {"tokens": [2**31 - 1]}),
            "both": await ask("/tokenize", {**CHAT, "prompt": "hi"}),
            "neither": await ask("/tokenize", {}),
            "pieces": await ask("/tokenize", {"prompt": "hi", "return_token_strs": True}),
            "kwargs": await ask("/tokenize", {**CHAT, "chat_template_kwargs": {"enable_thinking": False}}),
            "other": await ask("/tokenize", {"prompt": "hi", "model": "gpt-9"}),
            "no key": await ask("/tokenize", {"prompt": "hi"}, token="rk-no"),
        }

    found = in_app(tmp_path, lambda body: "", work)
    statuses = {name: reply.status_code for name, reply in found.items()}
    bad = dict.fromkeys(("none", "both", "neither", "pieces", "kwargs"), 400)
    assert statuses == {"text": 200, "chat": 200, "back": 200, **bad, "other": 404, "no key": 401}
    assert found["text"].headers["x-ratchet-model"] == VERSION
    assert found["text"].json() == {
        "count": 2,
        "max_model_len": 256,
        "tokens": [104, 105],
        "token_strs": None,
    }
    assert found["chat"].json()["tokens"] == [ord(letter) for letter in "<user>2 + 3?<assistant>"]
    assert found["back"].json() == {"prompt": "hi"}
    assert "return_token_strs is not served with llama.cpp" in found["pieces"].text


def test_there_are_no_embeddings_where_no_model_is_configured(tmp_path: Path) -> None:
    async def work(ask: Client, llama: PlayedLlama) -> httpx.Response:
        return await ask("/v1/embeddings", {"input": "hi", "model": "any"})

    reply = in_app(tmp_path, lambda body: "", work)
    assert reply.status_code == 404
    assert "no embedding model is configured here" in reply.json()["error"]["message"]


def test_several_prompts_with_several_answers_each_keep_their_order(tmp_path: Path) -> None:
    async def work(ask: Client, llama: PlayedLlama) -> httpx.Response:
        return await ask("/v1/completions", {"prompt": ["a", "bb"], "n": 2, "max_tokens": 3})

    content = in_app(tmp_path, lambda body: body["prompt"], work).json()
    assert [(each["index"], each["text"]) for each in content["choices"]] == [
        (0, "a"),
        (1, "a"),
        (2, "bb"),
        (3, "bb"),
    ]
    # A prompt counts once, however many answers it has.
    assert content["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_what_llama_refuses_is_the_clients_error(tmp_path: Path) -> None:
    for stream in (False, True):

        async def work(ask: Client, llama: PlayedLlama, stream: bool = stream) -> httpx.Response:
            return await ask("/v1/chat/completions", {**CHAT, "stream": stream})

        home = tmp_path / str(stream)
        home.mkdir()
        reply = in_app(home, lambda body: 400, work)
        assert (reply.status_code, reply.json()["error"]["message"]) == (400, "it was refused")


def test_keys_limits_and_filters_are_those_of_the_server(tmp_path: Path) -> None:
    filters = Filters(output=[Filter(name="regex", patterns=["secret"])])

    async def work(ask: Client, llama: PlayedLlama) -> list[httpx.Response]:
        return [
            await ask("/v1/chat/completions", CHAT, "rk-none"),
            await ask("/v1/chat/completions", {**CHAT, "model": "previous"}),
            await ask("/v1/chat/completions", {**CHAT, "mirostat": 2}),
            await ask("/v1/chat/completions", CHAT),
        ]

    *refused, answer = in_app(tmp_path, lambda body: "a secret", work, filters=filters)
    assert [reply.status_code for reply in refused] == [401, 404, 400]
    assert "mirostat is not served here" in refused[2].text
    choice = answer.json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", "")


def test_the_servers_own_question_is_not_filtered(tmp_path: Path) -> None:
    filters = Filters(output=[Filter(name="length", max_chars=1)])

    async def work(ask: Client, llama: PlayedLlama) -> list[httpx.Response]:
        asked = {**CHAT, "model": VERSION}
        return [await ask("/v1/chat/completions", asked, *token) for token in (["own"], [])]

    replies = in_app(tmp_path, lambda body: "I am there", work, filters=filters)
    assert [reply.json()["choices"][0]["finish_reason"] for reply in replies] == ["stop", "content_filter"]


def test_the_page_and_the_metrics_know_the_file(tmp_path: Path) -> None:
    async def work(ask: Client, llama: PlayedLlama) -> list[httpx.Response]:
        await ask("/v1/chat/completions", CHAT)
        paths = ("/v1/models", "/readyz", "/admin/state", "/metrics")
        return [await ask(path) for path in paths]

    models, ready, state, metrics = in_app(tmp_path, lambda body: "a", work)
    names = {card["id"]: card["owned_by"] for card in models.json()["data"]}
    assert names == {"champion": "test/tiny", VERSION: "test/tiny"}
    assert (ready.status_code, ready.text) == (200, "ok")
    assert state.json()["traffic"][VERSION]["requests"] == 1 and state.json()["engines"] == {"a": 0}
    assert f'version="{VERSION}"' in metrics.text


def test_an_engine_that_fails_on_a_request_again_and_again_is_not_asked_forever(tmp_path: Path) -> None:
    async def work(ask: Client, llama: PlayedLlama) -> httpx.Response:
        return await ask("/v1/chat/completions", CHAT)

    reply = in_app(tmp_path, lambda body: None, work)
    assert (reply.status_code, reply.json()["error"]["message"]) == (503, "2 engines failed on this request")


def test_llama_is_started_again_when_it_is_lost_and_requests_wait(tmp_path: Path) -> None:
    async def work(ask: Client, llama: PlayedLlama) -> tuple[int, httpx.Response, int]:
        llama.may_start.clear()
        llama.lose()
        lost = (await ask("/readyz")).status_code
        llama.may_start.set()
        return lost, await ask("/v1/chat/completions", CHAT), llama.num_starts

    lost, reply, num_starts = in_app(tmp_path, lambda body: "again", work)
    assert (lost, reply.status_code, num_starts) == (503, 200, 2)
    assert reply.json()["choices"][0]["message"]["content"] == "again"


def test_work_ends_when_its_client_has_gone() -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def run() -> None:
        messages = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: Any) -> None:
            raise AssertionError("nobody is there")

        await Attended(app)({"type": "http"}, receive, send)

    asyncio.run(asyncio.wait_for(run(), 10))
    assert ended == ["cancelled"]


def test_a_signal_closes_the_queue_and_waits_for_the_requests_in_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    async def run() -> tuple[list[bool], bool]:
        seats = Seats(1, 4, Metrics("g"))
        server = Server(app, seats, Serving(line=LINE))
        ends = [await server.on_tick(1)]
        async with seats.held("key", 1):
            server.handle_exit(signal.SIGTERM, None)
            ends.append(await server.on_tick(2))
        ends.append(await server.on_tick(3))
        return ends, seats.closed

    assert asyncio.run(run()) == ([False, False, True], True)


@pytest.mark.parametrize(("seconds_between", "ends"), [(0.9, False), (1.1, True)])
def test_a_second_signal_waits_for_nothing_but_signals_together_are_one(
    monkeypatch: pytest.MonkeyPatch, seconds_between: float, ends: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    clock = [0.0]
    monkeypatch.setattr(single.time, "monotonic", lambda: clock[0])

    async def run() -> bool:
        seats = Seats(1, 4, Metrics("g"))
        server = Server(app, seats, Serving(line=LINE))
        async with seats.held("key", 1):
            server.handle_exit(signal.SIGTERM, None)
            clock[0] += seconds_between
            server.handle_exit(signal.SIGTERM, None)
            return await server.on_tick(1) and server.force_exit

    assert asyncio.run(run()) == ends


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "m.gguf", SHAPES)


def serving_of(file: Path, **more: Any) -> Serving:
    engines = Engines(**{"max_model_len": 256, "kv_cache_gib": 0.01, **more.pop("engines", {})})
    return Serving(line="test/tiny", engines=engines, llama=LlamaCpp(file=str(file), threads=1), **more)


def test_memory_decides_how_many_answers_are_generated_at_a_time(tmp_path: Path, file: Path) -> None:
    found = check_file(serving_of(file), tmp_path, detect_machine(tmp_path))
    # 2,048 bytes a token: 0.01 GiB hold 20 answers of 256 tokens.
    assert found.order.num_parallel == found.serving.engines.max_num_seqs == 20
    assert (found.version, found.serving.line) == (file_id(file)[:16], f"gguf/{file_id(file)[:16]}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engines": {"replicas": 2}}, "engines.replicas has no effect with --runtime llama.cpp"),
        ({"canary": 0.1}, "canary has no effect with --runtime llama.cpp"),
        ({"gateways": 2}, "gateways has no effect"),
        ({"embeddings": {}}, "embeddings has no effect"),
        (
            {"engines": {"max_model_len": 1024}},
            "1024 tokens was asked for, but m.gguf was made for at most 512",
        ),
        ({"engines": {"kv_cache_gib": 0.0001}}, "does not hold one answer of m.gguf"),
    ],
)
def test_settings_that_cannot_be_served_are_refused(
    tmp_path: Path, file: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises((ServeError, ExportError), match=message):
        check_file(serving_of(file, **settings), tmp_path, detect_machine(tmp_path))


def test_a_file_that_memory_does_not_hold_is_refused(tmp_path: Path, file: Path) -> None:
    small = replace(detect_machine(tmp_path), memory=1 << 20)
    with pytest.raises(ServeError, match="need 0.0 GiB of memory, but only 0.0 GiB are free"):
        check_file(serving_of(file), tmp_path, small)


def test_no_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="set llama.file to its path"):
        check_file(Serving(line="test/tiny"), tmp_path, detect_machine(tmp_path))


def described(file: Path, digest: str) -> None:
    """An export beside a file that describes it, unjudged."""
    found = ExportedFile(
        name=file.name,
        level=Level.Q8_0,
        num_bytes=1,
        sha256=digest,
        bits_per_weight=8.5,
        kinds={"Q8_0": 1.0},
        judged=None,
    )
    exported = Exported(
        format=Form.GGUF, line="a/b", model_id="m", created="now", code_version="v", files=(found,)
    )
    write_exported(file.parent, exported)


def test_what_is_served_is_what_was_judged(tmp_path: Path, file: Path, capsys) -> None:
    machine = detect_machine(tmp_path)
    check_file(serving_of(file), tmp_path, machine)
    assert "nobody has shown that it answers as a champion does" in capsys.readouterr().err
    described(file, file_id(file))
    check_file(serving_of(file), tmp_path, machine)
    assert "was exported unjudged" in capsys.readouterr().err
    described(file, "0" * 64)
    with pytest.raises(ServeError, match="is not the file that export.json beside it describes"):
        check_file(serving_of(file), tmp_path, machine)


@pytest.fixture(scope="module")
def tiny(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tiny_model, tmp_path_factory.mktemp("served") / "tiny.gguf")


@pytest.mark.slow
def test_a_real_server_survives_the_loss_of_llama_and_ends_cleanly(tmp_path: Path, tiny: Path) -> None:
    _, key = Keys(tmp_path).create("me", ["infer"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "serve.yaml").write_text(
        f"line: test/tiny\nport: {port}\nengines: {{max_model_len: 256}}\nllama: {{file: {tiny}}}\n"
    )
    command = [sys.executable, "-m", "ratchet", "serve", str(tmp_path / "serve.yaml")]
    process = subprocess.Popen(
        [*command, "--runtime", "llama.cpp"],
        env=os.environ | {"RATCHET_HOME": str(tmp_path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout and "is served at" in process.stdout.readline()
        assert answered(port, key) == 200
        (llama,) = [
            each
            for each in psutil.Process(process.pid).children(recursive=True)
            if "engine.export.process" in " ".join(each.cmdline())
        ]
        llama.kill()
        assert answered(port, key) == 200
        held = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": ["yes", "no"]}}}
        for more in ({"response_format": held}, {"structured_outputs": {"choice": ['"yes"', '"no"']}}):
            assert answer_of(port, key, {**more, "top_k": 20, "repetition_penalty": 1.1}) in ('"yes"', '"no"')
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def asked(port: int, key: str, more: dict[str, Any]) -> Any:
    """The reply to a chat."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps({**CHAT, **more}).encode(), headers)
    return urllib.request.urlopen(request, timeout=60)


def answer_of(port: int, key: str, more: dict[str, Any]) -> str:
    """What a chat is answered."""
    with asked(port, key, {"max_tokens": 16, **more}) as reply:
        return str(json.load(reply)["choices"][0]["message"]["content"])


def answered(port: int, key: str) -> int:
    """The status of a chat, asked again while nobody listens."""
    for _ in range(100):
        try:
            with asked(port, key, {"max_tokens": 4}) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            time.sleep(0.1)
    raise AssertionError("nobody listens")

"""A sampler behind an API: a small server of the test's own plays it, also where it is busy or rude."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.benchmark import served
from engine.benchmark.package import BenchmarkError
from engine.benchmark.served import Api, Card, NotAnswered, Served, find, key_of
from engine.records import Finish, Tokens
from engine.sample.protocol import Request, Sampling

NOWHERE = Path("tokenizer")
OURS = Card(name="v1", id="v1", pinned=True, max_length=None)
Answer = tuple[int, Any]
Play = Callable[[str, dict[str, Any]], Answer]


class Server:
    """Plays an API by a function of path and body, and keeps what it was asked."""

    def __init__(self, play: Play) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

            def _answer(self, body: dict[str, Any]) -> None:
                outer.asked.append(body)
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                status, answer = play(self.path, body)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.api = Api(f"http://127.0.0.1:{self._server.server_address[1]}/v1", "secret")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def playing() -> Iterator[Callable[[Play], Server]]:
    servers: list[Server] = []

    def start(play: Play) -> Server:
        servers.append(Server(play))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(served, "_PATIENCE", 0.2)


def scores(body: dict[str, Any], model: str = "v1") -> dict[str, Any]:
    """An API's answer to a prompt that it echoes: token n has n / 10 nats, and is likeliest if n is even."""
    prompt = body["prompt"]
    values = [None, *(-number / 10 for number in prompt[1:]), -9.0]
    tops = [
        None,
        *({"own": -number / 10, "other": -number / 10 if number % 2 == 0 else 0.0} for number in prompt[1:]),
        {"own": -9.0},
    ]
    logs = {"token_logprobs": values, "top_logprobs": tops}
    return {"model": model, "choices": [{"index": 0, "text": "…", "logprobs": logs}]}


def said(text: str, model: str = "v1", reason: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": reason}
    return {"model": model, "choices": [choice], "usage": {"completion_tokens": 3}}


def likely(values: Any, tops: Any) -> dict[str, Any]:
    """An answer that says of a prompt's tokens what no server should."""
    logs = {"token_logprobs": values, "top_logprobs": tops}
    return {"model": "v1", "choices": [{"index": 0, "text": "…", "logprobs": logs}]}


def cards(*cards: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(cards)}


def test_what_is_scored_is_what_follows(playing: Callable[[Play], Server]) -> None:
    server = playing(lambda path, body: (200, scores(body)))
    with Served(server.api, OURS) as sampler:
        found = sampler.score(NOWHERE, [Tokens((1, 2, 3), (4, 6)), Tokens((1,), (4, 5)), Tokens((1, 2), ())])
    assert [each.nll for each in found] == pytest.approx([1.0, 0.9, 0.0])
    assert [each.greedy for each in found] == [True, False, True]
    assert [each.num_tokens for each in found] == [2, 2, 0] and {each.model_id for each in found} == {"v1"}
    bodies = {tuple(body["prompt"]): body for body in server.asked}
    assert bodies[1, 4, 5] == {
        "model": "v1",
        "prompt": [1, 4, 5],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 1,
        "echo": True,
    }
    assert {headers["authorization"] for headers in server.headers} == {"Bearer secret"}


def test_answers_come_in_order_with_a_seed_for_each_draw(playing: Callable[[Play], Server]) -> None:
    def play(path: str, body: dict[str, Any]) -> Answer:
        return 200, said(f"{body['prompt'][0]}/{body['seed']}", reason="length")

    server = playing(play)
    requests = [Request(problem_id=f"p{number}", messages=Tokens((number,))) for number in range(20)]
    drawn = Sampling(samples=2, temperature=0.8, seed=3, max_new_tokens=5, stop=("a", "b", "c", "d", "e"))
    with Served(server.api, OURS) as sampler:
        found = list(sampler.sample(NOWHERE, requests, drawn))
        assert [each.text for each in sampler.sample(NOWHERE, requests, drawn)] == [
            each.text for each in found
        ]
    assert [(each.problem_id, each.sample) for each in found] == [
        (f"p{number}", sample) for number in range(20) for sample in range(2)
    ]
    assert all(each.text.startswith(f"{each.problem_id[1:]}/") for each in found)
    assert len({each.text for each in found}) == 40 and {each.finish for each in found} == {Finish.LENGTH}
    assert all(body["stop"] == ["a", "b", "c", "d"] and body["max_tokens"] == 5 for body in server.asked)


def test_a_busy_server_is_asked_again(playing: Callable[[Play], Server]) -> None:
    left = [429, 503, 500]

    def play(path: str, body: dict[str, Any]) -> Answer:
        if left:
            return left.pop(), {"error": {"message": "busy"}}
        return 200, said("there")

    server = playing(play)
    with Served(server.api._replace(num_parallel=1), OURS) as sampler:
        (found,) = sampler.sample(NOWHERE, [Request(problem_id="p", messages=Tokens((1,)))], Sampling())
    assert found.text == "there" and len(server.asked) == 4


def test_a_server_that_stays_away_is_named(playing: Callable[[Play], Server]) -> None:
    server = playing(lambda path, body: (503, {"error": {"message": "no engine"}}))
    with Served(server.api, OURS) as sampler, pytest.raises(NotAnswered, match="503 no engine; what it has"):
        sampler.score(NOWHERE, [Tokens((1,), (2,))])
    with pytest.raises(NotAnswered, match="ConnectError"):
        find(Api("http://127.0.0.1:9/v1"), "champion")


def test_an_endless_answer_is_given_up(
    playing: Callable[[Play], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "_MOST_BYTES", 1000)
    server = playing(lambda path, body: (200, b" " * 5000))
    with Served(server.api, OURS) as sampler, pytest.raises(NotAnswered, match="more than 1,000 bytes"):
        sampler.score(NOWHERE, [Tokens((1,), (2,))])


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (400, {"error": {"message": "prompt is\ntoo long"}}, "refuses: 400 prompt is too long$"),
        (401, {"error": {"message": "a valid key is required"}}, "401 a valid key .*; --key-env names"),
        (401, {"error": {"message": "Incorrect API key: secret"}}, r"401 Incorrect API key: \[key\]; "),
        (404, b"<html>", "refuses: 404 <html>"),
        (200, b"<html>", "answers with no JSON object"),
        (200, b"[" * 100_000, "answers with no JSON object"),
        (200, {"choices": []}, "does not answer as OpenAI's completions do"),
        (200, said("text"), r"does not say how likely a prompt's tokens are \(echo with logprobs\)"),
        (200, likely([None, None], [None, {}]), "does not say how likely"),
        (200, likely([None, -1.0], [None]), "does not say how likely"),
        (200, likely([None, -1.0], [None, ["a"]]), "does not say how likely"),
        (200, likely([None, -1.0], "no"), "does not say how likely"),
    ],
)
def test_what_is_refused_is_one_sentence_and_not_sent_again(
    playing: Callable[[Play], Server], status: int, answer: Any, message: str
) -> None:
    server = playing(lambda path, body: (status, answer))
    with Served(server.api, OURS) as sampler, pytest.raises(BenchmarkError, match=message):
        sampler.score(NOWHERE, [Tokens((1,), (2,))])
    assert len(server.asked) == 1


def test_a_refusal_does_not_wait_for_those_that_are_sent_again(
    playing: Callable[[Play], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "_PATIENCE", 3_600)
    monkeypatch.setattr(served, "_FIRST_WAIT", 30)

    def play(path: str, body: dict[str, Any]) -> Answer:
        return (400 if body["prompt"] == [1, 2] else 503), {"error": {"message": "no"}}

    server = playing(play)
    with Served(server.api, OURS) as sampler, pytest.raises(BenchmarkError, match="refuses: 400 no"):
        sampler.score(NOWHERE, [Tokens((1,), (2,)), Tokens((1,), (3,)), Tokens((1,), (4,))])


def test_the_version_that_answers_is_reported(playing: Callable[[Play], Server]) -> None:
    server = playing(lambda path, body: (200, said("text", model="v2")))
    request = [Request(problem_id="p", messages=Tokens((1,)))]
    foreign = Card(name="gpt", id="gpt at x", pinned=False, max_length=None)
    for card, wanted in ((OURS, "v2"), (foreign, "gpt at x")):
        with Served(server.api, card) as sampler:
            (found,) = sampler.sample(NOWHERE, request, Sampling())
        assert found.model_id == wanted


def test_a_server_of_ours_is_asked_by_version(playing: Callable[[Play], Server]) -> None:
    ours = cards({"id": "champion", "root": "v1"}, {"id": "v1", "root": "v1"})
    assert find(playing(lambda path, body: (200, ours)).api, "champion") == OURS
    # vLLM's own server gives the path of the model as its root.
    other = playing(
        lambda path, body: (200, cards({"id": "llama", "root": "/models/x", "max_model_len": 512}))
    )
    found = find(other.api, "llama")
    assert found == Card(name="llama", id=f"llama at {other.api.url}", pinned=False, max_length=512)
    with pytest.raises(BenchmarkError, match="serves no model 'champion'; it has llama"):
        find(other.api, "champion")
    for rude in ({"data": 5}, {"data": {"id": "champion"}}, cards("champion", {"id": ["champion"]})):
        server = playing(lambda path, body, rude=rude: (200, rude))
        with pytest.raises(BenchmarkError, match="serves no model 'champion'"):
            find(server.api, "champion")


def test_addresses_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("ftp://x/v1", "127.0.0.1:8000", "http://[::1"):
        with pytest.raises(BenchmarkError, match="--url .* cannot be used"):
            find(Api(url), "champion")
    monkeypatch.delenv("SOME_KEY", raising=False)
    assert key_of("") == ""
    with pytest.raises(BenchmarkError, match="--key-env names .*, but SOME_KEY is not set"):
        key_of("SOME_KEY")
    monkeypatch.setenv("SOME_KEY", " rk-1\n")
    assert key_of("SOME_KEY") == "rk-1"
    monkeypatch.setenv("SOME_KEY", "rk-1\nx: y")
    with pytest.raises(BenchmarkError, match="SOME_KEY holds what cannot be a key"):
        key_of("SOME_KEY")


ELSEWHERE = Api("http://192.0.2.1/v1", "secret")
"""An address of documentation, which only a proxy reaches."""


@pytest.fixture
def proxied(playing: Callable[[Play], Server], monkeypatch: pytest.MonkeyPatch) -> Callable[[Play], str]:
    """Puts a proxy of the test's own between this process and all other machines."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def start(play: Play) -> str:
        address = playing(play).api.url.removesuffix("/v1")
        monkeypatch.setenv("http_proxy", address.replace("//", "//me:hidden@"))
        return address

    return start


def test_the_refusal_of_a_proxy_is_not_one_of_the_key(proxied: Callable[[Play], str]) -> None:
    proxy = proxied(lambda path, body: (403, b"<html>Forbidden by the proxy"))
    with pytest.raises(BenchmarkError) as caught:
        find(ELSEWHERE, "champion")
    who = f"http://192.0.2.1/v1, or the proxy {proxy} on the way to it,"
    assert str(caught.value) == f"{who} refuses: 403 <html>Forbidden by the proxy"


def test_a_dead_proxy_is_named(proxied: Callable[[Play], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:hidden@127.0.0.1:1")
    with pytest.raises(
        NotAnswered, match="or the proxy http://127.0.0.1:1 on the way to it, does not answer: "
    ):
        find(ELSEWHERE, "champion")


def test_a_tunnel_that_a_proxy_refuses_is_asked_for_once(
    proxied: Callable[[Play], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "_PATIENCE", 3_600)
    proxy = proxied(lambda path, body: (200, {}))  # it knows no CONNECT, which is a refusal
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(BenchmarkError, match=f"the proxy {proxy} on .* cannot be asked: ProxyError: 501"):
        find(Api("https://192.0.2.1/v1"), "champion")


@pytest.mark.parametrize(
    ("number", "raised"), [(socket.EAI_NONAME, BenchmarkError), (socket.EAI_AGAIN, NotAnswered)]
)
def test_a_host_that_does_not_exist_is_asked_once(
    number: int, raised: type[Exception], proxied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def lookup(*_: Any, **__: Any) -> None:
        tries.append(number)
        raise socket.gaierror(number, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(raised, match="http://no-such-host/v1 .*: ConnectError: .*Name or service not known"):
        find(Api("http://no-such-host/v1"), "champion")
    assert (len(tries) == 1) == (raised is BenchmarkError)

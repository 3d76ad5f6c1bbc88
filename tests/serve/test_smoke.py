"""The smoke question finds the server at whatever address it listens on, and never through a proxy."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from configs.serving import Serving
from serve.candidate import NotNow, Unservable
from serve.smoke import ask

TOKENS = {"choices": [{"logprobs": {"content": [{"logprob": -0.5}]}}]}
ASKED: list[dict[str, Any]] = []
"""What was asked in a test."""


class Answering(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        ASKED.append(asked)
        self.send_response(200)
        self.send_header("x-ratchet-model", asked["model"])
        self.end_headers()
        self.wfile.write(json.dumps(TOKENS).encode())

    def log_message(self, *_: object) -> None:
        pass


class OnIPv6(http.server.HTTPServer):
    address_family = socket.AF_INET6


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[http.server.HTTPServer]:
    kind = OnIPv6 if ":" in request.param else http.server.HTTPServer
    try:
        made = kind((request.param, 0), Answering)
    except OSError:
        pytest.skip("this machine has no IPv6")
    ASKED.clear()
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_server_is_asked_at_its_address_or_over_loopback(
    server: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    host = str(server.server_address[0])
    for each in (host, {"127.0.0.1": "0.0.0.0", "::1": "::"}[host]):
        ask(Serving(line="a/b", host=each, port=server.server_port).own_url, "key", "m1")
    assert [asked["model"] for asked in ASKED] == ["m1", "m1"]


def test_an_answer_of_another_version_is_refused(
    server: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answering, "send_header", lambda self, name, _: None)
    host = str(server.server_address[0])
    with pytest.raises(Unservable, match="the smoke question was answered by None"):
        ask(Serving(line="a/b", host=host, port=server.server_port).own_url, "key", "m1")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{",
    ],
)
def test_an_answer_that_was_cut_is_asked_for_again_later(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            client, _ = listening.accept()
            client.recv(65_536)
            client.sendall(said)
            client.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(NotNow, match="was not answered"):
            ask(f"http://127.0.0.1:{listening.getsockname()[1]}", "key", "m1")

"""The smoke question finds the server at whatever address it listens on, and never through a proxy."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from serve.candidate import Unservable
from serve.smoke import ask

TOKENS = {"choices": [{"logprobs": {"content": [{"logprob": -0.5}]}}]}


class Answering(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
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
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_server_is_asked_at_its_address_or_over_loopback(
    server: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    host = str(server.server_address[0])
    for each in (host, {"127.0.0.1": "0.0.0.0", "::1": "::"}[host]):
        ask(each, server.server_port, "key", "m1")


def test_an_answer_of_another_version_is_refused(
    server: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answering, "send_header", lambda self, name, _: None)
    with pytest.raises(Unservable, match="the smoke question was answered by None"):
        ask(str(server.server_address[0]), server.server_port, "key", "m1")

"""Requests that no client means: what schemathesis makes of the OpenAPI document, mutated ones, raw bytes."""

import json
import random
import re
import socket
import subprocess
import sys
from collections import Counter

import httpx

from tests.support.server_process import Server

SECONDS = 30
"""An answer, of whatever kind, must be there by then."""


def by_schema(server: Server, examples: int) -> int:
    """How many requests schemathesis made; `examples` for each route. Raises AssertionError for a 5xx."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {server.admin}", "--checks", "not_a_server_error"]
    command += [
        "--max-examples",
        str(examples),
        "--request-timeout",
        str(SECONDS),
        "--seed",
        "0",
        "--no-color",
    ]
    command += ["--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=server.home)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) generated", done.stdout)
    assert found, done.stdout[-3000:]
    return int(found[1])


def mutated(server: Server, num: int, rng: random.Random) -> Counter[int]:
    """Statuses of good requests with some of their bytes changed."""
    chat = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4, "stream": True}
    good = [json.dumps(chat).encode(), json.dumps({"prompt": "Max is", "max_tokens": 4, "n": 2}).encode()]
    paths = [
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/models/%00",
        "/v1/models/a/b",
        "/admin/reports/..",
    ]
    statuses: Counter[int] = Counter()
    with httpx.Client(timeout=SECONDS, headers={"authorization": f"Bearer {server.admin}"}) as client:
        for _ in range(num):
            method, path = rng.choice(["POST", "POST", "POST", "GET", "PUT"]), rng.choice(paths)
            reply = client.request(method, server.url + path, content=_mutated(rng.choice(good), rng))
            _check(reply.text)
            statuses[reply.status_code] += 1
    return statuses


def raw(server: Server, num: int, rng: random.Random) -> Counter[int]:
    """Statuses of what is hardly HTTP, sent through a socket; 0 where the connection was only closed."""
    body = b'{"prompt":"Max","max_tokens":2}'
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.admin}\r\n".encode()
    good = [
        head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
        head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n",
    ]
    host, port = server.url.removeprefix("http://").split(":")
    statuses: Counter[int] = Counter()
    for _ in range(num):
        with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
            connection.sendall(_mutated(rng.choice(good), rng))
            # It may wait for more of a body: it learns that nothing comes.
            connection.shutdown(socket.SHUT_WR)
            reply = b""
            try:
                while part := connection.recv(65536):
                    reply += part
            except ConnectionResetError:
                pass
        _check(reply.decode(errors="replace"))
        found = re.match(rb"HTTP/1\.[01] (\d{3})", reply)
        statuses[int(found[1]) if found else 0] += 1
    return statuses


def _mutated(good: bytes, rng: random.Random) -> bytes:
    made = bytearray(good)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(made))
        made[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 4))
    return bytes(made)


def _check(text: str) -> None:
    assert "Traceback" not in text and 'File "' not in text, text

"""Requests that no client means: what schemathesis makes of the OpenAPI document, mutated ones, raw bytes."""

import json
import random
import re
import socket
import subprocess
import sys
from collections import Counter
from typing import Any

import httpx

from tests.support.server_process import Server

SECONDS = 30
"""An answer, of whatever kind, must be there by then."""


def by_schema(server: Server, examples: int, *, covers: bool) -> int:
    """How many requests schemathesis made; `examples` for each route. Raises AssertionError for a 5xx.

    With `covers` every value at a bound of the schema is among them, which takes more than a thousand.
    """
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
    phases = "examples,coverage,fuzzing" if covers else "examples,fuzzing"
    command += ["--phases", phases, "--suppress-health-check", "all"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=server.home)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) generated", done.stdout)
    assert found, done.stdout[-3000:]
    return int(found[1])


def mutated(server: Server, num: int, rng: random.Random) -> Counter[int]:
    """Statuses of good requests with some of their bytes changed."""
    chat = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4, "stream": True}
    good = [json.dumps(chat).encode(), json.dumps({"prompt": "Max is", "max_tokens": 4, "n": 2}).encode()]
    items = [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]
    good.append(json.dumps({"input": items, "max_output_tokens": 4, "stream": True}).encode())
    paths = [
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/responses",
        "/tokenize",
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


def structures(server: Server) -> Counter[int]:
    """Statuses of chats whose structures are made to take a compiler all its time and memory.

    Those that are refused are refused at once, and the others are answered within `SECONDS`.
    """
    text = {"type": "string"}
    nested: dict[str, Any] = text
    for _ in range(10):
        nested = {"type": "object", "properties": {"a": nested}, "required": ["a"]}
    refs = [{"$ref": f"#/$defs/d{number}"} for number in range(20)]
    schemas: list[Any] = [
        nested,
        {"enum": [f"value {number}" * 2 for number in range(900)]},
        {"enum": list(range(5000))},
        {"properties": {f"p{number}": text for number in range(200)}},
        {"properties": {f"p{number}": text for number in range(2000)}},
        {"type": "string", "maxLength": 10**9},
        {"properties": {f"p{number}": {"type": "string", "maxLength": 900 + number} for number in range(99)}},
        {"type": "array", "minItems": 10**6, "items": {"type": "array", "minItems": 10**6, "items": text}},
        {"type": "array", "items": {"anyOf": [{"type": "array", "items": {"anyOf": [text] * 30}}] * 30}},
        {"$defs": {f"d{number}": {"anyOf": [text, *refs]} for number in range(20)}, "$ref": "#/$defs/d0"},
        {"$defs": {"n": {"$ref": "#/$defs/n"}}, "$ref": "#/$defs/n"},
        {"$ref": "#/nowhere"},
        {"const": "x" * 30_000},
        {"const": "x" * 300_000},
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        {"type": "number", "minimum": 1e-300, "maximum": 1e300},
        {"type": "string", "pattern": "(a{1,10000}){10000}"},
        {"type": "string", "pattern": "^((a{0,9}){0,9}){0,9}$"},
        {"type": "string", "pattern": "(["},
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"enum": []},
        {"type": "nothing"},
        {"properties": 5, "required": "a", "items": 7},
    ]
    patterns = ["(a|a)*(a|a)*(a|a)*b", "((a+)+)+b", "(.*)(.*)(.*)(.*)x", "(.*a){50}", "[", "(?=a)b", "\\1"]
    asked: list[dict[str, Any]] = [{"json": schema} for schema in schemas]
    asked += [{"regex": pattern} for pattern in patterns]
    asked += [{"choice": [f"word {number}" for number in range(900)]}, {"choice": ["a\nb", '"', "\x07"]}]
    asked += [{"grammar": 'root ::= root "a"'}, {"json": "{"}]
    chat = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4}
    statuses: Counter[int] = Counter()
    with httpx.Client(timeout=SECONDS, headers={"authorization": f"Bearer {server.admin}"}) as client:
        for structured in asked:
            reply = client.post(
                f"{server.url}/v1/chat/completions", json={**chat, "structured_outputs": structured}
            )
            _check(reply.text)
            statuses[reply.status_code] += 1
    return statuses


def _mutated(good: bytes, rng: random.Random) -> bytes:
    made = bytearray(good)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(made))
        made[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 4))
    return bytes(made)


def _check(text: str) -> None:
    assert "Traceback" not in text and 'File "' not in text, text

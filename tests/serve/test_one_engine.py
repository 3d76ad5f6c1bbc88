"""A single engine: it reloads while requests wait, and the server ends when they have ended."""

import json
import os
import signal
import threading
import time
from collections import Counter
from typing import Any

import httpx
import openai
import pytest

from tests.support.server_process import Server, call, promote

pytestmark = pytest.mark.engine
CHAT: list[Any] = [{"role": "user", "content": "Max is a wumpus."}]


def test_one_engine_reloads_while_requests_wait_and_ends_when_they_have_ended(
    asked: Server, asked_ids: list[str]
) -> None:
    server, (first, second) = asked, asked_ids
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, timeout=60)
    over, answered = threading.Event(), Counter[str]()

    def load() -> None:
        while not over.is_set():
            answer = client.chat.completions.create(model="champion", messages=CHAT, max_tokens=8)
            answered[answer.model] += 1

    thread = threading.Thread(target=load)
    thread.start()
    promote(server.home, second)
    server.await_champion(second)
    time.sleep(1)
    over.set()
    thread.join()
    assert answered[first] and answered[second]
    assert not server.state()["slots"]["holding"]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="previous", messages=CHAT)

    body = {"prompt": "Max is", "max_tokens": 400, "stream": True, "temperature": 0}
    headers = {"authorization": f"Bearer {server.key}"}
    with httpx.stream(
        "POST", f"{server.url}/v1/completions", json=body, headers=headers, timeout=60
    ) as reply:
        parts = reply.iter_lines()
        next(parts)
        os.killpg(server.process.pid, signal.SIGTERM)  # as `timeout` and supervisors send it
        deadline = time.monotonic() + 10
        late = json.dumps({"prompt": "Max is", "max_tokens": 1}).encode()
        while (status := call(server, "/v1/completions", "POST", server.key, late)[0]) == 200:
            assert time.monotonic() < deadline
        assert status == 503
        lines = [line for line in parts if line]
    assert lines[-1] == "data: [DONE]"
    assert server.process.wait(60) == 0

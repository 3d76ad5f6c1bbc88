"""A running server, more clients: the Responses API, tokens, embeddings, lm-eval, vLLM's bench, bursts."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from pydantic import BaseModel
from transformers import AutoTokenizer

from engine.registry.registry import Registry
from tests.support.benchmarks import TASKS
from tests.support.cli import ROOT
from tests.support.server_process import Server, call

pytestmark = pytest.mark.engine


@pytest.fixture
def server(asked: Server) -> Server:
    return asked


@pytest.fixture
def model(asked: Server, asked_ids: list[str]) -> Path:
    return Registry(asked.home).path(asked_ids[0])


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, timeout=60)


ASKED: dict[str, Any] = {"model": "champion", "input": "Max is a wumpus.", "temperature": 0}


def test_a_response_says_what_a_chat_says(client: openai.OpenAI, model: Path) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": ASKED["input"]},
    ]
    chat = client.chat.completions.create(
        model="champion", messages=messages, max_tokens=12, temperature=0, logprobs=True
    )
    response = client.responses.create(
        **ASKED, instructions="Be brief.", max_output_tokens=12, include=["message.output_text.logprobs"]
    )
    assert response.output_text == chat.choices[0].message.content
    assert response.model == chat.model == model.name
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.usage.output_tokens == 12 and response.usage.input_tokens == chat.usage.prompt_tokens
    tokens = response.output[0].content[0].logprobs
    assert [round(each.logprob, 3) for each in tokens] == [
        round(each.logprob, 3) for each in chat.choices[0].logprobs.content
    ]


def test_a_response_is_streamed_and_its_output_can_be_sent_back(client: openai.OpenAI) -> None:
    with client.responses.stream(**ASKED, max_output_tokens=12) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
    events = list(client.responses.create(**ASKED, max_output_tokens=12, stream=True))
    last = events[-1]
    assert last.type == "response.incomplete" and events[0].type == "response.created"
    assert "".join(deltas) == last.response.output_text and len(deltas) > 1
    assert last.response.usage.output_tokens == 12
    history: list[Any] = [{"role": "user", "content": ASKED["input"]}]
    history += [item.model_dump() for item in last.response.output]
    history.append({"role": "user", "content": "And?"})
    again = client.responses.create(model="champion", input=history, max_output_tokens=4, store=False)
    assert again.usage.input_tokens > last.response.usage.input_tokens + 12


def test_the_asynchronous_client_gets_responses(server: Server) -> None:
    async def both() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key=server.key, max_retries=0
        ) as client:
            whole = await client.responses.create(**ASKED, max_output_tokens=6)
            stream = await client.responses.create(**ASKED, max_output_tokens=6, stream=True)
            return [whole.output_text, [event async for event in stream][-1].response.output_text]

    first, second = asyncio.run(both())
    assert first == second


class Point(BaseModel):
    x: bool
    y: bool


PARAMETERS = {"type": "object", "properties": {"at": {"type": "boolean"}}, "required": ["at"]}
TOOL: Any = {"type": "function", "name": "look", "parameters": PARAMETERS | {"additionalProperties": False}}


def test_a_response_fits_a_schema_and_calls_tools_whose_output_can_be_sent_back(
    client: openai.OpenAI,
) -> None:
    parsed = client.responses.parse(**ASKED, text_format=Point, max_output_tokens=60)
    assert parsed.status == "completed" and isinstance(parsed.output_parsed, Point)
    asked: dict[str, Any] = {**ASKED, "tools": [TOOL], "max_output_tokens": 60}
    whole = client.responses.create(**asked, tool_choice="required").output
    assert whole and {(item.type, item.name) for item in whole} == {("function_call", "look")}
    assert all(set(json.loads(item.arguments)) == {"at"} for item in whole)
    named = {"type": "function", "name": "look"}
    events = list(client.responses.create(**asked, tool_choice=named, stream=True))
    deltas = [each.delta for each in events if each.type == "response.function_call_arguments.delta"]
    (item,) = events[-1].response.output
    assert "".join(deltas) == item.arguments and set(json.loads(item.arguments)) == {"at"}
    history: list[Any] = [{"role": "user", "content": "Look."}, item.model_dump(exclude_none=True)]
    history.append({"type": "function_call_output", "call_id": item.call_id, "output": "a cat"})
    again = client.responses.create(
        model="champion", input=history, tools=[TOOL], tool_choice="none", max_output_tokens=4
    )
    assert [each.type for each in again.output] == ["message"]


def test_what_only_a_store_could_give_is_refused_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="previous_response_id is not served here, because"):
        client.responses.create(**ASKED, previous_response_id="resp_1")
    with pytest.raises(openai.BadRequestError, match="tools.0: a tool of type 'web_search' is not served"):
        client.responses.create(**ASKED, tools=[{"type": "web_search"}])
    with pytest.raises(openai.NotFoundError, match="model 'gpt-9' is not served"):
        client.responses.create(**{**ASKED, "model": "gpt-9"})
    with pytest.raises(openai.NotFoundError, match="/v1/responses/resp_1"):
        client.responses.retrieve("resp_1")


def posted(server: Server, path: str, **body: Any) -> tuple[int, Any]:
    status, text = call(server, path, "POST", server.key, json.dumps(body).encode())
    return status, json.loads(text)


def test_tokens_are_those_of_the_model(server: Server, model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    text = "Max is a wumpus: ü."
    ids = tokenizer(text)["input_ids"]
    status, found = posted(server, "/tokenize", model="champion", prompt=text, return_token_strs=True)
    assert status == 200, found
    assert (found["tokens"], found["count"], found["max_model_len"]) == (ids, len(ids), 1024)
    assert found["token_strs"] == tokenizer.convert_ids_to_tokens(ids)
    assert posted(server, "/detokenize", tokens=ids) == (200, {"prompt": text})
    chat = [{"role": "user", "content": text}]
    for ends in (True, False):
        whole = tokenizer.apply_chat_template(chat, add_generation_prompt=ends, tokenize=False)
        ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        found = posted(server, "/tokenize", model=model.name, messages=chat, add_generation_prompt=ends)[1]
        assert found["tokens"] == ids
    begun = [*chat, {"role": "assistant", "content": "He"}]
    found = posted(server, "/tokenize", messages=begun, continue_final_message=True)[1]
    assert found["tokens"][-1] == tokenizer("He")["input_ids"][0]
    for path, body in (
        ("/tokenize", {"prompt": "a", "messages": chat}),
        ("/tokenize", {"prompt": "a", "best_of": 2}),
        ("/tokenize", {"messages": chat, "tools": [{"type": "function"}]}),
        ("/detokenize", {"tokens": [2**31]}),
        ("/detokenize", {"tokens": "a"}),
    ):
        status, found = posted(server, path, **body)
        assert status == 400 and found["error"]["type"] == "invalid_request_error", (path, body)
    status, found = posted(server, "/detokenize", tokens=[2**31 - 1])
    assert status in (200, 400), found


def test_embeddings_come_as_the_client_asks_for_them(client: openai.OpenAI) -> None:
    name = "all-MiniLM-L6-v2"
    texts = ["a cat", "a kitten", "the stock market"]
    # The client asks for base64 by itself, and reads it.
    packed = client.embeddings.create(model=name, input=texts)
    plain = client.embeddings.create(model=name, input=texts, encoding_format="float", dimensions=384)
    vectors = np.array([each.embedding for each in packed.data])
    assert np.allclose(vectors, [each.embedding for each in plain.data], atol=1e-5)
    assert vectors.shape == (3, 384) and vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert packed.usage.prompt_tokens == 13 and packed.model == name
    assert name in [each.id for each in client.models.list()]
    with pytest.raises(openai.BadRequestError, match="input has 602 tokens, but all-MiniLM-L6-v2 reads at"):
        client.embeddings.create(model=name, input="word " * 600)


def evaluated(model: str, arguments: dict[str, Any], *tasks: str, chat: bool = False) -> dict[str, Any]:
    """What lm-evaluation-harness finds, by task: its figures, and what the model said of each record."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(TASKS / "tasks"), include_defaults=False)
    found = simple_evaluate(
        model=model,
        model_args=arguments,
        tasks=list(tasks),
        task_manager=manager,
        apply_chat_template=chat,
        gen_kwargs={"max_gen_toks": 12},
        bootstrap_iters=0,
        log_samples=True,
        limit=8,
    )
    assert found
    return {
        task: (
            {name: value for name, value in found["results"][task].items() if isinstance(value, float)},
            [sample["resps"] for sample in found["samples"][task]],
        )
        for task in tasks
    }


def close(first: Any, second: Any) -> bool:
    """Whether two results are the same, except for the last digits of numbers."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(close(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(close, first, second))
    return abs(first - second) < 1e-3 * max(1, abs(first)) if isinstance(first, float) else first == second


def test_lm_evaluation_harness_finds_what_it_finds_in_the_model_itself(
    server: Server, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lm_eval", "tenacity"):
        pytest.importorskip(name)
    monkeypatch.chdir(TASKS)
    monkeypatch.setenv("OPENAI_API_KEY", server.key)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    itself = {"pretrained": str(model), "dtype": "float32", "device": "cpu", "max_length": 512}
    served = {"model": "champion", "tokenizer": str(model), "max_length": 512}
    completions = {**served, "base_url": f"{server.url}/v1/completions", "tokenizer_backend": "huggingface"}
    tasks = ("sums_mc", "sums_ppl")
    expected = evaluated("hf", itself, *tasks)
    for more in ({}, {"num_concurrent": 3, "batch_size": 4}):
        assert close(evaluated("local-completions", {**completions, **more}, *tasks), expected)
    assert close(evaluated("local-completions", completions, "sums_gen"), evaluated("hf", itself, "sums_gen"))
    url = f"{server.url}/v1/chat/completions"
    chats = {"model": "champion", "base_url": url, "eos_string": "<|im_end|>"}
    assert close(
        evaluated("local-chat-completions", chats, "sums_gen", chat=True),
        evaluated("hf", itself, "sums_gen", chat=True),
    )


BENCH = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser

add_cli_args(parser := FlexibleArgumentParser())
main(parser.parse_args())
"""
"""What `vllm bench serve` runs; the command looks for a package named vllm, which the CPU build is not."""


def test_vllm_bench_serve_measures_the_server(server: Server, model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BENCH, "--base-url", server.url, "--model", "champion"]
    command += ["--tokenizer", str(model), "--dataset-name", "random", "--random-input-len", "16"]
    command += ["--random-output-len", "8", "--num-prompts", "4", "--ready-check-timeout-sec", "0"]
    command += ["--save-result", "--save-detailed", "--result-dir", str(tmp_path)]
    command += ["--result-filename", "found.json"]
    environment = {**os.environ, "OPENAI_API_KEY": server.key, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["completed"], found["total_output_tokens"]) == (4, 32), found["errors"]


async def _raw(server: Server, body: bytes, pause: float) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the reply to a chat that is sent over a connection of its own."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {server.key}\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode())
    await asyncio.sleep(pause)
    writer.write(body)
    await writer.drain()
    reply = await reader.read()
    writer.close()
    first, content = reply.split(b"\r\n\r\n", 1)
    status, *lines = first.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(status.split()[1]), headers, content


@pytest.mark.parametrize(("num", "length", "pause"), [(64, 1, 0.0), (120, 1, 0.0), (64, 50_000, 0.2)])
def test_a_burst_gets_answers_or_429_and_no_connection_is_reset(
    server: Server, num: int, length: int, pause: float
) -> None:
    # Some wait with their body: they may be refused before it has arrived.
    chat = {"messages": [{"role": "user", "content": "x" * length}], "max_tokens": 40, "temperature": 0}

    async def burst() -> list[tuple[int, dict[str, str], bytes]]:
        body = json.dumps(chat).encode()
        return await asyncio.gather(*(_raw(server, body, pause * (n % 2)) for n in range(num)))

    found = asyncio.run(burst())
    statuses = Counter(status for status, *_ in found)
    answer = 200 if length == 1 else 400  # longer than the context
    assert set(statuses) <= {answer, 429} and statuses[answer] >= 8, statuses
    assert num < 100 or statuses[429] > 50, "a flood is more than the gateway itself refuses"
    for status, headers, content in found:
        assert headers["content-type"] == "application/json", (status, content)
        if status == 429:
            error = json.loads(content)["error"]
            assert int(headers["retry-after"]) >= 1 and error["code"] == "queue_full"
            assert set(error) == {"message", "type", "param", "code"}

"""GGUF files made without a model, the tiny model as one, and llama.cpp played by a small server."""

import json
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

from engine.disk.home import ratchet_home
from engine.export.converter import convert
from engine.export.runtime import Llama, Order

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def write_gguf(
    path: Path,
    tensors: Mapping[str, Sequence[int]],
    *,
    layers: int = 4,
    context: int = 512,
    spoilt: str = "",
) -> Path:
    """A file with random weights in bfloat16, of shapes as numpy has them; one tensor may be `spoilt`."""
    writer = GGUFWriter(path, "llama")
    for key, number in (("block_count", layers), ("context_length", context), ("embedding_length", 256)):
        writer.add_uint32(f"llama.{key}", number)
    writer.add_uint32("llama.attention.head_count", 4)
    writer.add_uint32("llama.attention.head_count_kv", 2)
    writer.add_string("tokenizer.chat_template", TEMPLATE)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ü"])
    writer.add_array("tokenizer.ggml.token_type", [1, 1, 3])
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    rng = np.random.default_rng(0)
    for name, shape in tensors.items():
        numbers = rng.normal(0, 0.02, shape).astype(np.float32)
        if name == spoilt:
            numbers.flat[0] = np.inf
        if len(shape) == 1:
            writer.add_tensor(name, numbers)
        else:
            cut = (numbers.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
            writer.add_tensor(name, cut, raw_dtype=GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tiny_gguf(model: Path, target: Path) -> Path:
    """The tiny model as a GGUF file, by the real converter."""
    convert(ratchet_home(), model, target, "tiny")
    return target


def order(file: Path, **more: Any) -> Order:
    return Order(**{"file": file, "name": "v", "num_parallel": 2, "context": 256, "threads": 1, **more})


Reply = Callable[[dict[str, Any]], str | int | None]
"""What is answered to a prompt: a text, an HTTP status as a refusal, or None to hang up."""


class PlayedLlama(Llama):
    """llama.cpp as a server in this process: each prompt is answered by `reply`, a word at a time."""

    def __init__(self, file: Path, reply: Reply, **more: Any) -> None:
        super().__init__(order(file, **more))
        self.reply, self.asked = reply, list[dict[str, Any]]()
        self.num_starts = 0
        self.may_start = threading.Event()
        """Cleared by a test that holds back the next start."""
        self.may_start.set()
        self._server: socketserver.ThreadingMixIn | None = None

    @property
    def is_alive(self) -> bool:
        return self._server is not None

    def lose(self) -> None:
        """End as by `kill -9`."""
        self._stop()

    def _launch(self) -> None:
        self.num_starts += 1
        self.may_start.wait(10)
        self._log.write_text("loaded\n")
        server = _Server(self.socket, _handler(self))
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def _end(self) -> None:
        super()._end()
        self._stop()

    def _stop(self) -> None:
        server, self._server = self._server, None
        if isinstance(server, _Server):
            server.shutdown()
            server.server_close()
            Path(self.socket).unlink(missing_ok=True)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 64


def tokens_of(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def _handler(llama: PlayedLlama) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._send({"status": "ok"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path == "/apply-template":
                turns = [f"<{turn['role']}>{turn['content']}" for turn in body["messages"]]
                self._send({"prompt": "".join(turns) + "<assistant>"})
            elif self.path == "/tokenize":
                self._send({"tokens": tokens_of(body["content"])})
            elif self.path == "/detokenize":
                if max(body["tokens"], default=0) > sys.maxunicode:
                    self._send({"error": {"code": 500, "message": "out of range"}}, 500)
                else:
                    self._send({"content": "".join(map(chr, body["tokens"]))})
            else:
                llama.asked.append(body)
                self._complete(body, llama.reply(body))

        def _complete(self, body: dict[str, Any], reply: str | int | None) -> None:
            if reply is None:
                self.close_connection = True
            elif isinstance(reply, int):
                error = {"code": reply, "message": "it was refused", "type": "exceed_context_size_error"}
                self._send({"error": error}, reply)
            elif body.get("stream"):
                self._stream(body, reply)
            else:
                probabilities = [_probability(word) for word in reply.split()] if "logprobs" in body else []
                choice = {
                    "text": reply,
                    "index": 0,
                    "logprobs": {"content": probabilities} if probabilities else None,
                    "finish_reason": "stop",
                }
                self._send({"choices": [choice], "usage": _usage(body, reply)})

        def _stream(self, body: dict[str, Any], reply: str) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for word in reply.split():
                self._event({"choices": [{"text": f"{word} ", "index": 0, "finish_reason": None}]})
            last = {"text": "", "index": 0, "finish_reason": "length"}
            self._event({"choices": [last], "usage": _usage(body, reply)})
            self.wfile.write(b"data: [DONE]\n\n")

        def _event(self, content: dict[str, Any]) -> None:
            self.wfile.write(b"data: " + json.dumps(content).encode() + b"\n\n")
            self.wfile.flush()

        def _send(self, content: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _usage(body: dict[str, Any], reply: str) -> dict[str, int]:
    return {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(reply.split())}


def _probability(word: str) -> dict[str, Any]:
    likely = [{"id": n, "token": f"{word}{n}", "bytes": [n], "logprob": -float(n)} for n in range(1, 4)]
    return {"id": 0, "token": word, "bytes": [0], "logprob": -0.5, "top_logprobs": likely}

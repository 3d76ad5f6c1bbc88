"""llama.cpp as it runs a GGUF file: a server in a process of its own, on a socket only this user can reach.

    with Llama(Order(file=path, name="m", num_parallel=4, context=2048, threads=2)) as llama:
        print(llama.post("/tokenize", {"content": "Max is a wumpus."}))

The server is llama.cpp's own, from the package `xllamacpp` (`process.py`): several answers at a time, and a
new one begins as soon as another has ended.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import httpx

from engine.export.exported import ExportError
from engine.export.gguf import Facts
from engine.sample.protocol import SamplerError
from engine.terminal import printable

BASE = "http://llama"
"""What stands for the address where the socket decides it."""
ANSWER_SECONDS = 600.0
"""How long one answer may take."""
_START_SECONDS = 600.0
"""How long a file may take to load, as from a slow disk."""
_END_SECONDS = 5.0
_LOOKS = 0.05
_LAST = 20
"""Lines of its log in which llama.cpp says why it ended; the first of them says most."""
_FAILURE = re.compile("error|failed|assert", re.IGNORECASE)
UNKEPT = httpx.Limits(max_keepalive_connections=0)
"""Every request has a connection of its own: the server may close one just when it would be used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What llama.cpp is started with."""

    file: Path
    name: str
    """By which it calls the model."""
    num_parallel: int
    """Answers that it generates at a time; further ones wait."""
    context: int
    """Longest prompt and completion together, in tokens."""
    threads: int


def within(order: Order, facts: Facts, cache_bytes: int) -> Order:
    """The order with as many answers at a time as a KV cache of `cache_bytes` holds.

    Raises ExportError where it does not hold one, and where the model was not made for so long a context.
    """
    if facts.context and order.context > facts.context:
        raise ExportError(
            f"a context of {order.context} tokens was asked for, but {order.file.name} was made for at most "
            f"{facts.context}"
        )
    if not facts.token_bytes:
        return order
    fitting = cache_bytes // (facts.token_bytes * order.context)
    if not fitting:
        raise ExportError(
            f"a KV cache of {cache_bytes / 2**30:g} GiB does not hold one answer of {order.file.name}, which "
            f"needs {facts.token_bytes * order.context / 2**30:.2g} GiB for {order.context} tokens: make it "
            "larger, or the context shorter"
        )
    return replace(order, num_parallel=min(order.num_parallel, fitting))


class Llama:
    """llama.cpp with one file. It may be started again after it has ended."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._process: subprocess.Popen[bytes] | None = None
        # In /tmp, because the path of a socket must be shorter than 108 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="ratchet-llama-", dir="/tmp"))
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def socket(self) -> str:
        """Path of the unix socket."""
        return str(self._folder / "llama.sock")

    @property
    def is_alive(self) -> bool:
        """Whether the process runs. It may still be loading."""
        process = self._process  # another thread may start it again meanwhile
        return process is not None and process.poll() is None

    def start(self) -> None:
        """Start the process and wait until it can answer. Raises SamplerError with llama.cpp's own reason."""
        self._end()
        # The socket of a process that was killed would be in the way.
        Path(self.socket).unlink(missing_ok=True)
        self._launch()
        transport = httpx.HTTPTransport(uds=self.socket, limits=UNKEPT)
        self._client = httpx.Client(transport=transport, base_url=BASE, timeout=ANSWER_SECONDS)
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if not self.is_alive:
                raise SamplerError(f"llama.cpp could not load {self.order.file.name}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise SamplerError(
                    f"llama.cpp did not load {self.order.file.name} within {_START_SECONDS:g} s"
                )
            time.sleep(_LOOKS)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask an endpoint and return its JSON.

        Raises SamplerError where it refuses, naming the reason, and where llama.cpp has ended.
        """
        assert self._client, "it was started"
        try:
            reply = self._client.post(path, json=body)
            content: dict[str, Any] = reply.json()
        except (httpx.HTTPError, ValueError) as error:
            is_late = isinstance(error, httpx.TimeoutException)
            why = f"within {ANSWER_SECONDS:g} s" if is_late else f"({type(error).__name__})"
            ended = "" if self.is_alive else f": {self.last_words()}"
            raise SamplerError(f"llama.cpp did not answer {why}{ended}") from None
        if reply.status_code != 200:
            message = content.get("error", {}).get("message", f"status {reply.status_code}")
            raise SamplerError(f"llama.cpp refused a request: {printable(str(message))}")
        return content

    def last_words(self) -> str:
        """What llama.cpp wrote at the end: the line that speaks of an error, or the last one."""
        lines: list[str] = []
        with suppress(OSError):  # it was closed meanwhile
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        lines = [printable(line.strip()) for line in lines if line.strip()][-_LAST:] or ["it said nothing"]
        return next((line for line in lines if _FAILURE.search(line)), lines[-1])

    def close(self) -> None:
        """End the process and remove what it left."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _launch(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.export.process"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the process that asks, which lets running answers finish.
                start_new_session=True,
            )
        assert self._process.stdin
        order = {key: getattr(self.order, key) for key in ("name", "num_parallel", "context", "threads")}
        line = json.dumps({**order, "file": str(self.order.file.resolve()), "socket": self.socket})
        with suppress(BrokenPipeError):  # its log then says why
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _is_ready(self) -> bool:
        client = self._client
        try:
            return client is not None and client.get("/health").status_code == 200
        except httpx.HTTPError:
            return False

    def _end(self) -> None:
        if self._client:
            self._client.close()
            self._client = None
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

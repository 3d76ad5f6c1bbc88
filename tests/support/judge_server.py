"""A judge by script behind a real HTTP server: what it prefers, how it is biased, and how it misbehaves."""

import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from configs.judging import Judge as Settings
from engine.judge.endpoint import Endpoint
from engine.judge.pairwise import Choice, Contest, PairwiseJudge, Preference

_TEXTS = re.compile(r"<(text-[0-9a-f]{12})>\n(.*?)\n</\1>", re.DOTALL)
MARKS = {Choice.FIRST: "[[1]]", Choice.SECOND: "[[2]]", Choice.TIE: "[[tie]]", Choice.NONE: "Well."}

Prefers = Callable[[str, str, str], Choice]
"""What a judge says of (asked, first, second)."""


def better_by_number(asked: str, first: str, second: str) -> Choice:
    """A judge without a fault: the reply with the larger number in it is better."""
    one, other = (float(re.findall(r"-?\d+(?:\.\d+)?", text)[0]) for text in (first, second))
    return Choice.TIE if one == other else Choice.FIRST if one > other else Choice.SECOND


def biased(prefers: Prefers, *, first: float = 0.0, longer: float = 0.0, seed: int = 0) -> Prefers:
    """A judge that looks at nothing but the place, or the length, with these chances.

    What it says of a prompt follows from its texts, so that requests may come in any order.
    """

    def says(asked: str, one: str, other: str) -> Choice:
        digest = hashlib.sha256(f"{seed}\0{asked}\0{one}\0{other}".encode()).hexdigest()
        chance = Random(digest).random()
        if chance < first:
            return Choice.FIRST
        if chance < first + longer and len(one) != len(other):
            return Choice.FIRST if len(one) > len(other) else Choice.SECOND
        return prefers(asked, one, other)

    return says


def mistaken(prefers: Prefers, error: float, seed: int = 0) -> Prefers:
    """A judge that says the opposite with this chance, alike in both orders."""
    opposite = {Choice.FIRST: Choice.SECOND, Choice.SECOND: Choice.FIRST}

    def says(asked: str, one: str, other: str) -> Choice:
        said = prefers(asked, one, other)
        digest = hashlib.sha256("\0".join([str(seed), asked, *sorted((one, other))]).encode()).hexdigest()
        return opposite.get(said, said) if Random(digest).random() < error else said

    return says


def choice_on(prefers: Prefers, prompt: str) -> Choice:
    """What a judge says of a prompt; of one that is about no two replies, that they are alike."""
    texts = [text for _, text in _TEXTS.findall(prompt)]
    return prefers(*texts) if len(texts) == 3 else Choice.TIE


class JudgeServer(ThreadingHTTPServer):
    """Speaks as much of `/v1/chat/completions` as a judge needs."""

    daemon_threads = True
    request_queue_size = 128  # beyond it a connection is tried again after a second

    def __init__(self, prefers: Prefers = better_by_number) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.prefers = prefers
        self.model = "judge-1"
        self.says = "Reply {choice}.\n\n{mark}"
        """The reply; `mark` is the verdict."""
        self.replies: Callable[[str], str] | None = None
        """What is replied to a prompt, in place of that."""
        self.finish = "stop"
        self.usage: dict[str, int] | None = {"prompt_tokens": 100, "completion_tokens": 10}
        self.troubles: list[tuple[int, bytes, dict[str, str]]] = []
        """Status, body and headers of what is answered first, once each."""
        self.trouble: tuple[int, bytes, dict[str, str]] | None = None
        """What is answered always."""
        self.hangs_up = False
        """Whether the connection is closed in place of an answer."""
        self.drips: float | None = None
        """Seconds between the bytes of an answer, where they come one by one."""
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.gate: threading.Event | None = None
        """Where there is one, no request is answered before it is set: by a test, or by `opens_at`."""
        self.opens_at = 0
        """The requests at once that open the gate; 0 where none do."""

    def handle_error(self, *_: Any) -> None:
        """A client that has gone is no error of this server, and its traceback would stand in every log."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*_)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def settings(self, **changes: Any) -> Settings:
        """Settings of a judge that asks this server."""
        return Settings.model_validate({"url": self.url, "model": "judge", **changes})

    @contextmanager
    def judge(self, kept: Path, *, own: Sequence[str] = (), **changes: Any) -> Iterator[PairwiseJudge]:
        """A judge that asks this server, and does not wait long for it."""
        settings = self.settings(**changes)
        with Endpoint(settings, kept, first_wait=0.001) as endpoint:
            yield PairwiseJudge(settings, endpoint, own=own)


class _Handler(BaseHTTPRequestHandler):
    server: JudgeServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms between its headers and its body

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            server.requests.append(body)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            trouble = server.troubles.pop(0) if server.troubles else server.trouble
            if server.gate and server.at_once == server.opens_at:
                server.gate.set()
        if server.gate:
            server.gate.wait(30)
        with server.lock:
            server.at_once -= 1
        if server.hangs_up:
            self.close_connection = True
            return
        if self.path != "/v1/chat/completions":
            trouble = (404, b'{"error": {"message": "no such path"}}', {})
        status, content, headers = trouble or (200, json.dumps(self._answer(body)).encode(), {})
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if server.drips is None:
            self.wfile.write(content)
            return
        for place in range(len(content)):
            self.wfile.write(content[place : place + 1])
            time.sleep(server.drips)

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        server = self.server
        asked = body["messages"][-1]["content"]
        choice = choice_on(server.prefers, asked)
        said = server.says.format(choice=choice.value, mark=MARKS[choice], asked=asked)
        if server.replies:
            said = server.replies(asked)
        message = {"role": "assistant", "content": said}
        answer = {"choices": [{"message": message, "finish_reason": server.finish}], "model": server.model}
        return {**answer, **({"usage": server.usage} if server.usage else {})}

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(prefers: Prefers = better_by_number) -> Iterator[JudgeServer]:
    """Run a judge's server until the context ends."""
    server = JudgeServer(prefers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def preference(
    old_first: Choice, new_first: Choice, lengths: tuple[int, int] = (10, 10), id: str = "q", story: str = ""
) -> Preference:
    """A preference as a judge would have given it."""
    return Preference(
        id=id,
        story=story,
        choices=(old_first, new_first),
        replies=("", ""),
        lengths=lengths,
        models=("judge-1", "judge-1"),
    )


def asked_twice(prefers: Prefers, contest: Contest) -> Preference:
    """What a judge says of a contest, without a server."""
    return preference(
        prefers(contest.asked, contest.old, contest.new),
        prefers(contest.asked, contest.new, contest.old),
        (len(contest.old), len(contest.new)),
        contest.id,
        contest.story,
    )

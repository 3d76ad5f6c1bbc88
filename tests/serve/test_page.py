"""The server's page in a browser, against a stub of the server: what it asks, and whose words it shows."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from serve.watching import page_and_policy
from tests.support.browser import Tab, tab

pytestmark = pytest.mark.slow

NEUTRAL = "Hello! What can you do?"
HOSTILE = "</textarea><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


class Stub(ThreadingHTTPServer):
    """A server of one line, whose champion repeats the last message."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.examples: dict[str, Any] = {}
        self.versions: dict[str, str | None] = {"a": "m1", "b": None}
        self.more: dict[str, Any] = {"canary": None, "loading": None, "refused": {}}
        """The rest of the slots."""
        self.asked: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def state(self) -> dict[str, Any]:
        slots = {"line": "toy/tiny", "epoch": 1, "active": "a", "versions": self.versions}
        return {
            "slots": {**slots, **self.more},
            "history": [],
            "lineage": [],
            "reports": [],
            "queue": {"waiting": 0, "running": 0},
            "traffic": {},
            "examples": self.examples,
        }


class Handler(BaseHTTPRequestHandler):
    server: Stub

    def do_GET(self) -> None:
        if self.path == "/":
            page, policy = page_and_policy()
            self._send(page.encode(), "text/html", {"Content-Security-Policy": policy})
        else:
            self._send(json.dumps(self.server.state()).encode(), "application/json")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        reply = {"role": "assistant", "content": "You said: " + body["messages"][-1]["content"]}
        answer = {"choices": [{"message": reply}], "usage": {"completion_tokens": 5}}
        self._send(json.dumps(answer).encode(), "application/json", {"X-Ratchet-Model": "m1"})

    def _send(self, content: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browsed() -> Iterator[Tab]:
    with tab() as opened:
        yield opened


def enter(browsed: Tab, stub: Stub) -> None:
    browsed.complaints.clear()
    browsed.open(stub.url)
    browsed.run("$('key').value = 'rk-1'; $('enter').requestSubmit()")
    browsed.until("!$('main').hidden")


def filled_in(browsed: Tab) -> tuple[str, str]:
    return browsed.run("$('prompt').value"), browsed.run("$('system').value")


def test_the_champion_is_asked_something_of_its_own_task(browsed: Tab, stub: Stub) -> None:
    stub.examples = {
        "m1": {"system": "Prove or refute.", "turns": ["True or false: Max is sour."]},
        "m0": {"system": "", "turns": ["another"]},
    }
    enter(browsed, stub)
    assert filled_in(browsed) == ("True or false: Max is sour.", "Prove or refute.")
    browsed.run("$('try').requestSubmit()")
    browsed.until("$('answers').textContent.includes('You said: True or false: Max is sour.')")
    assert [body["messages"] for body in stub.asked] == [
        [
            {"role": "system", "content": "Prove or refute."},
            {"role": "user", "content": "True or false: Max is sour."},
        ]
    ]
    assert [each for each in browsed.complaints if "favicon" not in each] == []


def test_a_dialogue_is_asked_turn_by_turn_of_both_versions(browsed: Tab, stub: Stub) -> None:
    stub.versions = {"a": "m1", "b": "m0"}
    stub.examples = {"m1": {"system": "", "turns": ["My name is Ada.", "What is my name?"]}}
    enter(browsed, stub)
    assert filled_in(browsed) == ("My name is Ada.\n---\nWhat is my name?", "")
    browsed.run("$('try').requestSubmit()")
    browsed.until("document.querySelectorAll('#answers pre').length === 4 && !$('ask').disabled")
    assert "10 tokens" in browsed.run("$('answers').textContent")
    last = [body for body in stub.asked if len(body["messages"]) == 3]
    assert {body["model"] for body in last} == {"m1", "m0"}
    assert [each["content"] for each in last[0]["messages"]] == [
        "My name is Ada.",
        "You said: My name is Ada.",
        "What is my name?",
    ]


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"canary": {"slot": "b", "share": 0.1}}, {"m1": "champion", "m0": "canary, 10 % of keys"}),
        ({"loading": "m0"}, {"m1": "champion"}),
    ],
)
def test_a_canary_is_asked_and_a_version_under_test_is_not(
    browsed: Tab, stub: Stub, more: dict[str, Any], names: dict[str, str]
) -> None:
    stub.versions, stub.more = {"a": "m1", "b": "m0"}, {**stub.more, **more}
    enter(browsed, stub)
    browsed.run("$('try').requestSubmit()")
    browsed.until("$('answers').textContent.includes('You said') && !$('ask').disabled")
    assert {body["model"] for body in stub.asked} == names.keys()
    shown = browsed.run("[...document.querySelectorAll('#answers h3')].map(each => each.textContent).join()")
    assert shown == ",".join(names.values())


def test_a_version_without_an_example_gets_a_neutral_question(browsed: Tab, stub: Stub) -> None:
    stub.examples = {"m1": None}
    enter(browsed, stub)
    assert filled_in(browsed) == (NEUTRAL, "")
    browsed.run("$('try').requestSubmit()")
    browsed.until(f"$('answers').textContent.includes('You said: {NEUTRAL}')")
    assert stub.asked[0]["messages"] == [{"role": "user", "content": NEUTRAL}], "no system message"


def test_a_new_champion_brings_its_question_but_not_over_the_users_own(browsed: Tab, stub: Stub) -> None:
    stub.examples = {name: {"system": "", "turns": [f"of {name}"]} for name in ("m1", "m2", "m3")}
    enter(browsed, stub)
    assert filled_in(browsed) == ("of m1", "")
    stub.versions = {"a": "m2", "b": "m1"}
    browsed.until("$('prompt').value === 'of m2'")
    browsed.run("$('prompt').value = 'mine'; $('prompt').dispatchEvent(new Event('input'))")
    stub.versions = {"a": "m3", "b": "m2"}
    browsed.until("$('served').textContent.includes('m3')")
    assert filled_in(browsed)[0] == "mine"


def test_an_example_is_text_and_the_page_fits(browsed: Tab, stub: Stub) -> None:
    stub.examples = {"m1": {"system": HOSTILE, "turns": [HOSTILE]}}
    enter(browsed, stub)
    assert filled_in(browsed) == (HOSTILE, HOSTILE)
    browsed.run("$('try').requestSubmit()")
    browsed.until("$('answers').textContent.includes('You said: </textarea>')")
    assert browsed.run("document.title") == "Ratchet"
    assert browsed.run("document.querySelectorAll('img').length") == 0
    for width in (360, 1200):
        browsed.resize(width, 900)
        assert browsed.run("document.documentElement.scrollWidth") <= width

"""`POST /v1/feedback`: which answers may be spoken of, by whom and how long; what is kept, and masked."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from configs.serving import Feedback, Limits, Serving
from engine.corpus.feedback import Said, feedback_file, gather
from engine.disk.jsonl import objects
from engine.records import Turn, from_json
from serve import filters, routes
from serve.answers import Begun
from serve.desk import Desk
from serve.feedback import (
    FeedbackDesk,
    Given,
    Heard,
    Recent,
    given_by_document,
    given_by_stream,
    read_feedback,
)
from serve.keys import OWN, Key, Keys, Scope
from serve.limits import Limiter
from serve.metrics import Metrics
from serve.requests import ChatRequest, CompletionRequest, RequestError
from serve.seats import Seats
from serve.slots import Slots, SlotsFile

LINE = "test/tiny"
KEY = Key(id="k1", name="k1", sha256="", scopes=(Scope.INFER, Scope.FEEDBACK), created="")
CHAT = ChatRequest(
    messages=[
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Write to anna@acme.com: the "},
                {"type": "text", "text": "capital?"},
            ],
        },
    ]
)
DOCUMENT = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "v1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Zurich."}, "finish_reason": "stop"},
            {"index": 1, "message": {"role": "assistant", "content": "Berne."}, "finish_reason": "length"},
            {"index": 2, "message": {"role": "assistant", "content": ""}, "finish_reason": "content_filter"},
        ],
    }
).encode()


def serving(**feedback: Any) -> Serving:
    return Serving(line=LINE, feedback=Feedback(**feedback), limits=Limits(body_bytes=65_536))


def desk_of(home: Path, *, refuses: Callable[[str], str] = lambda text: "", **feedback: Any) -> FeedbackDesk:
    return FeedbackDesk(serving(**feedback), home, refuses)


def answered(home: Path, **feedback: Any) -> FeedbackDesk:
    desk = desk_of(home, **feedback)
    desk.whole(KEY, CHAT, DOCUMENT)
    return desk


def say(desk: FeedbackDesk, key: Key = KEY, **body: Any) -> dict[str, Any]:
    whole = {"answer": "chatcmpl-1", "consent": True, **body}
    return asyncio.run(desk.take(key, json.dumps(whole).encode()))


def refused(desk: FeedbackDesk, key: Key = KEY, **body: Any) -> tuple[int, str]:
    with pytest.raises(RequestError) as error:
        say(desk, key, **body)
    return error.value.status, str(error.value)


def lines(home: Path) -> list[Said]:
    return [from_json(Said, json.dumps(row)) for row in objects(feedback_file(home, LINE))]


def test_what_is_said_is_kept_masked_with_consent(tmp_path: Path) -> None:
    desk = answered(tmp_path, terms="Use it.")
    reply = say(desk, rating="bad", better="bob@acme.com says Berne.")
    (said,) = lines(tmp_path)
    assert reply == {
        "id": said.id,
        "object": "feedback",
        "answer": "chatcmpl-1",
        "choice": 0,
        "rating": "bad",
        "better": "[mail] says Berne.",
        "masked": {"mail": 2},
    }
    assert said.chat == (
        Turn(role="system", text="Be brief."),
        Turn(role="user", text="Write to [mail]: the capital?"),
    )
    assert (said.key, said.model, said.reply, said.consent) == ("k1", "v1", "Zurich.", "Use it.")
    file = feedback_file(tmp_path, LINE)
    assert file.stat().st_mode & 0o777 == 0o600 and b"acme" not in file.read_bytes()
    (pair,) = gather(file).examples
    assert (pair.chosen, pair.rejected) == ("[mail] says Berne.", "Zurich.")


def test_each_choice_can_be_spoken_of_that_reached_the_client(tmp_path: Path) -> None:
    desk = answered(tmp_path)
    assert say(desk, choice=1, rating="good")["choice"] == 1
    assert refused(desk, choice=2, rating="bad")[0] == 404, "the filter withheld it"
    assert refused(desk, choice=3, rating="bad")[0] == 404
    assert [said.reply for said in lines(tmp_path)] == ["Berne."]


def test_an_answer_is_known_only_to_the_key_that_it_was_given_to(tmp_path: Path) -> None:
    other = Key(id="k2", name="k2", sha256="", scopes=(Scope.FEEDBACK,), created="")
    desk = answered(tmp_path)
    status, message = refused(desk, other, rating="good")
    assert status == 404 and "is not known: this key must have been given it" in message
    assert refused(desk, answer="chatcmpl-9", rating="good")[0] == 404
    assert not feedback_file(tmp_path, LINE).exists()


@pytest.mark.parametrize(
    ("key", "request_"),
    [
        (Key(id="k1", name="k1", sha256="", scopes=(Scope.INFER,), created=""), CHAT),
        (Key(id=OWN, name=OWN, sha256="", scopes=(Scope.ADMIN,), created=""), CHAT),
        (KEY, CompletionRequest(prompt="The capital is")),
        (
            KEY,
            ChatRequest(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]),
        ),
    ],
)
def test_what_nobody_may_rate_is_not_remembered(tmp_path: Path, key: Key, request_: Any) -> None:
    desk = desk_of(tmp_path)
    desk.whole(key, request_, DOCUMENT)
    assert desk.recent.find(key.id, "chatcmpl-1") is None
    assert (desk.hears(key, request_) is None) == (request_ is CHAT or not isinstance(request_, ChatRequest))


def event(**content: Any) -> bytes:
    return b"data: " + json.dumps({"id": "chatcmpl-2", "model": "v1", **content}).encode() + b"\n\n"


def piece(text: str, index: int = 0, finish: str | None = None) -> bytes:
    return event(choices=[{"index": index, "delta": {"content": text}, "finish_reason": finish}])


def test_a_stream_is_remembered_when_all_of_it_was_sent(tmp_path: Path) -> None:
    recent = Recent(Feedback())
    heard = Heard(recent, KEY, CHAT)
    sent = [piece("Zu") + piece("Ber", 1), b"", piece("rich.") + piece("ne.", 1, "stop")]
    assert [heard.part(each) for each in sent] == sent
    assert recent.find("k1", "chatcmpl-2") is None, "the client may have left"
    heard.part(piece("", 0, "stop") + event(choices=[], usage={}) + b"data: [DONE]\n\n")
    heard.end()
    given = recent.find("k1", "chatcmpl-2")
    assert given and given.replies == {0: "Zurich.", 1: "Berne."} and given.model == "v1"


def test_what_the_filter_ended_is_not_remembered() -> None:
    assert given_by_stream("k1", CHAT, piece("bad") + piece("", 0, "content_filter")) is None
    assert given_by_stream("k1", CHAT, b"data: [DONE]\n\n") is None
    document = json.dumps(
        {"id": "x", "choices": [{"index": 0, "message": {"content": None}, "finish_reason": "stop"}]}
    )
    assert given_by_document("k1", CHAT, document.encode()) is None


def given(number: int, text: str = "reply") -> Given:
    chat = (Turn(role="user", text="?"),)
    return Given(key="k", answer=f"a{number}", model="v1", chat=chat, replies={0: text})


def test_answers_are_forgotten_by_number_size_and_age() -> None:
    now = [0.0]
    recent = Recent(Feedback(answers=3, memory_mib=1, hours=2), clock=lambda: now[0])

    def known() -> list[int]:
        return [number for number in range(9) if recent.find("k", f"a{number}")]

    for number in range(5):
        recent.keep(given(number))
        now[0] += 3600
    assert known() == [3, 4], "three by number, and the oldest is two hours old"
    recent.keep(given(5, "x" * 262_000))
    assert known() == [5], "the others had to make room"
    recent.keep(given(6, "x" * 300_000))
    assert known() == [], "larger than all the room"
    recent.keep(given(7))
    recent.keep(given(7))
    now[0] += 3 * 3600
    assert known() == [] and recent._size == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "say something: rating"),
        ({"rating": "bad", "consent": False}, "consent must be true, which agrees to: the chat, its answer"),
        ({"rating": "fine"}, "rating: Input should be 'good' or 'bad'"),
        ({"better": ""}, "better: .*at least 1 character"),
        ({"better": "x" * 101}, "better must have at most 100 characters, got 101"),
        ({"rating": "bad", "comment": "x"}, "the field comment is not served here"),
        ({"consent": "perhaps", "rating": "bad"}, "consent: "),
        ({"choice": -1, "rating": "bad"}, "choice: "),
    ],
)
def test_a_body_that_does_not_fit_is_one_sentence(body: dict[str, Any], message: str) -> None:
    whole = {"answer": "chatcmpl-1", "consent": True, **body}
    with pytest.raises(RequestError, match=message) as error:
        read_feedback(json.dumps(whole).encode(), Limits(), Feedback(max_chars=100))
    assert error.value.status == 400


def test_a_better_answer_passes_the_input_filter(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, refuses=lambda text: "regex: pattern 1" if "bad word" in text else "")
    desk.whole(KEY, CHAT, DOCUMENT)
    assert refused(desk, better="a bad word") == (400, "refused by the input filter regex: pattern 1")
    assert say(desk, better="a word")["better"] == "a word"


def test_consent_can_be_withdrawn_also_when_the_answer_is_forgotten(tmp_path: Path) -> None:
    desk = answered(tmp_path)
    assert refused(desk, consent=False)[0] == 404, "nothing has been said yet"
    say(desk, rating="good")
    later = desk_of(tmp_path, file_mib=1e-6)
    assert refused(later, Key(id="k2", name="k2", sha256="", scopes=(), created=""), consent=False)[0] == 404
    assert say(later, consent=False)["withdrawn"] is True, "and where the file is full"
    status, message = refused(later, consent=False)
    assert status == 404 and "nothing is kept that this key has said" in message, "once is enough"
    assert gather(feedback_file(tmp_path, LINE)).examples == [] and len(lines(tmp_path)) == 2


def test_a_full_file_and_a_full_disk_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, message = refused(answered(tmp_path, file_mib=1e-4), rating="bad")
    assert (status, message) == (507, "there is no room for further feedback")
    desk = answered(tmp_path)

    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device", "feedback.jsonl")

    monkeypatch.setattr("serve.feedback.append_shared", full)
    assert refused(desk, rating="bad")[0] == 507
    assert lines(tmp_path) == []


def test_another_gateway_is_asked_for_what_it_answered(tmp_path: Path) -> None:
    first = answered(tmp_path)

    async def elsewhere(key: str, answer: str) -> Given | None:
        return first.recent.find(key, answer)

    second = FeedbackDesk(serving(), tmp_path, lambda text: "", elsewhere)
    assert say(second, rating="good")["rating"] == "good"
    assert refused(second, answer="chatcmpl-9", rating="good")[0] == 404


class Engine:
    """An engine's handle that gives the same messages to every request."""

    def __init__(self, *messages: Any) -> None:
        self.messages = messages
        self.answer = SimpleNamespace(remote=lambda *_: Stream(iter(messages)))


class Stream:
    def __init__(self, messages: Iterator[Any]) -> None:
        self.messages = messages

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Any:
        for message in self.messages:
            return message
        raise StopAsyncIteration

    def cancel(self) -> None:
        pass


def client_of(home: Path, settings: Serving, *messages: Any) -> TestClient:
    """The routes of one gateway over an engine by script."""
    file, metrics = SlotsFile(home, LINE), Metrics("g")
    file.write(Slots(line=LINE, epoch=1, active="a", versions={"a": "v1"}))
    desk = Desk(
        serving=settings,
        home=home,
        keys=Keys(home),
        slots=file,
        engines={"a": Engine(Begun(), *messages)},  # type: ignore[dict-item]
        metrics=metrics,
        limiter=Limiter(),
        seats=Seats(4, 0, metrics),
        refuses_input=filters.build([]),
        refuses_output=filters.build([]),
        input_needs_text=False,
        feedback=FeedbackDesk(settings, home, lambda text: "") if settings.feedback else None,
    )

    async def everyone(method: str, *_: Any) -> list[Any]:
        return []

    return TestClient(routes.build(desk, "own", everyone))


@pytest.fixture
def bearer(tmp_path: Path) -> Callable[..., dict[str, str]]:
    def header(name: str, *scopes: str) -> dict[str, str]:
        return {"authorization": f"Bearer {Keys(tmp_path).create(name, scopes)[1]}"}

    return header


ASKED = {"messages": [{"role": "user", "content": "The capital?"}]}
SAID = {"rating": "bad", "better": "Berne.", "consent": True}


@pytest.mark.parametrize("streams", [False, True])
def test_over_http_from_the_answer_to_the_file(
    tmp_path: Path, bearer: Callable[..., dict[str, str]], streams: bool
) -> None:
    messages = [piece("Zu"), piece("rich.", finish="stop"), b"data: [DONE]\n\n"] if streams else [DOCUMENT]
    client, key = client_of(tmp_path, serving(), *messages), bearer("app", "infer", "feedback")
    answer = client.post("/v1/chat/completions", json={**ASKED, "stream": streams}, headers=key)
    assert answer.status_code == 200
    body = {"answer": "chatcmpl-2" if streams else "chatcmpl-1", **SAID}
    done = client.post("/v1/feedback", json=body, headers=key)
    assert done.status_code == 201 and done.headers["x-ratelimit-limit-requests"] == "600"
    (said,) = lines(tmp_path)
    assert (said.id, said.reply, said.better) == (done.json()["id"], "Zurich.", "Berne.")
    assert "/v1/feedback" in client.get("/openapi.json", headers=key).json()["paths"]


def test_a_response_is_spoken_of_by_its_id(tmp_path: Path, bearer: Callable[..., dict[str, str]]) -> None:
    one = json.loads(DOCUMENT)
    document = json.dumps({**one, "created": 5, "choices": one["choices"][:1]}).encode()
    client, key = client_of(tmp_path, serving(), document), bearer("app", "infer", "feedback")
    answer = client.post("/v1/responses", json={"input": "The capital?"}, headers=key).json()
    done = client.post("/v1/feedback", json={"answer": answer["id"], **SAID}, headers=key)
    assert answer["id"] == "resp_1" and done.status_code == 201, done.text
    (said,) = lines(tmp_path)
    assert (said.reply, said.better) == ("Zurich.", "Berne.")


def test_over_http_it_is_off_unless_configured_and_for_keys_that_may(
    tmp_path: Path, bearer: Callable[..., dict[str, str]]
) -> None:
    both, asks, admin = bearer("both", "infer", "feedback"), bearer("asks", "infer"), bearer("admin", "admin")
    body = {"answer": "chatcmpl-1", **SAID}
    off = client_of(tmp_path, Serving(line=LINE), DOCUMENT)
    assert off.post("/v1/chat/completions", json=ASKED, headers=both).status_code == 200
    assert off.post("/v1/feedback", json=body, headers=both).status_code == 404
    client = client_of(tmp_path, serving(), DOCUMENT)
    assert client.post("/v1/feedback", json=body).status_code == 401
    refusal = client.post("/v1/feedback", json=body, headers=asks)
    assert refusal.status_code == 403 and "lacks the required scope feedback" in refusal.text
    assert client.post("/v1/feedback", content=b"{", headers=both).status_code == 400
    assert client.post("/v1/chat/completions", json=ASKED, headers=admin).status_code == 200
    assert client.post("/v1/feedback", json=body, headers=admin).status_code == 201
    assert [said.rating for said in lines(tmp_path)] == ["bad"]

"""The desk with scripted engines: where a request goes, when it is sent again, and when it is refused."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError

from configs.serving import Engines, Filter, Serving
from serve import desk as desks
from serve import filters
from serve.absent import not_loaded
from serve.account import Account
from serve.answers import Begun, Refused, Stale
from serve.desk import Desk, Opened
from serve.keys import OWN, Key, Keys, Scope
from serve.limits import Limiter
from serve.metrics import Metrics
from serve.requests import CompletionRequest, RequestError
from serve.seats import Seats
from serve.slots import Slots, SlotsFile
from tests.support.server_process import LINE, make_home, promote

KEY = Key(id="k", name="k", sha256="", scopes=(Scope.INFER,), created="")
OURS = Key(id=OWN, name=OWN, sha256="", scopes=(Scope.ADMIN,), created="")
SERVING = Serving(line=LINE, engines=Engines(max_num_seqs=1))
TWO = Slots(line=LINE, epoch=1, active="a", versions={"a": "new", "b": "old"})


class Scripted:
    """An engine handle whose answers are scripts: each message is yielded, each exception raised."""

    def __init__(self, *scripts: list[Any]) -> None:
        self.scripts = list(scripts)
        self.versions: list[str] = []
        self.num_cancelled = 0
        self.answer = SimpleNamespace(remote=self._answer)

    def _answer(self, endpoint: str, version: str, body: dict[str, Any]) -> Any:
        self.versions.append(version)
        script, handle = self.scripts.pop(0), self

        class Stream:
            def __aiter__(self) -> "Stream":
                return self

            async def __anext__(self) -> Any:
                if not script:
                    await asyncio.sleep(3600)
                message = script.pop(0)
                if isinstance(message, BaseException):
                    raise message
                return message() if callable(message) else message

            def cancel(self) -> None:
                handle.num_cancelled += 1

        return Stream()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "_LOOK_AGAIN_AFTER", 0.01)


def desk_of(home: Path, slots: Slots | None = TWO, **parts: Any) -> Desk:
    file, metrics = SlotsFile(home, LINE), Metrics("g")
    if slots:
        file.write(slots)
    some: dict[str, Any] = {
        "engines": {},
        "refuses_input": filters.build([]),
        "refuses_output": filters.build([]),
        "input_needs_text": False,
        "seats": Seats(1, 0, metrics),
    }
    return Desk(
        serving=SERVING,
        home=home,
        keys=Keys(home),
        slots=file,
        metrics=metrics,
        limiter=Limiter(),
        **(some | parts),
    )


def request(**more: Any) -> CompletionRequest:
    return CompletionRequest(**{"model": "champion", "prompt": "Max is", "max_tokens": 8, **more})


def account_of(desk: Desk) -> Account:
    return Account(desk.metrics, 10.0, "completions", "req", "key")


def opened(desk: Desk, account: Account | None = None) -> Opened:
    return asyncio.run(desk.open("completions", request(), KEY, account or account_of(desk)))


def test_an_answer_opens_with_its_version(tmp_path: Path) -> None:
    engine = Scripted([Begun(), b"text"])
    desk = desk_of(tmp_path, engines={"a": engine})
    account = account_of(desk)
    answer = opened(desk, account)
    assert (answer.version, answer.first, account.version) == ("new", b"text", "new")
    assert engine.versions == ["new"]


def test_a_request_that_is_handed_back_follows_its_version(tmp_path: Path) -> None:
    """The alias moves to the other engine while the first one hands the request back."""
    file = SlotsFile(tmp_path, LINE)

    def moves() -> Stale:
        file.write(Slots(line=LINE, epoch=2, active="b", versions={"a": None, "b": "newer"}))
        return Stale(None)

    first, second = Scripted([moves]), Scripted([Begun(), b"text"])
    assert opened(desk_of(tmp_path, engines={"a": first, "b": second})).version == "newer"
    assert (first.versions, second.versions) == (["new"], ["newer"])


def test_a_request_that_no_engine_has_begun_follows_its_version_too(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, engines={"a": Scripted([]), "b": Scripted([Begun(), b"text"])})

    async def moves() -> Opened:
        task = asyncio.create_task(desk.open("completions", request(), KEY, account_of(desk)))
        await asyncio.sleep(0.05)
        desk.slots.write(Slots(line=LINE, epoch=2, active="b", versions={"a": None, "b": "newer"}))
        return await task

    assert asyncio.run(moves()).version == "newer"
    assert desk.engines["a"].num_cancelled == 1  # type: ignore[attr-defined]


def test_a_lost_engine_is_replaced_once_for_a_request(tmp_path: Path) -> None:
    lost: Callable[[], list[Any]] = lambda: [Begun(), RayActorError()]  # noqa: E731
    engine = Scripted(lost(), [Begun(), b"text"])
    assert opened(desk_of(tmp_path, engines={"a": engine})).first == b"text"
    with pytest.raises(RequestError, match="2 engines failed on this request") as refused:
        opened(desk_of(tmp_path, engines={"a": Scripted(lost(), lost())}))
    assert refused.value.status == 503 and refused.value.headers["retry-after"]


def test_engines_lost_before_they_began_do_not_count(tmp_path: Path) -> None:
    engine = Scripted(*([RayActorError()] for _ in range(5)), [Begun(), b"text"])
    assert opened(desk_of(tmp_path, engines={"a": engine})).first == b"text"


def test_a_refusal_of_vllm_is_passed_on_and_uses_no_tokens(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, engines={"a": Scripted([Begun(), Refused(400, "too long", "t", "prompt")])})
    account = account_of(desk)
    with pytest.raises(RequestError, match="too long") as refused:
        opened(desk, account)
    assert refused.value.body["error"]["param"] == "prompt" and account.tokens == 0


def test_before_the_first_engine_is_ready_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="the server is starting") as refused:
        opened(desk_of(tmp_path, slots=None))
    assert refused.value.status == 503


def test_an_unknown_model_is_told_what_is_available(tmp_path: Path) -> None:
    first, second, _ = make_home(tmp_path, 3)
    promote(tmp_path, second)
    slots = Slots(line=LINE, epoch=2, active="a", versions={"a": second, "b": None})

    def error_for(model: str) -> str:
        return str(asyncio.run(not_loaded(model, slots, tmp_path, LINE)))

    assert error_for("gpt-9") == f"model 'gpt-9' is not served; available: champion ({second})"
    former = error_for(first)
    assert former.startswith(f"model {first} was a champion but is not loaded")
    assert former.endswith(f"ratchet models rollback {LINE}")


def test_admission(tmp_path: Path) -> None:
    chain = [Filter(name="regex", patterns=["forbidden"])]
    desk = desk_of(tmp_path, refuses_input=filters.build(chain), input_needs_text=filters.needs_text(chain))

    async def admit(asked: CompletionRequest, key: Key = KEY) -> dict[str, str]:
        async with desk.admitted(asked, key, account_of(desk)) as headers:
            return headers

    def status(asked: CompletionRequest) -> tuple[int, str]:
        with pytest.raises(RequestError) as refused:
            asyncio.run(admit(asked))
        return refused.value.status, str(refused.value)

    assert "x-ratelimit-limit-requests" in asyncio.run(admit(request()))
    assert status(request(prompt="forbidden")) == (400, "refused by the input filter regex: pattern 1")
    assert status(request(prompt=[1, 2]))[1] == "prompt must be text: the input filter cannot read token ids"
    assert status(request(max_tokens=10**9)) == (
        400,
        "the request may use 1000000009 tokens, but the key is limited to 200000 a minute: send less text, "
        "ask for fewer answers, or lower max_tokens",
    )
    # The keeper's question passes even while the queue is full.
    desk.seats.closed = True
    assert status(request())[0] == 503
    assert asyncio.run(admit(request(prompt="forbidden"), OURS)) == {}
    desk.expects("/v1/completions", OURS)
    with pytest.raises(RequestError, match="shutting down"):
        desk.expects("/v1/completions", KEY)
    desk.expects("/v1/models", KEY)


def test_a_request_counts_before_its_body_is_read(tmp_path: Path) -> None:
    desk, key = desk_of(tmp_path), replace(KEY, requests_per_minute=2)
    for path in ("/v1/embeddings", "/v1/feedback"):
        desk.expects(path, key)
    with pytest.raises(RequestError, match="the key's rate limit is reached") as refused:
        desk.expects("/v1/completions", key)
    assert refused.value.status == 429 and refused.value.headers["x-ratelimit-remaining-requests"] == "0"
    desk.expects("/v1/models", key)

    async def admitted() -> dict[str, str]:
        async with desk.admitted(request(), key, account_of(desk)) as headers:
            return headers

    assert asyncio.run(admitted())["x-ratelimit-remaining-requests"] == "0", "it has been counted already"

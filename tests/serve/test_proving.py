"""The field `verify` of a chat, over engines by script and real checkers: a checked answer, or a refusal."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from configs.serving import Checking, Engines, Feedback, Filter, Filters, Limits, Serving
from engine.records import Attempt, Problem, Verdict
from engine.registry.registry import Registry
from engine.registry.store import Example
from engine.verify import rules
from engine.verify.pool import VerifierError
from serve import filters, proving, routes
from serve.answers import Begun
from serve.checks import Checks
from serve.desk import Desk
from serve.feedback import FeedbackDesk
from serve.keys import Keys
from serve.limits import Limiter
from serve.metrics import Metrics
from serve.seats import Seats
from serve.slots import Slots, SlotsFile
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem
from tests.support.registry import manifest

LINE = "test/tiny"
TEXT = "\n".join([*CHAIN, "Question: Max is sour."])
WRONG = PROOF.replace("5 mp", "4 mp")
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": TEXT}], "verify": {"samples": 8}}


class Engine:
    """An engine's handle: the number of a reply, from 0, becomes its text."""

    def __init__(self, text: Callable[[int], str], seconds: float = 0.0) -> None:
        self.text, self.seconds = text, seconds
        self.bodies: list[dict[str, Any]] = []
        self.answer = SimpleNamespace(remote=self._answer)
        self._given = 0

    def _answer(self, endpoint: str, version: str, body: dict[str, Any]) -> Any:
        assert endpoint == "chat"
        self.bodies.append(body)
        choices = []
        for index in range(body.get("n", 1)):
            message = {"role": "assistant", "content": self.text(self._given)}
            choices.append({"index": index, "message": message, "finish_reason": "stop", "logprobs": None})
            self._given += 1
        usage = {"prompt_tokens": 10, "completion_tokens": 3 * len(choices)}
        document = {"id": "chatcmpl-engine", "model": version, "choices": choices, "usage": usage}
        engine = self

        class Stream:
            def __init__(self) -> None:
                self.messages = [Begun(), json.dumps(document).encode()]

            def __aiter__(self) -> "Stream":
                return self

            async def __anext__(self) -> Any:
                await asyncio.sleep(engine.seconds)
                return self.messages.pop(0)

            def cancel(self) -> None:
                pass

        return Stream()


@pytest.fixture(scope="module")
def checks() -> Iterator[Checks]:
    """One set of checkers for all tests, because their processes take long to start."""
    yield Checks(Checking(seconds=10))


Client = Callable[..., Any]


@pytest.fixture
def client(tmp_path: Path, checks: Checks) -> Callable[..., Client]:
    """Builds the routes of a gateway over an engine; what it returns asks, and gives status and body."""

    def build(engine: Engine, **settings: Any) -> Client:
        serving = Serving(line=LINE, engines=Engines(max_num_seqs=4), **settings)
        metrics, file = Metrics("g"), SlotsFile(tmp_path, LINE)
        file.write(Slots(line=LINE, epoch=1, active="a", versions={"a": "v1"}))
        desk = Desk(
            serving=serving,
            home=tmp_path,
            keys=Keys(tmp_path),
            slots=file,
            engines={"a": engine},  # type: ignore[dict-item]
            metrics=metrics,
            limiter=Limiter(),
            seats=Seats(4, 0, metrics),
            refuses_input=filters.build([]),
            refuses_output=filters.build(serving.filters.output),
            input_needs_text=False,
            feedback=FeedbackDesk(serving, tmp_path, lambda text: "") if serving.feedback else None,
            checks=checks,
        )

        async def everyone(method: str, *_: Any) -> list[Any]:
            return []

        http = TestClient(routes.build(desk, "own", everyone))
        _, key = Keys(tmp_path).create(f"k{len(Keys(tmp_path).all())}", ["infer", "feedback"])

        def ask(path: str = "/v1/chat/completions", **body: Any) -> Any:
            return http.post(path, json=body, headers={"authorization": f"Bearer {key}"})

        ask.desk = desk  # type: ignore[attr-defined]
        return ask

    return build


def test_a_temperature_of_0_is_that_of_the_first_reply(client: Callable[..., Client]) -> None:
    engine = Engine(lambda number: PROOF if number == 2 else WRONG)
    reply = client(engine)(**ASKED, model="champion", temperature=0)
    assert reply.status_code == 200 and reply.json()["verified"]["proof"] == PROOF
    assert [body["temperature"] for body in engine.bodies] == [0.0, 0.7]


def test_the_answer_is_the_reply_that_passed(client: Callable[..., Client]) -> None:
    engine = Engine(lambda number: PROOF if number == 2 else ("Answer: True", WRONG)[number % 2])
    reply = client(engine)(**ASKED, model="champion", temperature=0.4, seed=11, max_tokens=90)
    assert reply.status_code == 200 and reply.headers["x-ratchet-model"] == "v1"
    body = reply.json()
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": PROOF, "refusal": None}
    assert (choice["finish_reason"], body["object"], body["model"]) == ("stop", "chat.completion", "v1")
    assert body["verified"] == {
        "answer": "False",
        "proof": PROOF,
        "worlds": [],
        "reason": None,
        "checkers": ["rules", "z3"],
        "samples": 8,
        "faults": {"wrong_rule": 4, "unsettled": 3},
    }
    assert body["usage"] == {"prompt_tokens": 20, "completion_tokens": 24, "total_tokens": 44}
    first, second = engine.bodies
    assert (first["n"], first["temperature"], second["n"], second["temperature"]) == (1, 0.0, 7, 0.4)
    assert (first["max_tokens"], second["max_tokens"]) == (90, 90) and first["seed"] != second["seed"]
    assert "verify" not in first
    system, user = first["messages"]
    assert (system["role"], system["content"]) == ("system", "Prove or refute.")
    assert user["content"].endswith("Max is a wumpus. [4]\nTrue or false: Max is sour.")


def test_no_answer_that_does_not_pass_is_sent(client: Callable[..., Client]) -> None:
    reply = client(Engine(lambda number: "Answer: False"))(**ASKED)
    assert reply.status_code == 200
    body = reply.json()
    (choice,) = body["choices"]
    assert choice["message"]["content"] is None and choice["finish_reason"] == "stop"
    assert choice["message"]["refusal"] == (
        "no proof was found: none of 8 replies passes both checkers (unsettled 8)"
    )
    assert (body["verified"]["answer"], body["verified"]["proof"], body["verified"]["samples"]) == (
        None,
        None,
        8,
    )
    assert "Answer: False" not in reply.text


def test_premises_that_contradict_each_other_ask_no_engine(client: Callable[..., Client]) -> None:
    engine = Engine(lambda number: PROOF)
    messages = [
        {"role": "user", "content": "Each cat is a pet.\nMax is a cat.\nMax is not a cat.\nMax is a pet."}
    ]
    body = client(engine)(messages=messages, verify={}).json()
    assert engine.bodies == [] and body["verified"]["samples"] == 0
    assert "contradict each other" in body["choices"][0]["message"]["refusal"]
    assert body["usage"]["total_tokens"] == 0 and body["model"] == "v1"


def test_the_model_is_asked_as_it_was_trained(client: Callable[..., Client], tmp_path: Path) -> None:
    source = tmp_path / "v1"
    source.mkdir()
    (source / "model.safetensors").write_bytes(b"x")
    about = replace(manifest("v1"), example=Example(system="As in training.", turns=("?",)))
    Registry(tmp_path).add(source, about)
    engine = Engine(lambda number: PROOF)
    ask = client(engine)
    ask(**ASKED)
    own = [{"role": "developer", "content": "Mine."}, *ASKED["messages"]]
    ask(**{**ASKED, "messages": own})
    assert [body["messages"][0]["content"] for body in engine.bodies] == ["As in training.", "Mine."]


@pytest.mark.parametrize(
    ("change", "sentence", "param"),
    [
        ({"stream": True}, "the field stream is not served with verify", "stream"),
        ({"n": 2}, "the field n is not served with verify", "n"),
        ({"logprobs": True}, "the field logprobs is not served with verify", "logprobs"),
        ({"stop": "\n"}, "the field stop is not served with verify", "stop"),
        ({"verify": {"samples": 65}}, "verify.samples must be at most 64, got 65", "verify.samples"),
        ({"verify": {"samples": 0}}, "verify.samples: Input should be greater", "verify.samples"),
        ({"verify": {"sample": 3}}, "the field verify.sample is not served here", "verify.sample"),
        (
            {"verify": {"task": "gym"}},
            "verify.task must be one of prontoqa, proofwriter, formal, folio",
            None,
        ),
        ({"verify": {"task": "serve/app.py"}}, "verify.task must be one of", "verify.task"),
        ({"verify": {"task": "folio"}}, "line 1: no task reads 'Each wumpus is a tumpus.'", "messages"),
        ({"messages": [{"role": "user", "content": "Hi."}]}, "it must hold premises", "messages"),
        (
            {"messages": [{"role": "user", "content": "Anne is red.\nAnne is red."}]},
            "can be read as prontoqa and as proofwriter: verify.task says which is meant",
            "messages",
        ),
        ({"messages": [*ASKED["messages"], *ASKED["messages"]]}, "one user message", "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "one user message", "messages"),
    ],
)
def test_what_cannot_be_checked_is_refused_by_name(
    client: Callable[..., Client], change: dict[str, Any], sentence: str, param: str | None
) -> None:
    engine = Engine(lambda number: PROOF)
    reply = client(engine)(**{**ASKED, **change})
    assert reply.status_code == 400 and sentence in reply.json()["error"]["message"], reply.text
    assert param is None or reply.json()["error"]["param"] == param
    assert engine.bodies == []


def test_fields_that_change_nothing_are_served(client: Callable[..., Client]) -> None:
    few = client(Engine(lambda number: "no"), limits=Limits(answers=3))(messages=ASKED["messages"], verify={})
    assert few.json()["verified"]["samples"] == 3
    reply = client(Engine(lambda number: PROOF))(**ASKED, stream=False, n=1, logprobs=False, user="me")
    assert reply.json()["verified"]["answer"] == "False"
    refused = client(Engine(lambda number: PROOF))("/v1/completions", prompt="x", verify={"samples": 2})
    assert refused.status_code == 400 and "the field verify is not served" in refused.text


def test_what_the_filter_refuses_is_withheld_everywhere(client: Callable[..., Client]) -> None:
    hides = Filters(output=[Filter(name="regex", patterns=["tumpus"])])
    reply = client(Engine(lambda number: PROOF), filters=hides)(**ASKED)
    (choice,) = reply.json()["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", None)
    assert "tumpus" not in reply.text and reply.json()["verified"]["answer"] is None


def test_time_that_is_over_is_a_refusal(client: Callable[..., Client]) -> None:
    limits = Limits(seconds=proving._SPARE + 0.6)
    began = time.monotonic()
    reply = client(Engine(lambda number: PROOF, seconds=30.0), limits=limits)(**ASKED)
    assert time.monotonic() - began < limits.seconds
    assert reply.status_code == 200
    assert "the request's time is over" in reply.json()["choices"][0]["message"]["refusal"]


def test_it_counts_as_many_answers_and_takes_a_few_seats(client: Callable[..., Client]) -> None:
    seats: list[int] = []
    ask = client(Engine(lambda number: PROOF if number else "no"), limits=Limits(tokens_per_minute=10_000))
    held = ask.desk.seats.held  # type: ignore[attr-defined]
    ask.desk.seats.held = lambda key, num: (seats.append(num), held(key, num))[1]  # type: ignore[attr-defined]
    reply = ask(**{**ASKED, "verify": {"samples": 12}}, max_tokens=100)
    assert seats == [8] and reply.json()["verified"]["samples"] == 8
    used = 10_000 - int(reply.headers["x-ratelimit-remaining-tokens"])
    assert used >= 1200, "all that it might take is reserved"
    too_many = ask(**{**ASKED, "verify": {"samples": 16}}, max_tokens=700)
    assert too_many.status_code == 400 and "lower max_tokens" in too_many.text


def test_a_checked_answer_can_be_rated(client: Callable[..., Client]) -> None:
    ask = client(Engine(lambda number: PROOF), feedback=Feedback())
    answer = ask(**ASKED).json()["id"]
    assert ask("/v1/feedback", answer=answer, rating="good", consent=True).status_code == 201


def test_the_checkers_judge_for_several_at_once_and_outlive_an_error(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = problem(CHAIN, "Max is sour.", "", notation="english")

    async def several(of: Checks) -> list[str]:
        one = [
            (replace(asked, id="a"), attempt(text, problem_id="a", sample=i)) for i, text in enumerate(TEXTS)
        ]
        two = [(replace(asked, id="b"), attempt(PROOF, problem_id="b"))]
        found = await asyncio.gather(of.verdicts(one), of.verdicts(two), of.verdicts([]))
        return [verdict.status.value for verdicts in found for verdict in verdicts]

    assert asyncio.run(several(checks)) == ["FAIL", "PASS", "FAIL", "PASS"]
    broken = Checks(Checking())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serve.checks.VERIFIER", "no_such_verifier")
        for _ in range(2):
            with pytest.raises(VerifierError, match="cannot be loaded"):
                asyncio.run(several(broken))
    assert asyncio.run(several(broken)) == ["FAIL", "PASS", "FAIL", "PASS"]


TEXTS = ["", PROOF, "Answer: False"]


def test_replies_of_clients_who_left_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one who asks and leaves would keep the checkers from everyone."""
    submitted, given = list[int](), threading.Event()

    class Pool:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.open: list[tuple[Problem, Attempt]] = []

        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: Any) -> None:
            pass

        def submit(self, problem: Problem, attempt: Attempt) -> None:
            submitted.append(attempt.sample)
            self.open.append((problem, attempt))

        def poll(self, seconds: float) -> list[Verdict]:
            if not given.wait(0.01):
                return []
            done, self.open = self.open, []
            return [rules.verify(*each) for each in done]

    async def leave_then_ask() -> list[Verdict]:
        asked = problem(CHAIN, "Max is sour.", "False", notation="english")

        def items(first: int, num: int) -> list[tuple[Problem, Attempt]]:
            return [(asked, attempt(PROOF, problem_id=asked.id, sample=first + i)) for i in range(num)]

        with suppress(TimeoutError):
            await asyncio.wait_for(checks.verdicts(items(0, 100)), 0.2)
        given.set()
        return await checks.verdicts(items(1000, 3))

    monkeypatch.setattr("serve.checks.VerifierPool", Pool)
    checks = Checks(Checking(processes=1))
    found = asyncio.run(leave_then_ask())
    assert [verdict.sample for verdict in found] == [1000, 1001, 1002]
    assert len(submitted) < 10, submitted


def test_checkers_that_cannot_start_are_a_503(
    client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = client(Engine(lambda number: PROOF))

    async def none(items: Any) -> Any:
        raise VerifierError("no")

    monkeypatch.setattr(ask.desk.checks, "verdicts", none)  # type: ignore[attr-defined]
    assert ask(**ASKED).status_code == 503

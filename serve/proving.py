"""Chats with the field `verify`: the answer is a reply that the checkers accept, or a refusal.

The user's message holds premises and a question, as `ratchet prove` reads them. The served model is asked as
it was trained on such, and replies are drawn in rounds until one passes (`engine/prove/search.py`). None that
does not pass is sent. A task is named by the request: it must be one that is built in, and never a file.
"""

import asyncio
import json
import secrets
import time
from dataclasses import replace
from functools import cache
from typing import Any

from configs.serving import Limits
from engine.models.prompts import messages
from engine.prove.model import system_for
from engine.prove.page import verified_of
from engine.prove.question import AskedError, question_in
from engine.prove.search import Budget, Outcome, Search
from engine.prove.styles import Posed, pose, posing_tasks
from engine.records import Attempt, Finish, Turn
from engine.sample.protocol import Sampling
from engine.tasks.suite import Task
from engine.verify.pool import VerifierError
from serve.account import Account
from serve.desk import Desk
from serve.keys import Key
from serve.requests import ChatRequest, RequestError, read_chat

_BESIDE = ("model", "max_tokens", "top_p", "presence_penalty", "frequency_penalty")
"""Fields that go to the engine as they are."""
_SERVED = {*_BESIDE, "messages", "verify", "max_completion_tokens", "temperature", "seed"}
"""Fields that a checked answer is served with: it is one whole reply, known when it has been checked."""
_USED = ("prompt_tokens", "completion_tokens")
_SPARE = 2.0
"""Seconds before a request's deadline at which the search ends, so that the client gets a refusal."""


def read(raw: bytes, limits: Limits) -> ChatRequest:
    """Read the body of a chat, also of one with `verify`. Raises RequestError."""
    request = read_chat(raw, limits)
    if request.verify is None:
        return request
    for name in sorted(request.model_fields_set - _SERVED):
        value = getattr(request, name)
        if value and value != ChatRequest.model_fields[name].default and (name, value) != ("n", 1):
            raise RequestError(400, f"the field {name} is not served with verify", param=name)
    if "samples" not in request.verify.model_fields_set:
        request.verify.samples = min(request.verify.samples, limits.answers)
    if request.verify.samples > limits.answers:
        message = f"verify.samples must be at most {limits.answers}, got {request.verify.samples}"
        raise RequestError(400, message, param="verify.samples")
    *before, last = request.messages
    roles = [message.role for message in before]
    if last.role != "user" or roles not in ([], ["system"], ["developer"]):
        raise RequestError(
            400,
            "with verify, messages must be one user message with premises and a question, after a system "
            "message or none",
            param="messages",
        )
    return request


async def answer(desk: Desk, request: ChatRequest, key: Key, account: Account) -> bytes:
    """The JSON document of a checked answer, or of the refusal in its place. Raises RequestError."""
    assert request.verify, "this is for chats with the field"
    version = _version_of(desk, request, key)
    posed, chat = await asyncio.to_thread(_read, desk, request, version)
    search = Search(posed.problem, secrets.token_hex(8), chat)
    account.usage(dict.fromkeys(_USED, 0))  # until an engine has counted
    try:
        async with asyncio.timeout(account.left - _SPARE):
            await _search(desk, search, request, key, account)
    except TimeoutError:
        search.give_up("the request's time is over")
    except VerifierError:
        raise RequestError(503, "the checkers cannot be started", type="server_error") from None
    account.version = account.version or version
    outcome, finish = search.outcome(), "stop"
    if outcome.is_answered and (reason := desk.refuses_output(outcome.reply)):
        reason = f"the answer is withheld by the output filter {reason}"
        outcome, finish = Outcome(reason=reason, samples=outcome.samples), "content_filter"
    document = json.dumps(_document(outcome, finish, account)).encode()
    if desk.feedback and outcome.is_answered:
        desk.feedback.whole(key, request, document)
    return document


def _version_of(desk: Desk, request: ChatRequest, key: Key) -> str:
    """The version that is asked first, as far as it is known."""
    slots = desk.slots.read()
    found = slots.find(request.model, key.id) if slots else None
    return found[1] if found else ""


def _read(desk: Desk, request: ChatRequest, version: str) -> tuple[Posed, tuple[Turn, ...]]:
    """The question as a problem, and the whole prompt. Raises RequestError."""
    assert request.verify
    *system, question = request.messages
    tasks = [task for task in _tasks() if request.verify.task in (None, task.name)]
    if not tasks:
        names = ", ".join(task.name for task in _tasks())
        message = f"verify.task must be one of {names}, got {request.verify.task!r}"
        raise RequestError(400, message, param="verify.task")
    try:
        posed = pose(question_in(question.text()), tasks, "verify.task")
    except AskedError as error:
        raise RequestError(400, str(error), param="messages") from None
    said = system[0].text() if system else system_for(desk.home, version, posed)
    return posed, messages(said, posed.problem.turns)


@cache
def _tasks() -> tuple[Task, ...]:
    return tuple(posing_tasks())


async def _search(desk: Desk, search: Search, request: ChatRequest, key: Key, account: Account) -> None:
    """Draw replies and have them judged until one passes or all are drawn. Raises RequestError."""
    assert request.verify
    search.judge(*await desk.checks.verdicts([(search.problem, search.begin())]))
    budget = Budget(samples=request.verify.samples, seed=request.seed or 0)
    # Clients send 0 by habit; the first reply is greedy anyway, and the others must differ from it.
    budget = replace(budget, temperature=request.temperature or budget.temperature)
    used = dict.fromkeys(_USED, 0)
    for sampling in budget.rounds(request.max_tokens or desk.serving.limits.max_tokens):
        if not search.is_open:
            break
        opened = await desk.open("chat", _round_of(request, search, sampling), key, account)
        opened.rest.cancel()
        document = json.loads(opened.first)
        for name in used:
            used[name] += (document.get("usage") or {}).get(name) or 0
        account.usage(used)
        new = [search.add(_attempt(choice, opened.version)) for choice in document["choices"]]
        items = [(search.problem, attempt) for attempt in new if attempt]
        for verdict in await desk.checks.verdicts(items):
            search.judge(verdict)


def _round_of(request: ChatRequest, search: Search, sampling: Sampling) -> ChatRequest:
    """The chat that an engine is asked for one round of replies."""
    return ChatRequest.model_validate(
        {
            **{name: getattr(request, name) for name in _BESIDE},
            "messages": [{"role": turn.role, "content": turn.text} for turn in search.chat],
            "n": sampling.samples,
            "temperature": sampling.temperature,
            # Without a seed of the client's the engine takes one for each reply.
            "seed": None if request.seed is None else sampling.seed % 2**63,
        }
    )


def _attempt(choice: dict[str, Any], version: str) -> Attempt:
    """A reply as the checkers read it, which know no tokens."""
    return Attempt(
        problem_id="",
        model_id=version,
        sample=0,
        replies=(choice["message"]["content"] or "",),
        num_prompt_tokens=0,
        num_tokens=0,
        finish=Finish.LENGTH if choice["finish_reason"] == "length" else Finish.STOP,
    )


def _document(outcome: Outcome, finish: str, account: Account) -> dict[str, Any]:
    """A chat completion: the reply that passed, or a refusal as OpenAI's clients know it."""
    refusal = None if outcome.is_answered else outcome.reason
    message = {"role": "assistant", "content": outcome.reply or None, "refusal": refusal}
    return {
        "id": f"chatcmpl-{secrets.token_hex(16)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": outcome.model_id or account.version,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": account.prompt_tokens,
            "completion_tokens": account.completion_tokens,
            "total_tokens": account.prompt_tokens + account.completion_tokens,
        },
        "verified": verified_of(outcome),
    }

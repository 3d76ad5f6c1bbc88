"""What users say of answers: a rating, or a better answer, kept where it may be learnt from after curation.

    POST /v1/feedback {"answer": "chatcmpl-…", "rating": "bad", "better": "Berne.", "consent": true}

Off unless the config has `feedback`, and then for keys with the scope `feedback` alone. An answer stays in
memory for a while, for the key that it was given to, so that nobody has to send it again and no chat reaches
the disk before its user agrees. What is kept is masked (`engine/corpus/private.py`), in a file that
`ratchet curate` reads (`engine/corpus/feedback.py`). Nothing is learnt from it without the gate.
"""

import asyncio
import errno
import json
import logging
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeGuard

from pydantic import BaseModel, ConfigDict, Field

from configs.serving import Feedback, Limits, Serving
from engine.corpus.feedback import Rating, Said, feedback_file, stands
from engine.corpus.private import mask
from engine.disk.journal import append_shared
from engine.records import Turn
from serve.filters import Refuses
from serve.keys import OWN, Key, Scope
from serve.requests import ChatRequest, CompletionRequest, RequestError, parse, validated
from serve.responses_answers import chat_id

log = logging.getLogger("ray.serve")

_MIB = 1 << 20
_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


class FeedbackRequest(BaseModel):
    """The body of `POST /v1/feedback`."""

    model_config = ConfigDict(extra="forbid")
    answer: Annotated[str, Field(min_length=1, max_length=200)]
    """The `id` of an answer of `POST /v1/chat/completions` or `POST /v1/responses`."""
    choice: Annotated[int, Field(ge=0, le=1_000)] = 0
    rating: Rating | None = None
    better: Annotated[str, Field(min_length=1)] | None = None
    consent: Annotated[bool, Field(strict=True)]
    """False withdraws everything that was said of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A chat and what it was answered."""

    key: str
    answer: str
    model: str
    chat: tuple[Turn, ...]
    replies: dict[int, str]
    """By the number of the choice."""
    at: float = 0.0
    """Seconds of the clock, when it began to be remembered."""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return 400 + 4 * sum(map(len, (*(turn.text for turn in self.chat), *self.replies.values())))


Elsewhere: TypeAlias = Callable[[str, str], Awaitable[Given | None]]
"""Finds an answer, by key and id, that another gateway gave."""


class Recent:
    """The latest answers of a gateway, as long and as many as the settings allow."""

    def __init__(self, settings: Feedback, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._given: OrderedDict[tuple[str, str], Given] = OrderedDict()
        self._size = 0

    def keep(self, given: Given) -> None:
        """Remember an answer from now on, and forget the oldest ones that have no more room."""
        self._forget_old()
        given = replace(given, at=self._clock())
        self._forget((given.key, given.answer))
        self._given[given.key, given.answer] = given
        self._size += given.size
        while len(self._given) > self._settings.answers or self._size > self._settings.memory_mib * _MIB:
            self._forget(next(iter(self._given)))

    def find(self, key: str, answer: str) -> Given | None:
        """The answer that was given to a key, if it is still remembered."""
        self._forget_old()
        return self._given.get((key, answer))

    def _forget_old(self) -> None:
        oldest = self._clock() - 3600 * self._settings.hours
        while self._given and next(iter(self._given.values())).at < oldest:
            self._forget(next(iter(self._given)))

    def _forget(self, name: tuple[str, str]) -> None:
        if given := self._given.pop(name, None):
            self._size -= given.size


class Heard:
    """An answer while its stream is sent: it is remembered when all of it has been."""

    def __init__(self, recent: Recent, key: Key, request: ChatRequest) -> None:
        self._recent, self._key, self._request = recent, key, request
        self._parts: list[bytes] = []

    def part(self, sent: bytes) -> bytes:
        """Take note of some events; returns them."""
        self._parts.append(sent)
        return sent

    def end(self) -> None:
        """Remember the answer."""
        if given := given_by_stream(self._key.id, self._request, b"".join(self._parts)):
            self._recent.keep(given)


class FeedbackDesk:
    """Remembers answers, and keeps what is said of them."""

    def __init__(
        self, serving: Serving, home: Path, refuses: Refuses, elsewhere: Elsewhere | None = None
    ) -> None:
        """`refuses` is the input filter, which better answers pass as well.

        `elsewhere` is None for a server with one gateway.
        """
        assert serving.feedback is not None, "it is off otherwise"
        self._settings, self._limits, self._refuses = serving.feedback, serving.limits, refuses
        self.recent, self._elsewhere = Recent(serving.feedback), elsewhere
        self._file = feedback_file(home, serving.line)

    def whole(self, key: Key, request: ChatRequest | CompletionRequest, document: bytes) -> None:
        """Remember a complete answer, where its key may say something of it."""
        if _may_be_rated(request, key) and (given := given_by_document(key.id, request, document)):
            self.recent.keep(given)

    def hears(self, key: Key, request: ChatRequest | CompletionRequest) -> Heard | None:
        """What takes note of a stream; None where its key may say nothing of it."""
        return Heard(self.recent, key, request) if _may_be_rated(request, key) else None

    async def take(self, key: Key, body: bytes) -> dict[str, Any]:
        """Keep what a key says of an answer; returns what to reply. Raises RequestError."""
        asked = read_feedback(body, self._limits, self._settings)
        if not asked.consent:
            return await self._withdraw(key, asked)
        if asked.better and (reason := self._refuses(asked.better)):
            raise RequestError(400, f"refused by the input filter {reason}", code="content_filter")
        given = self.recent.find(key.id, asked.answer)
        if given is None and self._elsewhere is not None:
            given = await self._elsewhere(key.id, asked.answer)
        if given is None or asked.choice not in given.replies:
            raise _unknown(asked, self._settings)
        said = await asyncio.to_thread(_said_of, given, asked, self._settings.terms)
        await self._keep(said, most_bytes=int(self._settings.file_mib * _MIB))
        kept = {"id": said.id, "object": "feedback", "answer": said.answer, "choice": said.choice}
        return {**kept, "rating": said.rating, "better": said.better or None, "masked": said.masked}

    async def _withdraw(self, key: Key, asked: FeedbackRequest) -> dict[str, Any]:
        if not await asyncio.to_thread(stands, self._file, key.id, asked.answer):
            message = f"nothing is kept that this key has said of answer {asked.answer!r}"
            raise RequestError(404, message, param="answer", code="answer_not_found")
        said = Said(id=_new_id(), at=_now(), key=key.id, answer=asked.answer)
        await self._keep(said, most_bytes=None)  # a full file must not keep what is withdrawn
        return {"id": said.id, "object": "feedback", "answer": said.answer, "withdrawn": True}

    async def _keep(self, said: Said, most_bytes: int | None) -> None:
        try:
            kept = await asyncio.to_thread(append_shared, self._file, [asdict(said)], most_bytes)
        except OSError as error:
            log.error("feedback cannot be kept in %s: %s", self._file, error.strerror)
            kept = False
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                raise
        if not kept:
            raise RequestError(507, "there is no room for further feedback", type="server_error")
        log.info("%s key=%s answer=%s", said.id, said.key, said.answer)


def read_feedback(body: bytes, limits: Limits, settings: Feedback) -> FeedbackRequest:
    """Read the body of a feedback. Raises RequestError."""
    asked = validated(FeedbackRequest, parse(body, limits))
    asked.answer = chat_id(asked.answer)
    says = asked.rating is not None or asked.better is not None
    if asked.consent and not says:
        raise RequestError(400, "say something: rating (good or bad), or better, a better answer")
    if says and not asked.consent:
        raise RequestError(400, f"consent must be true, which agrees to: {settings.terms}", param="consent")
    if asked.better and len(asked.better) > settings.max_chars:
        raise RequestError(
            400,
            f"better must have at most {settings.max_chars} characters, got {len(asked.better)}",
            param="better",
        )
    return asked


def given_by_document(key: str, request: ChatRequest, document: bytes) -> Given | None:
    """The answer in a complete JSON answer of the API; None where no text of it reached the client."""
    content = json.loads(document)
    texts = {
        choice["index"]: choice["message"]["content"] or ""
        for choice in content["choices"]
        if choice["finish_reason"] != "content_filter"
    }
    return _given(key, request, content, texts)


def given_by_stream(key: str, request: ChatRequest, events: bytes) -> Given | None:
    """The answer in the events of a stream; None where no text of it reached the client."""
    head: dict[str, Any] = {}
    texts: dict[int, str] = {}
    for event in events.split(b"\n\n"):
        data = event.removeprefix(b"data: ")
        if not data or data == b"[DONE]":
            continue
        content = json.loads(data)
        head = head or content
        for choice in content.get("choices", ()):
            index = choice["index"]
            texts[index] = texts.get(index, "") + ((choice.get("delta") or {}).get("content") or "")
            if choice.get("finish_reason") == "content_filter":
                texts[index] = ""
    return _given(key, request, head, texts)


def _given(key: str, request: ChatRequest, head: Mapping[str, Any], texts: Mapping[int, str]) -> Given | None:
    replies = {index: text for index, text in texts.items() if text}
    chat = tuple(Turn(role=_ROLES[each.role], text=each.text()) for each in request.messages)
    # A chat that ends with words of the assistant was continued, not answered.
    if not replies or "id" not in head or chat[-1].role != "user":
        return None
    return Given(key=key, answer=head["id"], model=head.get("model", ""), chat=chat, replies=replies)


def _may_be_rated(request: ChatRequest | CompletionRequest, key: Key) -> TypeGuard[ChatRequest]:
    # What is learnt from are words: a chat with calls of tools would be kept without them.
    is_chat = isinstance(request, ChatRequest) and not request.uses_tools()
    return key.id != OWN and key.may(Scope.FEEDBACK) and is_chat


def _said_of(given: Given, asked: FeedbackRequest, terms: str) -> Said:
    """What is kept: what was said and what of, with private data masked."""
    counts: Counter[str] = Counter()

    def masked(text: str) -> str:
        found = mask(text)
        counts.update(found.counts)
        return found.text

    return Said(
        id=_new_id(),
        at=_now(),
        key=given.key,
        answer=given.answer,
        choice=asked.choice,
        model=given.model,
        chat=tuple(replace(turn, text=masked(turn.text)) for turn in given.chat),
        reply=masked(given.replies[asked.choice]),
        rating=asked.rating,
        better=masked(asked.better or ""),
        consent=terms,
        masked=dict(counts),
    )


def _unknown(asked: FeedbackRequest, settings: Feedback) -> RequestError:
    return RequestError(
        404,
        f"answer {asked.answer!r} with choice {asked.choice} is not known: this key must have been given it, "
        f"in a chat, within {settings.hours:g} hours",
        param="answer",
        code="answer_not_found",
    )


def _new_id() -> str:
    return f"fb-{secrets.token_hex(8)}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""The account of one answer while it is sent to the client: time, tokens, and the output filter's verdict."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from serve.filters import Refuses
from serve.keys import KeysError
from serve.metrics import Metrics
from serve.requests import RequestError
from serve.slots import SlotsError

log = logging.getLogger("ray.serve")


class Account:
    """Collects an answer's figures while it is sent on, and reports them to the metrics and the log."""

    def __init__(
        self, metrics: Metrics, deadline: float, endpoint: str, request_id: str, key_id: str
    ) -> None:
        self._metrics, self._deadline = metrics, deadline
        self._endpoint, self._id, self._key_id = endpoint, request_id, key_id
        self._began = time.monotonic()
        self._first: float | None = None
        self.version = ""
        """Empty until an engine has begun to answer."""
        self.status = 499
        """Status of the response; 499 (client disconnected) until another one is known."""
        self.prompt_tokens = self.completion_tokens = 0
        """Estimated and counted here until the engine reports the real numbers."""
        self.reserved = 0
        """The most tokens that the request may use."""

    @contextmanager
    def takes_failures(self) -> Iterator[None]:
        """Take the status from what ends the request. Raises RequestError where the deadline has passed."""
        try:
            yield
        except TimeoutError:
            self.status = 504
            raise RequestError(504, f"no answer within {self._deadline:g} s", type="timeout_error") from None
        except RequestError as error:
            self.status = error.status
            raise
        except (KeysError, SlotsError):
            self.status = 503  # so the guard answers
            raise
        except Exception:
            # One of the server's own. A client that leaves cancels the request, which is no Exception.
            self.status = 500
            raise

    def seen_first(self) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._began

    def usage(self, usage: dict[str, Any] | None) -> None:
        """Take over the token counts that the engine reports."""
        if usage:
            self.prompt_tokens = usage.get("prompt_tokens") or 0
            self.completion_tokens = usage.get("completion_tokens") or 0

    @property
    def left(self) -> float:
        """Seconds left until the request's deadline."""
        return self._deadline - (time.monotonic() - self._began)

    @property
    def tokens(self) -> int:
        """Tokens that the request has used.

        A request that no engine began used none. One that was abandoned before its complete answer arrived
        counts as reserved, because its real use is unknown.
        """
        if not self.version:
            return 0
        if self.status in (499, 504) and not self.completion_tokens:
            return self.reserved
        return self.prompt_tokens + self.completion_tokens

    def close(self) -> None:
        """Write the account to the log and the metrics."""
        seconds = time.monotonic() - self._began
        log.info(
            "%s key=%s %s version=%s status=%d prompt=%d completion=%d seconds=%.3f",
            self._id,
            self._key_id,
            self._endpoint,
            self.version or "-",
            self.status,
            self.prompt_tokens,
            self.completion_tokens,
            seconds,
        )
        if not self.version:
            self._metrics.refused(self.status)
            return
        self._metrics.answered(
            version=self.version,
            endpoint=self._endpoint,
            status=self.status,
            seconds=seconds,
            first=self._first,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
        )


class Events:
    """Reads the usage from the server-sent events of a vLLM stream, and applies the output filter to them."""

    def __init__(self, account: Account, refuses: Refuses, wants_usage: bool) -> None:
        self._account, self._refuses, self._wants_usage = account, refuses, wants_usage
        self._texts: dict[tuple[int, str], str] = {}
        self.reason = ""
        """Why the filter ended the stream; empty while the stream goes on."""
        self.status = 200
        """400 where an event says what is wrong with the request; a failure of the engine ends the stream."""

    def passed(self, chunk: bytes) -> bytes:
        """Return the part of a chunk that goes on to the client."""
        passed = []
        for each in chunk.split(b"\n\n"):
            if each and (event := self._event(each)):
                passed.append(event)
            if self.reason:
                break
        return b"".join(passed)

    def _event(self, event: bytes) -> bytes:
        data = event.removeprefix(b"data: ")
        if data == b"[DONE]":
            return event + b"\n\n"
        content = json.loads(data)
        if content.get("error"):
            self.status = 400
        if usage := content.get("usage"):
            self._account.usage(usage)
            if not content["choices"]:
                return event + b"\n\n" if self._wants_usage else b""
        for choice in content.get("choices", []):
            delta = choice.get("delta") or {}
            text = choice.get("text") or delta.get("content") or ""
            calls = calls_text(delta.get("tool_calls"))
            if text or calls:
                self._account.seen_first()
                self._account.completion_tokens += 1
            # vLLM holds back text that may begin a stop string, but not the log-probabilities of its tokens.
            tokens = tokens_text(choice.get("logprobs"))
            for kind, new in (("text", text), ("tokens", tokens), *calls.items()):
                so_far = self._texts.get((choice["index"], kind), "") + new
                self._texts[choice["index"], kind] = so_far
                if new and (reason := self._refuses(so_far)):
                    self.reason = reason
                    return _withheld(content, choice)
        return event + b"\n\n"


def tokens_text(logprobs: dict[str, Any] | None) -> str:
    """Join the tokens that a chat or completion lists with their log-probabilities."""
    if not logprobs:
        return ""
    chat = [each["token"] for each in logprobs.get("content") or []]
    return "".join(chat or logprobs.get("tokens") or [])


def calls_text(calls: list[dict[str, Any]] | None) -> dict[str, str]:
    """What calls of tools, or pieces of them, say, by the place of the call among its answer's."""
    texts: dict[str, str] = {}
    for place, call in enumerate(calls or ()):
        function, kind = call.get("function") or {}, f"call {call.get('index', place)}"
        name = f"{function['name']} " if function.get("name") else ""
        texts[kind] = texts.get(kind, "") + name + (function.get("arguments") or "")
    return {kind: text for kind, text in texts.items() if text}


def _withheld(content: dict[str, Any], choice: dict[str, Any]) -> bytes:
    """Build the last event of a stream that the output filter ends."""
    ended: dict[str, Any] = {"index": choice["index"], "finish_reason": "content_filter", "logprobs": None}
    if "text" in choice:
        ended["text"] = ""
    else:
        ended["delta"] = {}
    return b"data: " + json.dumps({**content, "choices": [ended]}).encode() + b"\n\ndata: [DONE]\n\n"

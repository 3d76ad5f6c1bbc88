"""Chat completions of any OpenAI-compatible endpoint: many at once, retried, within limits of time and cost.

    with Endpoint(settings, run.path / "judge-answers.jsonl") as endpoint:
        completions = endpoint.ask([[Turn(role="user", text="…")]])

A completion is kept before it is used, under a hash of all that was asked. So what was interrupted goes on
where it was, and nothing is paid for twice.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
from pydantic import ValidationError

from configs.judging import Asked as Settings
from engine.endpoints import AGAIN, asked_to_wait, content_of, key_in, message
from engine.errors import Lost
from engine.failures import can_go_away, said_by
from engine.judge.completions import (
    REFUSED,
    Completion,
    Completions,
    JudgeError,
    Spent,
    read_completion,
)
from engine.measure.evaluate import Unjudged
from engine.proxies import is_here, or_its_proxy, proxy_for
from engine.records import Turn, fault_in
from engine.terminal import duration, progress

_OF_THE_REQUEST = frozenset({400, 413, 422})
"""Statuses that refuse one request, such as one that is too long, and say nothing of the others."""
_MOST_REFUSED = 20
"""Requests in a row after whose refusal the fault is not theirs."""
_MOST_BYTES = 1 << 22
"""Bytes of an answer."""
_LONGEST_WAIT = 60.0
"""Seconds between two tries, where the endpoint does not ask for more."""


class JudgeLost(Lost):
    """A judge that does not answer. What it has answered is kept, and a resumed run goes on from there."""


class OverBudget(Unjudged):
    """The judge has cost what it may, so pairs are left without a verdict."""


class _Again(NamedTuple):
    """Why a request is to be sent again, and the seconds that the endpoint asks to wait; 0 where it does not
    ask."""

    why: str
    seconds: float = 0.0


class Endpoint:
    """One model of one endpoint, and everything that it has answered in a run."""

    def __init__(self, settings: Settings, kept: Path, *, first_wait: float = 1.0) -> None:
        """`kept` is the file of completions, `first_wait` the seconds before a request is sent again.

        Raises JudgeError where the key is not there, and for a file that holds something else.
        """
        self._settings, self._first_wait = settings, first_wait
        self._proxy = proxy_for(settings.url)
        self._url = f"{settings.url.rstrip('/')}/chat/completions"
        self._kept = Completions(kept)
        self._key = key_of(settings)
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        # Its line for each request would bury those of the run.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        try:
            self._client = httpx.Client(
                headers=headers,
                timeout=settings.seconds,
                limits=httpx.Limits(max_connections=settings.num_parallel),
                # A proxy of the environment would see the key, and does not reach this machine.
                trust_env=not is_here(settings.url),
            )
            self._client.build_request("POST", self._url)
        except (httpx.InvalidURL, ValueError) as error:
            raise JudgeError(f"judge.url {settings.url} cannot be used: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def name(self) -> str:
        """The judge for people: the model that is asked, and where."""
        return f"{self._settings.model} at {self._settings.url}"

    @property
    def _who(self) -> str:
        """The judge where a fault may be that of a proxy."""
        return f"the judge {self.name}{or_its_proxy(self._proxy)}"

    @property
    def spent(self) -> Spent:
        """What everything that it has answered in the run has taken."""
        return self._kept.spent(self._settings.price)

    def ask(self, chats: Sequence[Sequence[Turn]]) -> list[Completion]:
        """The completion of each chat, in order; the same chat has the same one, and is sent once.

        Raises JudgeError where the endpoint refuses whatever it is asked, OverBudget, and JudgeLost where it
        does not answer within the limits. After Ctrl-C it ends once the requests under way have.
        """
        bodies = [self._body(chat) for chat in chats]
        names = [hashlib.sha256(f"{self._url}\n".encode() + body).hexdigest() for body in bodies]
        pairs = zip(names, bodies, strict=True)
        if missing := {name: body for name, body in pairs if name not in self._kept}:
            self._send(missing)
        return [self._kept[name] for name in names]

    def _body(self, chat: Sequence[Turn]) -> bytes:
        settings = self._settings
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": [{"role": turn.role, "content": turn.text} for turn in chat],
            settings.limit: settings.max_tokens,
            "temperature": settings.temperature,
            "seed": settings.seed,
        }
        return json.dumps({name: value for name, value in body.items() if value is not None}).encode()

    def _send(self, missing: Mapping[str, bytes]) -> None:
        """Send requests by their names, and keep what is answered; the first failure ends all.

        A refusal is kept last, once it is known to be of the request alone.
        """
        until, stopped = time.monotonic() + 60 * self._settings.minutes, threading.Event()

        def answer(name: str, body: bytes) -> Completion | None:
            try:
                return self._answer(name, body, until, stopped)
            except BaseException:
                stopped.set()
                raise

        with (
            progress("the judge's answers", len(missing)) as advance,
            ThreadPoolExecutor(self._settings.num_parallel) as pool,
        ):
            tasks = {pool.submit(answer, name, body): name for name, body in missing.items()}
            refused: dict[str, Completion] = {}
            in_a_row = 0
            try:
                for done, task in enumerate(as_completed(tasks), start=1):
                    advance(done)
                    if (refusal := task.result()) is None:
                        in_a_row = 0
                        continue
                    refused[tasks[task]] = refusal
                    in_a_row += 1
                    is_never = done == len(missing) == len(refused) and not self._kept.has_answers
                    if is_never or in_a_row == _MOST_REFUSED:
                        raise JudgeError(
                            f"the judge {self.name} refuses whatever it is asked, last with: {refusal.text}"
                        )
            except BaseException:
                stopped.set()
                raise
        for name, refusal in refused.items():
            self._kept.keep(name, refusal)

    def _answer(self, name: str, body: bytes, until: float, stopped: threading.Event) -> Completion | None:
        """Have one request answered, however often that takes within the limits, and keep the completion.

        Returns it unkept where the request was refused. Where another one has failed meanwhile, this one is
        left unanswered.
        """
        why, wait = "", 0.0
        for attempt in range(self._settings.retries + 1):
            if stopped.wait(min(wait, max(0.0, until - time.monotonic()))):
                return None
            if time.monotonic() >= until:
                limit = f"the {duration(60 * self._settings.minutes)} of judge.minutes are over"
                why = f"{limit}; last: {why}" if why else limit
                break
            self._require_budget()
            came = self._once(body, until)
            if isinstance(came, Completion):
                if came.finish == REFUSED:
                    return came
                self._kept.keep(name, came)
                return None
            why, wait = came.why, came.seconds or min(self._first_wait * 2**attempt, _LONGEST_WAIT)
        raise JudgeLost(
            f"{self._who} does not answer: {why}; what it has answered is kept, and "
            f"`ratchet resume` goes on from there"
        )

    def _require_budget(self) -> None:
        if (most := self._settings.max_cost) is None:
            return
        spent = self.spent
        if spent.cost is not None and spent.cost >= most:
            raise OverBudget(
                f"the judge {self.name} has cost {spent.cost:.4g} for {spent.num_requests} answers, and "
                f"judge.max_cost is {most:g}"
            )

    def _once(self, body: bytes, until: float) -> Completion | _Again:
        """Send a request once."""
        until = min(until, time.monotonic() + self._settings.seconds)
        try:
            with self._client.stream("POST", self._url, content=body) as reply:
                content = content_of(reply, until, _MOST_BYTES)
        except httpx.HTTPError as error:
            why = said_by(error)
            if can_go_away(error):
                return _Again(why)
            raise JudgeError(f"{self._who} cannot be asked: {why}") from None
        status, said = reply.status_code, f"{reply.status_code} {message(content, self._key)}".strip()
        if status in AGAIN or status >= 500:
            return _Again(said, asked_to_wait(reply))
        if status in _OF_THE_REQUEST:
            return Completion(
                text=said,
                finish=REFUSED,
                model=self._settings.model,
                num_prompt_tokens=0,
                num_tokens=0,
            )
        if status != 200:
            raise JudgeError(f"{self._who} cannot be asked: {said}")
        return self._completion(content)

    def _completion(self, content: bytes) -> Completion | _Again:
        try:
            completion, counted = read_completion(content, self._settings.model)
        except ValidationError as error:
            return _Again(f"an answer that is no chat completion ({fault_in(error)})")
        if not counted and self._settings.max_cost is not None:
            raise JudgeError(
                f"the judge {self.name} does not say how many tokens it used, so that judge.max_cost cannot "
                f"be kept"
            )
        return completion


def key_of(settings: Settings) -> str:
    """The endpoint's key; empty where it needs none. Raises JudgeError where the environment lacks it."""
    if settings.key is None:
        return ""
    try:
        return key_in(settings.key)
    except ValueError as why:
        raise JudgeError(
            f"judge.key names the environment variable of the key, but {settings.key} {why}"
        ) from None

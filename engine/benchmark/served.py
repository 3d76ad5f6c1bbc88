"""A sampler behind an OpenAI-compatible API: a server of ours, or any that scores prompts of tokens.

    api = Api("http://127.0.0.1:8000/v1", key_of("RATCHET_KEY"))
    with Served(api, find(api, "champion")) as sampler: ...

A server of ours is asked by the version that the name stands for now, so that all answers are of one version.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from engine.benchmark.package import BenchmarkError
from engine.endpoints import AGAIN, asked_to_wait, content_of, key_in, message
from engine.errors import Lost
from engine.failures import can_go_away, said_by
from engine.proxies import is_here, or_its_proxy, proxy_for
from engine.records import Attempt, Finish, Score, Tokens
from engine.sample.protocol import Reply, Request, Sampling

T = TypeVar("T")
S = TypeVar("S")

_PATIENCE = 300.0
"""Seconds for which a request is sent again before the server counts as lost."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
"""Seconds before it is sent again, doubled each time."""
_SECONDS, _MOST_BYTES = 300.0, 1 << 26
"""Time for one answer, and its size: a long prompt's tokens come with what each of them is likely to be."""
_MOST_STOPS = 4
"""Stop texts that the API takes; an answer is cut at further ones when it is there."""


class NotAnswered(Lost):
    """An API that does not answer. What it has answered is kept, and the same command goes on from there."""


class Api(NamedTuple):
    """Where models are served."""

    url: str
    """Up to and with ``/v1``."""
    key: str = ""
    num_parallel: int = 4
    """Requests at once."""


class Card(NamedTuple):
    """What a server says of one of its models."""

    name: str
    """As it is asked for."""
    id: str
    """What its answers are kept under: the version's content hash at a server of ours, else url and name."""
    pinned: bool
    """Whether the id is a version, which the server names in each answer."""
    max_length: int | None
    """Tokens of prompt and answer; None where the server does not say."""


def key_of(variable: str) -> str:
    """The API key that an environment variable holds; empty where none is named. Raises BenchmarkError.

    Only a variable that is named is read: the key of one API is nothing to send to another.
    """
    if not variable:
        return ""
    try:
        return key_in(variable)
    except ValueError as why:
        raise BenchmarkError(
            f"--key-env names the environment variable of the key, but {variable} {why}"
        ) from None


def find(api: Api, name: str) -> Card:
    """The model that a server has under a name. Raises BenchmarkError and NotAnswered."""
    with _Client(api) as client:
        listed = client.call("GET", "/models").get("data")
    listed = listed if isinstance(listed, list) else []
    cards = {str(card.get("id")): card for card in listed if isinstance(card, dict)}
    if name not in cards:
        known = ", ".join(sorted(cards)) or "none"
        raise BenchmarkError(f"{api.url} serves no model '{name:.80}'; it has {known:.300}")
    root, length = cards[name].get("root"), cards[name].get("max_model_len")
    # A server of ours lists each version under its own name, too.
    pinned = isinstance(root, str) and root in cards and cards[root].get("root") == root
    return Card(
        name=str(root) if pinned else name,
        id=str(root) if pinned else f"{name} at {api.url}",
        pinned=pinned,
        max_length=length if isinstance(length, int) and length > 0 else None,
    )


class Served:
    """A model of a server; implements `engine.sample.protocol.Sampler` for prompts of tokens."""

    def __init__(self, api: Api, card: Card) -> None:
        self._card, self._client, self._num_parallel = card, _Client(api), api.num_parallel

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.__exit__()

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        """See `protocol.Sampler`; `model` is the directory of the tokenizer, which the server has itself."""
        asked = [(request, sample) for request in requests for sample in sampling.numbers]
        yield from self._each(lambda each: self._attempt(*each, sampling), asked)

    def score(self, model: Path, texts: Sequence[str | Reply | Tokens]) -> list[Score]:
        """See `protocol.Sampler`; all texts must be tokens."""
        return list(self._each(self._score, texts))

    def sleep(self) -> None:
        """A server keeps its own accelerator."""

    def _each(self, work: Callable[[S], T], asked: Sequence[S]) -> Iterator[T]:
        """The results in order, several requests at once; after one that fails no further one is sent."""
        with ThreadPoolExecutor(self._num_parallel) as pool:
            try:
                yield from pool.map(work, asked)
            except BaseException:
                self._client.is_left.set()  # those that wait to be sent again would hold up the error
                raise

    def _attempt(self, request: Request, sample: int, sampling: Sampling) -> Attempt:
        prompt = request.messages
        assert isinstance(prompt, Tokens), "a benchmark asks in tokens"
        body = {
            "prompt": list(prompt.given),
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed_of(request.problem_id, sample),
            **({"stop": list(sampling.stop[:_MOST_STOPS])} if sampling.stop else {}),
        }
        answer, choice = self._asked(body)
        usage = answer.get("usage")
        return Attempt(
            problem_id=request.problem_id,
            model_id=self._id_of(answer),
            sample=sample,
            replies=(choice["text"],),
            num_prompt_tokens=len(prompt.given),
            num_tokens=(usage.get("completion_tokens") or 0) if isinstance(usage, dict) else 0,
            finish=Finish.LENGTH if choice.get("finish_reason") == "length" else Finish.STOP,
        )

    def _score(self, text: str | Reply | Tokens) -> Score:
        assert isinstance(text, Tokens), "a benchmark asks in tokens"
        prompt, first = [*text.given, *text.scored], len(text.given)
        body = {"prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": True}
        answer, choice = self._asked(body)
        try:
            values, tops = (
                choice["logprobs"][name][first : len(prompt)] for name in ("token_logprobs", "top_logprobs")
            )
            nats = -sum(float(value) for value, _ in zip(values, text.scored, strict=True))
            greedy = all(value >= max(top.values()) for value, top in zip(values, tops, strict=True) if top)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise BenchmarkError(
                f"{self._client.url} does not say how likely a prompt's tokens are (echo with logprobs): "
                "it can be asked only tasks that are answered"
            ) from None
        return Score(nats, len(text.scored), self._id_of(answer), greedy)

    def _asked(self, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        answer = self._client.call("POST", "/completions", {"model": self._card.name, **body})
        choices = answer.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or not isinstance(choice.get("text"), str):
            raise BenchmarkError(f"{self._client.url} does not answer as OpenAI's completions do")
        return answer, choice

    def _id_of(self, answer: dict[str, Any]) -> str:
        """The version that answered, where the server says it."""
        return str(answer.get("model")) if self._card.pinned else self._card.id


class _Client:
    """Sends requests to one API, again where that may help."""

    def __init__(self, api: Api) -> None:
        self.url, self._key = api.url.rstrip("/"), api.key
        self._who = f"{self.url}{or_its_proxy(proxy_for(self.url))}"
        self.is_left = threading.Event()
        """Set where nobody waits for an answer any more."""
        try:
            place = urlsplit(self.url)
            if place.scheme not in ("http", "https"):
                raise ValueError("it must begin with http:// or https://")
            self._http = httpx.Client(
                headers={"authorization": f"Bearer {api.key}"} if api.key else {},
                timeout=_SECONDS,
                # A proxy of the environment would see the key, and does not reach this machine.
                trust_env=not is_here(self.url),
            )
            self._http.build_request("GET", self.url)
        except (httpx.InvalidURL, ValueError) as error:
            raise BenchmarkError(f"--url {api.url} cannot be used: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that answers a request. Raises BenchmarkError for a refusal, and NotAnswered."""
        until, wait = time.monotonic() + _PATIENCE, _FIRST_WAIT
        while True:
            longer = 0.0
            try:
                with self._http.stream(method, f"{self.url}{path}", json=body) as reply:
                    content = content_of(reply, time.monotonic() + _SECONDS, _MOST_BYTES)
            except httpx.RequestError as error:
                why = said_by(error)
                if not can_go_away(error):
                    raise BenchmarkError(f"{self._who} cannot be asked: {why}") from None
            else:
                status = reply.status_code
                if status == 200:
                    return self._read(content)
                why, longer = f"{status} {message(content, self._key)}".strip(), asked_to_wait(reply)
                if status not in AGAIN and status < 500:
                    hint = "; --key-env names the variable that holds the key" if status == 401 else ""
                    raise BenchmarkError(f"{self._who} refuses: {why}{hint}")
            wait = min(max(wait, longer), _LONGEST_WAIT)
            if time.monotonic() + wait > until or self.is_left.wait(wait):
                raise NotAnswered(
                    f"{self._who} does not answer: {why}; what it has answered is kept, and the same command "
                    "goes on from there"
                )
            wait *= 2

    def _read(self, content: bytes) -> dict[str, Any]:
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise BenchmarkError(f"{self.url} answers with no JSON object: is it the address of an API?")
        return found

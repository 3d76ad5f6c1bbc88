"""Sampling: Ray actors around vLLM that answer, score and take new weights in place.

The driver holds a `SamplerGroup`. It sends requests in a fixed order, hands back finished answers
as they come, and replaces a lost actor: answers that had arrived are kept, the others are asked
again, so none is lost or given twice. The lost one's place may be on a node that is gone: work is given only
to actors that have answered, so that the others go on while it waits for a node. Every answer carries the id
of the weights that gave it, as hashed by the actor from what it loaded.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import ray

from configs.schema import Sampler as SamplerConfig
from engine.liveness import Score
from engine.nodes import tell
from engine.prompts import Messages
from engine.records import Attempt
from engine.vllm_setup import engine_environment

log = logging.getLogger(__name__)

_CHUNK = 64
"""Requests an actor is given at a time where there are several actors."""

_START_SECONDS = 1800
"""How long to wait where no actor is there at all, as for a node that comes back."""

# A node that is lost takes what its actors had sent, and nobody had fetched, with it.
_LOST = (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError)


class SamplerError(RuntimeError):
    """Samplers that cannot be kept alive (the run is resumable), or a prompt that is too long for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    problem_id: str
    messages: Messages | str
    """A chat, or plain text to be continued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """`samples` completions of every request. Temperature 0 is greedy."""

    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    max_new_tokens: int = 256


class Sampler(Protocol):
    """What the engine needs of a sampler; it does not know where or how sampling runs."""

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        """Attempts as they finish, in any order: `samples` for every request."""

    def score(self, model: Path, texts: Sequence[str]) -> list[Score]:
        """One score a text, in order."""

    def sleep(self) -> None:
        """Give up the accelerator until the next call (a shared GPU's turn goes to the trainer)."""


class Ask(NamedTuple):
    """One completion that is wanted of a request."""

    problem_id: str
    sample: int
    messages: Messages | str


class SamplerGroup:
    """The driver's hold on all sampler actors. A context manager; implements `Sampler`."""

    def __init__(
        self, config: SamplerConfig, model: Path, *, threads: int, gpus: float, share_gpu: bool
    ) -> None:
        self._config, self._threads, self._gpus, self._sleeps = config, threads, gpus, share_gpu
        self._actors = [self._start(model) for _ in range(config.num_actors)]
        self._restarts_left = dict.fromkeys(self._actors, config.max_restarts)
        self._there: set[Any] = set()
        """Actors that have answered. The others may be waiting for a node."""

    def __enter__(self) -> "SamplerGroup":
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            ray.kill(actor)

    def _start(self, model: Path) -> Any:
        from engine.sampler_actor import SamplerActor

        # No CPU is reserved: samplers and train workers take turns on the same cores; threads are explicit.
        options = SamplerActor.options(  # type: ignore[attr-defined]  # ray.remote made it an actor class
            num_cpus=0,
            num_gpus=self._gpus,
            resources={"sampler": 1},
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": engine_environment(self._threads)},
        )
        return options.remote(self._config, tell(model), self._threads, self._sleeps)

    def _replace(self, actor: Any, model: Path, error: Exception) -> Any:
        left, limit = self._restarts_left[actor], self._config.max_restarts
        if not left:
            raise SamplerError(f"a sampler was lost after {limit} had been replaced: {_first_line(error)}")
        log.warning("a sampler was lost and is replaced: %s", _first_line(error))
        ray.kill(actor)  # where it was only out of reach it would keep its place
        fresh = self._start(model)
        self._actors.remove(actor)
        self._actors.append(fresh)
        self._there.discard(actor)
        self._restarts_left[fresh] = left - 1
        return fresh

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        # All first samples, then all second ones: by then a prompt is in the prefix cache.
        asks = [Ask(r.problem_id, j, r.messages) for j in range(sampling.samples) for r in requests]
        size = len(asks) if len(self._actors) == 1 else _CHUNK
        chunks = deque(asks[i : i + size] for i in range(0, len(asks), size))
        told = tell(model)
        running: dict[Any, tuple[Any, dict[tuple[str, int], Ask]]] = {}
        coming = {actor.swap.remote(told): actor for actor in self._actors}
        idle: deque[Any] = deque()
        while chunks or running:
            while chunks and idle:
                actor, chunk = idle.popleft(), chunks.popleft()
                stream = actor.sample.options(num_returns="streaming").remote(chunk, sampling)
                running[stream] = actor, {(ask.problem_id, ask.sample): ask for ask in chunk}
            first = self._first([*coming, *running], None if running else _START_SECONDS)
            if first in coming:
                actor = coming.pop(first)
                try:
                    ray.get(first)
                    self._there.add(actor)
                    idle.append(actor)
                except _LOST as error:
                    fresh = self._replace(actor, model, error)
                    coming[fresh.swap.remote(told)] = fresh
                continue
            actor, open_asks = running[first]
            try:
                attempts = ray.get(next(first))
            except StopIteration:
                assert not open_asks, f"{len(open_asks)} requests were never answered"
                del running[first]
                idle.append(actor)
                continue
            except _LOST as error:
                del running[first]
                chunks.appendleft(list(open_asks.values()))
                fresh = self._replace(actor, model, error)
                coming[fresh.swap.remote(told)] = fresh
                continue
            for attempt in attempts:
                del open_asks[attempt.problem_id, attempt.sample]
                yield attempt

    def _first(self, refs: list[Any], seconds: float | None) -> Any:
        """The one of `refs` that is ready first. Raises SamplerError where none is for so long."""
        ready, _ = ray.wait(refs, num_returns=1, timeout=seconds, fetch_local=False)
        if not ready:
            raise SamplerError(
                f"no sampler could be started for {_START_SECONDS // 60} minutes: no node has the Ray "
                f"resource `sampler` and {self._gpus:g} GPUs free"
            )
        return ready[0]

    def score(self, model: Path, texts: Sequence[str]) -> list[Score]:
        while True:
            # The one that has been there longest: those that took another's place come last.
            actor = self._actors[0]
            try:
                ray.get(self._first([actor.swap.remote(tell(model))], _START_SECONDS))
                self._there.add(actor)
                return ray.get(actor.score.remote(list(texts)))
            except _LOST as error:
                self._replace(actor, model, error)

    def sleep(self) -> None:
        for slept in [actor.sleep.remote() for actor in self._there]:
            with suppress(*_LOST):  # it holds nothing, and is replaced when it is next asked
                ray.get(slept)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]

"""Sampling: Ray actors around vLLM that answer, score and take new weights in place.

The driver holds a `SamplerGroup`. It sends requests in a fixed order, so many to each actor that none
runs dry and all end at about the same time, hands back finished answers as they come, and replaces a
lost actor: answers that had arrived are kept, the others are asked again, so none is lost or given
twice. The lost one's place may be on a node that is gone: only actors that have answered are given
requests, so that the others go on while it waits for a node. Every answer carries the id of the weights
that gave it, as hashed by the actor from what it loaded.
"""

import itertools
import logging
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from configs.schema import Sampler as SamplerConfig
from engine.models.nodes import Told, tell
from engine.records import Attempt, Score
from engine.sample.actor import SamplerActor
from engine.sample.protocol import Ask, Request, SamplerError, Sampling
from engine.sample.vllm_setup import engine_environment

log = logging.getLogger(__name__)

_CALLS = 2
"""Of `sample` that an actor has at a time: the next one waits there, so that it begins without the driver."""
_BLOCK = 4
"""Problems that are sampled before others are begun, for each request that can run at once."""
_START_SECONDS = 1800
"""How long to wait where no actor is there at all, as for a node that comes back."""

# A node that is lost takes what its actors had sent, and nobody had fetched, with it.
_LOST = (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError)


class _Asks:
    """What is still to be asked, made as it is taken.

    In blocks of problems; in each all first samples, then all second ones: by then a prompt is in the prefix
    cache, and in a block of this size still.
    """

    def __init__(self, requests: Sequence[Request], samples: int, block: int) -> None:
        self.num_left = len(requests) * samples
        self._again: deque[Ask] = deque()
        self._fresh = (
            Ask(requests[i].problem_id, sample, requests[i].messages)
            for start in range(0, len(requests), block)
            for sample in range(samples)
            for i in range(start, min(start + block, len(requests)))
        )

    def take(self, num: int) -> list[Ask]:
        """As many as there are, at most `num`; those that were put back come first."""
        asks = [self._again.popleft() for _ in range(min(num, len(self._again)))]
        asks += itertools.islice(self._fresh, num - len(asks))
        self.num_left -= len(asks)
        return asks

    def put_back(self, asks: Collection[Ask]) -> None:
        self._again.extend(asks)
        self.num_left += len(asks)


@dataclass(slots=True)
class _Seat:
    """An actor with what it was asked and has not answered."""

    actor: Any
    open: dict[tuple[str, int], Ask]
    num_calls: int = 0
    """Of `sample`, that have not ended."""
    keep: int = 0
    """How many the newest of them may leave unfinished."""
    is_here: bool = False
    """Whether it has the model, and is given requests."""

    def plan(self, slots: int, share: int, asks: _Asks) -> list[Ask] | None:
        """Requests of the next call, which may be none where it is to finish others. None: no call is needed.

        An actor has at most three times what it runs at once: what it runs, what takes its place, and what
        waits in the call after. Towards the end it gets no more than its `share` of all that is unfinished.
        """
        room = 2 * slots if not self.open else slots
        given = asks.take(max(0, min(room, min(3 * slots, share) - len(self.open))))
        self.open |= {(ask.problem_id, ask.sample): ask for ask in given}
        if not given and (self.num_calls or not self.open):
            return None
        self.num_calls += 1
        self.keep = min(slots, len(self.open) // 2)
        return given


class SamplerGroup:
    """All sampler actors, as the driver holds them: a context manager and a `protocol.Sampler`."""

    def __init__(
        self, config: SamplerConfig, model: Path, *, threads: int, gpus: float, share_gpu: bool
    ) -> None:
        self._config, self._threads, self._gpus, self._sleeps = config, threads, gpus, share_gpu
        self._actors = [self._start(tell(model)) for _ in range(config.num_actors)]
        self._restarts_left = dict.fromkeys(self._actors, config.max_restarts)
        self._away: set[Any] = set()
        """Actors that took a lost one's place and have not answered yet. They may be waiting for a node."""

    def __enter__(self) -> "SamplerGroup":
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            ray.kill(actor)

    def _start(self, told: Told) -> Any:
        # No CPU is reserved: samplers and train workers take turns on the same cores; threads are explicit.
        options = SamplerActor.options(  # type: ignore[attr-defined]  # ray.remote made it an actor class
            num_cpus=0,
            num_gpus=self._gpus,
            resources={"sampler": 1},
            # Over the nodes; and not into the placement group of a trial of Tune's, which lacks it.
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": engine_environment(self._threads)},
        )
        return options.remote(self._config, told, self._threads, self._sleeps)

    def _replace(self, actor: Any, told: Told, error: Exception) -> Any:
        left, limit = self._restarts_left.pop(actor), self._config.max_restarts
        if not left:
            raise SamplerError(f"a sampler was lost after {limit} had been replaced: {_first_line(error)}")
        log.warning("a sampler was lost and is replaced: %s", _first_line(error))
        ray.kill(actor)  # where it was only out of reach it would keep its place
        fresh = self._start(told)
        self._actors.remove(actor)
        self._actors.append(fresh)
        self._away.discard(actor)
        self._away.add(fresh)
        self._restarts_left[fresh] = left - 1
        return fresh

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        """As `protocol.Sampler`. `requests` is read as it is asked; only what is under way is held."""
        slots, told = self._config.max_num_seqs, tell(model)
        asks = _Asks(requests, sampling.samples, block=_BLOCK * slots * len(self._actors))
        seats = [_Seat(actor, {}) for actor in self._actors]
        coming = {seat.actor.swap.remote(told): seat for seat in seats}
        running: dict[Any, _Seat] = {}
        while unfinished := asks.num_left + sum(len(seat.open) for seat in seats):
            self._ask(seats, asks, sampling, unfinished, running)
            first = self._first([*coming, *running], None if running else _START_SECONDS)
            seat = coming.pop(first, None) or running.pop(first)
            try:
                if not seat.is_here:
                    ray.get(first)
                    self._away.discard(seat.actor)
                    seat.is_here = True
                    continue
                attempts = ray.get(next(first))
            except StopIteration:
                seat.num_calls -= 1
                left = len(seat.open)
                assert seat.num_calls or left <= seat.keep, f"{left - seat.keep} requests were never answered"
                continue
            except _LOST as error:
                running = {other: its for other, its in running.items() if its is not seat}
                asks.put_back(seat.open.values())
                seat.actor, seat.open, seat.num_calls = self._replace(seat.actor, told, error), {}, 0
                seat.is_here = False
                coming[seat.actor.swap.remote(told)] = seat
                continue
            # To the end of the line: no actor's answers wait for ever behind another's.
            running[first] = seat
            for attempt in attempts:
                del seat.open[attempt.problem_id, attempt.sample]
                yield attempt

    def _ask(
        self,
        seats: Sequence[_Seat],
        asks: _Asks,
        sampling: Sampling,
        unfinished: int,
        running: dict[Any, _Seat],
    ) -> None:
        """Give every actor that is here what it has room for. One that is still starting keeps its share."""
        num = sum(seat.actor not in self._away for seat in seats) or 1
        for seat in seats:
            while seat.is_here and seat.num_calls < _CALLS:
                given = seat.plan(self._config.max_num_seqs, -(-unfinished // num), asks)
                if given is None:
                    break
                call = seat.actor.sample.options(num_returns="streaming")
                running[call.remote(given, sampling, seat.keep)] = seat

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
        told = tell(model)
        while True:
            # The one that has been there longest: those that took another's place come last.
            actor = self._actors[0]
            try:
                ray.get(self._first([actor.swap.remote(told)], _START_SECONDS))
                self._away.discard(actor)
                return ray.get(actor.score.remote(list(texts)))
            except _LOST as error:
                self._replace(actor, told, error)

    def sleep(self) -> None:
        # One that is not there yet sleeps as soon as it is.
        slept = {actor: actor.sleep.remote() for actor in self._actors}
        for actor in slept.keys() - self._away:
            with suppress(*_LOST):  # it holds nothing, and is replaced when it is next asked
                ray.get(slept[actor])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]

"""Sampling: Ray actors around vLLM that answer, score and take new weights in place.

The driver holds a `SamplerGroup`. It sends requests in a fixed order, so many to each actor that none
runs dry and all end at about the same time, hands back finished answers as they come, and replaces a
lost actor: answers that had arrived are kept, the others are asked again, so none is lost or given
twice. Every answer carries the id of the weights that gave it, as hashed by the actor from what it loaded.
"""

import itertools
import logging
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from configs.schema import Sampler as SamplerConfig
from engine.liveness import Score
from engine.records import Attempt
from engine.sampler_actor import SamplerActor
from engine.sampling import Ask, Request, SamplerError, Sampling
from engine.vllm_setup import engine_environment

log = logging.getLogger(__name__)

_CALLS = 2
"""Of `sample` that an actor has at a time: the next one waits there, so that it begins without the driver."""
_BLOCK = 4
"""Problems that are sampled before others are begun, for each request that can run at once."""


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
    """The driver's hold on all sampler actors. A context manager; implements `engine.sampling.Sampler`."""

    def __init__(
        self, config: SamplerConfig, model: Path, *, threads: int, gpus: float, share_gpu: bool
    ) -> None:
        self._config, self._threads, self._gpus, self._sleeps = config, threads, gpus, share_gpu
        self._restarts_left = config.max_restarts
        self._actors = [self._start(model) for _ in range(config.num_actors)]

    def __enter__(self) -> "SamplerGroup":
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            ray.kill(actor)

    def _start(self, model: Path) -> Any:
        # No CPU is reserved: samplers and train workers take turns on the same cores; threads are explicit.
        options = SamplerActor.options(  # type: ignore[attr-defined]  # ray.remote made it an actor class
            num_cpus=0,
            num_gpus=self._gpus,
            resources={"sampler": 1},
            # Over the nodes; and not into the placement group of a trial of Tune's, which lacks it.
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": engine_environment(self._threads)},
        )
        return options.remote(self._config, str(model), self._threads, self._sleeps)

    def _replace(self, actor: Any, model: Path, error: Exception) -> Any:
        if self._restarts_left == 0:
            limit = self._config.max_restarts
            raise SamplerError(f"a sampler was lost after {limit} had been replaced: {_first_line(error)}")
        self._restarts_left -= 1
        log.warning("a sampler was lost and is replaced: %s", _first_line(error))
        fresh = self._start(model)
        self._actors[self._actors.index(actor)] = fresh
        return fresh

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        """As `engine.sampling.Sampler`. `requests` is read as it is asked; only what is under way is held."""
        slots, num = self._config.max_num_seqs, len(self._actors)
        asks = _Asks(requests, sampling.samples, block=_BLOCK * slots * num)
        seats = [_Seat(actor, {}) for actor in self._actors]
        for seat in seats:
            seat.actor.swap.remote(str(model))
        running: dict[Any, _Seat] = {}
        while True:
            unfinished = asks.num_left + sum(len(seat.open) for seat in seats)
            if not unfinished:
                return
            for seat in seats:
                while seat.num_calls < _CALLS:
                    given = seat.plan(slots, -(-unfinished // num), asks)
                    if given is None:
                        break
                    call = seat.actor.sample.options(num_returns="streaming")
                    running[call.remote(given, sampling, seat.keep)] = seat
            (stream,), _ = ray.wait(list(running), num_returns=1, fetch_local=False)
            seat = running.pop(stream)
            try:
                attempts = ray.get(next(stream))
            except StopIteration:
                seat.num_calls -= 1
                left = len(seat.open)
                assert seat.num_calls or left <= seat.keep, f"{left - seat.keep} requests were never answered"
                continue
            except ray.exceptions.RayActorError as error:
                running = {other: its for other, its in running.items() if its is not seat}
                asks.put_back(seat.open.values())
                seat.actor, seat.open, seat.num_calls = self._replace(seat.actor, model, error), {}, 0
                continue
            # To the end of the line: no actor's answers wait for ever behind another's.
            running[stream] = seat
            for attempt in attempts:
                del seat.open[attempt.problem_id, attempt.sample]
                yield attempt

    def score(self, model: Path, texts: Sequence[str]) -> list[Score]:
        while True:
            actor = self._actors[0]
            try:
                actor.swap.remote(str(model))
                return ray.get(actor.score.remote(list(texts)))
            except ray.exceptions.RayActorError as error:
                self._replace(actor, model, error)

    def sleep(self) -> None:
        ray.get([actor.sleep.remote() for actor in self._actors])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]

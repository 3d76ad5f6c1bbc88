"""Sampling: Ray actors around vLLM that answer, score and take new weights in place.

The driver holds a `SamplerGroup`. It sends requests in a fixed order, enough to each actor that none
runs dry and all end at about the same time, and returns attempts as they finish. It replaces an actor that is
lost, but none that fails (`engine/failures.py`): attempts that had arrived are kept and the others are asked
again, so none is lost or given twice. The replacement may have to wait for a node, so only actors that have
answered get requests and the others go on meanwhile. Every attempt carries the id of the weights behind it:
the actor hashed the files, and its engine has proved that it answers by them (`engine/models/proof.py`). One
that cannot is started anew, once.
"""

import itertools
import logging
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import ray

from configs.schema import Sampler as SamplerConfig
from engine.errors import cause_of
from engine.failures import can_go_away, first_line
from engine.models.evidence import Unproven
from engine.models.nodes import ModelRef, refer_to
from engine.models.proof import Proof
from engine.models.reference import Reference, References
from engine.records import Attempt, Score, Tokens
from engine.sample.actor import SamplerActor
from engine.sample.protocol import Ask, Reply, Request, SamplerError, Sampling
from engine.sample.vllm_setup import engine_environment

log = logging.getLogger(__name__)

_CALLS = 2
"""Calls of `sample` queued per actor; the second waits at the actor, so it starts without a round trip."""
_BLOCK = 4
"""Problems in a block, for each request that can run at once: a block is sampled before the next begins."""
_START_SECONDS = 1800
"""How long to wait while there is no actor at all, for a node that may come back."""


class _Asks:
    """The completions still to be asked, made as they are taken.

    They come in blocks of problems, in each block all first samples before all second ones: then a prompt is
    in the prefix cache, and the block is small enough that it has not been evicted.
    """

    def __init__(self, requests: Sequence[Request], numbers: range, block: int) -> None:
        self.num_left = len(requests) * len(numbers)
        self._again: deque[Ask] = deque()
        self._fresh = (
            Ask(requests[i].problem_id, sample, requests[i].messages)
            for start in range(0, len(requests), block)
            for sample in numbers
            for i in range(start, min(start + block, len(requests)))
        )

    def take(self, num: int) -> list[Ask]:
        """Up to `num` of them; those that were put back come first."""
        asks = [self._again.popleft() for _ in range(min(num, len(self._again)))]
        asks += itertools.islice(self._fresh, num - len(asks))
        self.num_left -= len(asks)
        return asks

    def put_back(self, asks: Collection[Ask]) -> None:
        """Ask these again, before any other."""
        self._again.extend(asks)
        self.num_left += len(asks)


@dataclass(slots=True)
class _Seat:
    """An actor with the requests that it has not answered."""

    actor: Any
    open: dict[tuple[str, int], Ask]
    num_calls: int = 0
    """Calls of `sample` that have not ended."""
    keep: int = 0
    """How many requests the newest of these calls may leave unfinished."""
    is_here: bool = False
    """Whether it has loaded the model and can get requests."""

    def plan(self, slots: int, share: int, asks: _Asks) -> list[Ask] | None:
        """The requests of the next call; an empty call finishes earlier ones. None where no call is needed.

        An actor has at most three times the requests that it runs at once: those that run, those that replace
        them, and those of the waiting call. Towards the end it gets no more than its `share` of all
        unfinished ones.
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
    """All sampler actors, held by the driver: a context manager and a `protocol.Sampler`."""

    def __init__(
        self,
        config: SamplerConfig,
        model: Path,
        *,
        threads: int,
        gpus: float,
        share_gpu: bool,
        references: References | None = None,
    ) -> None:
        self._config, self._threads, self._gpus, self._sleeps = config, threads, gpus, share_gpu
        self.references = references or References()
        self._actors = [self._start(refer_to(model)) for _ in range(config.num_actors)]
        self._restarts_left = dict.fromkeys(self._actors, config.max_restarts)
        self._away: set[Any] = set()
        """Replacements that have not answered yet. They may be waiting for a node."""
        self._anew: set[Any] = set()
        """Those that replace an engine which did not hold the weights that it was given."""
        self._told: set[str] = set()
        """Models whose proof has been told."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            ray.kill(actor)

    def _start(self, ref: ModelRef) -> Any:
        # No CPU is reserved: samplers and train workers take turns on the same cores; threads are explicit.
        environment = engine_environment(self._threads, compiles=self._config.compile or self._gpus > 0)
        options = SamplerActor.options(  # type: ignore[attr-defined]  # ray.remote made it an actor class
            num_cpus=0,
            num_gpus=self._gpus,
            resources={"sampler": 1},
            # Spread over the nodes, and outside of a Tune trial's placement group, which lacks `sampler`.
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": environment},
        )
        known = self.references.get(ref.id)
        return options.remote(self._config, ref, self._threads, self._sleeps, known)

    def _swapping(self, actor: Any, ref: ModelRef) -> Any:
        """Let an actor take a model's weights and prove them."""
        return actor.swap.remote(ref, self.references.get(ref.id), actor in self._anew)

    def _swapped(self, actor: Any, ref: ModelRef, swapping: Any) -> None:
        """Wait until an actor has proved a model's weights, and keep what its proof had to compute.

        Raises Unproven, and what `ray.get` raises where the actor was lost.
        """
        swapped: tuple[Proof, dict[str, Reference]] | None = ray.get(swapping)
        self._away.discard(actor)
        if swapped is None:
            return
        proof, computed = swapped
        for name, reference in computed.items():
            self.references.keep(name, reference)
        if ref.id not in self._told:
            self._told.add(ref.id)
            log.log(logging.DEBUG if proof.complete else logging.WARNING, "%s", proof.sentence)

    def _replace(self, actor: Any, ref: ModelRef, error: Exception) -> Any:
        left, limit = self._restarts_left.pop(actor), self._config.max_restarts
        if refused := isinstance(error, Unproven):
            if actor in self._anew:
                raise SamplerError(
                    f"{cause_of(error)}; this engine took the place of one that failed likewise, and neither "
                    "was asked for an answer by these weights"
                )
            left += 1  # nothing was lost
            log.warning("an engine is started anew: %s", cause_of(error))
        elif not left:
            why = first_line(cause_of(error))
            raise SamplerError(f"a sampler was lost after {limit} had been replaced: {why}")
        else:
            log.warning("a sampler was lost and is replaced: %s", first_line(cause_of(error)))
        ray.kill(actor)  # one that is only out of reach would keep its resources
        fresh = self._start(ref)
        self._anew |= {fresh} if refused else set()
        self._actors.remove(actor)
        self._actors.append(fresh)
        self._away.discard(actor)
        self._away.add(fresh)
        self._restarts_left[fresh] = left - 1
        return fresh

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        """See `protocol.Sampler`. `requests` is read lazily; only those under way are held."""
        slots, ref = self._config.max_num_seqs, refer_to(model)
        asks = _Asks(requests, sampling.numbers, block=_BLOCK * slots * len(self._actors))
        seats = [_Seat(actor, {}) for actor in self._actors]
        coming = {self._swapping(seat.actor, ref): seat for seat in seats}
        running: dict[Any, _Seat] = {}
        while unfinished := asks.num_left + sum(len(seat.open) for seat in seats):
            self._ask(seats, asks, sampling, unfinished, running)
            first = self._first([*coming, *running], None if running else _START_SECONDS)
            seat = coming.pop(first, None) or running.pop(first)
            try:
                if not seat.is_here:
                    self._swapped(seat.actor, ref, first)
                    seat.is_here = True
                    continue
                attempts = ray.get(next(first))
            except StopIteration:
                seat.num_calls -= 1
                left = len(seat.open)
                assert seat.num_calls or left <= seat.keep, f"{left - seat.keep} requests were never answered"
                continue
            except Exception as error:
                # With a node, what its actors had sent and nobody had fetched is lost as well.
                if not _is_replaced(error):
                    raise
                running = {other: its for other, its in running.items() if its is not seat}
                asks.put_back(seat.open.values())
                seat.actor, seat.open, seat.num_calls = self._replace(seat.actor, ref, error), {}, 0
                seat.is_here = False
                coming[self._swapping(seat.actor, ref)] = seat
                continue
            # It goes to the end of the line, so that no actor's attempts wait for ever behind another's.
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
        """Give every actor that has the model as much as it has room for; a starting one keeps its share."""
        num = sum(seat.actor not in self._away for seat in seats) or 1
        for seat in seats:
            while seat.is_here and seat.num_calls < _CALLS:
                given = seat.plan(self._config.max_num_seqs, -(-unfinished // num), asks)
                if given is None:
                    break
                call = seat.actor.sample.options(num_returns="streaming")
                running[call.remote(given, sampling, seat.keep)] = seat

    def _first(self, refs: list[Any], seconds: float | None) -> Any:
        """The first of `refs` to be ready. Raises SamplerError where none is within `seconds`."""
        ready, _ = ray.wait(refs, num_returns=1, timeout=seconds, fetch_local=False)
        if not ready:
            raise SamplerError(
                f"no sampler could be started for {_START_SECONDS // 60} minutes: no node has the Ray "
                f"resource `sampler` and {self._gpus:g} GPUs free"
            )
        return ready[0]

    def score(self, model: Path, texts: Sequence[str | Reply | Tokens]) -> list[Score]:
        """See `protocol.Sampler`; one actor scores all texts."""
        ref = refer_to(model)
        while True:
            # The oldest actor: replacements come last.
            actor = self._actors[0]
            try:
                self._swapped(actor, ref, self._first([self._swapping(actor, ref)], _START_SECONDS))
                return ray.get(actor.score.remote(list(texts)))
            except Exception as error:
                if not _is_replaced(error):
                    raise
                self._replace(actor, ref, error)

    def sleep(self) -> None:
        """Let all engines sleep; an actor that is still starting sleeps as soon as it has started."""
        slept = {actor: actor.sleep.remote() for actor in self._actors}
        for actor in slept.keys() - self._away:
            try:
                ray.get(slept[actor])
            except Exception as error:
                # A lost one holds no memory, and is replaced when it is next asked.
                if not can_go_away(error):
                    raise


def _is_replaced(error: Exception) -> bool:
    """Whether another engine may do better: this one is lost, or does not hold its weights."""
    return isinstance(error, Unproven) or can_go_away(error)

"""Endpoints that wait instead of running a model, behind the real `SamplerGroup`.

A `SimulatedActor` has the remote interface of `SamplerActor` and as many endpoints as that runs requests at
once. How long a request takes is drawn, by its name alone, from `LATENCIES`: measured, on the embedded model
in vLLM, by `python -m tests.bench.latencies`. Time is scaled: an endpoint's second lasts 1 / `speedup` s,
while all that driver, Ray and actors do for a request is the real thing and takes the time it takes. So every
overhead weighs `speedup` times what it would. As in vLLM, nothing goes on in an actor but inside a call of
`sample`, and not while answers are handed over.

The ideal is exact: the latencies of all requests, added up, over the number of endpoints.
"""

import heapq
import json
import os
import resource
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import ray
import torch
from safetensors.torch import save_file

from configs.schema import Sampler as SamplerConfig
from engine.models.nodes import ModelRef
from engine.records import Attempt, Finish, Turn
from engine.sample.group import SamplerGroup
from engine.sample.protocol import Ask, Request, Sampling

LATENCIES: list[float] = json.loads(Path(__file__).with_name("latencies.json").read_text())["seconds"]
_TEXT = "Each wumpus is a tumpus. [1 2 mp] [3]\n" * 5
_SEND_SECONDS = 0.25
"""As `SamplerActor` does."""


def latency(problem_id: str, sample: int) -> float:
    """Seconds of an endpoint, the same wherever and how often it is asked."""
    return LATENCIES[zlib.crc32(f"{problem_id}/{sample}".encode()) % len(LATENCIES)]


@ray.remote
class SimulatedActor:
    def __init__(self, num_endpoints: int, speedup: float) -> None:
        self.num_endpoints = self.num_free = num_endpoints
        self.speedup = speedup
        self.waiting: deque[tuple[float, Ask]] = deque()
        """With the time of arrival."""
        self.running: list[tuple[float, str, Ask]] = []
        """By the time at which it will have finished."""
        self.stood, self.stopped = 0.0, time.monotonic()

    def swap(self, ref: ModelRef, reference: None, sure: bool) -> None:
        """Drops, as that of `SamplerActor`, what is unfinished."""
        self.waiting.clear()
        self.running.clear()
        self.num_free = self.num_endpoints

    def sleep(self) -> None:
        pass

    def sample(self, asks: list[Ask], sampling: Sampling, keep: int) -> Iterator[list[Attempt]]:
        self._go_on()
        arrived = self._now()
        self.waiting.extend((arrived, ask) for ask in asks)
        for _ in range(min(self.num_free, len(self.waiting))):
            self.num_free -= 1
            self._begin(arrived)
        finished: list[Attempt] = []
        sent = time.monotonic()
        while len(self.running) + len(self.waiting) > keep:
            while self.running and self.running[0][0] <= self._now():
                ended, _, ask = heapq.heappop(self.running)
                finished.append(_attempt(ask))
                if self.waiting:
                    self._begin(ended)
                else:
                    self.num_free += 1
            if finished and time.monotonic() - sent > _SEND_SECONDS:
                self.stopped = time.monotonic()
                yield finished
                self._go_on()
                finished, sent = [], time.monotonic()
            elif len(self.running) + len(self.waiting) > keep:
                time.sleep(min(0.01, max(0.0, self.running[0][0] - self._now())))
        self.stopped = time.monotonic()
        if finished:
            yield finished

    def _begin(self, free: float) -> None:
        """On an endpoint that is free since then."""
        arrived, ask = self.waiting.popleft()
        ends = max(free, arrived) + latency(ask.problem_id, ask.sample) / self.speedup
        heapq.heappush(self.running, (ends, f"{ask.problem_id}/{ask.sample}", ask))

    def _now(self) -> float:
        return time.monotonic() - self.stood

    def _go_on(self) -> None:
        self.stood += time.monotonic() - self.stopped

    def pid(self) -> int:
        return os.getpid()


def _attempt(ask: Ask) -> Attempt:
    return Attempt(
        problem_id=ask.problem_id,
        model_id="simulated",
        sample=ask.sample,
        replies=(_TEXT,),
        num_prompt_tokens=100,
        num_tokens=60,
        finish=Finish.STOP,
    )


class SimulatedGroup(SamplerGroup):
    """The real one, but for the actors that it starts."""

    def __init__(self, num_actors: int, num_endpoints: int, speedup: float, max_restarts: int = 3) -> None:
        assert num_endpoints % num_actors == 0
        self._speedup = speedup
        config = SamplerConfig(
            num_actors=num_actors, max_num_seqs=num_endpoints // num_actors, max_restarts=max_restarts
        )
        # No actor reads it, but it has to be one to be ref of.
        self._directory = tempfile.TemporaryDirectory()
        self.model = Path(self._directory.name)
        save_file({"weight": torch.zeros(1)}, self.model / "model.safetensors")
        super().__init__(config, self.model, threads=1, gpus=0, share_gpu=False)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._directory.cleanup()

    def _start(self, ref: ModelRef) -> Any:
        options = SimulatedActor.options(num_cpus=0)  # type: ignore[attr-defined]
        return options.remote(self._config.max_num_seqs, self._speedup)

    def wait_until_started(self) -> list[int]:
        """Returns the actors' process ids."""
        return ray.get([actor.pid.remote() for actor in self._actors])


class Requests(Sequence[Request]):
    """Requests that are made as they are read, with chats of the size of real ones."""

    def __init__(self, num: int) -> None:
        self._num = num

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, i: Any) -> Any:
        if not 0 <= i < self._num:
            raise IndexError(i)
        system = Turn(role="system", text="Prove or refute.")
        chat = (system, Turn(role="user", text=f"{i}. {_TEXT}"))
        return Request(problem_id=f"p{i}", messages=chat)


@dataclass
class Measured:
    """Times in real seconds unless said otherwise."""

    endpoints: int
    actors: int
    requests: int
    speedup: float
    seconds: float = 0.0
    ideal: float = 0.0
    drain: float = 0.0
    """Since fewer were unfinished than there are endpoints."""
    lost: float = 0.0
    """Mean time that an endpoint had nothing left to do while the slowest went on."""
    driver_cpu: float = 0.0
    memory: list[float] = field(default_factory=list)
    """MiB of the driver, after each twentieth of the requests."""

    @property
    def efficiency(self) -> float:
        return self.ideal / self.seconds

    @property
    def rate(self) -> float:
        """Requests a second, as the clock on the wall goes."""
        return self.requests / self.seconds


def ideal_seconds(requests: Sequence[Request], samples: int, endpoints: int, speedup: float) -> float:
    """All endpoints busy from the first moment to the last."""
    total = sum(latency(f"p{i}", j) for i in range(len(requests)) for j in range(samples))
    return total / endpoints / speedup


def drive(
    group: SimulatedGroup,
    requests: Sequence[Request],
    *,
    samples: int = 1,
    at: dict[int, Callable[[], None]] | None = None,
) -> Measured:
    """Sample everything, and check that nothing is lost or doubled. `at` are calls to make after so many."""
    config, total = group._config, len(requests) * samples
    endpoints = config.num_actors * config.max_num_seqs
    found = Measured(endpoints, config.num_actors, total, group._speedup)
    seen = bytearray(total)  # no set: what is measured is the memory of the driver, not of this check
    me, step, ends = psutil.Process(), max(1, total // 20), 0.0
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    drains = began
    for done, attempt in enumerate(group.sample(group.model, requests, Sampling(samples=samples)), start=1):
        place = int(attempt.problem_id[1:]) * samples + attempt.sample
        assert not seen[place], f"{attempt.problem_id} was given twice"
        seen[place] = 1
        if done > total - endpoints:
            ends += time.perf_counter()
        elif done == total - endpoints:
            drains = time.perf_counter()
        if done % step == 0:
            found.memory.append(me.memory_info().rss / 2**20)
        if at and done in at:
            at[done]()
    ended = time.perf_counter()
    assert all(seen), f"{total - sum(seen)} of {total} were lost"
    used = resource.getrusage(resource.RUSAGE_SELF)
    found.seconds, found.drain = ended - began, ended - drains
    found.driver_cpu = used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime
    found.ideal = ideal_seconds(requests, samples, endpoints, group._speedup)
    found.lost = ended - ends / endpoints
    return found

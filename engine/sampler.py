"""Sampling: Ray actors around vLLM that answer, score and take new weights in place.

The driver holds a `SamplerGroup`. It sends requests in a fixed order, hands back finished answers
as they come, and replaces a lost actor: answers that had arrived are kept, the others are asked
again, so none is lost or given twice. Every answer carries the id of the weights that gave it, as
hashed by the actor from what it loaded.
"""

import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import ray

from configs.schema import Sampler as SamplerConfig
from engine.liveness import Score
from engine.models import model_id
from engine.prompts import Messages, prompt_ids
from engine.records import Attempt, Finish
from engine.vllm_setup import TakesWeights, engine_environment, engine_settings

log = logging.getLogger(__name__)

_CHUNK = 64
"""Requests an actor is given at a time where there are several actors."""


_SEND_SECONDS = 0.25
"""Between two lists of finished answers."""


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


class _Ask(NamedTuple):
    problem_id: str
    sample: int
    messages: Messages | str


@ray.remote
class SamplerActor:
    """One vLLM engine, in this process."""

    def __init__(self, config: SamplerConfig, model: str, threads: int, sleeps: bool) -> None:
        os.environ.update(engine_environment(threads))
        import torch
        from vllm import LLM

        torch.set_num_threads(threads)
        on_gpu = torch.cuda.is_available()
        self.llm = LLM(
            model=model,
            dtype=config.dtype,
            tensor_parallel_size=config.tensor_parallel,
            max_model_len=config.max_model_len,
            max_num_seqs=config.max_num_seqs,
            enable_prefix_caching=True,
            seed=0,
            disable_log_stats=True,
            worker_extension_cls=TakesWeights.WHERE,
            **engine_settings(config, on_gpu=on_gpu, sleeps=sleeps),
        )
        self.sleeps, self.asleep = sleeps and on_gpu, False
        self.tokenizer = self.llm.get_tokenizer()
        self.model_id = model_id(Path(model))

    def swap(self, model: str) -> str:
        """Take the weights of `model` in place. Returns the id of what is now run."""
        self._wake()
        wanted = model_id(Path(model))
        if wanted != self.model_id:
            self.llm.collective_rpc("take_weights", args=(model,))
            self.llm.reset_prefix_cache()
            self.model_id = wanted
        return self.model_id

    def sample(self, asks: list[_Ask], sampling: Sampling) -> Iterator[list[Attempt]]:
        """Finished attempts, in lists: of many engine steps, as what is sent costs the engine's cores."""
        self._wake()
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        engine = self.llm.llm_engine
        prompts = {ask.problem_id: ask.messages for ask in asks}
        rendered = {name: prompt_ids(self.tokenizer, messages) for name, messages in prompts.items()}
        self._require_room(max(map(len, rendered.values()), default=0), sampling.max_new_tokens)
        waiting: dict[str, _Ask] = {}
        for ask in asks:
            name = f"{ask.problem_id}/{ask.sample}"
            waiting[name] = ask
            params = SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=_seed(sampling.seed, name) if sampling.temperature else None,
                max_tokens=sampling.max_new_tokens,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            engine.add_request(name, {"prompt_token_ids": rendered[ask.problem_id]}, params)
        finished: list[Attempt] = []
        sent = time.monotonic()
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    ask, answer = waiting.pop(output.request_id), output.outputs[0]
                    finished.append(
                        Attempt(
                            problem_id=ask.problem_id,
                            model_id=self.model_id,
                            sample=ask.sample,
                            text=answer.text,
                            num_prompt_tokens=len(output.prompt_token_ids),
                            num_tokens=len(answer.token_ids),
                            finish=Finish.LENGTH if answer.finish_reason == "length" else Finish.STOP,
                        )
                    )
            if finished and time.monotonic() - sent > _SEND_SECONDS:
                yield finished
                finished, sent = [], time.monotonic()
        if finished:
            yield finished

    def _require_room(self, num_prompt: int, num_new: int) -> None:
        """vLLM would refuse a longer prompt with a traceback, and cut an answer short without a word."""
        needed, room = num_prompt + num_new, self.llm.model_config.max_model_len
        if needed > room:
            raise SamplerError(
                f"sampler.max_model_len must be at least {needed} for a prompt of {num_prompt} tokens "
                f"and {num_new} new ones, got {room}"
            )

    def score(self, texts: list[str]) -> list[Score]:
        self._wake()
        from vllm import SamplingParams

        ids = [self.tokenizer.encode(text, add_special_tokens=False) for text in texts]
        prompts = [{"prompt_token_ids": tokens} for tokens in ids]
        params = SamplingParams(max_tokens=1, prompt_logprobs=0, temperature=0)
        scores = []
        for output, tokens in zip(self.llm.generate(prompts, params, use_tqdm=False), ids, strict=True):
            steps = zip(output.prompt_logprobs[1:], tokens[1:], strict=True)
            scores.append(Score(-sum(step[token].logprob for step, token in steps), len(tokens) - 1))
        return scores

    def sleep(self) -> None:
        if self.sleeps and not self.asleep:
            self.llm.sleep(level=1)
            self.asleep = True

    def _wake(self) -> None:
        if self.asleep:
            self.llm.wake_up()
            self.asleep = False


class SamplerGroup:
    """The driver's hold on all sampler actors. A context manager; implements `Sampler`."""

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
        # All first samples, then all second ones: by then a prompt is in the prefix cache.
        asks = [_Ask(r.problem_id, j, r.messages) for j in range(sampling.samples) for r in requests]
        size = len(asks) if len(self._actors) == 1 else _CHUNK
        chunks = deque(asks[i : i + size] for i in range(0, len(asks), size))
        running: dict[Any, tuple[Any, dict[tuple[str, int], _Ask]]] = {}
        idle = deque(self._actors)
        while chunks or running:
            while chunks and idle:
                actor, chunk = idle.popleft(), chunks.popleft()
                actor.swap.remote(str(model))
                stream = actor.sample.options(num_returns="streaming").remote(chunk, sampling)
                running[stream] = actor, {(ask.problem_id, ask.sample): ask for ask in chunk}
            (stream,), _ = ray.wait(list(running), num_returns=1, fetch_local=False)
            actor, open_asks = running[stream]
            try:
                attempts = ray.get(next(stream))
            except StopIteration:
                assert not open_asks, f"{len(open_asks)} requests were never answered"
                del running[stream]
                idle.append(actor)
                continue
            except ray.exceptions.RayActorError as error:
                del running[stream]
                idle.append(self._replace(actor, model, error))
                chunks.appendleft(list(open_asks.values()))
                continue
            for attempt in attempts:
                del open_asks[attempt.problem_id, attempt.sample]
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


def _seed(seed: int, name: str) -> int:
    """The same completion is drawn for a request whichever actor gets it, and when it is asked again."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]

"""A sampler of a GGUF file: problems are asked through the runtime that it is for, its own template included.

It is a `engine.sample.protocol.Sampler`, so that whatever asks and verifies a model asks and verifies a file.
The prompt is made by llama.cpp from the template in the file, and the answer is taken as it was generated.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from engine.export.exported import ID_LENGTH
from engine.export.gguf import file_id
from engine.export.runtime import Llama
from engine.records import Attempt, Finish, Score, Tokens, Turn
from engine.sample.protocol import Ask, Prompt, Reply, Request, SamplerError, Sampling


class LlamaSampler:
    """Asks one running `Llama`; each answer carries the hash of the file that gave it."""

    def __init__(self, llama: Llama) -> None:
        self._llama = llama
        self.seconds = 0.0
        """How long it took to generate all that was asked, whatever was done with it meanwhile."""

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        """See `engine.sample.protocol.Sampler`; `model` is the file.

        Raises SamplerError, also for a sampling with a pattern, which llama.cpp reads another way.
        """
        self._require(model)
        if sampling.pattern:
            raise SamplerError("llama.cpp is asked for free text only, not for text that matches a pattern")
        asks = (
            Ask(request.problem_id, sample, request.messages)
            for request in requests
            for sample in sampling.numbers
        )
        began = last = time.monotonic()
        with ThreadPoolExecutor(self._llama.order.num_parallel) as pool:
            answers = [pool.submit(self._attempt, ask, sampling) for ask in asks]
            try:
                for answer in as_completed(answers):
                    attempt, ended = answer.result()
                    last = max(last, ended)
                    yield attempt
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                self.seconds += last - began

    def score(self, model: Path, texts: Sequence[str | Reply | Tokens]) -> list[Score]:
        """Raises SamplerError: llama.cpp's server tells no likelihood of a text that it has not generated."""
        raise SamplerError(
            "llama.cpp tells no likelihood of a given text, so that passages cannot be judged through it"
        )

    def sleep(self) -> None:
        """Nothing: llama.cpp runs on CPUs here."""

    def prompt(self, chat: Sequence[Turn]) -> str:
        """The chat as the file's template writes it, up to where the assistant's text begins."""
        turns = [{"role": turn.role, "content": turn.text} for turn in chat]
        return str(self._llama.post("/apply-template", {"messages": turns})["prompt"])

    def tokens(self, prompt: str) -> list[int]:
        """The tokens of a prompt, as llama.cpp reads it before it answers."""
        body = {"content": prompt, "add_special": True, "parse_special": True}
        return [int(token) for token in self._llama.post("/tokenize", body)["tokens"]]

    def _require(self, model: Path) -> None:
        loaded = self._llama.order.file
        assert model == loaded, f"{loaded} is loaded, and {model} was asked"

    def _prompt(self, asked: Prompt) -> str | list[int]:
        if isinstance(asked, Tokens):
            return list(asked.given)
        return asked if isinstance(asked, str) else self.prompt(asked)

    def _attempt(self, ask: Ask, sampling: Sampling) -> tuple[Attempt, float]:
        """An answer, and the time of the clock when it was there."""
        body = {"prompt": self._prompt(ask.messages), **_options(ask, sampling)}
        reply = self._llama.post("/v1/completions", body)
        choice, usage = reply["choices"][0], reply["usage"]
        attempt = Attempt(
            problem_id=ask.problem_id,
            model_id=file_id(self._llama.order.file)[:ID_LENGTH],
            sample=ask.sample,
            replies=(choice["text"],),
            num_prompt_tokens=usage["prompt_tokens"],
            num_tokens=usage["completion_tokens"],
            finish=Finish.LENGTH if choice["finish_reason"] == "length" else Finish.STOP,
        )
        return attempt, time.monotonic()


def _options(ask: Ask, sampling: Sampling) -> dict[str, Any]:
    """The sampling as llama.cpp is told it, which else cuts the tail of every distribution."""
    return {
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": 0,
        "min_p": 0.0,
        "stop": list(sampling.stop),
        # Positive in 32 bits with a sign, as llama.cpp reads it.
        "seed": sampling.seed_of(ask.problem_id, ask.sample) >> 1,
    }

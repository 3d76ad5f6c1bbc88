"""What is asked of a sampler, and what a sampler is; `engine/sampler.py` is the one with Ray and vLLM."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from engine.models.prompts import Messages
from engine.records import Attempt, Score


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


class Ask(NamedTuple):
    """One completion that is wanted."""

    problem_id: str
    sample: int
    messages: Messages | str


class Sampler(Protocol):
    """What the engine needs of a sampler; it does not know where or how sampling runs."""

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        """Attempts as they finish, in any order: `samples` for every request."""

    def score(self, model: Path, texts: Sequence[str]) -> list[Score]:
        """One score a text, in order."""

    def sleep(self) -> None:
        """Give up the accelerator until the next call (a shared GPU's turn goes to the trainer)."""

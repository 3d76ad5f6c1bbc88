"""What a sampler is and what it is asked; `engine/sample/group.py` holds the one on Ray and vLLM."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

from engine.errors import Lost
from engine.records import Attempt, Score, Tokens, Turn

Prompt: TypeAlias = tuple[Turn, ...] | str | Tokens
"""A chat, or plain text or tokens to be continued."""


class SamplerError(Lost):
    """Samplers cannot be kept alive, or a prompt is too long for them. The run can be resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A prompt, by the id under which its completions are returned."""

    problem_id: str
    messages: Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How completions are drawn: `samples` of every request. Temperature 0 is greedy."""

    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    max_new_tokens: int = 256
    pattern: str = ""
    """A regular expression that every whole completion matches, unless it is cut off; empty for free text.
    A token that would break it is never drawn (Willard and Louf 2023, Dong et al. 2024)."""
    stop: tuple[str, ...] = ()
    """A completion ends before the first of these texts."""
    first: int = 0
    """Number of the first sample: where requests are sampled again later, these are the next ones."""

    @property
    def numbers(self) -> range:
        """Numbers of the samples of a request."""
        return range(self.first, self.first + self.samples)

    def seed_of(self, problem_id: str, sample: int) -> int:
        """The own seed of a completion, so that whoever is asked for it, now or again, draws the same."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}/{problem_id}/{sample}".encode()).digest()[:4])


class Ask(NamedTuple):
    """A single completion of a request."""

    problem_id: str
    sample: int
    messages: Prompt


class Reply(NamedTuple):
    """A reply to a chat, whose likelihood is asked for."""

    messages: tuple[Turn, ...]
    text: str


class Sampler(Protocol):
    """What the engine needs of a sampler; it does not know where or how sampling runs."""

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        """Attempts as they finish, in any order: `samples` for every request."""

    def score(self, model: Path, texts: Sequence[str | Reply | Tokens]) -> list[Score]:
        """The likelihood of each plain text, of each reply given its chat, and of tokens given others before
        them, in order."""

    def sleep(self) -> None:
        """Give up the accelerator until the next call (a shared GPU's turn goes to the trainer)."""

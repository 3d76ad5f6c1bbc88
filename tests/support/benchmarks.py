"""Models by script for benchmarks: a tokenizer of characters, and a sampler that says what a test wants."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.records import Attempt, Finish, Score, Tokens
from engine.sample.protocol import Request, Sampling

START, END = 1, 2
_SHIFT = 10
TASKS = Path(__file__).parent / "lm_eval"
"""The directory in which the harness's tasks of `tests/support/lm_eval/tasks` find their data."""


class Characters:
    """A tokenizer with one token a character, and one before a text."""

    bos_token_id, eos_token_id = START, END

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        begins = text.startswith("<s>")
        own = text.removeprefix("<s>")
        return [START] * (begins or add_special_tokens) + [ord(each) + _SHIFT for each in own]

    def decode(self, token: int) -> str:
        return {START: "<s>", END: "</s>"}.get(token) or chr(token - _SHIFT)

    def apply_chat_template(
        self, turns: Sequence[dict[str, str]], *, add_generation_prompt: bool, **_: Any
    ) -> str:
        said = "".join(f"[{turn['role']}]{turn['content']}" for turn in turns)
        return f"<s>{said}{'[assistant]' if add_generation_prompt else ''}"


def text_of(tokens: Sequence[int]) -> str:
    """The characters of tokens, those of a start apart."""
    return "".join(chr(token - _SHIFT) for token in tokens if token >= _SHIFT)


class Scripted:
    """Implements engine.sample.protocol.Sampler for prompts of tokens."""

    def __init__(
        self,
        nats: Callable[[str, str], float] = lambda before, text: float(len(text)),
        says: Callable[[str, int], str] = lambda prompt, sample: "",
        model_id: str = "m0",
    ) -> None:
        """`nats` is the surprise at a text after another, `says` the answer to a prompt, by sample."""
        self.nats, self.says, self.model_id = nats, says, model_id
        self.scored: list[Tokens] = []
        self.asked: list[tuple[Tokens, Sampling]] = []

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        for request in reversed(requests):
            assert isinstance(request.messages, Tokens)
            self.asked.append((request.messages, sampling))
            for sample in reversed(range(sampling.samples)):
                yield Attempt(
                    problem_id=request.problem_id,
                    model_id=self.model_id,
                    sample=sample,
                    replies=(self.says(text_of(request.messages.given), sample),),
                    num_prompt_tokens=len(request.messages.given),
                    num_tokens=1,
                    finish=Finish.STOP,
                )

    def score(self, model: Path, texts: Sequence[Any]) -> list[Score]:
        self.scored += texts
        scores = []
        for text in texts:
            nats = self.nats(text_of(text.given), text_of(text.scored))
            scores.append(Score(nats, len(text.scored), self.model_id, nats < 1))
        return scores

    def sleep(self) -> None:
        pass

"""Models by script: what each proves, answers and scores, for tests of the gate and of what surrounds it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.gate.sentinels import Requests, suite_of_name
from engine.records import Attempt, Finish, Score
from engine.sample.protocol import Request, Sampling
from tests.support.suites import suite

SUITE = suite("prontoqa", {"hops": [1], "irrelevant": [0], "distractors": [0]})
INSTRUCTIONS = suite_of_name("instructions")
assert isinstance(INSTRUCTIONS, Requests)
ANSWERS = {item.prompt: item.accept[0] for item in INSTRUCTIONS.requests}
VERIFIER = Path(__file__).with_name("scripted_verifier.py")
_PLACES = {item.prompt: number / len(ANSWERS) for number, item in enumerate(INSTRUCTIONS.requests)}


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a scripted model does; `skill` is the share of problems that it proves."""

    skill: float = 0.5
    start: float = 0.0
    """Where the proved share begins: models of other starts prove other problems."""
    nll: float = 100.0
    instructed: float = 1.0
    """Share of the requests that it answers, always the first ones."""
    reports: str = ""
    """Id that it reports, where that is not its own."""
    hangs: float = 0.0
    """Share of problems on which it makes the verifier give up."""


class Scripted:
    """Implements `protocol.Sampler`. Proves a problem by its id, so that equal models answer alike."""

    def __init__(self, **models: Script) -> None:
        self.models = models
        self.calls: list[str] = []

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        self.calls.append(f"sample {model.name}")
        script = self.models[model.name]
        for sample in range(sampling.samples):
            for request in requests:
                yield Attempt(
                    problem_id=request.problem_id,
                    model_id=script.reports or model.name,
                    sample=sample,
                    replies=(self.text(script, request),),
                    num_prompt_tokens=1,
                    num_tokens=1,
                    finish=Finish.STOP,
                )

    def text(self, script: Script, request: Request) -> str:
        assert not isinstance(request.messages, str)
        prompt = request.messages[-1].text
        if prompt in ANSWERS:
            known = _PLACES.get(prompt, 0.0) < script.instructed
            return ANSWERS[prompt] if known else "I would rather prove things."
        share = int(request.problem_id[:8], 16) / 16**8
        if share > 1 - script.hangs:
            return "hang"
        return "prove" if (share - script.start) % 1.0 < script.skill else "Answer: Unknown"

    def score(self, model: Path, texts: Sequence[str]) -> list[Score]:
        self.calls.append(f"score {model.name}")
        script = self.models[model.name]
        return [Score(script.nll, 50, script.reports or model.name) for _ in texts]

    def sleep(self) -> None:
        pass

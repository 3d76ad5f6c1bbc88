"""A model by script that is asked people's questions, and replies that try to pass for proofs."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from engine.prove.search import Search
from engine.records import Attempt, Finish, Problem, Score, Turn
from engine.sample.protocol import Request, Sampling
from tests.support.attacks import ATTACKS
from tests.support.proof_helpers import theory

MODEL = Path("model")


class Says:
    """Implements `protocol.Sampler`: says what a function of the prompt and the number of the reply gives."""

    def __init__(self, text: Callable[[str, int], str]) -> None:
        self.text = text
        self.chats: list[tuple[Turn, ...]] = []
        self.samplings: list[tuple[int, Sampling]] = []
        """Of each call the number of requests, and how it sampled."""
        self._given: dict[str, int] = {}

    def sample(self, model: Path, requests: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        self.samplings.append((len(requests), sampling))
        for sample in range(sampling.samples):
            for request in requests:
                assert not isinstance(request.messages, str) and isinstance(request.messages[-1], Turn)
                self.chats.append(tuple(each for each in request.messages if isinstance(each, Turn)))
                number = self._given.get(request.problem_id, 0)
                self._given[request.problem_id] = number + 1
                yield Attempt(
                    problem_id=request.problem_id,
                    model_id="weights",
                    sample=sample,
                    replies=(self.text(request.messages[-1].text, number),),
                    num_prompt_tokens=1,
                    num_tokens=1,
                    finish=Finish.STOP,
                )

    def score(self, model: Path, texts: Sequence[object]) -> list[Score]:
        raise AssertionError("nobody asks for a likelihood")

    def sleep(self) -> None:
        pass


def search_of(problem: Problem, name: str = "0") -> Search:
    """The search for a problem's answer, which is not told."""
    return Search(problem, name, [Turn(role="user", text=problem.turns[0])])


def hostile_reply(problem: Problem, others: Sequence[Problem], rng: random.Random) -> str:
    """A reply that may claim anything: gold ones changed, of other problems, or cut off; and attacks."""
    (gold,) = problem.gold
    answer = rng.choice(("True", "False", "Unknown"))
    body = gold.rpartition("Answer: ")[0]
    rows = body.splitlines()
    match rng.randrange(9):
        case 0:
            return f"Answer: {answer}"
        case 1:
            return f"{body}Answer: {answer}"
        case 2:
            return rng.choice(others).gold[0]
        case 3:
            return rng.choice(list(ATTACKS.values())).text
        case 4:
            return gold[: rng.randrange(len(gold))]
        case 5:
            place = rng.randrange(len(gold))
            return gold[:place] + rng.choice("0123456789 []-&|aANot.\n") + gold[place + 1 :]
        case 6:
            kept = [row for row in rows if rng.random() < 0.7]
            return "\n".join([*kept, f"Answer: {answer}"])
        case 7:
            number = len(theory(problem).premises) + 1
            claim = theory(problem).question
            cited = rng.randrange(1, number)
            rule = rng.choice(("mp", "mt", "ui", "assume", "or_i", "dn"))
            return f"{claim} [{cited} {rule}] [{number}]\nAnswer: {answer}"
    flipped = [re.sub(r" is (not )?", lambda it: " is " if it[1] else " is not ", row) for row in rows]
    return "\n".join([*flipped, f"Answer: {answer}"])

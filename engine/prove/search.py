"""The search for an answer that is its own evidence: replies are drawn until one passes both checkers.

Nobody knows the right answer: a reply passes by its own lines (`engine.verify.unlabelled`), and one that does
not pass is never shown. The first reply is the likeliest one, the others are drawn.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from engine.records import Attempt, Fault, Finish, Problem, Status, Theory, Turn, Verdict
from engine.sample.protocol import Sampling
from engine.verify import AND

VERIFIER = "unlabelled"
ROUND = 8
"""Replies that are drawn at once, so that few are drawn in vain after one that passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a question may cost."""

    samples: int = 32
    """Most replies that are drawn."""
    temperature: float = 0.7
    """Of all replies but the first, which is greedy."""
    seconds: float | None = None
    """No reply is waited for after so long; None: however long it takes."""
    seed: int = 0

    def rounds(self, max_new_tokens: int) -> Iterator[Sampling]:
        """How the replies are drawn, one round after the other."""
        yield Sampling(max_new_tokens=max_new_tokens)
        drawn = 1
        while drawn < self.samples:
            # The greedy reply and the first that are drawn are one round's worth.
            num = min(self.samples, drawn - drawn % ROUND + ROUND) - drawn
            yield Sampling(
                samples=num,
                temperature=self.temperature,
                seed=self.seed + drawn,
                max_new_tokens=max_new_tokens,
            )
            drawn += num


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to a question with its proof; or why there is none."""

    answer: str = ""
    """``True``, ``False`` or ``Unknown``, as the proof shows; empty where there is none."""
    reply: str = ""
    """The whole reply that passed: the proof, which ends with the answer."""
    worlds: tuple[str, ...] = ()
    """Of an answer Unknown a world in which the question holds and one in which it does not, for people."""
    checkers: tuple[str, ...] = ()
    """Who accepted it."""
    samples: int = 0
    """Replies that were drawn, those of the same round as the one that passed among them."""
    model_id: str = ""
    """Content hash of the weights that gave the reply."""
    reason: str = ""
    """Why there is no answer; empty where there is one."""
    faults: dict[str, int] = field(default_factory=dict)
    """How many replies did not pass, by what is wrong with them."""

    @property
    def is_answered(self) -> bool:
        return bool(self.answer)


class Search:
    """One question: the replies to it, and the first that passed."""

    def __init__(self, problem: Problem, name: str, chat: Sequence[Turn]) -> None:
        """`name` is one that no other search of the same checkers has; `chat` is the whole prompt.

        An answer that the problem may have is not looked at.
        """
        assert isinstance(problem.truth, Theory), "only what can be proved is searched for"
        unknown = replace(problem.truth, answer="")
        self.problem, self.chat = replace(problem, id=name, truth=unknown, gold=()), tuple(chat)
        self._refusal = self._end = ""
        self._num = 0
        self._times: Counter[str] = Counter()
        self._unjudged: dict[int, Attempt] = {}
        self._faults: dict[str, str] = {}
        self._passed: tuple[Attempt, Verdict] | None = None

    @property
    def is_open(self) -> bool:
        """Whether another reply could help."""
        return self._passed is None and not self._refusal

    def begin(self) -> Attempt:
        """An empty reply, whose verdict shows whether the problem itself can be judged."""
        return Attempt(
            problem_id=self.problem.id,
            model_id="",
            sample=0,
            replies=("",),
            num_prompt_tokens=0,
            num_tokens=0,
            finish=Finish.STOP,
        )

    def add(self, attempt: Attempt) -> Attempt | None:
        """Take a reply; returns what is to be judged of it, or None where that was said before."""
        self._num += 1
        self._times[attempt.text] += 1
        if self._times[attempt.text] > 1:
            return None
        attempt = replace(attempt, problem_id=self.problem.id, sample=self._num)
        self._unjudged[self._num] = attempt
        return attempt

    def judge(self, verdict: Verdict) -> None:
        """Take the verdict on what `begin` or `add` returned."""
        assert verdict.problem_id == self.problem.id, "a verdict belongs to its problem"
        if not verdict.sample:
            # An empty reply fails; where nothing could pass, something else is said of it.
            fits = verdict.status is Status.FAIL and verdict.fault in (Fault.NO_ANSWER, Fault.UNPARSED)
            self._refusal = "" if fits else verdict.reason
            return
        attempt = self._unjudged.pop(verdict.sample)
        if verdict.status is not Status.PASS:
            self._faults[attempt.text] = verdict.fault
        elif self._passed is None:
            self._passed = attempt, verdict

    def give_up(self, reason: str) -> None:
        """Say why the search ended before its budget did."""
        self._end = reason

    def outcome(self) -> Outcome:
        """What has been found so far."""
        faults: Counter[str] = Counter()
        for text, fault in self._faults.items():
            faults[str(fault)] += self._times[text]
        counts = dict(faults.most_common())
        if self._passed is None:
            return Outcome(samples=self._num, reason=self._reason(counts), faults=counts)
        attempt, verdict = self._passed
        return Outcome(
            answer=verdict.answer,
            reply=attempt.text,
            worlds=verdict.worlds,
            checkers=tuple(verdict.verifier.split(AND)),
            samples=self._num,
            model_id=attempt.model_id,
            faults=counts,
        )

    def _reason(self, counts: dict[str, int]) -> str:
        if self._refusal:
            return self._refusal
        found = ", ".join(f"{fault} {num}" for fault, num in counts.items())
        replies = f"none of {self._num} replies passes both checkers" + (f" ({found})" if found else "")
        return f"no proof was found: {self._end + '; ' if self._end else ''}{replies}"

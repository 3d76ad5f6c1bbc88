"""Two models before judges whose errors and biases are known, and before people: many trials, no server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from configs.judging import Judge as Settings
from engine.gate import arithmetic as gate
from engine.gate import compare
from engine.judge.adviser import Adviser
from engine.judge.completions import Completion, Spent
from engine.judge.correction import Corrected, corrected, tally_of
from engine.judge.labelled import Labelled, errors_of
from engine.judge.pairwise import Choice, Contest, PairwiseJudge, Preference
from engine.judge.rating import Key, Pair, Side
from engine.judge.ratings import Vote, rated
from engine.records import Answer, Duel, Status, Turn
from tests.support.judge_server import MARKS, Prefers, choice_on, preference
from tests.support.proof_helpers import attempt, problem
from tests.support.simulated_campaigns import verdict

SETTINGS = Settings(url="http://127.0.0.1:9/v1", model="judge", decides=True)
LOOKS, LOOK_SIZE = 4, 50
"""200 comparisons, as the gate takes them."""
_ASKED = problem(["A"], "A")
_VERDICT = verdict(Status.PASS, "p")
_ATTEMPT = attempt("")


class Direct:
    """Answers a judge's prompts in this process, as `engine.judge.endpoint.Endpoint` has them answered."""

    name = "judge by script"
    spent = Spent(0, 0, 0, None)

    def __init__(self, prefers: Prefers) -> None:
        self._prefers = prefers
        self._said: dict[str, Completion] = {}

    def ask(self, chats: Sequence[Sequence[Turn]]) -> list[Completion]:
        return [self._answer(chat[-1].text) for chat in chats]

    def _answer(self, prompt: str) -> Completion:
        if prompt not in self._said:
            self._said[prompt] = Completion(
                text=MARKS[choice_on(self._prefers, prompt)],
                finish="stop",
                model="judge-1",
                num_prompt_tokens=1,
                num_tokens=1,
            )
        return self._said[prompt]


def judge_of(prefers: Prefers) -> PairwiseJudge:
    """A judge by script that is asked with the prompts of every judge."""
    endpoint: Any = Direct(prefers)
    return PairwiseJudge(SETTINGS, endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """An old model and a new one; each reply is a number, of which the larger is better, and filler."""

    better: float = 0.5
    """Share of the requests on which the new one's reply is better."""
    says_more: float = 0.0
    """Logarithm of how many times as long the new one's replies are, in the median."""

    def contests(self, rng: np.random.Generator, num: int, start: int = 0) -> list[Contest]:
        """Their replies to as many requests, with log-normal lengths."""
        is_better = rng.random(num) < self.better
        sizes = np.exp(rng.normal(4.5, 0.5, (num, 1)) + rng.normal(0, 0.5, (num, 2)))
        sizes[:, 1] *= np.exp(self.says_more)
        fillers = [["." * int(size) for size in row] for row in sizes.tolist()]
        return [
            Contest(
                id=f"q{start + n}",
                asked=f"Request {rng.integers(2**62)}",
                old=f"{1 if wins else 2} {fillers[n][0]}",
                new=f"{2 if wins else 1} {fillers[n][1]}",
            )
            for n, wins in enumerate(is_better.tolist())
        ]


def duel_of(contest: Contest) -> Duel:
    """A contest as the gate has it, before a judge has said anything."""
    old, new = (
        Answer(
            attempt=replace(_ATTEMPT, problem_id=contest.id, replies=(text,), model_id=who),
            verdict=replace(_VERDICT, problem_id=contest.id),
        )
        for text, who in ((contest.old, "m0"), (contest.new, "m1"))
    )
    asked = replace(_ASKED, id=contest.id, turns=(contest.asked,))
    return Duel(problem=asked, champion=old, challenger=new)


def labelled_pairs(rng: np.random.Generator, models: Models, num: int) -> list[Labelled]:
    """Pairs of replies of two models, half of them better in the mean, with which reply that is."""
    contests = replace(models, better=0.5).contests(rng, num)
    return [Labelled(each, _number(each.new) > _number(each.old)) for each in contests]


class Tried(NamedTuple):
    """What a gate whose judge decides has made of two models."""

    is_superior: bool
    """Whether the gate's test of the judge's preferences says so."""
    is_accepted: bool
    """Whether all that the judge adds passes, too."""


def tried(
    rng: np.random.Generator, prefers: Prefers, models: Models, num_labelled: int = 0, level: float = 0.05
) -> Tried:
    """The gate's test of two models, look by look, and what the judge says of them beside.

    With `num_labelled` pairs the judge's errors are measured, on pairs of the same lengths.
    """
    labelled = labelled_pairs(rng, models, num_labelled)
    adviser = Adviser(SETTINGS, judge_of(prefers), labelled)
    test = gate.SequentialTest(
        level=level, looks=LOOKS, look_size=LOOK_SIZE, win_share=2 / 3, futility=0.05, spending=2.0
    )
    duels: list[Duel] = []
    outcome = gate.Outcome.CONTINUE
    while outcome is gate.Outcome.CONTINUE:
        new = adviser.settled([duel_of(each) for each in models.contests(rng, LOOK_SIZE, len(duels))])
        duels += new
        pairs = []
        for each in new:
            assert isinstance(each.champion, Answer) and isinstance(each.challenger, Answer)
            pairs.append(gate.pair(each.champion.verdict, each.challenger.verdict))
        _, outcome = test.look(pairs)
    if outcome is not gate.Outcome.BETTER:
        return Tried(False, False)
    return Tried(True, all(check.passed for check in adviser.advice(duels, proves=True)))


def corrected_win_rate(
    rng: np.random.Generator, prefers: Prefers, models: Models, num: int, num_labelled: int
) -> Corrected:
    """The win rate that a judge finds on `num` requests, without the errors that labelled pairs show."""
    judge = judge_of(prefers)
    errors = errors_of(judge, labelled_pairs(rng, models, num_labelled))
    tally = tally_of(judge.prefer(models.contests(rng, num)))
    return corrected(tally, better=errors.better, worse=errors.worse)


def _number(reply: str) -> int:
    return int(reply.split()[0])


def coin(rng: np.random.Generator) -> Prefers:
    """A judge that throws a coin each time."""

    def says(asked: str, first: str, second: str) -> Choice:
        return Choice.FIRST if rng.random() < 0.5 else Choice.SECOND

    return says


def rated_blindly(
    rng: np.random.Generator, *, num: int = 200, raters: int = 1, tied: float = 0.2, left: float = 0.5
) -> compare.Answer:
    """What people's ratings of two equal models say, by the page's key and the gate's test.

    A rater finds a share `tied` of the pairs equally good, and prefers what stands on the left in a share
    `left` of the others, else either model's reply. Raters of a pair agree more often than by chance.
    """
    sides: tuple[Side, Side] = ("left", "right")
    pairs = tuple(
        Pair(id=f"q{n}", story="", asked="?", old="a", new="b", new_side=sides[side])
        for n, side in enumerate(rng.integers(0, 2, num).tolist())
    )
    key = Key(salt="", seed=0, names=("old", "new"), pairs=pairs)
    lean = rng.normal(0, 1, num)
    votes = []
    for rater in range(raters):
        feels = lean + rng.normal(0, 1, num)
        by_side, is_tied = rng.random(num) < abs(2 * left - 1), rng.random(num) < tied
        for n, pair in enumerate(pairs):
            side = "left" if left > 0.5 else "right"
            for_new = pair.new_side == side if by_side[n] else feels[n] > 0
            votes.append(Vote(pair, f"{rater:016x}", 0 if is_tied[n] else 1 if for_new else -1))
    return rated(key, votes).comparison.verdict


def by_chance(
    num: int, *, better: float = 0.5, longer: float = 0.5, to_first: float = 0.0, to_longer: float = 0.0
) -> Iterator[list[Preference]]:
    """What a biased judge says of `num` pairs, again and again.

    The new reply is `better`, and `longer`, in these shares of the pairs. With these chances the judge looks
    at nothing but the place, or the length, in each order anew; else it sees what is better.
    """
    rng = np.random.default_rng(0)
    ids = [f"q{number}" for number in range(num)]
    while True:
        is_better, is_longer = rng.random(num) < better, rng.random(num) < longer
        shown_first = []
        for is_new_first in (False, True):
            chance = rng.random(num)
            by_length, by_worth = is_longer == is_new_first, is_better == is_new_first
            first = np.where(
                chance < to_first, True, np.where(chance < to_first + to_longer, by_length, by_worth)
            )
            shown_first.append([Choice.FIRST if each else Choice.SECOND for each in first.tolist()])
        lengths = [(10, 20) if each else (20, 10) for each in is_longer.tolist()]
        yield [preference(*each) for each in zip(*shown_first, lengths, ids, strict=True)]

"""Suites of which a share is answered: how two models compare, and the suite of a user's own records.

Records with ``split: sentinel`` (`engine/tasks`) are a suite of their campaign. They are never learnt and no
draw takes them; every model is asked all of them, and the task's own verifiers judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Literal

from configs.schema import Sentinels
from engine.gate import arithmetic as gate
from engine.gate import carry
from engine.measure.bench import Bench
from engine.measure.evaluate import answer
from engine.models.identity import Model
from engine.records import Answer, Check, Problem, SentinelScores, Status
from engine.sample.protocol import Sampling

KEPT = "kept-records"
"""Name of the suite of a user's own records."""
_SCORES = {Status.PASS: 1.0, Status.FAIL: 0.0, Status.UNDECIDED: nan}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """A suite of which hardly fewer may be answered."""

    name: str
    kind: Literal["proportion"] = "proportion"

    @property
    def items(self) -> list[tuple[str, str]]:
        """Id of each request, and what is asked."""
        raise NotImplementedError

    @property
    def texts(self) -> tuple[str, ...]:
        """What is asked."""
        return tuple(asked for _, asked in self.items)

    @property
    def size(self) -> int:
        """Number of requests."""
        return len(self.items)

    def check(
        self, settings: Sentinels, *, before: SentinelScores, after: SentinelScores, base: SentinelScores
    ) -> Check:
        """No harm from `before` to `after`; what `base` scores is only shown."""
        rate = base.scores.count(1.0) / len(base.scores)
        return gate.no_harm_proportion(
            self.name, paired(before, after), settings.margin_of(self.name), base_rate=rate
        )

    def glance(self, settings: Sentinels, *, before: SentinelScores, after: SentinelScores) -> Check:
        """No harm seen from `before` to `after`, which is not the same as shown to be none."""
        return carry.no_visible_drop(self.name, paired(before, after), settings.margin_of(self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecords(Proportion):
    """A user's own records that a model must not lose, judged as those that it learns."""

    name: str = KEPT
    problems: tuple[Problem, ...]

    @property
    def items(self) -> list[tuple[str, str]]:
        return [(problem.id, problem.text) for problem in self.problems]

    def answers(self, bench: Bench, model: Model, max_new_tokens: int) -> list[Answer]:
        """The model on every problem. Raises GateError for answers of other weights, and Unjudged."""
        given = answer(bench, model.path, self.problems, Sampling(max_new_tokens=max_new_tokens))
        gate.require_answered_by((each.attempt for each in given), model.id)
        return given

    def scores(self, given: Sequence[Answer]) -> SentinelScores:
        """What the answers of one model come to."""
        return SentinelScores(
            model_id=given[0].attempt.model_id,
            suite=self.name,
            scores=tuple(_SCORES[each.verdict.status] for each in given),
            replies=tuple("\n".join(each.attempt.replies) for each in given),
        )

    def ask(self, bench: Bench, model: Model, max_new_tokens: int) -> SentinelScores:
        """The scores of `answers`."""
        return self.scores(self.answers(bench, model, max_new_tokens))


def paired(before: SentinelScores, after: SentinelScores) -> Sequence[gate.Pair]:
    """Whether either model did each item.

    Undecided, which is NaN, counts against the newer model: as passed before and as failed after.
    """
    return [(old != 0.0, new == 1.0) for old, new in zip(before.scores, after.scores, strict=True)]

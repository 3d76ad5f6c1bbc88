"""Further samples go where most rows are to be expected of them."""

import itertools

import pytest

from configs.loops import OakDpo
from configs.training import Dpo, Sft
from engine.predict.allocate import most_worth, rows_expected
from engine.records import Status
from tests.support.replies import answer, problem

REPLIES, PAIRS = OakDpo(train=Sft(), proofs_per_problem=2), OakDpo(train=Dpo())


def by_counting(chance: float, passed: int, failed: int, more: int, pairs: bool) -> float:
    """The same over all outcomes one by one."""
    total = 0.0
    for outcome in itertools.product((True, False), repeat=more):
        won = passed + sum(outcome)
        likely = chance ** sum(outcome) * (1 - chance) ** (more - sum(outcome))
        rows = (failed + more - sum(outcome) if won else 0) if pairs else min(won, 2)
        total += likely * rows
    return total - ((failed if passed else 0) if pairs else min(passed, 2))


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("chance", [0.0, 0.2, 0.5, 1.0])
def test_rows_are_expected_over_all_outcomes(pairs: bool, chance: float) -> None:
    for passed, failed in ((0, 0), (0, 2), (1, 1), (2, 0)):
        found = rows_expected(
            chance, passed=passed, failed=failed, more=3, settings=PAIRS if pairs else REPLIES
        )
        assert found == pytest.approx(by_counting(chance, passed, failed, 3, pairs))


def test_what_is_always_or_never_solved_gets_nothing() -> None:
    problems = [problem(name) for name in ("never", "easy", "near", "nearer")]
    answers = [answer(each.id, sample, Status.FAIL) for each in problems for sample in (0, 1)]
    answers[2:4] = [answer("easy", sample, Status.PASS) for sample in (0, 1)]
    chances = {"never": 0.01, "easy": 0.97, "near": 0.3, "nearer": 0.5}
    chosen = most_worth(problems, answers, chances, num=2, more=4, settings=REPLIES, seed=0)
    assert [each.id for each in chosen] == ["near", "nearer"]
    chosen = most_worth(problems, answers, chances, num=2, more=4, settings=PAIRS, seed=0)
    assert [each.id for each in chosen] == ["near", "nearer"]


def test_a_problem_that_nothing_is_known_of_counts_as_the_mean() -> None:
    problems = [problem(name) for name in ("low", "unknown", "high")]
    answers = [answer(each.id, sample, Status.FAIL) for each in problems for sample in (0, 1)]
    chosen = most_worth(problems, answers, {"low": 0.1, "high": 0.5}, num=2, more=2, settings=REPLIES, seed=0)
    assert [each.id for each in chosen] == ["unknown", "high"]


def test_equals_are_chosen_among_by_the_seed() -> None:
    problems = [problem(f"p{i}") for i in range(50)]
    answers = [answer(each.id, sample, Status.FAIL) for each in problems for sample in (0, 1)]

    def chosen(seed: int) -> list[str]:
        found = most_worth(problems, answers, {}, num=10, more=2, settings=REPLIES, seed=seed)
        return [each.id for each in found]

    assert len(chosen(0)) == 10 and chosen(0) == chosen(0) != chosen(1)
